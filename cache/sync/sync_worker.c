/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "log.h"
#include "sync_pass_priv.h"
#include "sync_priv.h"

/*
 * The worker: connect; then for ever replay the log, pull when that is due, rest.
 *
 *   PAUSED <-> CONNECTING -> REPLAYING -> PULLING -> IN_STEP -> REPLAYING ...
 *                  ^  |          any --link lost--> OFFLINE
 *                  |  v
 *                OFFLINE (back-off)
 */
enum { PULLS_REFUSED = 3 }; /* that are tried again soon; as long as it is busy, all are */

struct worker {
	struct sync *s;
	struct sync_link *l;
	struct sync_backoff backoff;
	int64_t pull_due_ms;  /* monotonic */
	int64_t upto;         /* the last action that those who ask wait for */
	uint64_t tried;       /* number of the last asking that a round could not fulfil, */
	int64_t left;         /* what it lacked, */
	int64_t try_again_ms; /* and when it is tried again */
	int unfinished;       /* pulls in a row that something was refused to */
};

static bool paused(struct sync *s)
{
	bool is;

	pthread_mutex_lock(&s->lock);
	is = s->paused && !s->stopping;
	pthread_mutex_unlock(&s->lock);
	return is;
}

static bool stopping(struct sync *s)
{
	bool is;

	pthread_mutex_lock(&s->lock);
	is = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return is;
}

static void rest_paused(struct sync *s)
{
	sync_set_state(s, SYNC_PAUSED, "paused");
	sync_want_fail_all(s, ERR_OFFLINE);
	pthread_mutex_lock(&s->lock);
	while (s->paused && !s->stopping)
		sync_rest_until(s, clock_mono_ms() + 60 * 1000);
	pthread_mutex_unlock(&s->lock);
}

/* Says why there is no connection and waits for the next attempt.  Who waits in sync_wait() is told
 * when there is no server to be had; after a link that was lost on the way they go on waiting. */
static void rest_offline(struct worker *w, int err, const struct err_reason *why, bool lost)
{
	struct sync *s = w->s;
	int64_t wait_ms = sync_backoff_next(&w->backoff, err);
	int64_t until = clock_mono_ms() + wait_ms;
	uint64_t asked;

	sync_set_state(s, SYNC_OFFLINE, "%s", why->text[0] ? why->text : err_text(err));
	sync_set_next_try(s, wait_ms);
	sync_want_fail_all(s, ERR_OFFLINE);
	pthread_mutex_lock(&s->lock);
	asked = s->wait_asked;
	if (!lost) {
		s->wait_failed = asked;
		s->wait_err = err;
		pthread_cond_broadcast(&s->changed);
	}
	while (!s->stopping && !s->paused && !s->retry_now && s->wait_asked == asked &&
	       clock_left_ms(until) > 0)
		sync_rest_until(s, until);
	s->retry_now = false;
	pthread_mutex_unlock(&s->lock);
}

/* Somebody waits for a complete round.  The lock is held. */
static bool is_asked(const struct worker *w)
{
	const struct sync *s = w->s;

	return s->wait_asked != s->wait_done &&
	       (s->wait_asked != w->tried || clock_left_ms(w->try_again_ms) == 0);
}

/* Rests until there is work; true when a pull is due. */
static bool rest_in_step(struct worker *w)
{
	struct sync *s = w->s;
	int64_t held_ms = 0, until = w->pull_due_ms, now_ms = clock_wall_ns() / 1000000;
	bool pull;

	if (w->try_again_ms < until && clock_left_ms(w->try_again_ms) > 0)
		until = w->try_again_ms;

	if (store_op_next_time(w->l->store, now_ms, &held_ms) == 0 && held_ms > 0) {
		int64_t left = held_ms - now_ms;

		if (clock_mono_ms() + left < until)
			until = clock_mono_ms() + (left > 50 ? left : 50);
	}
	pthread_mutex_lock(&s->lock);
	while (!s->stopping && !s->paused && !s->kicked && s->drop_links == w->l->since &&
	       !is_asked(w) && !s->check_link && !s->pull_wanted && !sync_server_absent(s) &&
	       clock_left_ms(until) > 0)
		sync_rest_until(s, until);
	s->kicked = false;
	pull = is_asked(w) || s->pull_wanted || clock_left_ms(w->pull_due_ms) == 0;
	s->pull_wanted = false;
	pthread_mutex_unlock(&s->lock);
	return pull;
}

/* The other connection was lost: is this one alive?  Also gives bodies when it is the only one. */
static int look_after(struct worker *w)
{
	struct imap_cmd *cmd;
	bool check, serve;

	pthread_mutex_lock(&w->s->lock);
	check = w->s->check_link;
	w->s->check_link = false;
	serve = sync_server_absent(w->s);
	pthread_mutex_unlock(&w->s->lock);
	if (check) {
		cmd = imap_cmd_new("NOOP");
		sync_link_send(w->l, &cmd, w->l->box, NULL, NULL);
		return sync_link_run(w->l, 0);
	}
	return serve ? sync_serve_wants(w->l, 0) : 0;
}

/* What came of a round for those who wait. */
static void answer(struct worker *w, uint64_t asked, int64_t left)
{
	struct sync *s = w->s;

	pthread_mutex_lock(&s->lock);
	if (left == 0 || s->stopped) {
		s->wait_done = asked;
		pthread_cond_broadcast(&s->changed);
	} else {
		bool moves = asked != w->tried || left < w->left;

		w->tried = asked;
		w->try_again_ms = clock_mono_ms() + (moves ? 50 : 1000);
	}
	w->left = left;
	pthread_mutex_unlock(&s->lock);
}

/* A pass, and when the next one is due: soon when something was refused to this one that may be
 * had later, which *again says.  0 or why the link is lost. */
static int pull_pass(struct worker *w, bool *again)
{
	int64_t due_ms = w->s->cfg.poll_ms;
	int r = sync_pull_pass(w->l);

	w->unfinished = r == 0 && w->l->unfinished ? w->unfinished + 1 : 0;
	*again = w->unfinished > 0 && (w->l->busy || w->unfinished <= PULLS_REFUSED);
	if (*again) {
		int64_t soon_ms = 500LL << (w->unfinished < 8 ? w->unfinished : 8);

		due_ms = soon_ms < due_ms ? soon_ms : due_ms;
	}
	w->pull_due_ms = clock_mono_ms() + due_ms;
	return r;
}

/* One replay and, when `pull`, one pass.  0 or why the link is lost. */
static int one_round(struct worker *w, bool pull)
{
	struct sync *s = w->s;
	uint64_t asked;
	int64_t left = 0;
	bool waited, again = false;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	asked = s->wait_asked;
	waited = asked != s->wait_done && asked != w->tried;
	pthread_mutex_unlock(&s->lock);
	if (waited)
		r = store_op_last(w->l->store, &w->upto);
	if (r == 0)
		r = sync_replay(w->l, waited);
	if (r == 0 && pull)
		r = pull_pass(w, &again);
	if (r == 0 && pull)
		sync_replay_note(w->l); /* a mailbox made anew has parked what named its UIDs */
	if (r == 0)
		r = look_after(w);
	sync_link_unselect(w->l);
	if (r == 0)
		r = sync_link_run(w->l, 0);
	sync_claim_release(s, w->l, 0);
	if (r < 0)
		return r;
	r = store_op_open(w->l->store, w->upto, &left);
	sync_set_state(s, SYNC_IN_STEP, "in step");
	if (r == 0 && pull)
		answer(w, asked, left + again);
	return r;
}

/* Until the link is lost; *rounds: how many were complete. */
static int work(struct worker *w, int *rounds)
{
	bool pull = true;
	int r;

	for (*rounds = 0;; ++*rounds) {
		r = one_round(w, pull);
		if (r < 0)
			return r;
		sync_backoff_reset(&w->backoff);
		pull = rest_in_step(w);
		if (sync_should_leave(w->s, w->l->since))
			return ERR_CANCELED;
	}
}

void sync_worker_main(struct sync *s)
{
	struct worker w = { .s = s, .l = s->links[SYNC_WORKER] };

	while (!stopping(s)) {
		struct err_reason why = { "" };
		int r, rounds = 0;
		bool connected;

		if (paused(s)) {
			rest_paused(s);
			sync_backoff_reset(&w.backoff);
			continue;
		}
		sync_set_state(s, SYNC_CONNECTING, "connecting to %s", s->cfg.host);
		r = sync_link_connect(w.l, &why);
		connected = r == 0;
		if (connected) {
			sync_set_state(s, SYNC_REPLAYING, "connected");
			w.l->why.text[0] = '\0';
			r = work(&w, &rounds);
			why = w.l->why;
		}
		sync_link_disconnect(w.l);
		if (stopping(s) || r == ERR_CANCELED)
			continue;
		log_info("sync: no connection to %s: %s", s->cfg.host,
		         why.text[0] ? why.text : err_text(r));
		/* a link that has served before is worth a new one at once */
		if (w.l->progressed)
			sync_backoff_reset(&w.backoff);
		else if (rounds == 0)
			rest_offline(&w, r, &why, connected);
	}
	sync_set_state(s, SYNC_OFFLINE, "stopped");
}
