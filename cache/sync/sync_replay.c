/* SPDX-License-Identifier: MIT */
#include "sync_replay_priv.h"

#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sync_pass_priv.h"

enum {
	BATCH_MAX = 1000,   /* actions of a batch that have no body */
	LOOK_AHEAD = 5000,  /* actions looked at for one batch */
	TRIES_REFUSED = 3,  /* of a refusal without a code */
	TRIES_TOGETHER = 1, /* an action that was lost more often goes alone, and later */
	BACKOFF_MAX_MS = 300000,
	LOOK_AGAIN_MS = 5000, /* for what cannot be looked up now */
};

/*
 * The kinds and how many go together.  Those marked "twice is harmless" may be sent again after a
 * lost answer; the others are looked up first (RFC 4549 5.1).
 */
static const struct kind {
	int (*run)(struct sync_batch *b);
	size_t batch;
} kinds[] = {
	[STORE_OP_APPEND] = { sync_run_append, 100 },
	[STORE_OP_REPLACE] = { sync_run_append, 1 },
	[STORE_OP_COPY] = { sync_run_transfer, BATCH_MAX },
	[STORE_OP_MOVE] = { sync_run_transfer, BATCH_MAX },
	[STORE_OP_DELETE] = { sync_run_delete, BATCH_MAX }, /* expunging twice is harmless */
	[STORE_OP_FLAGS] = { sync_run_flags, BATCH_MAX },   /* a set union: twice is harmless */
	[STORE_OP_CREATE] = { sync_run_mailbox, 1 },        /* twice is harmless */
	[STORE_OP_REMOVE] = { sync_run_mailbox, 1 },        /* twice is harmless */
	[STORE_OP_RENAME] = { sync_run_mailbox, 1 },
	[STORE_OP_SUBSCRIBE] = { sync_run_mailbox, 1 },    /* twice is harmless */
	[STORE_OP_UNSUBSCRIBE] = { sync_run_mailbox, 1 },  /* twice is harmless */
	[STORE_OP_LABELS] = { sync_run_flags, BATCH_MAX }, /* as FLAGS */
};

/* Actions that this pass has dealt with and that are still in the log. */
struct pass {
	struct sync_link *link;
	int64_t now_ms;
	int64_t *kept;
	size_t kept_count, kept_cap;
};

static int64_t wall_ms(void)
{
	return clock_wall_ns() / 1000000;
}

static bool is_mailbox_kind(enum store_op_kind kind)
{
	return kind == STORE_OP_CREATE || kind == STORE_OP_REMOVE || kind == STORE_OP_RENAME;
}

/* What these kinds name to the server by its UID, which a pull may have to find first. */
static bool lacks_uid(const struct store_op *op)
{
	return op->uid == 0 && (op->kind == STORE_OP_FLAGS || op->kind == STORE_OP_DELETE ||
	                        op->kind == STORE_OP_COPY || op->kind == STORE_OP_MOVE ||
	                        op->kind == STORE_OP_LABELS);
}

/* ---- Settling ---- */

int sync_act_done(struct sync_batch *b, struct sync_act *a, uint32_t uidvalidity)
{
	struct store_op_done done = { .uidvalidity = a->new_uid ? uidvalidity : 0,
		                      .uid = a->new_uid };

	a->settled = true;
	b->link->progressed = true;
	return store_op_done(b->link->store, a->op.seq, &done);
}

static int64_t back_off(int tries)
{
	int64_t ms = 2000;

	while (tries-- > 0 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

int sync_act_later(struct sync_batch *b, struct sync_act *a, int64_t delay_ms, int err,
                   const char *text)
{
	a->settled = true;
	return store_op_requeue(b->link->store, a->op.seq, wall_ms() + delay_ms, err, text);
}

int sync_act_refused(struct sync_batch *b, struct sync_act *a, int err, const char *text)
{
	const char *why = text && text[0] ? text : err_text(err);

	if (!err_is_final(err) || (err == ERR_REFUSED && a->op.tries < TRIES_REFUSED))
		return sync_act_later(b, a, back_off(a->op.tries), err, why);
	a->settled = true;
	log_warn("action %lld is parked: %s", (long long)a->op.seq, why);
	return store_op_park(b->link->store, a->op.seq, err, why);
}

int sync_act_again(struct sync_batch *b, struct sync_act *a)
{
	if (a->op.tries > TRIES_TOGETHER)
		return sync_act_later(b, a, back_off(a->op.tries - 2), ERR_OFFLINE,
		                      "the connection was lost each time it was sent");
	return store_op_requeue(b->link->store, a->op.seq, wall_ms(), ERR_OFFLINE,
	                        err_text(ERR_OFFLINE));
}

int sync_batch_refused(struct sync_batch *b, int err, const char *text)
{
	for (size_t i = 0; i < b->count; i++) {
		int r = b->acts[i].settled ? 0 : sync_act_refused(b, &b->acts[i], err, text);

		if (r < 0)
			return r;
	}
	return 0;
}

int sync_batch_later(struct sync_batch *b, int64_t delay_ms, int err, const char *text)
{
	for (size_t i = 0; i < b->count; i++) {
		int r = b->acts[i].settled ? 0
		                           : sync_act_later(b, &b->acts[i], delay_ms, err, text);

		if (r < 0)
			return r;
	}
	return 0;
}

int sync_batch_sent(struct sync_batch *b, int step)
{
	int r = store_batch_begin(b->link->store);

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		_cleanup_free_ char *evidence = sync_evidence_format(&b->acts[i].ev);

		if (!b->acts[i].settled)
			r = store_op_sent(b->link->store, b->acts[i].op.seq, step, evidence);
	}
	if (r < 0) {
		store_batch_abort(b->link->store);
		return r;
	}
	r = store_batch_commit(b->link->store);
	return r < 0 ? r : store_flush(b->link->store);
}

int sync_batch_lost(struct sync_batch *b, int err)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct sync_act *a = &b->acts[i];

		if (a->settled || !a->shared || !a->shared->unsent)
			continue;
		if (store_op_requeue(b->link->store, a->op.seq, wall_ms(), err, err_text(err)) < 0)
			return ERR_IO;
	}
	return err;
}

void sync_replay_pause(struct sync_batch *b)
{
	struct sync *s = b->link->sync;
	int64_t until = clock_mono_ms() + 2000;

	while (clock_left_ms(until) > 0 && !sync_should_leave(s, b->link->since)) {
		pthread_mutex_lock(&s->lock);
		sync_rest_until(s, until);
		pthread_mutex_unlock(&s->lock);
	}
}

int sync_batch_open(struct sync_batch *b, int64_t mailbox, struct sync_box **out)
{
	struct err_reason why = { "" };
	int r = sync_link_open_box(b->link, mailbox, out, &why);

	if (r == 0)
		return 0;
	if (!sync_link_up(b->link))
		return r;
	/* A name that cannot be opened, or another UIDVALIDITY, is for the pull to look into. */
	r = sync_batch_later(b, 5000, r, why.text);
	return r < 0 ? r : 1;
}

/* ---- UIDs ---- */

void sync_batch_uids(const struct sync_batch *b, struct sync_uids *out)
{
	sync_uids_clear(out);
	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled)
			sync_uids_add(out, b->acts[i].op.uid);
	sync_uids_sort(out);
}

static size_t digits(uint32_t n)
{
	size_t d = 1;

	while (n >= 10) {
		n /= 10;
		d++;
	}
	return d;
}

size_t sync_uids_fit(const uint32_t *uids, size_t count)
{
	size_t bytes = 0, i = 0;

	while (i < count) {
		size_t last = i, length;

		while (last + 1 < count && uids[last + 1] == uids[last] + 1)
			last++;
		length = digits(uids[i]) + 1 + (last > i ? digits(uids[last]) + 1 : 0);
		if (i > 0 && bytes + length > SYNC_SET_BYTES)
			break;
		bytes += length;
		i = last + 1;
	}
	return i;
}

/* Several commands answer to one reply: the first refusal counts. */
void sync_store_done(void *ctx, const struct imap_result *res)
{
	struct sync_reply *reply = ctx;

	if (reply->err < 0)
		return;
	if (res->err == 0 && reply->code == IMAP_CODE_MODIFIED) {
		if (res->resp->code == IMAP_CODE_MODIFIED)
			sync_set_append(&reply->code_set, &res->resp->code_set);
		return;
	}
	sync_reply_release(reply);
	sync_reply_fill(reply, res);
}

void sync_search_send(struct sync_link *l, struct sync_box *box, const char *criteria,
                      const struct sync_uids *uids, struct sync_reply *reply)
{
	size_t at = 0;

	if (uids && !criteria && !sync_link_has(l, "UIDPLUS") && !sync_link_has(l, "IMAP4rev2")) {
		criteria = "ALL";
		uids = NULL;
	}
	do {
		struct imap_cmd *cmd = imap_cmd_new("UID SEARCH");
		size_t n = uids ? sync_uids_fit(uids->items + at, uids->count - at) : 0;

		if (criteria)
			imap_cmd_raw(cmd, criteria);
		if (uids) {
			imap_cmd_raw(cmd, "UID");
			imap_cmd_uids(cmd, uids->items + at, n);
		}
		sync_link_send(l, &cmd, box, sync_store_done, reply);
		at += n;
	} while (uids && at < uids->count);
}

void sync_search_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	(void)box;
	if (r->kind != IMAP_RESP_SEARCH)
		return;
	for (size_t i = 0; i < r->search.count; i++)
		sync_uids_add(ctx, r->search.numbers[i]);
}

void sync_store_words(struct sync_link *l, struct sync_box *box, const struct sync_uids *uids,
                      char sign, const char *item,
                      void (*put)(struct imap_cmd *cmd, const char *words), const char *words,
                      struct sync_reply *reply)
{
	for (size_t at = 0, n; at < uids->count; at += n) {
		struct imap_cmd *cmd = imap_cmd_new("UID STORE");

		n = sync_uids_fit(uids->items + at, uids->count - at);
		imap_cmd_uids(cmd, uids->items + at, n);
		imap_cmd_rawf(cmd, "%c%s", sign, item);
		put(cmd, words);
		sync_link_send(l, &cmd, box, sync_store_done, reply);
	}
}

void sync_store_send(struct sync_link *l, struct sync_box *box, const struct sync_uids *uids,
                     char sign, const char *flags, struct sync_reply *reply)
{
	sync_store_words(l, box, uids, sign, "FLAGS.SILENT", imap_cmd_flags, flags, reply);
}

/* ---- One pass over the log ---- */

static bool kept(const struct pass *p, int64_t seq)
{
	for (size_t i = 0; i < p->kept_count; i++)
		if (p->kept[i] == seq)
			return true;
	return false;
}

static void keep(struct pass *p, int64_t seq)
{
	if (p->kept_count == p->kept_cap) {
		p->kept_cap = p->kept_cap ? p->kept_cap * 2 : 64;
		p->kept = mem_realloc(p->kept, p->kept_cap, sizeof(*p->kept));
	}
	p->kept[p->kept_count++] = seq;
}

static bool goes_with(const struct store_op *first, const struct store_op *op)
{
	return op->tries <= TRIES_TOGETHER && first->tries <= TRIES_TOGETHER &&
	       op->kind == first->kind && op->state == first->state &&
	       op->mailbox == first->mailbox && op->target == first->target &&
	       op->delete_mode == first->delete_mode && op->step == first->step;
}

static void batch_add(struct sync_batch *b, struct store_op *op)
{
	b->acts = mem_realloc(b->acts, b->count + 1, sizeof(*b->acts));
	b->acts[b->count] = (struct sync_act){ .op = *op };
	sync_evidence_parse(op->evidence, &b->acts[b->count].ev);
	b->count++;
	*op = (struct store_op){ 0 };
}

static void batch_release(struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		sync_reply_release(&b->acts[i].reply);
		sync_evidence_release(&b->acts[i].ev);
		store_op_release(&b->acts[i].op);
	}
	free(b->acts);
	*b = (struct sync_batch){ .link = b->link };
}

/*
 * Takes the first action behind `after` and all that may go with it.  Later ones may overtake
 * others: actions on one message depend on each other, and nothing overtakes a change of a
 * mailbox.  1, 0 at the end of the log, ERR_IO.
 */
static int gather_locked(struct pass *p, int64_t after, struct sync_batch *b)
{
	struct store *st = p->link->store;
	struct store_op op = { 0 };
	int r, looked = 0;

	while ((r = store_op_next(st, after, p->now_ms, &op)) > 0) {
		after = op.seq;
		if (kept(p, op.seq) || lacks_uid(&op)) {
			store_op_release(&op);
			continue;
		}
		if (op.state == STORE_OP_SENT && op.step == 0)
			op.state = STORE_OP_QUEUED; /* taken out before, and nothing has left */
		if (b->count > 0 && !goes_with(&b->acts[0].op, &op)) {
			if (is_mailbox_kind(op.kind))
				break;
		} else {
			r = op.state == STORE_OP_QUEUED ? store_op_freeze(st, op.seq) : 0;
			if (r < 0)
				break;
			batch_add(b, &op);
		}
		store_op_release(&op);
		if (b->count >= kinds[b->acts[0].op.kind].batch ||
		    is_mailbox_kind(b->acts[0].op.kind) || ++looked >= LOOK_AHEAD)
			break;
	}
	store_op_release(&op);
	return r < 0 ? r : b->count > 0;
}

/* Read and frozen in one: from then on the user's changes are actions of their own. */
static int gather(struct pass *p, int64_t after, struct sync_batch *b)
{
	int r = store_batch_begin(p->link->store), committed;

	if (r < 0)
		return r;
	r = gather_locked(p, after, b);
	if (r < 0) {
		store_batch_abort(p->link->store);
		return r;
	}
	committed = store_batch_commit(p->link->store);
	return committed < 0 ? committed : r;
}

/* What a batch left in the log is not taken up again in this pass; what stays SENT while the link
 * holds is not looked up again at once.  ERR_IO. */
static int note_rest(struct pass *p, const struct sync_batch *b)
{
	int64_t again = wall_ms() + LOOK_AGAIN_MS;
	int r = 0;

	for (size_t i = 0; i < b->count; i++) {
		keep(p, b->acts[i].op.seq);
		if (b->acts[i].settled || r < 0 || !sync_link_up(p->link))
			continue;
		r = store_op_thaw(p->link->store, b->acts[i].op.seq);
		if (r == 0)
			r = store_op_hold(p->link->store, b->acts[i].op.seq, again);
	}
	return r;
}

/* A mailbox that is there now may be what earlier actions wait for. */
static int64_t go_on_from(const struct sync_batch *b)
{
	return is_mailbox_kind(b->acts[0].op.kind) && b->acts[0].settled ? 0
	                                                                 : b->acts[0].op.seq - 1;
}

static int run_pass(struct pass *p)
{
	struct sync_batch b = { .link = p->link };
	int64_t after = 0;
	int r;

	while ((r = store_op_stopped(p->link->store)) == 0 && (r = gather(p, after, &b)) > 0) {
		r = kinds[b.acts[0].op.kind].run(&b);
		if (r == 0 && !sync_link_up(p->link))
			r = ERR_OFFLINE; /* lost where it did not matter to the batch */
		after = go_on_from(&b);
		if (note_rest(p, &b) < 0)
			r = ERR_IO;
		batch_release(&b);
		if (r < 0)
			break;
	}
	batch_release(&b);
	return r < 0 ? r : 0;
}

void sync_replay_note(struct sync_link *l)
{
	struct store_op_counts counts;
	bool stopped = store_op_stopped(l->store) == 1;

	if (store_op_counts(l->store, &counts) < 0)
		return;
	pthread_mutex_lock(&l->sync->lock);
	l->sync->parked = counts.parked;
	l->sync->stopped = stopped && counts.queued + counts.sent > 0;
	pthread_mutex_unlock(&l->sync->lock);
}

/* The user is at it still: what comes next goes with what is here.  What was asked for again waits
 * for nothing. */
static bool still_growing(const struct pass *p)
{
	struct store *st = p->link->store;
	struct store_op op = { 0 };
	int64_t when = 0;
	bool asked;

	if (p->now_ms == 0 || store_op_next_time(st, p->now_ms, &when) < 0 || when <= p->now_ms)
		return false;
	asked = store_op_next(st, 0, 1, &op) > 0;
	store_op_release(&op);
	return !asked;
}

int sync_replay(struct sync_link *l, bool now)
{
	struct pass p = { .link = l, .now_ms = now ? 0 : wall_ms() };
	bool again;
	int r;

	do {
		again = false;
		p.kept_count = 0;
		r = still_growing(&p) ? 0 : run_pass(&p);
		if (r == 0)
			r = sync_policy_run(l, &again);
	} while (r == 0 && again);
	free(p.kept);
	sync_replay_note(l);
	return r;
}
