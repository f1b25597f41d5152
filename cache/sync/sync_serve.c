/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "log.h"
#include "sync_pass_priv.h"

/*
 * The connection that serves people: what somebody waits for, then what a reader will want
 * next, else IDLE in the INBOX.  A push is pulled here at once, because the mailbox is selected
 * here (and on no other connection).
 */
enum {
	AT_A_TIME = 32,
	CALM_MS = 1000,
	IDLE_MS = 9 * 60 * 1000,       /* home routers forget a link after ten minutes */
	PUSHED_BYTES = 4 * 1024 * 1024 /* bodies fetched before people are looked after again */
};

struct serving {
	struct sync *s;
	struct sync_link *l;
	struct sync_backoff backoff;
	int64_t resting; /* mailbox in which to IDLE */
	bool more;       /* bodies of it are missing still */
	bool behind;     /* and what changed in it is not known */
};

bool sync_server_absent(struct sync *s)
{
	return !s->server_up && sync_want_any(s);
}

/* UIDs that hold for one selection are looked up in one, which stays for the fetch. */
static int find_unsticky(struct sync_link *l, struct sync_need *needs, size_t n)
{
	struct store_mailbox box;
	bool sticky;
	int r;

	if (store_mailbox_get(l->store, needs[0].mailbox, &box) < 0)
		return 0;
	sticky = !box.uidnotsticky;
	store_mailbox_release(&box);
	if (sticky)
		return 0;
	r = sync_unsticky_open(l, needs[0].mailbox);
	for (size_t i = 0; i < n; i++) {
		struct store_message m;

		if (store_message_get(l->store, needs[i].message, &m) < 0)
			continue;
		needs[i].uid = m.uid;
		store_message_release(&m);
	}
	return r;
}

int sync_serve_wants(struct sync_link *l, int64_t mailbox)
{
	struct sync_need needs[AT_A_TIME];
	int r = 0;

	for (;;) {
		struct sync_bodies *b;
		size_t n;

		if (r < 0)
			return r; /* what is taken now would be nobody's */
		sync_want_resolve(l->sync, l->store);
		n = sync_want_take(l->sync, l, mailbox, needs, AT_A_TIME);
		if (n == 0)
			return 0;
		(void)sync_claim_try(l->sync, l, needs[0].mailbox);
		r = find_unsticky(l, needs, n);
		b = sync_bodies_new(l);
		for (size_t i = 0; i < n; i++)
			sync_bodies_add(b, &needs[i], true);
		if (r == 0)
			r = sync_bodies_run(b, 0);
		sync_bodies_free(&b);
		sync_claim_release(l->sync, l, needs[0].mailbox);
	}
}

/* One group of what readers will want; 1 when there was some, 0, or why the link is lost. */
static int serve_ahead(struct serving *v)
{
	int64_t messages[AT_A_TIME / 4];
	struct sync_bodies *b;
	size_t n = sync_ahead_take(v->s, messages, AT_A_TIME / 4);
	int r;

	if (n == 0)
		return 0;
	b = sync_bodies_new(v->l);
	for (size_t i = 0; i < n; i++) {
		struct store_message m;

		if (store_body_have(v->l->store, messages[i]) ||
		    store_message_get(v->l->store, messages[i], &m) < 0)
			continue;
		if (m.uid && m.mailbox && sync_claim_try(v->s, v->l, m.mailbox))
			sync_bodies_add(
				b, &(struct sync_need){ m.id, m.mailbox, m.uid, m.server_size },
				false);
		store_message_release(&m);
	}
	r = sync_bodies_run(b, 0);
	sync_bodies_free(&b);
	sync_claim_release(v->s, v->l, 0);
	return r < 0 ? r : 1;
}

/* Waits on the condition, not on the server. */
static void rest(struct serving *v, int64_t ms)
{
	pthread_mutex_lock(&v->s->lock);
	if (!v->s->stopping && !sync_want_takeable(v->s, v->l) && v->s->ahead_count == 0)
		sync_rest_until(v->s, clock_mono_ms() + ms);
	pthread_mutex_unlock(&v->s->lock);
}

static int leave(struct serving *v)
{
	int r;

	sync_link_unselect(v->l);
	r = sync_link_run(v->l, 0);
	sync_claim_release(v->s, v->l, 0);
	return r;
}

/* While the worker begins a pass it needs the INBOX itself; a long pass is not waited for. */
static bool is_settled(struct sync *s)
{
	bool settled;

	pthread_mutex_lock(&s->lock);
	settled = s->status.state == SYNC_IN_STEP ||
	          clock_wall_ns() / 1000000 - s->status.since_ms > 3000;
	pthread_mutex_unlock(&s->lock);
	return settled;
}

static bool is_followed(const struct serving *v)
{
	struct store_mailbox m;
	bool followed;

	if (store_mailbox_get(v->l->store, v->resting, &m) < 0)
		return false;
	followed = sync_profile_scans(v->s, &m) && !m.uidnotsticky;
	store_mailbox_release(&m);
	return followed;
}

/* Whoever wants something wakes the link once, which a command under way may have used up. */
static bool is_called(struct serving *v)
{
	bool called;

	pthread_mutex_lock(&v->s->lock);
	called = sync_want_takeable(v->s, v->l) || v->s->ahead_count > 0 ||
	         v->s->claim_wanted[SYNC_WORKER] == v->resting;
	pthread_mutex_unlock(&v->s->lock);
	return called;
}

/* 1: something came; 0; or why the link is lost. */
static int idle(struct serving *v)
{
	int ms, r;

	sync_notify_ask(v->l);
	r = sync_link_run(v->l, 0);
	if (r < 0 || is_called(v))
		return r;
	ms = sync_notify_pass_on(v->l, IDLE_MS);
	r = sync_link_idle(v->l, ms);
	if (r >= 0)
		(void)sync_notify_pass_on(v->l, IDLE_MS);
	return r;
}

/* When it is to be looked into: at once, when what changed before is not known; when something was told
 * beside something else not all the time, for some servers tell the same with all they say; 0: not. */
static int64_t look_due_ms(const struct serving *v, const struct sync_box *box)
{
	if (!box->looked_ms || v->behind)
		return clock_mono_ms();
	return box->told ? box->looked_ms + CALM_MS : 0;
}

/* In the INBOX: what was pushed is pulled.  0 or why the link is lost. */
static int rest_in_idle(struct serving *v)
{
	struct sync_box *box = NULL;
	struct err_reason why;
	int64_t due_ms;
	int r;

	if (!v->resting && store_mailbox_by_wire(v->l->store, "INBOX", &v->resting) < 0) {
		rest(v, 1000);
		return 0;
	}
	if (!sync_link_has(v->l, "IDLE") || !is_settled(v->s) || !is_followed(v) ||
	    !sync_claim_try(v->s, v->l, v->resting)) {
		if (sync_claim_asked(v->s, v->resting) && sync_claim_mine(v->s, v->l, v->resting))
			return leave(v); /* the worker waits for it */
		rest(v, 1000);
		return 0;
	}
	r = sync_link_open_box(v->l, v->resting, &box, &why);
	due_ms = r == 0 ? look_due_ms(v, box) : 0;
	sync_box_unref(&box);
	if (r < 0) {
		sync_claim_release(v->s, v->l, 0);
		if (r == ERR_CONFLICT)
			sync_refresh(v->s);
		rest(v, 5000);
		return sync_link_up(v->l) ? 0 : r;
	}
	if (due_ms > clock_mono_ms()) {
		rest(v, due_ms - clock_mono_ms());
		return 0;
	}
	r = due_ms ? 1 : v->more ? 0 : idle(v);
	if (r == 1) {
		v->more = true;
		r = sync_scan_mailbox(v->l, v->resting);
		v->behind = r == ERR_BUSY;
		if (v->behind)
			rest(v, 1000);
	} else if (r == 0 && v->more) {
		r = sync_pull_bodies(v->l, v->resting, PUSHED_BYTES);
		v->more = r == 1;
	}
	if (!sync_link_up(v->l))
		return r < 0 ? r : ERR_OFFLINE;
	return sync_claim_asked(v->s, v->resting) ? leave(v) : 0;
}

static int serve(struct serving *v)
{
	int r = 0;

	while (r >= 0 && !sync_should_leave(v->s, v->l->since)) {
		r = sync_serve_wants(v->l, 0);
		if (r == 0)
			r = serve_ahead(v);
		if (r == 0)
			r = rest_in_idle(v);
	}
	return r;
}

static void set_up(struct serving *v, bool up)
{
	pthread_mutex_lock(&v->s->lock);
	v->s->server_up = up;
	v->s->check_link = !up && !v->s->stopping && !v->s->paused;
	pthread_cond_broadcast(&v->s->changed);
	pthread_mutex_unlock(&v->s->lock);
}

/* There is no use in a second connection before the first one works. */
static bool may_connect(struct sync *s)
{
	bool may;

	pthread_mutex_lock(&s->lock);
	may = s->cfg.connections > 1 && !s->paused && !s->link_down &&
	      s->status.state != SYNC_CONNECTING;
	if (!may && !s->stopping)
		sync_rest_until(s, clock_mono_ms() + 60 * 1000);
	pthread_mutex_unlock(&s->lock);
	return may;
}

void sync_server_main(struct sync *s)
{
	struct serving v = { .s = s, .l = s->links[SYNC_SERVER] };
	bool stop = false;

	while (!stop) {
		struct err_reason why = { "" };
		int r;

		if (may_connect(s)) {
			r = sync_link_connect(v.l, &why);
			if (r == 0) {
				set_up(&v, true);
				sync_backoff_reset(&v.backoff);
				(void)serve(&v);
				set_up(&v, false);
			} else if (r != ERR_CANCELED) {
				log_debug("sync: no second connection: %s", why.text);
				set_up(&v, false);
				rest(&v, sync_backoff_next(&v.backoff, r));
			}
			sync_link_disconnect(v.l);
		}
		pthread_mutex_lock(&s->lock);
		stop = s->stopping;
		pthread_mutex_unlock(&s->lock);
	}
}
