/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "sync_pass_priv.h"
#include "sync_replay_priv.h"
#include "wordset.h"

/*
 * A whole list of flags was written (-o conflict=): it is carried out only on the state that it was
 * written on.  A STORE goes with UNCHANGEDSINCE (RFC 7162 3.1.3), a FETCH right behind it shows what
 * came of it; where mod-sequences are not to be had, a FETCH goes in front instead.
 *
 *   ASK -> look: as wanted, or expunged -> done
 *                others changed flags   -> the policy
 *                else                   -> ASK with the new mod-sequence, `conflict_tries` times
 *
 * A STORE takes one sign only, so a list that both sets and removes takes two rounds.  What was
 * carried out of it already, or by somebody else alike, is no conflict.
 */
enum { TRIES = 4 };

struct guard {
	struct sync_act *act;
	char *base, *want; /* flags that the list was written on, and the list */
	char *now;         /* as last shown; NULL: not yet */
	uint64_t modseq;   /* that covers them; 0: unknown */
	char sign;         /* of this round's STORE; 0: none goes */
	char *delta;
	bool shown;    /* in this round */
	bool modified; /* the server said so */
	int tries;
	struct sync_reply *reply; /* of its STORE */
};

struct guards {
	struct sync_batch *batch;
	struct sync_box *box;
	struct guard *items;
	struct sync_reply *replies;
	size_t count;
	bool by_modseq;
};

static struct guard *find(struct guards *g, uint32_t uid)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->items[i].act->op.uid == uid)
			return &g->items[i];
	return NULL;
}

static void on_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct guard *x;

	if (r->kind != IMAP_RESP_FETCH)
		return;
	x = find(ctx, sync_box_uid(box, r));
	if (!x)
		return;
	if (r->fetch->has_flags) {
		free(x->now);
		x->now = mem_strdup(r->fetch->flags);
		x->shown = true;
	}
	if (r->fetch->has_modseq && r->fetch->modseq <= INT64_MAX)
		x->modseq = r->fetch->modseq;
}

/* Sets what the next STORE says: flags to set come first. */
static void plan(struct guards *g, struct guard *x)
{
	const char *now = x->now ? x->now : x->base;

	free(mem_steal(x->delta));
	x->sign = 0;
	x->shown = x->modified = false;
	if (g->by_modseq ? x->modseq == 0 : !x->now)
		return; /* look first */
	x->delta = wordset_minus(x->want, now);
	x->sign = '+';
	if (wordset_count(x->delta) > 0)
		return;
	free(x->delta);
	x->delta = wordset_minus(now, x->want);
	x->sign = '-';
}

static bool goes_with(const struct guards *g, const struct guard *x, const struct guard *y)
{
	return x->sign == y->sign && strcmp(x->delta, y->delta) == 0 &&
	       (!g->by_modseq || x->modseq == y->modseq);
}

static void send_store(struct guards *g, struct guard *first, struct sync_uids *uids)
{
	for (size_t at = 0, n; at < uids->count; at += n) {
		struct imap_cmd *cmd = imap_cmd_new("UID STORE");

		n = sync_uids_fit(uids->items + at, uids->count - at);
		imap_cmd_uids(cmd, uids->items + at, n);
		if (g->by_modseq)
			imap_cmd_rawf(cmd, "(UNCHANGEDSINCE %" PRIu64 ")", first->modseq);
		imap_cmd_rawf(cmd, "%cFLAGS.SILENT", first->sign);
		imap_cmd_flags(cmd, first->delta);
		sync_link_send(g->batch->link, &cmd, g->box, sync_store_done, first->reply);
	}
}

static void send_stores(struct guards *g)
{
	for (size_t i = 0; i < g->count; i++) {
		struct guard *x = &g->items[i];
		struct sync_uids uids = { 0 };

		if (x->act->settled || x->sign == 0 || x->reply)
			continue;
		x->reply = &g->replies[i];
		for (size_t j = i; j < g->count; j++) {
			struct guard *y = &g->items[j];

			if (y->act->settled || y->sign == 0 || (y->reply && y != x) ||
			    !goes_with(g, x, y))
				continue;
			y->reply = x->reply;
			sync_uids_add(&uids, y->act->op.uid);
		}
		sync_uids_sort(&uids);
		send_store(g, x, &uids);
		sync_uids_release(&uids);
	}
}

static bool in_set(const struct imap_set *set, uint32_t uid)
{
	for (size_t i = 0; i < set->count; i++)
		if (uid >= set->ranges[i].first && uid <= set->ranges[i].last)
			return true;
	return false;
}

/* STOREs and the look behind them.  The link's error. */
static int round_trip(struct guards *g, struct sync_reply *fetched)
{
	const char *items = g->by_modseq ? "(UID FLAGS MODSEQ)" : "(UID FLAGS)";
	int r;

	for (size_t i = 0; i < g->count; i++) {
		sync_reply_release(&g->replies[i]);
		g->replies[i] = (struct sync_reply){ 0 };
		g->items[i].reply = NULL;
		if (!g->items[i].act->settled)
			plan(g, &g->items[i]);
	}
	g->box->data = on_data;
	g->box->ctx = g;
	send_stores(g);
	sync_reply_release(fetched);
	*fetched = (struct sync_reply){ 0 };
	sync_batch_fetch(g->batch, g->box, items, fetched);
	r = sync_link_run(g->batch->link, 0);
	g->box->data = NULL;
	for (size_t i = 0; i < g->count; i++) {
		struct guard *x = &g->items[i];

		x->modified = x->reply && x->reply->code == IMAP_CODE_MODIFIED &&
		              in_set(&x->reply->code_set, x->act->op.uid);
	}
	return r;
}

/* All that the list changes is so, whoever did it. */
static bool is_made(const struct guard *x)
{
	_cleanup_free_ char *add = wordset_minus(x->want, x->base);
	_cleanup_free_ char *del = wordset_minus(x->base, x->want);
	_cleanup_free_ char *missing = wordset_minus(add, x->now);
	_cleanup_free_ char *without = wordset_minus(x->now, del);

	return wordset_count(missing) == 0 && wordset_equal(without, x->now);
}

/* Somebody has set or removed what the list would not have. */
static bool is_conflict(const struct guard *x)
{
	_cleanup_free_ char *came = wordset_minus(x->now, x->base);
	_cleanup_free_ char *went = wordset_minus(x->base, x->now);
	_cleanup_free_ char *set = wordset_minus(came, x->want);
	_cleanup_free_ char *stayed = wordset_minus(went, x->want);

	return wordset_count(set) > 0 || !wordset_equal(stayed, went);
}

/* What was seen goes into the store: a list that is dropped or parked may leave half of it behind. */
static int note(struct guards *g, const struct guard *x)
{
	return store_pull_flags(g->batch->link->store, g->box->mailbox, x->act->op.uid, x->now,
	                        x->modseq);
}

static int give_up(struct guards *g, struct guard *x, const char *why)
{
	struct store *st = g->batch->link->store;
	_cleanup_free_ char *text = mem_printf("%s; they are: %s", why, x->now);

	x->act->settled = true;
	log_warn("action %lld is parked: %s", (long long)x->act->op.seq, text);
	return store_op_park(st, x->act->op.seq, ERR_CONFLICT, text);
}

/* In one, so that no change of the user comes in between. */
static int drop(struct store *st, int64_t seq)
{
	int r = store_batch_begin(st);

	if (r < 0)
		return r;
	r = store_op_thaw(st, seq);
	if (r == 0)
		r = store_op_drop(st, seq);
	if (r == 0)
		return store_batch_commit(st);
	store_batch_abort(st);
	return r;
}

static int resolve(struct guards *g, struct guard *x)
{
	switch (g->batch->link->sync->cfg.conflict) {
	case SYNC_CONFLICT_MERGE:
		return 0;
	case SYNC_CONFLICT_MINE:
		free(x->base);
		x->base = mem_strdup(x->now);
		return 0;
	case SYNC_CONFLICT_THEIRS:
		x->act->settled = true;
		log_info("action %lld is dropped: others have changed the flags",
		         (long long)x->act->op.seq);
		return drop(g->batch->link->store, x->act->op.seq);
	case SYNC_CONFLICT_ASK:
		return give_up(g, x, "others have changed the flags");
	}
	return 0;
}

/* Not as wanted, and no conflict: once more, as long as there is hope. */
static int try_again(struct guards *g, struct guard *x)
{
	int most = g->batch->link->sync->cfg.conflict_tries;

	if (!x->reply || ++x->tries < (most > 0 ? most : TRIES))
		return 0;
	if (x->modified)
		return give_up(g, x, "others keep changing the message");
	return sync_act_refused(g->batch, x->act, ERR_REFUSED,
	                        "the server said OK and did not change the flags");
}

/* Decides by what the look has shown. */
static int decide(struct guards *g, struct guard *x, const struct sync_reply *fetched)
{
	bool refused = x->reply && x->reply->err < 0 && x->reply->code != IMAP_CODE_MODIFIED;
	int r;

	if (x->act->settled)
		return 0;
	if (refused && x->reply->cond == IMAP_COND_BAD && g->by_modseq) {
		g->by_modseq = false; /* it does not like UNCHANGEDSINCE */
		return 0;
	}
	if (!x->shown && fetched->err < 0)
		return sync_act_later(g->batch, x->act, 2000, fetched->err, fetched->text);
	if (!x->shown)
		return sync_act_done(g->batch, x->act, 0); /* expunged (RFC 4549 5.1) */
	r = note(g, x);
	if (r == 0 && is_conflict(x) && !(is_made(x) && wordset_equal(x->now, x->want)))
		r = resolve(g, x);
	if (r < 0 || x->act->settled)
		return r;
	if (is_made(x))
		return sync_act_done(g->batch, x->act, 0);
	if (refused)
		return sync_act_refused(g->batch, x->act, x->reply->err, x->reply->text);
	return try_again(g, x);
}

static void collect(struct guards *g)
{
	struct sync_batch *b = g->batch;

	g->items = mem_realloc(NULL, b->count + 1, sizeof(*g->items));
	g->replies = mem_alloc((b->count + 1) * sizeof(*g->replies));
	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];
		_cleanup_free_ char *more = wordset_union(a->op.base, a->op.add);

		if (!a->op.base || a->settled)
			continue;
		g->items[g->count++] = (struct guard){
			.act = a,
			.base = mem_strdup(a->op.base),
			.want = wordset_minus(more, a->op.del),
			.modseq = a->op.base_modseq <= INT64_MAX ? a->op.base_modseq : 0,
		};
	}
}

static void release(struct guards *g)
{
	for (size_t i = 0; i < g->count; i++) {
		free(g->items[i].base);
		free(g->items[i].want);
		free(g->items[i].now);
		free(g->items[i].delta);
		sync_reply_release(&g->replies[i]);
	}
	free(g->items);
	free(g->replies);
}

static bool any_open(const struct guards *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (!g->items[i].act->settled)
			return true;
	return false;
}

int sync_run_guarded(struct sync_batch *b, struct sync_box *box)
{
	struct sync_reply fetched = { 0 };
	struct guards g = {
		.batch = b,
		.box = box,
		.by_modseq = sync_modseq_offered(b->link) && !box->nomodseq &&
		             box->highestmodseq > 0,
	};
	int r = 0;

	if (b->link->sync->cfg.conflict == SYNC_CONFLICT_MERGE)
		return 0;
	collect(&g);
	while (r == 0 && any_open(&g)) {
		r = round_trip(&g, &fetched);
		for (size_t i = 0; r == 0 && i < g.count; i++)
			r = decide(&g, &g.items[i], &fetched);
	}
	sync_reply_release(&fetched);
	release(&g);
	return r;
}
