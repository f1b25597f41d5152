/* SPDX-License-Identifier: MIT */
#include "log.h"
#include "sync_pass_priv.h"
#include "sync_replay_priv.h"

/* Decides about parked actions as the configuration says; what it leaves open waits for the user. */

/* The mailbox that it goes into is what it misses.  Of a copy or move out of a mailbox that is gone
 * it is the source: making that again would not bring the message back. */
static bool lacks_mailbox(const struct sync_link *l, const struct store_op *op)
{
	struct store_mailbox m;
	bool source_gone;

	if (op->err != ERR_NOTFOUND)
		return false;
	if (op->kind == STORE_OP_APPEND || op->kind == STORE_OP_REPLACE)
		return true;
	if (op->target == 0 ||
	    (op->kind != STORE_OP_COPY && op->kind != STORE_OP_MOVE && op->kind != STORE_OP_DELETE))
		return false;
	if (store_mailbox_get(l->store, op->mailbox, &m) < 0)
		return false;
	source_gone = !m.selectable;
	store_mailbox_release(&m);
	return !source_gone;
}

static enum sync_policy policy_for(const struct sync_link *l, const struct store_op *op)
{
	const struct sync_config *cfg = &l->sync->cfg;

	if (lacks_mailbox(l, op))
		return cfg->on_missing_mailbox;
	if (op->err == ERR_CONFLICT || op->err == ERR_NOTFOUND)
		return cfg->on_conflict;
	return cfg->on_refused;
}

/* ERR_IO, or that it cannot be: then the user is asked. */
static int decide(struct sync_link *l, const struct store_op *op)
{
	long long seq = (long long)op->seq;

	switch (policy_for(l, op)) {
	case SYNC_POLICY_ASK:
		return 0;
	case SYNC_POLICY_RECREATE:
		log_info("action %lld: the mailbox is made again, by on-missing-mailbox", seq);
		return store_op_recreate(l->store, op->seq);
	case SYNC_POLICY_LOST_FOUND:
		log_warn("action %lld is taken back, by the configuration", seq);
		return store_op_drop(l->store, op->seq);
	case SYNC_POLICY_ABORT:
		log_warn("nothing is sent any more, because action %lld has failed", seq);
		return store_op_stop(l->store, true);
	}
	return 0;
}

int sync_policy_run(struct sync_link *l, bool *changed)
{
	struct store_op op = { 0 };
	int r;

	while ((r = store_op_undecided(l->store, &op)) == 1) {
		bool asked = policy_for(l, &op) == SYNC_POLICY_ASK;

		r = decide(l, &op);
		if (r < 0 && r != ERR_IO && r != ERR_NOSPACE)
			log_info("action %lld: %s", (long long)op.seq, err_text(r));
		else if (!asked)
			*changed = true;
		if (r != ERR_IO && r != ERR_NOSPACE)
			r = store_op_decided(l->store, op.seq);
		store_op_release(&op);
		if (r < 0)
			break;
	}
	return r;
}
