/* SPDX-License-Identifier: MIT */
#include "fake_sync.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

/*
 * Stands in for libsync: no network.  A body somebody waits for comes when the file `deliver`
 * appears in its directory (its content is the body), `offline` answers at once, and without
 * either the reader waits.
 */
struct want {
	int64_t message, deadline_ms;
	uint64_t ticket;
	bool canceled;
	sync_body_fn done;
	void *ctx;
	struct want *next;
};

struct sync {
	pthread_mutex_t lock;
	pthread_t thread;
	char dir[512], state[512], cache[512];
	struct want *wants;
	uint64_t tickets;
	bool stop;
	int kicks, ahead;
};

static bool present(struct sync *s, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	return access(path, F_OK) == 0;
}

/* Puts the content of DIR/deliver into the store as the message's body. */
static int deliver(struct sync *s, struct store *store, int64_t message)
{
	struct store_body_writer *w = NULL;
	char path[600], data[65536];
	FILE *f;
	size_t n;
	int r;

	snprintf(path, sizeof(path), "%s/deliver", s->dir);
	f = fopen(path, "rb");
	if (!f)
		return ERR_IO;
	r = store_body_begin(store, message, 0, &w);
	while (r == 0 && (n = fread(data, 1, sizeof(data), f)) > 0)
		r = store_body_part(w, data, n);
	fclose(f);
	return r == 0 ? store_body_end(&w) : r;
}

/* What became of it: 1 while it waits. */
static int outcome(struct sync *s, struct store *store, struct want *w)
{
	if (w->canceled)
		return ERR_CANCELED;
	if (present(s, "offline"))
		return ERR_OFFLINE;
	if (present(s, "deliver"))
		return deliver(s, store, w->message);
	return clock_left_ms(w->deadline_ms) == 0 ? ERR_TIMEOUT : 1;
}

static void *run(void *ctx)
{
	struct sync *s = ctx;
	struct store *store = NULL;

	if (store_open(s->state, s->cache, &store, NULL) < 0)
		abort();
	pthread_mutex_lock(&s->lock);
	while (!s->stop || s->wants) {
		struct want **p = &s->wants, *w;
		int r = 1;

		for (w = *p; w; p = &w->next, w = *p) {
			r = s->stop ? ERR_OFFLINE : outcome(s, store, w);
			if (r != 1)
				break;
		}
		if (w)
			*p = w->next;
		pthread_mutex_unlock(&s->lock);
		if (w)
			w->done(w->ctx, w->message, r);
		else
			usleep(5000);
		free(w);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	store_close(&store);
	return NULL;
}

struct sync *fake_sync_new(const char *dir, const char *state_dir, const char *cache_dir)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	snprintf(s->state, sizeof(s->state), "%s", state_dir);
	snprintf(s->cache, sizeof(s->cache), "%s", cache_dir);
	if (pthread_create(&s->thread, NULL, run, s) != 0)
		abort();
	return s;
}

void fake_sync_free(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int fake_sync_kicks(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	int kicks = s->kicks;
	pthread_mutex_unlock(&s->lock);
	return kicks;
}

int fake_sync_ahead(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	int ahead = s->ahead;
	pthread_mutex_unlock(&s->lock);
	return ahead;
}

int fake_sync_waiting(struct sync *s)
{
	int n = 0;

	pthread_mutex_lock(&s->lock);
	for (struct want *w = s->wants; w; w = w->next)
		n++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void sync_refresh(struct sync *s)
{
	(void)s;
}

void sync_kick(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->kicks++;
	pthread_mutex_unlock(&s->lock);
}

uint64_t sync_want_body(struct sync *s, int64_t message, int64_t deadline_ms, sync_body_fn done,
                        void *ctx)
{
	struct want *w;
	uint64_t ticket;

	if (present(s, "offline")) {
		done(ctx, message, ERR_OFFLINE);
		return 0;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	*w = (struct want){
		.message = message, .deadline_ms = deadline_ms, .done = done, .ctx = ctx
	};
	pthread_mutex_lock(&s->lock);
	ticket = w->ticket = ++s->tickets;
	w->next = s->wants;
	s->wants = w;
	pthread_mutex_unlock(&s->lock);
	return ticket;
}

void sync_cancel_body(struct sync *s, uint64_t ticket)
{
	pthread_mutex_lock(&s->lock);
	for (struct want *w = s->wants; w; w = w->next)
		w->canceled |= w->ticket == ticket;
	pthread_mutex_unlock(&s->lock);
}

void sync_read_ahead(struct sync *s, const int64_t *messages, size_t count)
{
	(void)messages;
	pthread_mutex_lock(&s->lock);
	s->ahead += (int)count;
	pthread_mutex_unlock(&s->lock);
}
