/* SPDX-License-Identifier: MIT */
#include "cli_fetch.h"

#include <pthread.h>
#include <stdlib.h>

#include "mem.h"
#include "store_message.h"
#include "wordset.h"

enum {
	WINDOW = 64, /* asked for at a time: who reads a file meanwhile is served among them */
	PAGE = 256,
	DEPTH_MAX = 100
};

struct list {
	int64_t *ids;
	size_t count, cap;
	bool flagged;
};

static void add(struct list *l, int64_t id)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : PAGE;
		l->ids = mem_realloc(l->ids, l->cap, sizeof(*l->ids));
	}
	l->ids[l->count++] = id;
}

static void add_message(struct store *s, const struct store_node *n, struct list *l)
{
	struct store_message m;

	if (n->spool != 0 || store_body_have(s, n->id) || store_message_get(s, n->id, &m) < 0)
		return;
	if (m.uid != 0 && (!l->flagged || wordset_has(m.flags, "\\Flagged")))
		add(l, n->id);
	store_message_release(&m);
}

/* Messages first, then what is below. */
static int add_directory(struct store *s, int64_t id, int depth, struct list *l)
{
	struct store_node *page = mem_alloc(PAGE * sizeof(*page));
	struct list below = { 0 };
	int64_t after = 0;
	int n, r = 0;

	do {
		n = store_node_list(s, id, after, page, PAGE);
		for (int i = 0; i < n; i++) {
			after = page[i].id;
			if (page[i].kind == STORE_KIND_MESSAGE)
				add_message(s, &page[i], l);
			else if (page[i].kind == STORE_KIND_MAILBOX && depth < DEPTH_MAX)
				add(&below, page[i].id);
		}
	} while (n == PAGE);
	free(page);
	r = n < 0 ? n : 0;
	for (size_t i = 0; i < below.count && r == 0; i++)
		r = add_directory(s, below.ids[i], depth + 1, l);
	free(below.ids);
	return r;
}

static int choose(struct store *s, int64_t node, struct list *l)
{
	struct store_node n;
	int r = store_node_get(s, node, &n);

	if (r < 0)
		return r;
	switch (n.kind) {
	case STORE_KIND_MESSAGE:
		add_message(s, &n, l);
		return 0;
	case STORE_KIND_ROOT:
	case STORE_KIND_MAILBOX:
		return add_directory(s, node, 0, l);
	case STORE_KIND_FILE:
	case STORE_KIND_DIR:
	case STORE_KIND_SYMLINK:
		break;
	}
	return ERR_INVAL;
}

/* ---- Waiting ---- */

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t under_way;
	struct cli_fetched result;
};

static void on_body(void *ctx, int64_t message, int err)
{
	struct wait *w = ctx;

	(void)message;
	pthread_mutex_lock(&w->lock);
	w->under_way--;
	if (err == 0)
		w->result.fetched++;
	else
		w->result.err = err;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void wait_for(struct wait *w, size_t at_most)
{
	pthread_mutex_lock(&w->lock);
	while (w->under_way > at_most)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* Without a connection, or out of time, there is no use in asking for the rest. */
static bool goes_on(struct wait *w)
{
	bool on;

	pthread_mutex_lock(&w->lock);
	on = w->result.err != ERR_OFFLINE && w->result.err != ERR_TIMEOUT &&
	     w->result.err != ERR_CANCELED;
	pthread_mutex_unlock(&w->lock);
	return on;
}

int cli_fetch(struct store *s, struct sync *sync, int64_t node, bool flagged, int64_t deadline_ms,
              struct cli_fetched *out)
{
	struct wait w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct list l = { .flagged = flagged };
	int r = choose(s, node, &l);

	w.result.wanted = (int64_t)l.count;
	for (size_t i = l.count; r == 0 && i > 0 && goes_on(&w); i--) { /* newest first */
		wait_for(&w, WINDOW - 1);
		pthread_mutex_lock(&w.lock);
		w.under_way++;
		pthread_mutex_unlock(&w.lock);
		(void)sync_want_body(sync, l.ids[i - 1], deadline_ms, on_body, &w);
	}
	wait_for(&w, 0); /* each has a deadline */
	free(l.ids);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	if (r == 0)
		*out = w.result;
	return r;
}
