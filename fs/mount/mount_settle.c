/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "mount_edit_priv.h"
#include "mount_settle_priv.h"
#include "store_mailbox.h"
#include "store_op.h"

/*
 * A file rests when its last change is older than the hold and nobody can write it any more.
 * Then its size and time are recorded; with a real name in a mailbox, and the content of a
 * message, it is queued for upload.
 */
#define SETTLE_BATCH 256
#define SETTLE_AGAIN_MS 500   /* after a look that found a writer */
#define SETTLE_RETRY_MS 2000  /* after a failure here */
#define SETTLE_QUIET_MS 10000 /* where the system does not say who writes */
#define SETTLE_WAIT_MS 10000  /* the longest that mount_settle() takes */

struct mount_settle {
	pthread_mutex_t lock;
	pthread_cond_t cond, passed;
	pthread_t thread;
	struct mount *m;
	struct store *store;
	uint64_t asked, done; /* passes without a hold: wanted, and made */
	bool wake, stop;
};

/* What a pass has to look at. */
struct due {
	int64_t *ids;
	size_t count, room;
	int64_t now_ms, next_ms;
	int hold_ms;
	bool at_once;
};

static void collect(struct mount *m, struct mount_file *f, void *ctx)
{
	struct due *due = ctx;
	int64_t at = f->changed_ms + due->hold_ms;

	(void)m;
	if (f->unlinked || (!f->candidate && !f->dirty))
		return;
	if (at < f->look_ms)
		at = f->look_ms;
	if (due->at_once || (at <= due->now_ms && due->count < SETTLE_BATCH)) {
		if (due->count == due->room) {
			due->room += SETTLE_BATCH;
			due->ids = mem_realloc(due->ids, due->room, sizeof(*due->ids));
		}
		due->ids[due->count++] = f->id;
	} else if (at < due->next_ms) {
		due->next_ms = at;
	}
}

/* Takes a file off the list; what is worth keeping of it stays. */
static void rest(struct mount *m, int64_t id, unsigned int change)
{
	struct mount_file *f;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	if (f && f->change == change && !f->unlinked) {
		f->candidate = false;
		if (f->reason || f->dirty)
			mount_file_close(m, f);
		else
			mount_file_drop(m, f);
	}
	mount_files_unlock(m);
}

static void look_later(struct mount *m, int64_t id, int64_t at_ms)
{
	struct mount_file *f;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	if (f)
		f->look_ms = at_ms;
	mount_files_unlock(m);
}

/* Records size and time.  Gives the count of changes that this is the state of. */
static int record(struct mount_settle *s, int64_t id, unsigned int *change, int64_t *changed_ms)
{
	struct mount_file *f;
	int r = ERR_NOTFOUND;

	mount_files_lock(s->m);
	f = mount_file_find(s->m, id);
	if (f && !f->unlinked) {
		r = mount_file_record(s->store, f);
		*change = f->change;
		*changed_ms = f->changed_ms;
	}
	mount_files_unlock(s->m);
	return r;
}

/* Gone or changed its kind meanwhile. */
static void drop(struct mount *m, int64_t id)
{
	struct mount_file *f;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	if (f && !f->unlinked)
		mount_file_drop(m, f);
	mount_files_unlock(m);
}

/* A file, or a message that was edited. */
static bool has_content(const struct store_node *n)
{
	return n->kind == STORE_KIND_FILE || (n->kind == STORE_KIND_MESSAGE && n->spool != 0);
}

static bool may_be_message(struct mount_settle *s, const struct store_node *n)
{
	struct store_node parent;

	if (n->kind == STORE_KIND_MESSAGE)
		return true;
	return !store_name_is_scratch(n->name) &&
	       store_node_get(s->store, n->parent, &parent) == 0 &&
	       parent.kind == STORE_KIND_MAILBOX;
}

static void look_at(struct mount_settle *s, int64_t id, bool at_once)
{
	struct mount *m = s->m;
	struct store_node n;
	unsigned int change = 0;
	int64_t changed_ms = 0, now = clock_mono_ms(), message;
	int r = record(s, id, &change, &changed_ms);

	if (r == 0)
		r = store_node_get(s->store, id, &n);
	if (r == ERR_NOTFOUND || (r == 0 && !has_content(&n))) {
		drop(m, id);
		return;
	}
	if (r < 0) {
		look_later(m, id, now + SETTLE_RETRY_MS);
		return;
	}
	if (!may_be_message(s, &n)) {
		rest(m, id, change);
		return;
	}
	switch (mount_held(m, s->store, id)) {
	case MOUNT_HELD_YES:
		look_later(m, id, now + SETTLE_AGAIN_MS);
		return;
	case MOUNT_HELD_UNKNOWN:
		if (!at_once && now < changed_ms + SETTLE_QUIET_MS) {
			look_later(m, id, changed_ms + SETTLE_QUIET_MS);
			return;
		}
		break;
	case MOUNT_HELD_NO:
		break;
	}
	if (n.kind == STORE_KIND_FILE && mount_edit_settle(m, s->store, id, &message)) {
		if (at_once) { /* else it is looked at in its turn */
			mount_await_told(m, clock_mono_ms() + SETTLE_AGAIN_MS);
			look_at(s, message, true);
		}
		return;
	}
	r = mount_make_message(m, s->store, &n, change);
	if (r == ERR_INVAL)
		rest(m, id, change);
	else if (r < 0)
		look_later(m, id, now + SETTLE_RETRY_MS);
}

/* One round over what is due; when the next is due (monotonic ms). */
static int64_t pass(struct mount_settle *s, bool at_once)
{
	struct due *due = mem_alloc(sizeof(*due));
	int64_t next;

	due->now_ms = clock_mono_ms();
	due->next_ms = INT64_MAX;
	due->hold_ms = s->m->cfg.hold_ms;
	due->at_once = at_once;
	mount_files_lock(s->m);
	mount_files_each(s->m, collect, due);
	mount_files_unlock(s->m);
	for (size_t i = 0; i < due->count && !atomic_load(&s->m->stop); i++)
		look_at(s, due->ids[i], at_once);
	next = !at_once && due->count == SETTLE_BATCH ? due->now_ms : due->next_ms;
	if (due->count > 0 && next > due->now_ms + SETTLE_AGAIN_MS)
		next = due->now_ms + SETTLE_AGAIN_MS;
	free(due->ids);
	free(due);
	return next;
}

/* `was` may be old by now: people write from the first moment, and what they write is looked at anyway. */
static void look_left_over(struct mount_settle *s, const struct store_node *was)
{
	struct mount *m = s->m;
	struct mount_file *f;
	struct store_node n;

	if (!has_content(was))
		return;
	mount_files_lock(m);
	f = mount_file_find(m, was->id);
	if ((!f || !f->dirty) && store_node_get(s->store, was->id, &n) == 0) {
		mount_file_named(m, &n);
		if (n.kind == STORE_KIND_MESSAGE && n.spool != 0)
			mount_file_edited(m, &n);
	}
	mount_files_unlock(m);
}

/* Files that were being written when the last run ended are looked at again. */
static void find_left_over(struct mount_settle *s)
{
	struct store_mailbox *list = NULL;
	struct store_node *page = mem_alloc(64 * sizeof(*page));
	size_t boxes = 0;
	int count;

	(void)store_mailbox_list(s->store, &list, &boxes);
	for (size_t b = 0; b < boxes; b++) {
		int64_t after = 0;

		while ((count = store_node_list(s->store, list[b].id, after, page, 64)) > 0) {
			for (int i = 0; i < count; i++)
				look_left_over(s, &page[i]);
			after = page[count - 1].id;
		}
	}
	store_mailbox_list_free(list, boxes);
	free(page);
}

static void wait_until(struct mount_settle *s, int64_t at_ms)
{
	struct timespec until = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 };

	if (at_ms == INT64_MAX)
		pthread_cond_wait(&s->cond, &s->lock);
	else
		pthread_cond_timedwait(&s->cond, &s->lock, &until);
}

static void *settle_thread(void *ctx)
{
	struct mount_settle *s = ctx;
	int64_t next = 0;
	uint64_t asked;

	find_left_over(s);
	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (!s->wake && s->asked == s->done && clock_mono_ms() < next) {
			wait_until(s, next);
			continue;
		}
		asked = s->asked;
		s->wake = false;
		pthread_mutex_unlock(&s->lock);
		next = pass(s, asked != s->done);
		pthread_mutex_lock(&s->lock);
		s->done = asked;
		pthread_cond_broadcast(&s->passed);
	}
	pthread_mutex_unlock(&s->lock);
	mount_thread_ended(s->m);
	return NULL;
}

void mount_settle_wake(struct mount *m)
{
	pthread_mutex_lock(&m->settle->lock);
	m->settle->wake = true;
	pthread_cond_signal(&m->settle->cond);
	pthread_mutex_unlock(&m->settle->lock);
}

void mount_settle(struct mount *m)
{
	struct mount_settle *s = m->settle;
	int64_t end = clock_mono_ms() + SETTLE_WAIT_MS;
	struct timespec until = { .tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000 };
	uint64_t mine;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	mine = ++s->asked;
	pthread_cond_signal(&s->cond);
	while (s->done < mine && !s->stop && r == 0)
		r = pthread_cond_timedwait(&s->passed, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
}

static void count_open(struct mount *m, struct mount_file *f, void *ctx)
{
	(void)m;
	*(int64_t *)ctx += f->candidate && !f->unlinked;
}

int64_t mount_open_files(struct mount *m)
{
	int64_t count = 0;

	mount_files_lock(m);
	mount_files_each(m, count_open, &count);
	mount_files_unlock(m);
	return count;
}

int mount_settle_start(struct mount *m)
{
	struct mount_settle *s = mem_alloc(sizeof(*s));
	pthread_condattr_t attr;
	int r;

	s->m = m;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cond, &attr);
	pthread_cond_init(&s->passed, &attr);
	pthread_condattr_destroy(&attr);
	m->settle = s;
	r = store_open(m->cfg.state_dir, m->cfg.cache_dir, &s->store, NULL);
	if (r == 0)
		store_op_set_hold(s->store, mount_gather_ms(m));
	return r;
}

int mount_settle_run(struct mount *m)
{
	return pthread_create(&m->settle->thread, NULL, settle_thread, m->settle) == 0 ? 0 : ERR_IO;
}

void mount_settle_ask(struct mount *m)
{
	pthread_mutex_lock(&m->settle->lock);
	m->settle->stop = true;
	pthread_cond_signal(&m->settle->cond);
	pthread_cond_broadcast(&m->settle->passed);
	pthread_mutex_unlock(&m->settle->lock);
}

void mount_settle_join(struct mount *m)
{
	pthread_join(m->settle->thread, NULL);
}

void mount_settle_free(struct mount_settle **settle)
{
	struct mount_settle *s = *settle;

	if (!s)
		return;
	store_close(&s->store);
	pthread_cond_destroy(&s->passed);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	free(s);
	*settle = NULL;
}
