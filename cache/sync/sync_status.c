/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "sync_priv.h"

static int64_t wall_ms(void)
{
	return clock_wall_ns() / 1000000;
}

static const char *state_name(enum sync_state state)
{
	switch (state) {
	case SYNC_OFFLINE:
		return "offline";
	case SYNC_PAUSED:
		return "paused";
	case SYNC_CONNECTING:
		return "connecting";
	case SYNC_REPLAYING:
		return "replaying";
	case SYNC_PULLING:
		return "pulling";
	case SYNC_IN_STEP:
		return "in step";
	}
	return "?";
}

/* Attempts to connect that fail do not make a day without network young again. */
static int64_t state_since(struct sync *s, enum sync_state state)
{
	bool again = state == SYNC_OFFLINE && s->status.state == SYNC_CONNECTING && s->link_down;

	if (state == SYNC_OFFLINE && !again)
		s->down_since_ms = wall_ms();
	return state == SYNC_OFFLINE ? s->down_since_ms : wall_ms();
}

void sync_set_state(struct sync *s, enum sync_state state, const char *fmt, ...)
{
	struct sync_status *st = &s->status;
	enum sync_state before;
	va_list args;

	pthread_mutex_lock(&s->lock);
	before = st->state;
	va_start(args, fmt);
	(void)vsnprintf(st->reason, sizeof(st->reason), fmt, args);
	va_end(args);
	if (before != state)
		st->since_ms = state_since(s, state);
	st->state = state;
	st->next_try_ms = 0;
	if (state == SYNC_IN_STEP || state == SYNC_REPLAYING || state == SYNC_PULLING)
		s->link_down = false;
	else if (state != SYNC_CONNECTING)
		s->link_down = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (before != state)
		log_debug("sync: %s -> %s", state_name(before), state_name(state));
}

void sync_set_next_try(struct sync *s, int64_t in_ms)
{
	pthread_mutex_lock(&s->lock);
	s->status.next_try_ms = wall_ms() + in_ms;
	pthread_mutex_unlock(&s->lock);
}

/* Called with each run of a link; what a closed link has moved stays counted. */
void sync_note_traffic(struct sync *s, struct sync_link *l)
{
	struct imap_traffic t;

	if (!l->session)
		return;
	imap_session_traffic(l->session, &t);
	pthread_mutex_lock(&s->lock);
	s->status.sent_bytes += t.sent_bytes - l->counted.sent_bytes;
	s->status.received_bytes += t.received_bytes - l->counted.received_bytes;
	s->status.turnarounds += t.turnarounds - l->counted.turnarounds;
	pthread_mutex_unlock(&s->lock);
	l->counted = t;
}

void sync_note_bodies(struct sync *s, int64_t done, int64_t total)
{
	pthread_mutex_lock(&s->lock);
	s->status.bodies_done = done;
	if (total >= 0)
		s->status.bodies_total = total;
	pthread_mutex_unlock(&s->lock);
}

void sync_note_pass(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->status.last_pass_ms = wall_ms();
	pthread_mutex_unlock(&s->lock);
}

void sync_get_status(struct sync *s, struct sync_status *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->status;
	pthread_mutex_unlock(&s->lock);
}
