/* SPDX-License-Identifier: MIT */
/*
 * An account without a mount, driven by lines on stdin: words separated by tabs.  Each command
 * answers with lines and ends with "." and the outcome.  For the tests with a real server.
 */
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

static void print_digest(struct drive *d, int64_t id)
{
	char hex[IMAP_DIGEST_MAX];
	struct imap_digest *g;
	const void *data;
	size_t len;

	if (store_body_get(d->st, id, &data, &len) < 0) {
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
		print_digest(d, n->id);
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
		printf("%lld\t%d\t%d\t%d\t%s\n", (long long)list[i].seq, (int)list[i].kind,
		       (int)list[i].state, list[i].err, list[i].error ? list[i].error : "");
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

static int node_at(struct drive *d, const char *path, struct store_node *n)
{
	return store_node_by_path(d->st, path, n);
}

static int do_flag(struct drive *d, char **w)
{
	struct store_node n;
	int r = node_at(d, w[1], &n);

	if (r == 0)
		r = store_message_flag(d->st, n.id, w[2], w[3]);
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

	fd = r == 0 && f ? store_spool_open(d->st, spool, 0) : -1;
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
	return r;
}

/* New bytes for a message. */
static int do_edit(struct drive *d, char **w)
{
	struct store_node n;
	int r = node_at(d, w[1], &n);

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
	int r = node_at(d, w[1], &n);

	return r < 0 ? r : store_message_remove(d->st, n.id, (enum store_delete)atoi(w[2]));
}

static int do_move(struct drive *d, char **w)
{
	struct store_node n, box;
	int r = node_at(d, w[1], &n);

	if (r == 0)
		r = node_at(d, w[2], &box);
	return r < 0 ? r : store_message_move(d->st, n.id, box.id, w[3], false, STORE_DELETE_TRASH);
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

static int command(struct drive *d, char **w)
{
	int r = 0;

	if (strcmp(w[0], "wait") == 0)
		r = do_wait(d, w);
	else if (strcmp(w[0], "tree") == 0)
		print_tree(d, STORE_ROOT);
	else if (strcmp(w[0], "queue") == 0)
		r = show_queue(d);
	else if (strcmp(w[0], "status") == 0)
		r = show_status(d);
	else if (strcmp(w[0], "flag") == 0)
		r = do_flag(d, w);
	else if (strcmp(w[0], "set") == 0)
		r = do_set(d, w);
	else if (strcmp(w[0], "retry") == 0)
		r = store_op_retry(d->st, atoll(w[1]));
	else if (strcmp(w[0], "append") == 0)
		r = do_append(d, w);
	else if (strcmp(w[0], "edit") == 0)
		r = do_edit(d, w);
	else if (strcmp(w[0], "mkdir") == 0)
		r = do_mkdir(d, w);
	else if (strcmp(w[0], "rmdir") == 0)
		r = do_rmdir(d, w);
	else if (strcmp(w[0], "remove") == 0)
		r = do_remove(d, w);
	else if (strcmp(w[0], "move") == 0)
		r = do_move(d, w);
	else if (strcmp(w[0], "body") == 0)
		r = do_body(d, w);
	else if (strcmp(w[0], "pause") == 0)
		sync_pause(d->sync, atoi(w[1]) != 0);
	else if (strcmp(w[0], "kick") == 0)
		sync_kick(d->sync);
	else
		r = ERR_INVAL;
	return r;
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
		if (strcmp(argv[i], "disable") == 0)
			d->cfg.disable = argv[i + 1];
		else if (strcmp(argv[i], "poll") == 0)
			d->cfg.poll_ms = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "timeout") == 0)
			d->cfg.timeout_ms = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "offline") == 0)
			d->cfg.offline = atoi(argv[i + 1]) != 0;
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
