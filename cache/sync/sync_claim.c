/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "mem.h"
#include "sync_priv.h"

static struct sync_claim **find(struct sync *s, const struct sync_link *by, bool others,
                                int64_t mailbox)
{
	struct sync_claim **p = &s->claims;

	while (*p && ((*p)->mailbox != mailbox || ((*p)->by == by) == others))
		p = &(*p)->next;
	return p;
}

static void take(struct sync *s, const struct sync_link *l, int64_t mailbox)
{
	struct sync_claim *c;

	if (*find(s, l, false, mailbox))
		return;
	c = mem_alloc(sizeof(*c));
	*c = (struct sync_claim){ .mailbox = mailbox, .by = l, .next = s->claims };
	s->claims = c;
}

static int of(const struct sync *s, const struct sync_link *l)
{
	return l == s->links[SYNC_WORKER] ? SYNC_WORKER : SYNC_SERVER;
}

static int other(const struct sync *s, const struct sync_link *l)
{
	return of(s, l) == SYNC_WORKER ? SYNC_SERVER : SYNC_WORKER;
}

void sync_claim_wait(struct sync *s, const struct sync_link *l, int64_t mailbox)
{
	int64_t deadline_ms = clock_mono_ms() + SYNC_CLAIM_WAIT_MS;
	int64_t *wanted = &s->claim_wanted[of(s, l)];

	pthread_mutex_lock(&s->lock);
	while (*find(s, l, true, mailbox) && !s->stopping && clock_left_ms(deadline_ms) > 0) {
		if (*wanted != mailbox) {
			*wanted = mailbox;
			sync_wake_link(s, other(s, l));
		}
		sync_rest_until(s, deadline_ms);
	}
	*wanted = 0;
	take(s, l, mailbox);
	pthread_mutex_unlock(&s->lock);
}

bool sync_claim_try(struct sync *s, const struct sync_link *l, int64_t mailbox)
{
	bool got;

	pthread_mutex_lock(&s->lock);
	got = !*find(s, l, true, mailbox) && s->claim_wanted[other(s, l)] != mailbox;
	if (got)
		take(s, l, mailbox);
	pthread_mutex_unlock(&s->lock);
	return got;
}

void sync_claim_release(struct sync *s, const struct sync_link *l, int64_t mailbox)
{
	struct sync_claim **p = &s->claims;
	bool any = false;

	pthread_mutex_lock(&s->lock);
	while (*p) {
		struct sync_claim *c = *p;

		if (c->by == l && (mailbox == 0 || c->mailbox == mailbox)) {
			*p = c->next;
			free(c);
			any = true;
		} else {
			p = &c->next;
		}
	}
	if (any && l == s->links[SYNC_WORKER] && sync_want_any(s))
		sync_wake_link(s, SYNC_SERVER); /* somebody may have waited for this mailbox */
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

bool sync_claim_other_locked(struct sync *s, const struct sync_link *l, int64_t mailbox)
{
	return *find(s, l, true, mailbox) != NULL;
}

bool sync_claim_asked(struct sync *s, int64_t mailbox)
{
	bool asked;

	pthread_mutex_lock(&s->lock);
	asked = s->claim_wanted[SYNC_WORKER] == mailbox || s->claim_wanted[SYNC_SERVER] == mailbox;
	pthread_mutex_unlock(&s->lock);
	return asked;
}

bool sync_claim_mine(struct sync *s, const struct sync_link *l, int64_t mailbox)
{
	bool mine;

	pthread_mutex_lock(&s->lock);
	mine = *find(s, l, false, mailbox) != NULL;
	pthread_mutex_unlock(&s->lock);
	return mine;
}
