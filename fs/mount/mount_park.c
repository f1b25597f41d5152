/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

/*
 * A parked read has up to three owners: the loop while it sets it up, sync until it called
 * back, and the list until the answer was given.  The last one frees it, and with it its hold
 * on the park, so that a late call of sync finds both alive.
 */
struct parked {
	struct mount_park *park;
	fuse_req_t req;
	int64_t id;
	size_t size;
	off_t off;
	int64_t told; /* the size the kernel has been given */
	int64_t deadline_ms;
	uint64_t ticket; /* 0: not known yet */
	int owners;
	bool due; /* `err` says how it ended */
	int err;
	struct parked *prev, *next;
};

struct mount_park {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	struct mount *m;
	struct store *store; /* the thread's */
	struct parked *first, *last;
	int holders; /* parked reads not freed, and the mount */
	bool stop;
};

#define PARK_GRACE_MS 500 /* sync has its own deadline; ours is for when it fails to keep it */

static void park_unref(struct mount_park *park)
{
	bool last;

	pthread_mutex_lock(&park->lock);
	last = --park->holders == 0;
	pthread_mutex_unlock(&park->lock);
	if (!last)
		return;
	pthread_cond_destroy(&park->cond);
	pthread_mutex_destroy(&park->lock);
	free(park);
}

static void parked_unref(struct parked *p)
{
	struct mount_park *park = p->park;
	bool last;

	pthread_mutex_lock(&park->lock);
	last = --p->owners == 0;
	pthread_mutex_unlock(&park->lock);
	if (!last)
		return;
	free(p);
	park_unref(park);
}

/* With the lock held: the first ending counts. */
static void set_due(struct parked *p, int err)
{
	if (p->due)
		return;
	p->due = true;
	p->err = err;
	pthread_cond_signal(&p->park->cond);
}

static void on_body(void *ctx, int64_t message, int err)
{
	struct parked *p = ctx;

	(void)message;
	pthread_mutex_lock(&p->park->lock);
	set_due(p, err);
	pthread_mutex_unlock(&p->park->lock);
	parked_unref(p);
}

/* libfuse calls this with a lock of the request held: only takes note. */
static void on_interrupt(fuse_req_t req, void *ctx)
{
	struct parked *p = ctx;
	uint64_t ticket;

	(void)req;
	pthread_mutex_lock(&p->park->lock);
	set_due(p, ERR_CANCELED);
	ticket = p->ticket;
	pthread_mutex_unlock(&p->park->lock);
	if (ticket)
		sync_cancel_body(p->park->m->sync, ticket);
}

static void list_add(struct mount_park *park, struct parked *p)
{
	p->prev = park->last;
	*(park->last ? &park->last->next : &park->first) = p;
	park->last = p;
	park->holders++;
}

static void list_remove(struct mount_park *park, struct parked *p)
{
	*(p->prev ? &p->prev->next : &park->first) = p->next;
	*(p->next ? &p->next->prev : &park->last) = p->prev;
}

void mount_park_read(struct mount *m, fuse_req_t req, int64_t id, size_t size, off_t off,
                     int64_t told)
{
	struct mount_park *park = m->park;
	struct parked *p;
	bool cancel;
	uint64_t ticket;

	if (park->stop) { /* set by this thread */
		fuse_reply_err(req, ENETUNREACH);
		return;
	}
	p = mem_alloc(sizeof(*p));
	*p = (struct parked){
		.park = park, .req = req, .id = id, .size = size, .off = off, .owners = 3
	};
	p->deadline_ms = clock_mono_ms() + m->cfg.timeout_ms;
	p->told = told;
	fuse_req_interrupt_func(req, on_interrupt, p);
	pthread_mutex_lock(&park->lock);
	list_add(park, p);
	pthread_cond_signal(&park->cond);
	pthread_mutex_unlock(&park->lock);

	ticket = sync_want_body(m->sync, id, p->deadline_ms, on_body, p);

	pthread_mutex_lock(&park->lock);
	p->ticket = ticket;
	cancel = p->due && p->err == ERR_CANCELED;
	pthread_mutex_unlock(&park->lock);
	if (cancel)
		sync_cancel_body(m->sync, ticket);
	parked_unref(p);
}

static void answer(struct mount_park *park, struct parked *p)
{
	const void *data;
	size_t len;
	int64_t shown;
	int r = p->err;

	fuse_req_interrupt_func(p->req, NULL, NULL); /* waits for one that is being called */
	if (r == 0)
		r = store_body_get(park->store, p->id, &data, &len);
	shown = r == 0 ? mount_shown_size(park->m, data, len) : 0;
	if (r == 0 && shown < p->told)
		mount_shrink(park->m, park->store, p->id, shown);
	if (r == 0)
		mount_reply_body(park->m, p->req, data, len, p->size, p->off);
	else
		fuse_reply_err(p->req, p->err == 0 && r == ERR_NOTFOUND ? EIO : mount_errno(r));
}

/* The next one to answer; NULL and *wait_ms (-1: for ever) when none is due. */
static struct parked *next_due(struct mount_park *park, int *wait_ms)
{
	int64_t first = INT64_MAX;

	for (struct parked *p = park->first; p; p = p->next) {
		if (!p->due && clock_left_ms(p->deadline_ms + PARK_GRACE_MS) == 0)
			set_due(p, ERR_TIMEOUT);
		if (p->due)
			return p;
		if (p->deadline_ms < first)
			first = p->deadline_ms;
	}
	*wait_ms = first == INT64_MAX ? -1 : clock_left_ms(first + PARK_GRACE_MS);
	return NULL;
}

static void wait_ms_for(struct mount_park *park, int wait_ms)
{
	struct timespec until;
	int64_t at = clock_mono_ms() + wait_ms;

	if (wait_ms < 0) {
		pthread_cond_wait(&park->cond, &park->lock);
		return;
	}
	until.tv_sec = at / 1000;
	until.tv_nsec = at % 1000 * 1000000;
	pthread_cond_timedwait(&park->cond, &park->lock, &until);
}

static void *park_thread(void *ctx)
{
	struct mount_park *park = ctx;
	struct parked *p;
	int wait_ms = -1;

	pthread_mutex_lock(&park->lock);
	while (!park->stop || park->first) {
		p = next_due(park, &wait_ms);
		if (!p) {
			wait_ms_for(park, wait_ms);
			continue;
		}
		list_remove(park, p);
		pthread_mutex_unlock(&park->lock);
		answer(park, p);
		parked_unref(p);
		pthread_mutex_lock(&park->lock);
	}
	pthread_mutex_unlock(&park->lock);
	mount_thread_ended(park->m);
	return NULL;
}

int mount_park_start(struct mount *m)
{
	struct mount_park *park = mem_alloc(sizeof(*park));
	pthread_condattr_t attr;
	int r;

	park->m = m;
	park->holders = 1;
	pthread_mutex_init(&park->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&park->cond, &attr);
	pthread_condattr_destroy(&attr);
	r = store_open(m->cfg.state_dir, m->cfg.cache_dir, &park->store, NULL);
	m->park = park;
	return r;
}

int mount_park_run(struct mount *m)
{
	return pthread_create(&m->park->thread, NULL, park_thread, m->park) == 0 ? 0 : ERR_IO;
}

void mount_park_ask(struct mount *m)
{
	struct mount_park *park = m->park;

	pthread_mutex_lock(&park->lock);
	park->stop = true;
	for (struct parked *p = park->first; p; p = p->next)
		set_due(p, ERR_OFFLINE);
	pthread_cond_signal(&park->cond);
	pthread_mutex_unlock(&park->lock);
}

void mount_park_join(struct mount *m)
{
	pthread_join(m->park->thread, NULL);
}

void mount_park_free(struct mount_park **park)
{
	if (!*park)
		return;
	store_close(&(*park)->store);
	park_unref(*park);
	*park = NULL;
}
