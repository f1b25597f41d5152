/* SPDX-License-Identifier: MIT */
#include "mount_ahead.h"
#include "mount_priv.h"

#include <errno.h>

#include "log.h"
#include "mem.h"

/*
 * Bodies that are here are put into the kernel's page cache before the reader asks, which saves
 * it a request for each; those that are not are named to sync.  Reads of the reader are seen
 * only where it meets what was not pushed.
 */
#define AHEAD_RING 256
#define AHEAD_BODY_MAX ((size_t)1024 * 1024)
#define AHEAD_BYTES \
	((size_t)6 * 1024 * 1024) /* of one window: the kernel may drop what waits long */
#define AHEAD_BODY_FAST \
	((size_t)128 * 1024) /* for one who outran us: perhaps reads beginnings only */
#define AHEAD_LEAD_MAX (AHEAD_WINDOW / 2)
#define AHEAD_MARK_MAX ((size_t)16 * 1024)

struct mount_ahead {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	struct mount *m;
	struct store *store;
	int64_t ring[AHEAD_RING];
	size_t first, count;
	struct ahead_seq seq;
	int lead; /* files left to a reader who is faster than this thread, before the first pushed */
	struct store_node page[AHEAD_WINDOW];
	bool stop, started;
};

void mount_ahead_saw(struct mount_ahead *a, int64_t id)
{
	pthread_mutex_lock(&a->lock);
	if (a->count == AHEAD_RING) {
		a->first = (a->first + 1) % AHEAD_RING;
		a->count--;
	}
	a->ring[(a->first + a->count++) % AHEAD_RING] = id;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

/* How many files after the last one that was read or pushed this is, in the directory's order;
 * 0: not near. */
static int steps_from_last(struct mount_ahead *a, int64_t dir, int64_t id)
{
	int64_t last = a->seq.until > a->seq.last ? a->seq.until : a->seq.last;
	int count;

	if (a->seq.dir != dir || id <= last)
		return 0;
	count = store_node_list(a->store, dir, last, a->page, AHEAD_NEAR);
	for (int i = 0; i < count; i++) {
		if (a->page[i].id == id)
			return i + 1;
	}
	return 0;
}

/* What one window holds so far. */
struct window {
	int64_t absent[AHEAD_WINDOW];
	size_t missing, bytes;
	int64_t mark;
};

/* False: the kernel does not take it, so no more now. */
static bool push(struct mount_ahead *a, const struct store_node *n, struct window *w)
{
	struct fuse_bufvec body = FUSE_BUFVEC_INIT(0);
	_cleanup_free_ char *own = NULL;
	const void *data;
	size_t len;

	if (n->kind != STORE_KIND_MESSAGE || n->spool != 0)
		return true;
	if (store_body_get(a->store, n->id, &data, &len) < 0) {
		w->absent[w->missing++] = n->id;
		return true;
	}
	if (len == 0 || len > (a->lead ? AHEAD_BODY_FAST : AHEAD_BODY_MAX))
		return true;
	w->bytes += len;
	/* What is pushed is read without a word: one file is left out to tell how far the reader is. */
	if (w->mark == 0 && w->bytes > AHEAD_BYTES / 3 && len <= AHEAD_MARK_MAX) {
		w->mark = n->id;
		return true;
	}
	body.buf[0].mem = (void *)(uintptr_t)data;
	body.buf[0].size = len;
	if (a->m->maildir)
		body.buf[0].mem = own = mount_maildir_body(data, len, &body.buf[0].size);
	return fuse_lowlevel_notify_store(a->m->se, (fuse_ino_t)n->id, 0, &body, 0) != -ENODEV;
}

/* The reader has come past what was to be pushed next: true, and where it is. */
static bool overtaken(struct mount_ahead *a, int64_t next)
{
	bool past = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->count && !past; i++) {
		int64_t id = a->ring[(a->first + i) % AHEAD_RING];

		past = id >= next && id <= a->seq.until;
	}
	past |= a->stop;
	pthread_mutex_unlock(&a->lock);
	return past;
}

static void push_window(struct mount_ahead *a, int64_t dir, int64_t after)
{
	struct window w = { .missing = 0 };
	int count = store_node_list(a->store, dir, after, a->page, AHEAD_WINDOW);
	int i = a->lead < count ? a->lead : 0;

	if (count <= 0)
		return;
	a->lead /= 2;
	a->seq.until = a->page[count - 1].id;
	for (; i < count; i++) {
		if (i % 8 == 7 && overtaken(a, a->page[i].id)) {
			a->lead = a->lead * 4 + 8 < AHEAD_LEAD_MAX ? a->lead * 4 + 8
			                                           : AHEAD_LEAD_MAX;
			break;
		}
		if (w.bytes >= AHEAD_BYTES || !push(a, &a->page[i], &w))
			break;
	}
	if (i < count)
		a->seq.until = a->page[i].id - 1;
	a->seq.mark = w.mark ? w.mark : after + 1;
	if (w.missing > 0)
		sync_read_ahead(a->m->sync, w.absent, w.missing);
}

static void handle(struct mount_ahead *a, int64_t id)
{
	struct store_node n;
	int64_t from;

	if (store_node_get(a->store, id, &n) < 0 || n.kind != STORE_KIND_MESSAGE)
		return;
	mount_dirs_count_read(a->m->dirs,
	                      a->m->maildir ? mount_maildir_listing(n.parent) : n.parent);
	from = ahead_seq_saw(&a->seq, n.parent, id, steps_from_last(a, n.parent, id));
	if (from >= 0)
		push_window(a, n.parent, from);
}

static void *ahead_thread(void *ctx)
{
	struct mount_ahead *a = ctx;
	int64_t id;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (a->count == 0) {
			pthread_cond_wait(&a->cond, &a->lock);
			continue;
		}
		id = a->ring[a->first];
		a->first = (a->first + 1) % AHEAD_RING;
		a->count--;
		pthread_mutex_unlock(&a->lock);
		handle(a, id);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	mount_thread_ended(a->m);
	return NULL;
}

int mount_ahead_start(struct mount *m)
{
	struct mount_ahead *a = mem_alloc(sizeof(*a));

	a->m = m;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	m->ahead = a;
	return store_open(m->cfg.state_dir, m->cfg.cache_dir, &a->store, NULL);
}

int mount_ahead_run(struct mount *m)
{
	return pthread_create(&m->ahead->thread, NULL, ahead_thread, m->ahead) == 0 ? 0 : ERR_IO;
}

void mount_ahead_ask(struct mount *m)
{
	pthread_mutex_lock(&m->ahead->lock);
	m->ahead->stop = true;
	pthread_cond_signal(&m->ahead->cond);
	pthread_mutex_unlock(&m->ahead->lock);
}

void mount_ahead_join(struct mount *m)
{
	pthread_join(m->ahead->thread, NULL);
}

void mount_ahead_free(struct mount_ahead **ahead)
{
	struct mount_ahead *a = *ahead;

	if (!a)
		return;
	store_close(&a->store);
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->lock);
	free(a);
	*ahead = NULL;
}
