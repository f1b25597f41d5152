/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>

#include "wordset.h"

/* What becomes of actions once they were tried: sent, done, to be tried again, or parked. */

int store_op_sent(struct store *s, int64_t seq, int step, const char *evidence)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE op SET state = 2, step = ?2, evidence = ?3,"
	                 " tries = tries + (state != 2) WHERE seq = ?1 AND state IN (1, 2)",
	                 "iis", seq, INT(step), evidence);
	if (r == 0 && sqlite3_changes(s->db.h) == 0)
		r = ERR_NOTFOUND;
	r = store_txn_end(s, r);
	return r < 0 || s->depth > 0 ? r : store_flush(s);
}

int store_op_requeue(struct store *s, int64_t seq, int64_t not_before_ms, int err,
                     const char *reason)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_log_set_state(s, seq, STORE_OP_QUEUED, err, reason);
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE op SET not_before_ms = ?2, step = 0, evidence = NULL"
		                 " WHERE seq = ?1",
		                 "ii", seq, not_before_ms);
	return store_txn_end(s, r);
}

int store_op_hold(struct store *s, int64_t seq, int64_t not_before_ms)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db, "UPDATE op SET not_before_ms = ?2 WHERE seq = ?1 AND state = 2",
	                 "ii", seq, not_before_ms);
	return store_txn_end(s, r);
}

/* ---- done ---- */

static int done_flags(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	_cleanup_free_ char *old = NULL, *more = NULL, *flags = NULL;
	int r = store_db_text(&s->db, &old, "SELECT server_flags FROM message WHERE id = ?1", "i",
	                      op->message);

	(void)res;
	if (r <= 0)
		return r;
	more = wordset_union(old, op->add);
	flags = wordset_minus(more, op->del);
	return store_db_run(&s->db, "UPDATE message SET server_flags = ?2 WHERE id = ?1", "is",
	                    op->message, flags);
}

/* The server has these bytes now; the body of what they replace is of no use any more. */
static int done_upload(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	int r = store_db_run(&s->db,
	                     "UPDATE message SET clean_spool = ?2, body = 0, server_size = CASE"
	                     " WHEN (SELECT spool FROM node WHERE id = ?1) = ?2"
	                     " THEN (SELECT size FROM node WHERE id = ?1) ELSE server_size END"
	                     " WHERE id = ?1",
	                     "ii", op->message, op->spool);

	if (r == 0)
		r = store_pack_drop(s, op->message);
	if (r >= 0)
		r = store_message_settle(s, op->message, op->mailbox, res->uidvalidity, res->uid);
	return r;
}

static int done_copy(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	return store_message_settle(s, op->copy, op->target, res->uidvalidity, res->uid);
}

static int done_move(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	return store_message_settle(s, op->message, op->target, res->uidvalidity, res->uid);
}

static int done_delete(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	_cleanup_free_ char *flags = NULL, *old = NULL;
	int r;

	if (op->delete_mode == STORE_DELETE_TRASH && op->target != 0)
		return done_move(s, op, res);
	if (op->delete_mode != STORE_DELETE_FLAG)
		return store_message_forget(s, op->message);
	r = store_db_text(&s->db, &old, "SELECT server_flags FROM message WHERE id = ?1", "i",
	                  op->message);
	if (r <= 0)
		return r;
	flags = wordset_union(old, "\\Deleted");
	return store_db_run(&s->db,
	                    "UPDATE message SET server_flags = ?2, hidden = 1 WHERE id = ?1", "is",
	                    op->message, flags);
}

/* What the sync layer said it asked for, else put together here (plain ASCII names). */
static int wire_of(struct store *s, const struct store_op *op, const struct store_op_done *res,
                   char **out)
{
	_cleanup_free_ char *parent = NULL, *leaf = NULL;
	int64_t delimiter = 0;
	int r;

	if (res && res->wire_name) {
		*out = mem_strdup(res->wire_name);
		return 0;
	}
	leaf = store_name_unescape(op->name);
	if (op->target == 0) {
		*out = mem_steal(leaf);
		return 0;
	}
	r = store_db_text(&s->db, &parent, "SELECT wire_name FROM mailbox WHERE id = ?1", "i",
	                  op->target);
	if (r >= 0)
		r = store_db_int(&s->db, &delimiter, "SELECT delimiter FROM mailbox WHERE id = ?1",
		                 "i", op->target);
	if (r < 0)
		return r;
	*out = mem_printf("%s%c%s", parent ? parent : "", delimiter ? (char)delimiter : '/', leaf);
	return 0;
}

static int done_create(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	_cleanup_free_ char *wire = NULL;
	int r = store_db_text(&s->db, &wire, "SELECT wire_name FROM mailbox WHERE id = ?1", "i",
	                      op->mailbox);

	if (r <= 0 || (wire && !(res && res->wire_name)))
		return r < 0 ? r : 0;
	free(mem_steal(wire));
	r = wire_of(s, op, res, &wire);
	return r < 0 ? r
	             : store_db_run(&s->db,
	                            "UPDATE OR REPLACE mailbox SET wire_name = ?2 WHERE id = ?1",
	                            "is", op->mailbox, wire);
}

static int done_rename(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	_cleanup_free_ char *wire = NULL, *old = NULL;
	int64_t delimiter = 0;
	int r = wire_of(s, op, res, &wire);

	if (r == 0)
		r = store_db_text(&s->db, &old, "SELECT wire_name FROM mailbox WHERE id = ?1", "i",
		                  op->mailbox);
	if (r >= 0)
		r = store_db_int(&s->db, &delimiter, "SELECT delimiter FROM mailbox WHERE id = ?1",
		                 "i", op->mailbox);
	if (r >= 0)
		r = store_db_run(&s->db, "UPDATE mailbox SET wire_name = ?2 WHERE id = ?1", "is",
		                 op->mailbox, wire);
	if (r < 0 || !old || delimiter == 0)
		return r < 0 ? r : 0;
	return store_db_run(&s->db,
	                    "UPDATE mailbox SET wire_name = ?2 || substr(wire_name, length(?1) + 1)"
	                    " WHERE substr(wire_name, 1, length(?1) + 1) = ?1 || char(?3)",
	                    "ssi", old, wire, delimiter);
}

/* The mailbox and all that is known of its messages. */
int store_mailbox_forget(struct store *s, int64_t mailbox)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->db, &ids, "SELECT id FROM message WHERE mailbox = ?1", "i",
	                     mailbox);

	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_message_forget(s, ids.v[i]);
	if (r >= 0)
		r = store_db_run(&s->db, "DELETE FROM mailbox WHERE id = ?1", "i", mailbox);
	if (r >= 0)
		r = store_node_delete(s, mailbox);
	return r == ERR_NOTFOUND ? 0 : r;
}

static int done_remove(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	(void)res;
	return store_mailbox_forget(s, op->mailbox);
}

static int done_subscription(struct store *s, const struct store_op *op,
                             const struct store_op_done *res)
{
	(void)res;
	return store_db_run(&s->db, "UPDATE mailbox SET subscribed = ?2 WHERE id = ?1", "ii",
	                    op->mailbox, INT(op->kind == STORE_OP_SUBSCRIBE));
}

typedef int (*done_fn)(struct store *s, const struct store_op *op, const struct store_op_done *res);

static const done_fn done[] = {
	[STORE_OP_APPEND] = done_upload,
	[STORE_OP_REPLACE] = done_upload,
	[STORE_OP_COPY] = done_copy,
	[STORE_OP_MOVE] = done_move,
	[STORE_OP_DELETE] = done_delete,
	[STORE_OP_FLAGS] = done_flags,
	[STORE_OP_CREATE] = done_create,
	[STORE_OP_REMOVE] = done_remove,
	[STORE_OP_RENAME] = done_rename,
	[STORE_OP_SUBSCRIBE] = done_subscription,
	[STORE_OP_UNSUBSCRIBE] = done_subscription,
};

int store_log_finish(struct store *s, int64_t seq, const struct store_op_done *result)
{
	static const struct store_op_done nothing;
	struct store_op op = { 0 };
	int r = store_log_get(s, seq, &op);

	if (r < 0)
		return r;
	r = done[op.kind](s, &op, result ? result : &nothing);
	if (r >= 0)
		r = store_log_remove(s, seq);
	if (r >= 0 && op.spool != 0)
		r = store_spool_release(s, op.spool);
	if (r >= 0)
		r = store_count(s, "done", 1, NULL);
	if (r >= 0)
		store_txn_note(s, STORE_CHANGE_ATTR, op.message ? op.message : op.mailbox, 0, NULL);
	store_op_release(&op);
	return r < 0 ? r : 0;
}

int store_op_done(struct store *s, int64_t seq, const struct store_op_done *result)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, store_log_finish(s, seq, result));
}

/* ---- parked, and the user's choices ---- */

int store_op_park(struct store *s, int64_t seq, int err, const char *reason)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, store_log_park(s, seq, err, reason));
}

static int unblock(struct store *s, int64_t seq)
{
	int64_t blocked, bad;
	int r = store_db_int(&s->db, &blocked,
	                     "SELECT 1 FROM op WHERE seq = ?1 AND state = 3 AND err = ?2", "ii",
	                     seq, INT(ERR_BLOCKED));

	if (r <= 0)
		return r;
	r = store_db_int(&s->db, &bad,
	                 "SELECT 1 FROM dep, op WHERE dep.seq = ?1 AND op.seq = dep.needs"
	                 " AND op.state = 3 LIMIT 1",
	                 "i", seq);
	return r != 0 ? (r < 0 ? r : 0) : store_log_set_state(s, seq, STORE_OP_QUEUED, 0, NULL);
}

static int unblock_all(struct store *s, const struct store_ids *ids)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ids->n; i++)
		r = unblock(s, ids->v[i]);
	return r;
}

/* The message is shown where what is left of the log puts it. */
static int restore_view(struct store *s, int64_t message)
{
	struct store_node n;
	int64_t place = 0;
	int r = store_node_get(s, message, &n);

	if (r < 0)
		return r == ERR_NOTFOUND ? 0 : r;
	r = store_message_place(s, message, &place);
	if (r < 0 || place == n.parent)
		return r;
	return place ? store_node_place_free(s, message, place, n.name)
	             : store_node_place(s, message, 0, n.name);
}

static int retry_locked(struct store *s, int64_t seq)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int64_t parked, message = 0;
	int r = store_db_int(&s->db, &parked, "SELECT 1 FROM op WHERE seq = ?1 AND state = 3", "i",
	                     seq);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	r = store_log_set_state(s, seq, STORE_OP_QUEUED, 0, NULL);
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE op SET not_before_ms = 0, step = 0, evidence = NULL"
		                 " WHERE seq = ?1",
		                 "i", seq);
	if (r == 0)
		r = store_log_dependents(s, seq, &ids);
	if (r == 0)
		r = unblock_all(s, &ids);
	if (r == 0)
		r = store_db_int(&s->db, &message,
		                 "SELECT message FROM op WHERE seq = ?1 AND kind IN (4, 5)", "i",
		                 seq);
	return r == 1 ? restore_view(s, message) : r;
}

int store_op_retry(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, retry_locked(s, seq));
}

/* All actions on a message that will never be, and the message. */
static int drop_message(struct store *s, int64_t message)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	_cleanup_ids_ struct store_ids copies = { 0 };
	int r = store_db_ids(&s->db, &copies,
	                     "SELECT copy FROM op WHERE message = ?1 AND copy != 0", "i", message);

	if (r == 0)
		r = store_db_ids(&s->db, &ids, "SELECT seq FROM op WHERE message = ?1 OR copy = ?1",
		                 "i", message);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_cancel(s, ids.v[i]);
	for (size_t i = 0; r >= 0 && i < copies.n; i++)
		r = drop_message(s, copies.v[i]);
	return r < 0 ? r : store_message_forget(s, message);
}

static int drop_upload(struct store *s, const struct store_op *op)
{
	struct store_node n;
	int r = store_node_get(s, op->message, &n);

	if (r == 0)
		r = store_spool_rescue(s, op->spool, n.name);
	return r < 0 ? r : drop_message(s, op->message);
}

/* The edit goes to lost+found; the message shows what the server has. */
static int drop_replace(struct store *s, const struct store_op *op)
{
	struct store_node n;
	int r = store_node_get(s, op->message, &n);

	if (r == 0)
		r = store_spool_rescue(s, op->spool, n.name);
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

static int drop_on_message(struct store *s, const struct store_op *op)
{
	int r = store_log_cancel(s, op->seq);

	if (r >= 0)
		r = restore_view(s, op->message);
	return r < 0 ? r : store_node_touch(s, op->message);
}

static int drop_copy(struct store *s, const struct store_op *op)
{
	return drop_message(s, op->copy);
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
	[STORE_OP_UNSUBSCRIBE] = drop_plain,
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
		r = unblock_all(s, &ids);
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
	if (r == 0)
		r = store_log_need_mailbox(s, seq, mailbox);
	if (r == 0)
		r = restore_view(s, subject);
	return r;
}

int store_op_retarget(struct store *s, int64_t seq, int64_t mailbox)
{
	int64_t parked = 0;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = retarget_locked(s, seq, mailbox);
	if (r == 0)
		r = store_db_int(&s->db, &parked, "SELECT 1 FROM op WHERE seq = ?1 AND state = 3",
		                 "i", seq);
	if (r == 1)
		r = retry_locked(s, seq);
	return store_txn_end(s, r);
}
