/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>

#include "wordset.h"

/* What the user decides about an action that is parked (RFC 4549 5.1), or a policy in their place. */

/* 1: parked by itself; ERR_BLOCKED: it waits for one that is; ERR_NOTFOUND. */
static int is_parked(struct store *s, int64_t seq)
{
	int64_t err = 0;
	int r = store_db_int(&s->db, &err, "SELECT err FROM op WHERE seq = ?1 AND state = 3", "i",
	                     seq);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	return store_err_from_disk(err) == ERR_BLOCKED ? ERR_BLOCKED : 1;
}

/* A copy or move whose source the server lost: with its bytes here it is an upload (R148). */
static int replace_lost_source(struct store *s, int64_t seq)
{
	int64_t lost;
	int r = store_db_int(&s->db, &lost,
	                     "SELECT 1 FROM op o JOIN message m ON m.id = o.message WHERE"
	                     " o.seq = ?1 AND o.kind IN (3, 4) AND m.uid IS NULL AND"
	                     " (m.aside != 0 OR o.message = o.copy)",
	                     "i", seq);

	return r == 1 ? store_gone_to_upload(s, seq) : r;
}

static int retry_locked(struct store *s, int64_t seq)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int64_t message = 0;
	int r = replace_lost_source(s, seq);

	if (r == 0)
		r = store_log_set_state(s, seq, STORE_OP_QUEUED, 0, NULL);
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE op SET not_before_ms = 0, step = 0, evidence = NULL"
		                 " WHERE seq = ?1",
		                 "i", seq);
	if (r == 0)
		r = store_log_dependents(s, seq, &ids);
	if (r == 0)
		r = store_log_unblock_all(s, &ids);
	if (r == 0)
		r = store_db_int(&s->db, &message,
		                 "SELECT message FROM op WHERE seq = ?1 AND kind IN (1, 4, 5)", "i",
		                 seq);
	return r == 1 ? store_message_restore(s, message, NULL) : r;
}

/* The user has looked at it: when it fails again, that is news to the policies. */
static int undecided(struct store *s, int64_t seq)
{
	return store_db_run(&s->db, "UPDATE op SET decided = 0 WHERE seq = ?1", "i", seq);
}

/* A list of flags that others came in the way of: on top of whatever they have done. */
static int forget_base(struct store *s, int64_t seq)
{
	int r = store_db_run(&s->db, "UPDATE op SET base_flags = NULL WHERE seq = ?1 AND err = ?2",
	                     "ii", seq, store_err_to_disk(ERR_CONFLICT));

	return r < 0 ? r : 1;
}

static int retry_parked(struct store *s, int64_t seq)
{
	int r = is_parked(s, seq);

	if (r == 1)
		r = forget_base(s, seq);
	if (r == 1)
		r = retry_locked(s, seq);
	return r < 0 ? r : undecided(s, seq);
}

int store_op_retry(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, retry_parked(s, seq));
}

/* The bytes go to lost+found, unless it is from there that they are to go. */
static int rescue(struct store *s, int64_t spool, int64_t message)
{
	struct store_node n;
	int r;

	if (spool == 0 || spool == s->discard)
		return 0;
	r = store_node_get(s, message, &n);
	return r < 0 ? r : store_spool_rescue(s, spool, n.name);
}

/* Everything written to it that the server has not and that is not kept yet: later edits, too. */
static int rescue_all(struct store *s, int64_t message, int64_t kept)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT spool FROM (SELECT spool FROM op WHERE message = ?1 UNION"
	                     " SELECT spool FROM node WHERE id = ?1) WHERE spool NOT IN (0, ?2)"
	                     " AND spool NOT IN (SELECT clean_spool FROM message WHERE id = ?1)",
	                     "ii", message, kept);

	for (size_t i = 0; r == 0 && i < ids.n; i++)
		r = rescue(s, ids.v[i], message);
	return r;
}

/* All actions on a message that will never be, and the message. */
static int drop_message(struct store *s, int64_t message, int64_t kept)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	_cleanup_ids_ struct store_ids copies = { 0 };
	int r = rescue_all(s, message, kept);

	if (r == 0)
		r = store_db_ids(&s->db, &copies,
		                 "SELECT copy FROM op WHERE message = ?1 AND copy NOT IN (0, ?1)",
		                 "i", message);
	if (r == 0)
		r = store_db_ids(&s->db, &ids, "SELECT seq FROM op WHERE message = ?1 OR copy = ?1",
		                 "i", message);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_cancel(s, ids.v[i]);
	for (size_t i = 0; r >= 0 && i < copies.n; i++)
		r = drop_message(s, copies.v[i], kept);
	return r < 0 ? r : store_message_forget(s, message);
}

static int drop_upload(struct store *s, const struct store_op *op)
{
	int r = rescue(s, op->spool, op->message);

	return r < 0 ? r : drop_message(s, op->message, op->spool);
}

/* The edit goes to lost+found; the message shows what the server has. */
static int drop_replace(struct store *s, const struct store_op *op)
{
	int r = rescue(s, op->spool, op->message);

	if (r == 0)
		r = store_db_run(
			&s->db,
			"UPDATE node SET spool = 0, size_exact = 0, size = coalesce((SELECT"
			" server_size FROM message m WHERE m.id = node.id), size)"
			" WHERE id = ?1 AND spool = ?2",
			"ii", op->message, op->spool);
	if (r == 0)
		r = store_log_cancel(s, op->seq);
	if (r == 0)
		store_txn_note(s, STORE_CHANGE_BODY, op->message, 0, NULL);
	return r;
}

static int drop_create(struct store *s, const struct store_op *op)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int64_t used;
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT seq FROM op WHERE (mailbox = ?1 OR target = ?1)"
	                     " AND seq != ?2",
	                     "ii", op->mailbox, op->seq);

	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_set_state(s, ids.v[i], STORE_OP_PARKED, ERR_NOTFOUND,
		                        "its mailbox was not created");
	if (r >= 0)
		r = store_log_cancel(s, op->seq);
	if (r >= 0)
		r = store_db_int(&s->db, &used, "SELECT 1 FROM node WHERE parent = ?1 LIMIT 1", "i",
		                 op->mailbox);
	return r < 0 || r == 1 || ids.n > 0 ? (r < 0 ? r : 0)
	                                    : store_mailbox_forget(s, op->mailbox);
}

/* A removed or renamed mailbox goes back to where it was. */
static int drop_placement(struct store *s, const struct store_op *op)
{
	_cleanup_free_ char *name = NULL;
	int64_t parent = 0;
	int r = store_db_int(&s->db, &parent, "SELECT old_parent FROM op WHERE seq = ?1", "i",
	                     op->seq);

	if (r == 1)
		r = store_db_text(&s->db, &name, "SELECT old_name FROM op WHERE seq = ?1", "i",
		                  op->seq);
	if (r < 0)
		return r;
	r = store_log_cancel(s, op->seq);
	return r < 0 || !parent || !name ? r : store_node_place_free(s, op->mailbox, parent, name);
}

/* A moved or removed message gets the name back that it had, too. */
static int drop_on_message(struct store *s, const struct store_op *op)
{
	_cleanup_free_ char *name = NULL;
	int r = store_db_text(&s->db, &name, "SELECT old_name FROM op WHERE seq = ?1", "i",
	                      op->seq);

	if (r >= 0)
		r = store_log_cancel(s, op->seq);
	if (r >= 0)
		r = store_message_restore(s, op->message, name);
	return r < 0 ? r : store_node_touch(s, op->message);
}

static int drop_copy(struct store *s, const struct store_op *op)
{
	return drop_message(s, op->copy, 0);
}

static int drop_plain(struct store *s, const struct store_op *op)
{
	store_txn_note(s, STORE_CHANGE_ATTR, op->mailbox, 0, NULL);
	return store_log_cancel(s, op->seq);
}

typedef int (*drop_fn)(struct store *s, const struct store_op *op);

static const drop_fn drops[] = {
	[STORE_OP_APPEND] = drop_upload,     [STORE_OP_REPLACE] = drop_replace,
	[STORE_OP_COPY] = drop_copy,         [STORE_OP_MOVE] = drop_on_message,
	[STORE_OP_DELETE] = drop_on_message, [STORE_OP_FLAGS] = drop_on_message,
	[STORE_OP_CREATE] = drop_create,     [STORE_OP_REMOVE] = drop_placement,
	[STORE_OP_RENAME] = drop_placement,  [STORE_OP_SUBSCRIBE] = drop_plain,
	[STORE_OP_UNSUBSCRIBE] = drop_plain, [STORE_OP_LABELS] = drop_on_message,
};

static int drop_locked(struct store *s, int64_t seq)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	struct store_op op = { 0 };
	int r = store_log_get(s, seq, &op);

	if (r == 0 && op.state == STORE_OP_SENT)
		r = ERR_BUSY;
	if (r == 0)
		r = store_log_dependents(s, seq, &ids);
	if (r == 0)
		r = drops[op.kind](s, &op);
	if (r >= 0)
		r = store_log_unblock_all(s, &ids);
	store_op_release(&op);
	return r < 0 ? r : 0;
}

int store_op_drop(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, drop_locked(s, seq));
}

static int retarget_locked(struct store *s, int64_t seq, int64_t mailbox)
{
	struct store_op op = { 0 };
	struct store_node n, dir;
	int64_t subject;
	int r = store_log_get(s, seq, &op);
	bool upload = op.kind == STORE_OP_APPEND;

	if (r == 0)
		r = store_node_get(s, mailbox, &dir);
	if (r == 0 && (dir.kind != STORE_KIND_MAILBOX || op.state == STORE_OP_SENT ||
	               (!upload && op.kind != STORE_OP_COPY && op.kind != STORE_OP_MOVE)))
		r = ERR_INVAL;
	subject = op.kind == STORE_OP_COPY ? op.copy : op.message;
	store_op_release(&op);
	if (r == 0)
		r = store_node_get(s, subject, &n);
	if (r == 0)
		r = upload ? store_db_run(&s->db, "UPDATE op SET mailbox = ?2 WHERE seq = ?1", "ii",
		                          seq, mailbox)
		           : store_db_run(&s->db, "UPDATE op SET target = ?2 WHERE seq = ?1", "ii",
		                          seq, mailbox);
	if (r == 0) /* what the other mailbox has to wait for does not matter any more */
		r = store_db_run(&s->db,
		                 "DELETE FROM dep WHERE seq = ?1 AND needs IN"
		                 " (SELECT seq FROM op WHERE kind = 7)",
		                 "i", seq);
	if (r == 0)
		r = store_log_need_mailbox(s, seq, mailbox);
	if (r == 0)
		r = store_log_unblock(s, seq);
	if (r == 0)
		r = store_message_restore(s, subject, NULL);
	return r;
}

int store_op_retarget(struct store *s, int64_t seq, int64_t mailbox)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = retarget_locked(s, seq, mailbox);
	if (r == 0)
		r = is_parked(s, seq);
	if (r == 1)
		r = retry_locked(s, seq);
	if (r == 0)
		r = undecided(s, seq);
	/* queued all along, or still in need of something else */
	return store_txn_end(s, r == ERR_NOTFOUND || r == ERR_BLOCKED ? 0 : r);
}

int store_op_discard(struct store *s, int64_t seq, int64_t spool)
{
	int r;

	s->discard = spool;
	r = store_op_drop(s, seq);
	s->discard = 0;
	return r;
}

/* ---- the missing mailbox is made again ---- */

/* The mailbox that must be there for the action to be carried out; 0: none that could be made. */
static int64_t needed_mailbox(const struct store_op *op)
{
	switch (op->kind) {
	case STORE_OP_APPEND:
	case STORE_OP_REPLACE:
		return op->mailbox;
	case STORE_OP_COPY:
	case STORE_OP_MOVE:
	case STORE_OP_DELETE:
		return op->target;
	case STORE_OP_FLAGS:
	case STORE_OP_LABELS:
	case STORE_OP_CREATE:
	case STORE_OP_REMOVE:
	case STORE_OP_RENAME:
	case STORE_OP_SUBSCRIBE:
	case STORE_OP_UNSUBSCRIBE:
		break;
	}
	return 0;
}

/* The action that will make it: one that is in the log already, or a new one. */
static int log_create(struct store *s, int64_t mailbox, int64_t *seq)
{
	struct store_op op = { .kind = STORE_OP_CREATE, .mailbox = mailbox };
	struct store_node n;
	int r = store_db_int(&s->db, seq, "SELECT seq FROM op WHERE mailbox = ?1 AND kind = 7", "i",
	                     mailbox);

	if (r == 1)
		return is_parked(s, *seq) == 1 ? retry_locked(s, *seq) : 0;
	if (r == 0)
		r = store_node_get(s, mailbox, &n);
	if (r < 0)
		return r;
	if (n.kind != STORE_KIND_MAILBOX || n.parent == 0)
		return ERR_NOTFOUND;
	op.name = n.name;
	op.target = n.parent == STORE_ROOT ? 0 : n.parent;
	r = store_log_insert(s, &op, 0, NULL, seq);
	return r < 0 ? r
	             : store_db_run(&s->db, "UPDATE op SET not_before_ms = 0 WHERE seq = ?1", "i",
	                            *seq);
}

/* All that the missing mailbox holds up goes on once it is there. */
static int go_on_after(struct store *s, int64_t seq, int64_t mailbox, int64_t create)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT seq FROM op WHERE seq != ?2 AND state != 2 AND"
	                     " ((kind IN (1, 2) AND mailbox = ?1) OR"
	                     " (kind IN (3, 4, 5) AND target = ?1)) ORDER BY seq",
	                     "ii", mailbox, create);

	for (size_t i = 0; r >= 0 && i < ids.n; i++) {
		int64_t missing = 0;

		r = store_db_int(&s->db, &missing,
		                 "SELECT 1 FROM op WHERE seq = ?1 AND state = 3 AND"
		                 " (err = ?2 OR seq = ?3)",
		                 "iii", ids.v[i], store_err_to_disk(ERR_NOTFOUND), seq);
		if (r == 1)
			r = retry_locked(s, ids.v[i]);
		if (r == 0)
			r = store_log_need(s, ids.v[i], create);
	}
	return r < 0 ? r : 0;
}

static int recreate_locked(struct store *s, int64_t seq)
{
	struct store_op op = { 0 };
	int64_t mailbox, create = 0;
	int r = is_parked(s, seq);

	if (r == 1)
		r = store_log_get(s, seq, &op);
	if (r < 0)
		return r;
	mailbox = needed_mailbox(&op);
	store_op_release(&op);
	if (mailbox == 0)
		return ERR_INVAL;
	r = log_create(s, mailbox, &create);
	if (r == 0)
		r = go_on_after(s, seq, mailbox, create);
	return r < 0 ? r : undecided(s, seq);
}

int store_op_recreate(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, recreate_locked(s, seq));
}

/* ---- all of them ---- */

int store_op_stop(struct store *s, bool stop)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	return store_txn_end(s, store_db_run(&s->db,
	                                     "INSERT INTO meta VALUES ('stopped', ?1)"
	                                     " ON CONFLICT (key) DO UPDATE SET value = ?1",
	                                     "i", INT(stop)));
}

int store_op_stopped(struct store *s)
{
	int64_t stopped = 0;
	int r = store_db_int(&s->db, &stopped, "SELECT value FROM meta WHERE key = 'stopped'", "");

	return r < 0 ? r : stopped != 0;
}

int store_op_undecided(struct store *s, struct store_op *op)
{
	int64_t seq = 0;
	int r = store_db_int(&s->db, &seq,
	                     "SELECT seq FROM op WHERE state = 3 AND err != ?1 AND decided = 0"
	                     " ORDER BY seq LIMIT 1",
	                     "i", store_err_to_disk(ERR_BLOCKED));

	if (r <= 0)
		return r;
	r = store_log_get(s, seq, op);
	return r < 0 ? r : 1;
}

int store_op_decided(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	return store_txn_end(
		s, store_db_run(&s->db, "UPDATE op SET decided = 1 WHERE seq = ?1", "i", seq));
}

int store_op_dependents(struct store *s, int64_t seq, int64_t **seqs, size_t *count)
{
	struct store_ids ids = { 0 };
	int r = store_log_dependents(s, seq, &ids);

	if (r < 0) {
		free(ids.v);
		return r;
	}
	*seqs = ids.v;
	*count = ids.n;
	return 0;
}
