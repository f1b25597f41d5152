/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sync_priv.h"

/*
 * ASKED --resolve--> KNOWN --take--> TAKEN --finish--> OVER (called back by the teller)
 *   any state --cancel, deadline--> OVER;  TAKEN --untake--> KNOWN
 */
enum want_state { WANT_ASKED, WANT_KNOWN, WANT_TAKEN, WANT_OVER };

struct sync_want {
	enum want_state state;
	uint64_t ticket;
	struct sync_need need;
	int64_t deadline_ms;
	sync_body_fn done;
	void *ctx;
	int err;                /* WANT_OVER */
	struct sync_want *next; /* newest first */
};

enum {
	TICK_MS = 5000,       /* how often a suspend is looked for */
	SUSPEND_MIN_MS = 3000 /* shorter ones do not cost a connection */
};

uint64_t sync_want_body(struct sync *s, int64_t message, int64_t deadline_ms, sync_body_fn done,
                        void *ctx)
{
	struct sync_want *w = mem_alloc(sizeof(*w));
	uint64_t ticket;

	pthread_mutex_lock(&s->lock);
	ticket = ++s->last_ticket; /* `w` may be over as soon as the lock is free */
	*w = (struct sync_want){
		.ticket = ticket,
		.need.message = message,
		.deadline_ms = deadline_ms,
		.done = done,
		.ctx = ctx,
		.next = s->wants,
	};
	if (s->link_down || s->want_count >= SYNC_WANTS_MAX) {
		w->state = WANT_OVER;
		w->err = s->link_down ? ERR_OFFLINE : ERR_LIMIT;
	}
	s->wants = w;
	s->want_count++;
	sync_wake_link(s, SYNC_SERVER);
	pthread_mutex_unlock(&s->lock);
	return ticket;
}

static void over(struct sync_want *w, int err)
{
	if (w->state == WANT_OVER)
		return;
	w->state = WANT_OVER;
	w->err = err;
}

void sync_cancel_body(struct sync *s, uint64_t ticket)
{
	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w; w = w->next)
		if (w->ticket == ticket)
			over(w, ERR_CANCELED);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sync_read_ahead(struct sync *s, const int64_t *messages, size_t count)
{
	pthread_mutex_lock(&s->lock);
	s->ahead_count = count < SYNC_AHEAD_MAX ? count : SYNC_AHEAD_MAX;
	memcpy(s->ahead, messages, s->ahead_count * sizeof(*messages));
	sync_wake_link(s, SYNC_SERVER);
	pthread_mutex_unlock(&s->lock);
}

size_t sync_ahead_take(struct sync *s, int64_t *out, size_t max)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->ahead_count < max ? s->ahead_count : max;
	memcpy(out, s->ahead, n * sizeof(*out));
	s->ahead_count -= n;
	memmove(s->ahead, s->ahead + n, s->ahead_count * sizeof(*out));
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- For those who fetch ---- */

static int64_t next_asked(struct sync *s)
{
	int64_t message = 0;

	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w && !message; w = w->next)
		if (w->state == WANT_ASKED)
			message = w->need.message;
	pthread_mutex_unlock(&s->lock);
	return message;
}

static int resolve_one(struct store *st, struct sync_need *need)
{
	struct store_message m;
	int r;

	if (store_body_have(st, need->message))
		return 1;
	r = store_message_get(st, need->message, &m);
	if (r < 0)
		return r;
	need->mailbox = m.mailbox;
	need->uid = m.uid;
	need->size = m.server_size;
	store_message_release(&m);
	return need->uid && need->mailbox ? 0 : ERR_NOTFOUND;
}

void sync_want_resolve(struct sync *s, struct store *st)
{
	int64_t message;

	while ((message = next_asked(s)) != 0) {
		struct sync_need need = { .message = message };
		int r = resolve_one(st, &need);

		pthread_mutex_lock(&s->lock);
		for (struct sync_want *w = s->wants; w; w = w->next) {
			if (w->state != WANT_ASKED || w->need.message != message)
				continue;
			w->need = need;
			w->state = WANT_KNOWN;
			if (r != 0)
				over(w, r < 0 ? r : 0);
		}
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
}

static bool listed(const struct sync_need *list, size_t n, int64_t message)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].message == message)
			return true;
	return false;
}

size_t sync_want_take(struct sync *s, const struct sync_link *l, int64_t mailbox,
                      struct sync_need *out, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w; w = w->next) {
		bool twice = listed(out, n, w->need.message);

		if (w->state != WANT_KNOWN || (n == max && !twice))
			continue;
		if (!mailbox && !sync_claim_other_locked(s, l, w->need.mailbox))
			mailbox = w->need.mailbox;
		if (w->need.mailbox != mailbox)
			continue;
		w->state = WANT_TAKEN;
		if (!twice)
			out[n++] = w->need;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

void sync_want_finish(struct sync *s, int64_t message, int err)
{
	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w; w = w->next)
		if (w->need.message == message && (w->state == WANT_TAKEN || err == 0))
			over(w, err);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sync_want_untake(struct sync *s, int64_t message)
{
	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w; w = w->next)
		if (w->need.message == message && w->state == WANT_TAKEN)
			w->state = WANT_KNOWN;
	sync_wake_link(s, SYNC_SERVER); /* it may be in IDLE, its mailbox free already */
	pthread_mutex_unlock(&s->lock);
}

bool sync_want_alive(struct sync *s, int64_t message)
{
	bool alive = false;

	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w; w = w->next)
		alive |= w->need.message == message && w->state != WANT_OVER;
	pthread_mutex_unlock(&s->lock);
	return alive;
}

bool sync_want_any(struct sync *s)
{
	for (struct sync_want *w = s->wants; w; w = w->next)
		if (w->state == WANT_ASKED || w->state == WANT_KNOWN)
			return true;
	return false;
}

bool sync_want_takeable(struct sync *s, const struct sync_link *l)
{
	for (struct sync_want *w = s->wants; w; w = w->next)
		if (w->state == WANT_ASKED ||
		    (w->state == WANT_KNOWN && !sync_claim_other_locked(s, l, w->need.mailbox)))
			return true;
	return false;
}

void sync_want_fail_all(struct sync *s, int err)
{
	pthread_mutex_lock(&s->lock);
	for (struct sync_want *w = s->wants; w; w = w->next)
		over(w, err);
	s->ahead_count = 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* ---- The teller: the only one who calls back, so that nobody waits for whom is called ---- */

/* Takes the next one that is over; sets when to look again. */
static struct sync_want *pop_over(struct sync *s, int64_t *again_ms)
{
	int64_t now = clock_mono_ms();

	*again_ms = now + TICK_MS;
	for (struct sync_want **p = &s->wants; *p; p = &(*p)->next) {
		struct sync_want *w = *p;

		if (w->deadline_ms <= now)
			over(w, ERR_TIMEOUT);
		if (w->state == WANT_OVER) {
			*p = w->next;
			s->want_count--;
			return w;
		}
		if (w->deadline_ms < *again_ms)
			*again_ms = w->deadline_ms;
	}
	return NULL;
}

/* After a suspend the links are dead as a rule, and would be noticed only by a time-out. */
static void look_for_suspend(struct sync *s, int64_t *apart_ms)
{
	int64_t now_apart = clock_boot_ms() - clock_mono_ms();

	if (now_apart - *apart_ms >= SUSPEND_MIN_MS) {
		log_info("sync: resumed after a suspend of %lld s, connecting anew",
		         (long long)((now_apart - *apart_ms) / 1000));
		sync_drop_links_locked(s);
	}
	*apart_ms = now_apart;
}

void *sync_teller_main(void *arg)
{
	struct sync *s = arg;
	int64_t apart_ms = clock_boot_ms() - clock_mono_ms();

	pthread_mutex_lock(&s->lock);
	while (!s->stopping || s->wants) {
		int64_t again_ms;
		struct sync_want *w = pop_over(s, &again_ms);

		if (w) {
			pthread_mutex_unlock(&s->lock);
			w->done(w->ctx, w->need.message, w->err);
			free(w);
			pthread_mutex_lock(&s->lock);
			continue;
		}
		if (s->stopping) {
			for (w = s->wants; w; w = w->next)
				over(w, ERR_CANCELED);
			continue;
		}
		look_for_suspend(s, &apart_ms);
		sync_rest_until(s, again_ms);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
