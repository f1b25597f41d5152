/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>
#include <sys/stat.h>

#include "wordset.h"

/* What becomes of actions once they were tried: sent, done, to be tried again, or parked. */

int store_op_sent(struct store *s, int64_t seq, int step, const char *evidence)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE op SET state = 2, step = ?2, evidence = ?3,"
	                 " tries = tries + (step = 0) WHERE seq = ?1 AND state IN (1, 2)",
	                 "iis", seq, INT(step), evidence);
	if (r == 0 && sqlite3_changes(s->db.h) == 0)
		r = ERR_NOTFOUND;
	r = store_txn_end(s, r);
	return r < 0 || s->depth > 0 ? r : store_flush(s);
}

int store_op_freeze(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db, "UPDATE op SET state = 2 WHERE seq = ?1 AND state = 1", "i", seq);
	return store_txn_end(s, r);
}

int store_op_thaw(struct store *s, int64_t seq)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE op SET state = 1 WHERE seq = ?1 AND state = 2 AND step = 0", "i",
	                 seq);
	return store_txn_end(s, r);
}

/* What has failed meanwhile, because its mailbox was made anew, stays so. */
int store_op_requeue(struct store *s, int64_t seq, int64_t not_before_ms, int err,
                     const char *reason)
{
	int64_t open;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_int(&s->db, &open, "SELECT 1 FROM op WHERE seq = ?1 AND state IN (1, 2)", "i",
	                 seq);
	if (r <= 0)
		return store_txn_end(s, r);
	r = store_log_set_state(s, seq, STORE_OP_QUEUED, err, reason);
	if (r == 0)
		r = store_db_run(&s->db,
		                 /* what was sent with evidence has counted its try already */
		                 "UPDATE op SET not_before_ms = ?2, evidence = NULL,"
		                 " tries = tries + (step = 0 AND ?3), step = 0 WHERE seq = ?1",
		                 "iii", seq, not_before_ms, INT(err == ERR_REFUSED));
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

static int done_labels(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	_cleanup_free_ char *old = NULL, *words = NULL, *more = NULL, *left = NULL, *lines = NULL;
	int r = store_db_text(&s->db, &old, "SELECT labels FROM message WHERE id = ?1", "i",
	                      op->message);

	(void)res;
	if (r <= 0)
		return r;
	words = store_labels_to_words(old);
	more = wordset_union(words, op->add);
	left = wordset_minus(more, op->del);
	lines = store_labels_to_lines(left);
	return store_db_run(&s->db, "UPDATE message SET labels = ?2 WHERE id = ?1", "is",
	                    op->message, lines);
}

int store_edit_id(struct store *s, const struct store_op *op)
{
	return op->kind != STORE_OP_REPLACE || !op->name
	               ? 0
	               : store_db_run(
				 &s->db,
				 "UPDATE message SET message_id = nullif(?2, '') WHERE id = ?1",
				 "is", op->message, op->name);
}

/* Of what was sent; the node may have newer bytes by now.  -1: not to be had. */
static int64_t spool_size(struct store *s, int64_t spool)
{
	int fd = store_spool_open(s, spool, 0);
	struct stat st;
	int64_t size = fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : -1;

	store_spool_close(fd);
	return size;
}

/* The server has these bytes now; the body of what they replace is of no use any more. */
static int done_upload(struct store *s, const struct store_op *op, const struct store_op_done *res)
{
	int64_t size = spool_size(s, op->spool);
	int r = store_db_run(&s->db,
	                     "UPDATE message SET clean_spool = ?2, body = 0, server_size = CASE"
	                     " WHEN ?3 >= 0 THEN ?3 ELSE server_size END WHERE id = ?1",
	                     "iii", op->message, op->spool, size);

	if (r == 0)
		r = store_edit_id(s, op);
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

	if (r == 1) /* also one that was lost and is made again */
		r = store_db_run(&s->db,
		                 "UPDATE mailbox SET selectable = 1, missing_since_ms = 0"
		                 " WHERE id = ?1",
		                 "i", op->mailbox);
	if (r < 0 || (wire && !(res && res->wire_name)))
		return r;
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
	[STORE_OP_LABELS] = done_labels,
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

int store_op_park(struct store *s, int64_t seq, int err, const char *reason)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, store_log_park(s, seq, err, reason));
}
