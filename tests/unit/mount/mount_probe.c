/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_sync.h"
#include "log.h"
#include "mem.h"
#include "mount.h"
#include "store_op.h"
#include "store_pull.h"
#include "wordset.h"

/*
 * Mounts a store without a server, and changes it as a pull would.
 *
 *   mount_probe DIR mount POINT [hold=MS timeout=MS delete=N extra=WORDS ro maildir separator=C]
 *   mount_probe DIR list BOX...                  the server's mailboxes are these
 *   mount_probe DIR mail BOX UID SIZE [FLAGS]    a message appears, its body is not here
 *   mount_probe DIR body BOX UID FILE            its body arrives
 *   mount_probe DIR fill BOX FIRST FILE...       messages with their bodies, in one batch
 *   mount_probe DIR many BOX FIRST COUNT [SIZE]  messages with bodies of that size
 *   mount_probe DIR flags BOX UID FLAGS          changed by another client
 *   mount_probe DIR expunge BOX UID
 *   mount_probe DIR ops                          the log: KIND|ADD|DEL|NAME|SPOOL a line
 *
 * DIR holds state/, cache/ and the files that steer the fake sync.
 */
static struct mount *served;

static void on_term(int sig)
{
	(void)sig;
	mount_stop(served);
}

static int check(int r, const char *what)
{
	if (r >= 0)
		return r;
	fprintf(stderr, "mount_probe: %s: %s\n", what, err_text(r));
	exit(1);
}

struct probe {
	char state[400], cache[400];
	const char *dir;
	struct store *s;
	struct sync *sync;
	int made;
};

static int make_status(void *ctx, char **out, size_t *len)
{
	struct probe *p = ctx;

	*out = mem_printf("made %d\nkicks %d\nahead %d\nwaiting %d\nopen %" PRId64 "\n", p->made,
	                  fake_sync_kicks(p->sync), fake_sync_ahead(p->sync),
	                  fake_sync_waiting(p->sync), mount_open_files(served));
	*len = strlen(*out);
	return 0;
}

/* Another text at each look-up. */
static int make_counter(void *ctx, char **out, size_t *len)
{
	struct probe *p = ctx;

	*out = mem_printf("number %d\n", ++p->made);
	*len = strlen(*out);
	return 0;
}

static void option(struct mount_config *cfg, const char *word)
{
	if (strncmp(word, "hold=", 5) == 0)
		cfg->hold_ms = atoi(word + 5);
	else if (strncmp(word, "timeout=", 8) == 0)
		cfg->timeout_ms = atoi(word + 8);
	else if (strncmp(word, "delete=", 7) == 0)
		cfg->delete_mode = (enum store_delete)atoi(word + 7);
	else if (strncmp(word, "extra=", 6) == 0)
		cfg->extra = word + 6;
	else if (strcmp(word, "subject") == 0)
		cfg->subjects = true;
	else if (strcmp(word, "maildir") == 0)
		cfg->maildir = true;
	else if (strncmp(word, "separator=", 10) == 0)
		cfg->separator = word[10];
	else if (strcmp(word, "ro") == 0)
		cfg->read_only = true;
}

/* Tells the mount what another process did to the store: the directories it names. */
static void *relay(void *ctx)
{
	struct probe *p = ctx;
	char path[500], *line = NULL;
	size_t cap = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/changes", p->dir);
	while ((f = fopen(path, "r")) != NULL) {
		while (getline(&line, &cap, f) > 0) {
			long long node, parent;
			int what, at = 0;

			line[strcspn(line, "\n")] = '\0';
			if (strcmp(line, "settle") == 0)
				mount_settle(served);
			else if (sscanf(line, "%d %lld %lld %n", &what, &node, &parent, &at) == 3)
				mount_on_change(served, (enum store_change)what, node, parent,
				                line + at);
			else
				goto out;
		}
		fclose(f);
	}
	free(line);
	return NULL;
out:
	fclose(f);
	free(line);
	return NULL;
}

/* The pipe stays open until the thread has read what ends it. */
static void end_relay(struct probe *p, pthread_t thread)
{
	char path[500];
	FILE *f;

	snprintf(path, sizeof(path), "%s/changes", p->dir);
	f = fopen(path, "r+");
	if (!f)
		abort();
	fputs("end\n", f);
	fflush(f);
	pthread_join(thread, NULL);
	fclose(f);
}

static void on_ready(void *ctx)
{
	(void)ctx;
	puts("ready");
	fflush(stdout);
}

static int do_mount(struct probe *p, int argc, char **argv)
{
	struct mount_virtual virtuals[] = { { "status", make_status, p },
		                            { "counter", make_counter, p } };
	struct mount_config cfg = { .mountpoint = argv[0],
		                    .fsname = "user@host",
		                    .subtype = "imapfs",
		                    .state_dir = p->state,
		                    .cache_dir = p->cache,
		                    .hold_ms = 200,
		                    .timeout_ms = 30000,
		                    .uid = -1,
		                    .gid = -1,
		                    .delete_mode = STORE_DELETE_EXPUNGE,
		                    .virtuals = virtuals,
		                    .virtual_count = 2 };
	struct err_reason why = { "" };
	pthread_t thread;
	int r;

	for (int i = 1; i < argc; i++)
		option(&cfg, argv[i]);
	check(store_open(p->state, p->cache, &p->s, NULL), "open");
	check(store_recover(p->s), "recover");
	store_close(&p->s);
	p->sync = fake_sync_new(p->dir, p->state, p->cache);
	r = mount_open(&cfg, &served, &why);
	if (r < 0) {
		fprintf(stderr, "mount_probe: %s\n", why.text);
		fake_sync_free(p->sync);
		return 3;
	}
	mount_set_sync(served, p->sync);
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	if (pthread_create(&thread, NULL, relay, p) != 0)
		abort();
	r = mount_run(served, on_ready, NULL);
	end_relay(p, thread);
	mount_close(&served);
	fake_sync_free(p->sync);
	return r == 0 ? 0 : 1;
}

/* Hands what the pull changed to the mount, if there is one. */
static void pass_on(void *ctx, enum store_change what, int64_t node, int64_t parent,
                    const char *name)
{
	FILE *f = ctx;

	if (f)
		fprintf(f, "%d %lld %lld %s\n", (int)what, (long long)node, (long long)parent,
		        name ? name : "");
}

static int64_t box_id(struct probe *p, const char *name)
{
	int64_t id = 0;

	check(store_mailbox_by_wire(p->s, name, &id), name);
	return id;
}

static int do_list(struct probe *p, int argc, char **argv)
{
	struct store_list_entry e[16] = { 0 };

	for (int i = 0; i < argc && i < 16; i++)
		e[i] = (struct store_list_entry){ .wire_name = argv[i],
			                          .path = argv[i],
			                          .delimiter = '/',
			                          .attributes = strcmp(argv[i], "Trash") == 0
			                                                ? "\\Trash"
			                                                : "" };
	check(store_pull_list(p->s, e, (size_t)argc, true), "list");
	for (int i = 0; i < argc && i < 16; i++) {
		struct store_selected sel = { .uidvalidity = 7,
			                      .keywords_ok = true,
			                      .permanent_flags = "\\*" };

		check(store_pull_selected(p->s, box_id(p, argv[i]), &sel), "selected");
	}
	return 0;
}

static int64_t add_mail(struct probe *p, const char *box, uint32_t uid, uint64_t size,
                        const char *flags)
{
	struct store_descriptor d = { .uid = uid,
		                      .flags = flags,
		                      .size = size,
		                      .modseq = 5,
		                      .date = 1700000000,
		                      .date_zone_min = 60,
		                      .message_id = "<probe@example.org>" };
	int64_t id = 0;

	check(store_pull_descriptor(p->s, box_id(p, box), &d), "mail");
	check(store_message_by_uid(p->s, box_id(p, box), uid, &id), "mail");
	return id;
}

static void add_body(struct probe *p, int64_t id, const char *path)
{
	struct store_body_writer *w = NULL;
	static char data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		check(ERR_IO, path);
	check(store_body_begin(p->s, id, 0, &w), "body");
	while ((n = fread(data, 1, sizeof(data), f)) > 0)
		check(store_body_part(w, data, n), "body");
	fclose(f);
	check(store_body_end(&w), "body");
}

static int do_fill(struct probe *p, int argc, char **argv)
{
	uint32_t uid = (uint32_t)atoi(argv[1]);
	struct stat st;

	check(store_batch_begin(p->s), "batch");
	for (int i = 2; i < argc; i++) {
		if (stat(argv[i], &st) != 0)
			check(ERR_IO, argv[i]);
		add_body(p, add_mail(p, argv[0], uid++, (uint64_t)st.st_size, "\\Seen"), argv[i]);
	}
	check(store_batch_commit(p->s), "batch");
	return 0;
}

/* A mailbox of any size: every third message has nothing read yet, every tenth is flagged. */
static int do_many(struct probe *p, int argc, char **argv)
{
	uint32_t uid = (uint32_t)atoi(argv[1]);
	int count = atoi(argv[2]), size = argc > 3 ? atoi(argv[3]) : 200;
	_cleanup_free_ char *body = mem_alloc((size_t)size + 200);
	struct store_body_writer *w = NULL;

	for (int i = 0; i < count; i++, uid++) {
		int n = snprintf(body, 200, "From: a@b\r\nSubject: number %u\r\n\r\n", uid);
		int64_t id;

		if (i % 1000 == 0)
			check(store_batch_begin(p->s), "batch");
		for (; n < size; n += 50)
			memcpy(body + n, "forty-eight bytes of text in a line of a message\r\n",
			       50);
		id = add_mail(p, argv[0], uid, (uint64_t)n,
		              i % 10 == 0  ? "\\Flagged \\Seen"
		              : i % 3 == 0 ? ""
		                           : "\\Seen");
		check(store_body_begin(p->s, id, (uint64_t)n, &w), "body");
		check(store_body_part(w, body, (size_t)n), "body");
		check(store_body_end(&w), "body");
		if (i % 1000 == 999 || i == count - 1)
			check(store_batch_commit(p->s), "batch");
	}
	return 0;
}

static int do_ops(struct probe *p)
{
	struct store_op *ops = NULL;
	size_t count = 0;

	check(store_op_list(p->s, &ops, &count), "ops");
	for (size_t i = 0; i < count; i++)
		printf("%d|%s|%s|%s|%lld\n", (int)ops[i].kind, ops[i].add ? ops[i].add : "",
		       ops[i].del ? ops[i].del : "", ops[i].name ? ops[i].name : "",
		       (long long)ops[i].spool);
	store_op_list_free(ops, count);
	return 0;
}

static int change(struct probe *p, const char *what, int argc, char **argv)
{
	uint32_t uid = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
	int64_t id;

	if (strcmp(what, "list") == 0)
		return do_list(p, argc, argv);
	if (strcmp(what, "ops") == 0)
		return do_ops(p);
	if (strcmp(what, "fill") == 0 && argc > 2)
		return do_fill(p, argc, argv);
	if (strcmp(what, "many") == 0 && argc > 2)
		return do_many(p, argc, argv);
	if (strcmp(what, "mail") == 0 && argc > 2) {
		add_mail(p, argv[0], uid, strtoull(argv[2], NULL, 10), argc > 3 ? argv[3] : "");
	} else if (strcmp(what, "body") == 0 && argc > 2) {
		check(store_message_by_uid(p->s, box_id(p, argv[0]), uid, &id), "body");
		add_body(p, id, argv[2]);
	} else if (strcmp(what, "flags") == 0 && argc > 2) {
		check(store_pull_flags(p->s, box_id(p, argv[0]), uid, argv[2], 9), "flags");
	} else if (strcmp(what, "expunge") == 0 && argc > 1) {
		check(store_pull_expunged(p->s, box_id(p, argv[0]), &uid, 1), "expunge");
	} else {
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct probe p = { 0 };
	char path[500];
	FILE *changes;
	int r;

	if (argc < 3)
		return 2;
	p.dir = argv[1];
	snprintf(p.state, sizeof(p.state), "%s/state", p.dir);
	snprintf(p.cache, sizeof(p.cache), "%s/cache", p.dir);
	if (strcmp(argv[2], "mount") == 0 && argc > 3)
		return do_mount(&p, argc - 3, argv + 3);
	check(store_open(p.state, p.cache, &p.s, NULL), "open");
	snprintf(path, sizeof(path), "%s/changes", p.dir);
	changes = getenv("PROBE_TELL") ? fopen(path, "r+") : NULL;
	if (changes)
		store_set_listener(p.s, pass_on, changes);
	r = change(&p, argv[2], argc - 3, argv + 3);
	if (changes)
		fclose(changes);
	store_close(&p.s);
	return r;
}
