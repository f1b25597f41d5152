/* SPDX-License-Identifier: MIT */
/*
 * An account without a mount, driven by lines on stdin: words separated by tabs.  Each command
 * answers with lines and ends with "." and the outcome.  For the tests with a real server.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "imap_digest.h"
#include "log.h"
#include "mem.h"
#include "store.h"
#include "store_mailbox.h"
#include "store_message.h"
#include "store_op.h"
#include "store_pull.h"
#include "sync.h"

struct drive {
	struct store *st;
	struct sync *sync;
	struct sync_config cfg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	int outstanding, last_err;
};

static int password(void *ctx, char *out, size_t cap, struct err_reason *why)
{
	(void)why;
	(void)snprintf(out, cap, "%s", (const char *)ctx);
	return 0;
}

static void on_change(void *ctx, enum store_change what, int64_t node, int64_t parent,
                      const char *name)
{
	(void)ctx;
	(void)what;
	(void)node;
	(void)parent;
	(void)name;
}

/* ---- Showing ---- */

/* What a reader would get: bytes written here, else the cached body. */
static char *content(struct drive *d, const struct store_node *n, size_t *len)
{
	char *own = NULL;
	const void *data;
	int fd = n->spool ? store_spool_open(d->st, n->spool, 0) : -1;

	if (fd >= 0) {
		own = mem_alloc((size_t)n->size + 1);
		*len = pread(fd, own, (size_t)n->size, 0) == n->size ? (size_t)n->size : 0;
		(void)close(fd);
	} else if (store_body_get(d->st, n->id, &data, len) == 0) {
		own = mem_alloc(*len + 1);
		memcpy(own, data, *len);
	}
	return own;
}

static void print_digest(struct drive *d, const struct store_node *n)
{
	char hex[IMAP_DIGEST_MAX];
	size_t len = 0;
	_cleanup_free_ char *data = content(d, n, &len);
	struct imap_digest *g;

	if (!data) {
		printf("\t-\t-");
		return;
	}
	g = imap_digest_new();
	imap_digest_add(g, data, len);
	imap_digest_finish(&g, hex);
	printf("\t%zu\t%s", len, hex);
}

static void print_node(struct drive *d, const struct store_node *n)
{
	_cleanup_free_ char *path = NULL;
	struct store_message m;

	if (store_node_path(d->st, n->id, &path) < 0)
		return;
	printf("%d\t%s\t%lld", (int)n->kind, path, (long long)n->size);
	if (n->kind == STORE_KIND_MESSAGE && store_message_get(d->st, n->id, &m) == 0) {
		printf("\t%u\t%u\t%s\t%s\t%lld", m.uidvalidity, m.uid, m.flags,
		       m.message_id ? m.message_id : "", (long long)m.date);
		print_digest(d, n);
		printf("\t%lld", (long long)n->id);
		store_message_release(&m);
	}
	printf("\n");
}

static void print_tree(struct drive *d, int64_t parent)
{
	struct store_node list[64];
	int64_t after = 0;
	int n;

	while ((n = store_node_list(d->st, parent, after, list, 64)) > 0) {
		for (int i = 0; i < n; i++) {
			print_node(d, &list[i]);
			if (list[i].kind == STORE_KIND_MAILBOX)
				print_tree(d, list[i].id);
		}
		after = list[n - 1].id;
	}
}

static int show_queue(struct drive *d)
{
	struct store_op *list = NULL;
	size_t count = 0;
	int r = store_op_list(d->st, &list, &count);

	for (size_t i = 0; i < count; i++)
		printf("%lld\t%d\t%d\t%d\t%s\t%lld\t%lld\n", (long long)list[i].seq,
		       (int)list[i].kind, (int)list[i].state, list[i].err,
		       list[i].error ? list[i].error : "", (long long)list[i].message,
		       (long long)list[i].copy);
	store_op_list_free(list, count);
	return r;
}

static int show_status(struct drive *d)
{
	struct sync_status st;
	struct store_totals t;

	sync_get_status(d->sync, &st);
	if (store_totals_get(d->st, &t) < 0)
		return ERR_IO;
	printf("%d\t%s\t%llu\t%llu\t%llu\t%lld\t%lld\n", (int)st.state, st.reason,
	       (unsigned long long)st.sent_bytes, (unsigned long long)st.received_bytes,
	       (unsigned long long)st.turnarounds, (long long)t.messages, (long long)t.bodies);
	return 0;
}

/* ---- Changing ---- */

/* "INBOX/3.eml", or "#17" for the node of that number. */
static int node_at(struct drive *d, const char *path, struct store_node *n)
{
	return *path == '#' ? store_node_get(d->st, atoll(path + 1), n)
	                    : store_node_by_path(d->st, path, n);
}

/* What is out of sight, while its mailbox is looked at anew, no program finds by a name. */
static int shown_at(struct drive *d, const char *path, struct store_node *n)
{
	int r = node_at(d, path, n);

	return r == 0 && n->parent == 0 ? ERR_NOTFOUND : r;
}

/* Where a message is and what flags it shows. */
static int do_where(struct drive *d, char **w)
{
	_cleanup_free_ char *parent = NULL;
	struct store_message m;
	struct store_node n;
	int r = node_at(d, w[1], &n);

	if (r == 0 && n.parent != 0)
		r = store_node_path(d->st, n.parent, &parent);
	if (r == 0)
		r = store_message_get(d->st, n.id, &m);
	if (r < 0)
		return r;
	printf("%s\t%s\t%s\n", parent ? parent : "", n.name, m.flags);
	store_message_release(&m);
	return 0;
}

/* Says whether there was something to do. */
static int do_flag(struct drive *d, char **w)
{
	struct store_node n;
	int r = node_at(d, w[1], &n);

	if (r == 0)
		r = store_message_flag(d->st, n.id, w[2], w[3]);
	if (r >= 0)
		printf("%d\n", r);
	return r < 0 ? r : 0;
}

static int do_set(struct drive *d, char **w)
{
	struct store_node n;
	int r = node_at(d, w[1], &n);

	if (r == 0)
		r = store_message_set_flags(d->st, n.id, w[2]);
	return r < 0 ? r : 0;
}

static int spool_from(struct drive *d, int64_t node, const char *file)
{
	char chunk[65536];
	int64_t spool = 0;
	FILE *f = fopen(file, "rb");
	size_t n;
	int fd, r = store_spool_writable(d->st, node, &spool);
	struct store_node size = { 0 };

	fd = r == 0 && f ? store_spool_open(d->st, spool, O_TRUNC) : -1;
	while (fd >= 0 && (n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
		if (write(fd, chunk, n) != (ssize_t)n)
			r = ERR_IO;
		size.size += (int64_t)n;
	}
	if (f)
		(void)fclose(f);
	if (fd < 0)
		return ERR_IO;
	(void)close(fd);
	return r < 0 ? r : store_node_set(d->st, node, STORE_SET_SIZE, &size);
}

static int do_append(struct drive *d, char **w)
{
	struct store_node box, n;
	int r = node_at(d, w[1], &box);

	if (r == 0)
		r = store_node_create(d->st, box.id, w[2], STORE_KIND_FILE, 0600, NULL, &n);
	if (r == 0)
		r = spool_from(d, n.id, w[3]);
	if (r == 0)
		r = store_message_upload(d->st, n.id, w[4], w[5] && *w[5] ? w[5] : NULL);
	if (r == 0)
		printf("%lld\n", (long long)n.id);
	return r;
}

/* New bytes for a message. */
static int do_edit(struct drive *d, char **w)
{
	struct store_node n;
	int r = shown_at(d, w[1], &n);

	if (r == 0)
		r = spool_from(d, n.id, w[2]);
	return r < 0 ? r : store_message_upload(d->st, n.id, "", w[3] && *w[3] ? w[3] : NULL);
}

static int do_mkdir(struct drive *d, char **w)
{
	struct store_node parent = { .id = STORE_ROOT };
	int64_t id;
	int r = *w[1] ? node_at(d, w[1], &parent) : 0;

	return r < 0 ? r : store_mailbox_create(d->st, parent.id, w[2], &id);
}

static int do_rmdir(struct drive *d, char **w)
{
	struct store_node n;
	int r = node_at(d, w[1], &n);

	return r < 0 ? r : store_mailbox_remove(d->st, n.id);
}

static int do_remove(struct drive *d, char **w)
{
	struct store_node n;
	int r = shown_at(d, w[1], &n);

	return r < 0 ? r : store_message_remove(d->st, n.id, (enum store_delete)atoi(w[2]));
}

static int do_move(struct drive *d, char **w)
{
	struct store_node n, box;
	int r = shown_at(d, w[1], &n);

	if (r == 0)
		r = node_at(d, w[2], &box);
	return r < 0 ? r : store_message_move(d->st, n.id, box.id, w[3], false, STORE_DELETE_TRASH);
}

static int do_copy(struct drive *d, char **w)
{
	struct store_node n, box;
	int64_t copy = 0;
	int r = shown_at(d, w[1], &n);

	if (r == 0)
		r = node_at(d, w[2], &box);
	if (r == 0)
		r = store_message_copy(d->st, n.id, box.id, w[3], &copy);
	if (r == 0)
		printf("%lld\n", (long long)copy);
	return r;
}

static int do_mvdir(struct drive *d, char **w)
{
	struct store_node n, parent = { .id = STORE_ROOT };
	int r = node_at(d, w[1], &n);

	if (r == 0 && *w[2])
		r = node_at(d, w[2], &parent);
	return r < 0 ? r : store_mailbox_rename(d->st, n.id, parent.id, w[3]);
}

static int do_subscribe(struct drive *d, char **w)
{
	struct store_node n;
	int r = node_at(d, w[1], &n);

	return r < 0 ? r : store_mailbox_subscribe(d->st, n.id, atoi(w[2]) != 0);
}

static void body_done(void *ctx, int64_t message, int err)
{
	struct drive *d = ctx;

	(void)message;
	pthread_mutex_lock(&d->lock);
	d->outstanding--;
	d->last_err = err;
	pthread_cond_broadcast(&d->done);
	pthread_mutex_unlock(&d->lock);
}

static int do_body(struct drive *d, char **w)
{
	struct store_node n;
	int64_t begun = clock_mono_ms();
	int r = node_at(d, w[1], &n);

	if (r < 0)
		return r;
	pthread_mutex_lock(&d->lock);
	d->outstanding++;
	pthread_mutex_unlock(&d->lock);
	(void)sync_want_body(d->sync, n.id, clock_mono_ms() + atoi(w[2]), body_done, d);
	pthread_mutex_lock(&d->lock);
	while (d->outstanding > 0)
		pthread_cond_wait(&d->done, &d->lock);
	r = d->last_err;
	pthread_mutex_unlock(&d->lock);
	printf("%lld ms\n", (long long)(clock_mono_ms() - begun));
	return r;
}

static int do_wait(struct drive *d, char **w)
{
	struct err_reason why = { "" };
	int r = sync_wait(d->sync, clock_mono_ms() + atoi(w[1]), &why);

	if (r < 0)
		printf("%s\n", why.text);
	return r;
}

static int do_tree(struct drive *d, char **w)
{
	(void)w;
	print_tree(d, STORE_ROOT);
	return 0;
}

static int do_queue(struct drive *d, char **w)
{
	(void)w;
	return show_queue(d);
}

static int do_status(struct drive *d, char **w)
{
	(void)w;
	return show_status(d);
}

static int do_pause(struct drive *d, char **w)
{
	sync_pause(d->sync, atoi(w[1]) != 0);
	return 0;
}

static int do_kick(struct drive *d, char **w)
{
	(void)w;
	sync_kick(d->sync);
	return 0;
}

static int do_retry(struct drive *d, char **w)
{
	return store_op_retry(d->st, atoll(w[1]));
}

static int do_drop(struct drive *d, char **w)
{
	return store_op_drop(d->st, atoll(w[1]));
}

static const struct {
	const char *name;
	int (*run)(struct drive *d, char **w);
} commands[] = {
	{ "wait", do_wait },     { "tree", do_tree },   { "queue", do_queue },
	{ "status", do_status }, { "flag", do_flag },   { "append", do_append },
	{ "edit", do_edit },     { "rmdir", do_rmdir }, { "remove", do_remove },
	{ "move", do_move },     { "copy", do_copy },   { "mkdir", do_mkdir },
	{ "mvdir", do_mvdir },   { "body", do_body },   { "pause", do_pause },
	{ "kick", do_kick },     { "retry", do_retry }, { "drop", do_drop },
	{ "where", do_where },   { "set", do_set },     { "subscribe", do_subscribe },
};

static int command(struct drive *d, char **w)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(w[0], commands[i].name) == 0)
			return commands[i].run(d, w);
	return ERR_INVAL;
}

static char *take_word(char **rest)
{
	char *word = *rest;
	char *end = strchr(word, '\t');

	*rest = end ? end + 1 : word + strlen(word);
	if (end)
		*end = '\0';
	return word;
}

static void options(struct drive *d, int argc, char **argv)
{
	d->cfg = (struct sync_config){
		.state_dir = argv[1],
		.cache_dir = argv[2],
		.host = "127.0.0.1",
		.user = "test",
		.port = (uint16_t)atoi(argv[3]),
		.tls = SYNC_TLS_NONE,
		.password = password,
		.password_ctx = (char *)(uintptr_t) "secret",
		.on_change = on_change,
		.hold_ms = 100,
	};
	for (int i = 4; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "user") == 0)
			d->cfg.user = argv[i + 1];
		else if (strcmp(argv[i], "disable") == 0)
			d->cfg.disable = argv[i + 1];
		else if (strcmp(argv[i], "poll") == 0)
			d->cfg.poll_ms = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "timeout") == 0)
			d->cfg.timeout_ms = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "offline") == 0)
			d->cfg.offline = atoi(argv[i + 1]) != 0;
		else if (strcmp(argv[i], "hold") == 0)
			d->cfg.hold_ms = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "connections") == 0)
			d->cfg.connections = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "conflict") == 0)
			d->cfg.conflict = (enum sync_conflict)atoi(argv[i + 1]);
		else if (strcmp(argv[i], "tries") == 0)
			d->cfg.conflict_tries = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "profile") == 0)
			d->cfg.profile = (enum store_profile)atoi(argv[i + 1]);
	}
}

int main(int argc, char **argv)
{
	struct drive d = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
	struct err_reason why = { "" };
	char line[8192];
	int64_t begun;
	int r, lock = -1;

	if (argc < 4)
		return 2;
	log_set_sink(NULL, NULL, LOG_LEVEL_DEBUG);
	options(&d, argc, argv);
	r = store_lock(d.cfg.state_dir, &lock, &why);
	if (r == 0)
		r = store_open(d.cfg.state_dir, d.cfg.cache_dir, &d.st, &why);
	if (r == 0)
		r = store_recover(d.st);
	if (r == 0)
		r = sync_start(&d.cfg, &d.sync, &why);
	printf(". %d %s\n", r, why.text);
	(void)fflush(stdout);
	while (r == 0 && fgets(line, sizeof(line), stdin)) {
		char *words[8], *rest = line;

		line[strcspn(line, "\n")] = '\0';
		for (int i = 0; i < 8; i++)
			words[i] = take_word(&rest);
		if (strcmp(words[0], "quit") == 0)
			break;
		printf(". %d\n", command(&d, words));
		(void)fflush(stdout);
	}
	begun = clock_mono_ms();
	sync_stop(&d.sync);
	printf("stopped %lld\n", (long long)(clock_mono_ms() - begun));
	store_close(&d.st);
	return r == 0 ? 0 : 1;
}
