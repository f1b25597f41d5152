/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include "wordset.h"

/* The server lost something that pending actions name: what becomes of them. */

#define HEARD_GONE (-1) /* in `passes` of a message whose action is under way */

/* Its spool holds other bytes than those that were copied: an edit, or one that is just being written. */
static int is_written_over(struct store *s, const struct store_node *n)
{
	int64_t any;
	int r = n->spool == 0 ? 1
	                      : store_db_int(&s->db, &any,
	                                     "SELECT 1 FROM message WHERE id = ?1 AND clean_spool"
	                                     " = ?2 UNION ALL SELECT 1 FROM op WHERE spool = ?2"
	                                     " AND NOT (kind = 2 AND message = ?1) LIMIT 1",
	                                     "ii", n->id, n->spool);

	return r < 0 ? r : r == 0;
}

/* The bytes of the message that an action copies or moves.  ERR_NOTFOUND: not here. */
static int source_bytes(struct store *s, const struct store_op *op, int64_t subject, int64_t *spool)
{
	const void *data;
	size_t len;
	int r = store_pack_get(s, subject, &data,
	                       &len); /* a copy keeps them when the source is edited */

	if (r == ERR_NOTFOUND)
		r = store_pack_get(s, op->message, &data, &len);
	if (r == ERR_NOTFOUND) { /* an upload of ours that is not in the cache yet */
		r = store_db_int(&s->db, spool,
		                 "SELECT spool FROM node, message m WHERE node.id = ?1 AND m.id ="
		                 " ?2 AND spool != 0 AND spool = m.clean_spool",
		                 "ii", op->message, subject);
		return r < 0 ? r : r == 1 ? 0 : ERR_NOTFOUND;
	}
	return r < 0 ? r : store_spool_from(s, data, len, spool);
}

static int show_spool(struct store *s, int64_t subject, int64_t spool)
{
	int64_t size = 0;
	int r = store_spool_sync(s, spool, &size);

	return r < 0 ? r
	             : store_db_run(&s->db,
	                            "UPDATE node SET spool = ?2, size = ?3, size_exact = 1"
	                            " WHERE id = ?1",
	                            "iii", subject, spool, size);
}

/* The bytes to upload as `subject`: its own, unless somebody is just writing them. */
static int frozen_bytes(struct store *s, const struct store_op *op, int64_t subject, int64_t *spool)
{
	struct store_node n;
	int writing, r = store_node_get(s, subject, &n);

	writing = r < 0 ? r : is_written_over(s, &n);
	if (writing < 0)
		return writing;
	if (n.spool != 0 && !writing) {
		*spool = n.spool;
		return 0;
	}
	r = source_bytes(s, op, subject, spool);
	return r < 0 || writing ? r : show_spool(s, subject, *spool);
}

/* A move that was parked is shown where its message still was; as an upload it goes on. */
static int show_at_target(struct store *s, const struct store_op *op)
{
	struct store_node n;
	int r;

	if (op->kind != STORE_OP_MOVE || op->state != STORE_OP_PARKED)
		return 0;
	r = store_node_get(s, op->message, &n);
	if (r < 0 || n.parent != op->mailbox)
		return r;
	return store_node_place_free(s, op->message, op->target, n.name);
}

static int gone(struct store *s, int64_t id);

/* Neither the message nor its bytes are to be had.  A copy that was edited since is what it was edited
 * to; else it waits for the user. */
static int lost_bytes(struct store *s, const struct store_op *op)
{
	int64_t edited = 0;
	int r = op->kind != STORE_OP_COPY
	                ? 0
	                : store_db_int(&s->db, &edited,
	                               "SELECT 1 FROM op WHERE message = ?1 AND kind = 2 LIMIT 1",
	                               "i", op->copy);

	if (r == 0)
		return store_log_park(
			s, op->seq, ERR_CONFLICT,
			"the message is gone from the server and its content is not here");
	if (r == 1)
		r = store_log_remove(s, op->seq);
	return r < 0 ? r : gone(s, op->copy);
}

/* A copy or move out of a message that is gone: with the bytes here it becomes an upload of
 * `subject` to the target (R148).  A copy has the flags that were seen when it was made. */
static int make_upload(struct store *s, const struct store_op *op, int64_t subject)
{
	_cleanup_free_ char *flags = store_message_view_flags(s, subject, op->seq);
	int64_t spool = 0;
	int r = frozen_bytes(s, op, subject, &spool);

	if (r == ERR_NOTFOUND)
		return lost_bytes(s, op);
	if (r == 0)
		r = store_db_run(
			&s->db,
			"UPDATE op SET kind = 1, mailbox = target, target = 0, message = ?2,"
			" copy = 0, spool = ?3, add_words = ?4, state = 1, err = 0, error = NULL"
			" WHERE seq = ?1",
			"iiis", op->seq, subject, spool, flags ? flags : "");
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE message SET mailbox = NULL, uid = NULL, server_flags = ?2,"
		                 " aside = 0 WHERE id = ?1",
		                 "is", subject, flags ? flags : "");
	if (r == 0)
		r = show_at_target(s, op);
	return r < 0 ? r : store_log_released(s, op->seq);
}

int store_gone_to_upload(struct store *s, int64_t seq)
{
	struct store_op op = { 0 };
	int64_t parked;
	int r = store_log_get(s, seq, &op);

	if (r == 0)
		r = make_upload(s, &op, op.kind == STORE_OP_COPY ? op.copy : op.message);
	store_op_release(&op);
	if (r == 0)
		r = store_db_int(&s->db, &parked, "SELECT 1 FROM op WHERE seq = ?1 AND state = 3",
		                 "i", seq);
	return r == 1 ? ERR_CONFLICT : r;
}

/* An edit of a message that is gone is a new message (R148).  One that was sent may be there
 * already: it stays SENT and is looked for. */
static int edit_to_upload(struct store *s, const struct store_op *op, int64_t place)
{
	_cleanup_free_ char *flags = store_message_view_flags(s, op->message, op->seq);
	int r = store_db_run(&s->db,
	                     "UPDATE op SET kind = 1, add_words = ?2, err = 0, error = NULL,"
	                     " state = CASE state WHEN 2 THEN 2 ELSE 1 END, mailbox = ?3"
	                     " WHERE seq = ?1",
	                     "isi", op->seq, flags ? flags : "", place);

	return r < 0 ? r
	             : store_db_run(&s->db,
	                            "UPDATE message SET mailbox = NULL, uid = NULL, modseq = 0,"
	                            " server_flags = ?2 WHERE id = ?1",
	                            "is", op->message, flags ? flags : "");
}

/* A copy of bytes that its source will not have any more: nothing else may be copied in their place. */
static int forget_source(struct store *s, int64_t seq)
{
	return store_db_run(&s->db, "UPDATE op SET message = copy WHERE seq = ?1 AND kind = 3", "i",
	                    seq);
}

/* What came before the edit of a message that is gone: the upload will have its flags and be at its
 * place.  Copies of the old bytes are for themselves from now on. */
static int drop_before_edit(struct store *s, const struct store_ids *ids, int64_t edit)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ids->n && ids->v[i] < edit; i++) {
		struct store_op op = { 0 };

		r = store_log_get(s, ids->v[i], &op);
		if (r == 0 && op.kind == STORE_OP_COPY)
			r = store_db_run(
				&s->db,
				"DELETE FROM dep WHERE needs = ?1 AND seq IN (SELECT seq FROM"
				" op WHERE message = ?2)",
				"ii", op.seq, op.message);
		else if (r == 0)
			r = store_log_remove(s, op.seq);
		store_op_release(&op);
	}
	return r;
}

/* Where the actions on it before this one put it; those that failed do not show. */
static int place_before(struct store *s, const struct store_op *op, int64_t *place)
{
	int r;

	*place = op->mailbox;
	r = store_db_int(&s->db, place,
	                 "SELECT CASE kind WHEN 1 THEN mailbox ELSE target END FROM op WHERE"
	                 " message = ?1 AND seq < ?2 AND (kind IN (1, 4) OR kind = 5 AND target"
	                 " != 0) AND NOT (state = 3 AND err = ?3) ORDER BY seq DESC LIMIT 1",
	                 "iii", op->message, op->seq, store_err_to_disk(ERR_CONFLICT));
	return r < 0 ? r : 0;
}

/* The first edit of a message that is gone goes on as an upload, and what follows on it.  1: so it
 * is, 0: there is none. */
static int rescue_edit(struct store *s, int64_t id, const struct store_ids *ids, int64_t *edit)
{
	struct store_op op = { 0 };
	int64_t seq = 0, place = 0;
	int r = store_db_int(&s->db, &seq,
	                     "SELECT min(seq) FROM op WHERE message = ?1 AND kind = 2", "i", id);

	if (r < 0 || seq == 0)
		return r < 0 ? r : 0;
	r = store_log_get(s, seq, &op);
	if (r == 0)
		r = place_before(s, &op, &place);
	if (r == 0)
		r = store_edit_id(s, &op);
	if (r == 0)
		r = edit_to_upload(s, &op, place);
	store_op_release(&op);
	if (r == 0)
		r = drop_before_edit(s, ids, seq);
	if (r >= 0)
		r = store_log_need_mailbox(s, seq, place);
	if (r >= 0)
		r = store_log_released(s, seq);
	if (r >= 0)
		*edit = seq;
	return r < 0 ? r : 1;
}

/* What a later upload of it is to have. */
static int apply_flags(struct store *s, const struct store_op *op)
{
	_cleanup_free_ char *flags = store_message_view_flags(s, op->message, op->seq + 1);

	return flags ? store_db_run(&s->db, "UPDATE message SET server_flags = ?2 WHERE id = ?1",
	                            "is", op->message, flags)
	             : ERR_IO;
}

/* Has bytes that the server has not, in an action or not yet. */
static int is_edited(struct store *s, int64_t id)
{
	int64_t any;

	return store_db_int(&s->db, &any,
	                    "SELECT 1 FROM node n, message m WHERE n.id = ?1 AND m.id = ?1"
	                    " AND n.spool != 0 AND n.spool != m.clean_spool",
	                    "i", id);
}

/* A copy of what was there before the edit, which stays an action on its own; one made since is a
 * copy of the upload. */
static int copy_of_gone(struct store *s, const struct store_op *op, int64_t edit)
{
	int r;

	if (edit != 0 && op->seq > edit)
		return 0;
	r = make_upload(s, op, op->copy);
	return r < 0 ? r : forget_source(s, op->seq);
}

static int one_action(struct store *s, const struct store_op *op, int64_t edit, bool *keep)
{
	int r;

	switch (op->kind) {
	case STORE_OP_FLAGS: /* R147: on a message that is gone they are done */
	case STORE_OP_LABELS:
	case STORE_OP_DELETE:
		if (*keep)
			return 0; /* meant for the upload that it now is */
		if (op->kind == STORE_OP_FLAGS && apply_flags(s, op) < 0)
			return ERR_IO;
		return store_count(s, "done", 1, NULL) < 0 ? ERR_IO : store_log_remove(s, op->seq);
	case STORE_OP_COPY:
		return copy_of_gone(s, op, edit);
	case STORE_OP_MOVE:
		if (*keep)
			return 0;
		r = is_edited(s, op->message);
		if (r != 0) /* its newest bytes are uploaded from where it is now */
			return r < 0 ? r : store_log_remove(s, op->seq);
		*keep = true;
		return make_upload(s, op, op->message);
	case STORE_OP_REPLACE:
	case STORE_OP_APPEND:
	case STORE_OP_CREATE:
	case STORE_OP_REMOVE:
	case STORE_OP_RENAME:
	case STORE_OP_SUBSCRIBE:
	case STORE_OP_UNSUBSCRIBE:
		*keep = true;
		return 0;
	}
	return ERR_INVAL;
}

/* Bytes written here that no action has yet: the file stays, as a local one. */
static int keep_dirty(struct store *s, int64_t id)
{
	int64_t dirty = 0;
	int r = store_db_int(
		&s->db, &dirty,
		"SELECT 1 FROM node n, message m WHERE n.id = ?1 AND m.id = ?1"
		" AND n.spool != 0 AND n.spool != m.clean_spool AND n.parent IS NOT NULL",
		"i", id);

	if (r <= 0)
		return r;
	r = store_pack_drop(s, id);
	if (r >= 0)
		r = store_db_run(&s->db, "DELETE FROM message WHERE id = ?1", "i", id);
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE node SET kind = 4 WHERE id = ?1", "i", id);
	store_txn_note(s, STORE_CHANGE_ATTR, id, 0, NULL);
	return r < 0 ? r : 1;
}

/* An action on it may have been executed: whoever sent it finds out, with the UID it had.  An expunge
 * with evidence owes others' messages something. */
static int is_in_flight(struct store *s, int64_t id)
{
	int64_t any;

	return store_db_int(
		&s->db, &any,
		"SELECT 1 FROM op WHERE message = ?1 AND state = 2 AND (kind IN (2, 3, 4)"
		" OR kind = 5 AND (target != 0 OR step > 0)) LIMIT 1",
		"i", id);
}

static int gone(struct store *s, int64_t id)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int64_t edit = 0;
	bool keep = false;
	int r = is_in_flight(s, id);

	if (r != 0)
		return r < 0 ? r
		             : store_db_run(&s->db, "UPDATE message SET passes = ?2 WHERE id = ?1",
		                            "ii", id, INT(HEARD_GONE));
	r = store_db_ids(&s->db, &ids, "SELECT seq FROM op WHERE message = ?1 ORDER BY seq", "i",
	                 id);
	if (r >= 0)
		r = rescue_edit(s, id, &ids, &edit);
	keep = r == 1;
	for (size_t i = 0; r >= 0 && i < ids.n; i++) {
		struct store_op op = { 0 };

		r = store_log_get(s, ids.v[i], &op);
		if (r == 0)
			r = one_action(s, &op, edit, &keep);
		store_op_release(&op);
		r = r == ERR_NOTFOUND ? 0 : r; /* dropped with the edit */
	}
	if (r < 0)
		return r;
	if (!keep) {
		r = keep_dirty(s, id);
		return r != 0 ? (r < 0 ? r : 0) : store_message_forget(s, id);
	}
	r = store_db_run(&s->db, "UPDATE message SET mailbox = NULL, uid = NULL WHERE id = ?1", "i",
	                 id);
	return r < 0 ? r : store_node_touch(s, id);
}

int store_pull_expunged(struct store *s, int64_t mailbox, const uint32_t *uids, size_t count)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < count; i++) {
		int64_t id = 0;

		r = store_message_by_uid(s, mailbox, uids[i], &id);
		r = r == ERR_NOTFOUND ? 0 : r < 0 ? r : gone(s, id);
	}
	return store_txn_end(s, r);
}

int store_pull_vanished(struct store *s, int64_t id)
{
	int64_t heard;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_int(&s->db, &heard, "SELECT 1 FROM message WHERE id = ?1 AND passes = ?2",
	                 "ii", id, INT(HEARD_GONE));
	if (r == 1)
		r = gone(s, id);
	else if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE mailbox SET highestmodseq = 0 WHERE id ="
		                 " (SELECT mailbox FROM message WHERE id = ?1)",
		                 "i", id);
	return store_txn_end(s, r);
}

/* ---- UIDVALIDITY ---- */

/* Out of the view wherever a pending action had put it: that action has failed. */
static int set_aside(struct store *s, int64_t id)
{
	struct store_node n;
	int r = keep_dirty(s, id);

	if (r != 0)
		return r < 0 ? r : 0;
	r = store_db_run(
		&s->db,
		"UPDATE message SET uid = NULL, modseq = 0, aside = 1, passes = 0 WHERE id = ?1",
		"i", id);
	if (r == 0)
		r = store_node_get(s, id, &n);
	return r < 0 ? r : store_node_place(s, id, 0, n.name);
}

/* The edit goes on as an upload; copies of what was there before fail. */
static int fail_edited(struct store *s, int64_t id, const char *reason, int err)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	_cleanup_ids_ struct store_ids copies = { 0 };
	int64_t edit = 0;
	int r = store_db_ids(&s->db, &ids, "SELECT seq FROM op WHERE message = ?1 ORDER BY seq",
	                     "i", id);

	if (r >= 0)
		r = store_db_ids(&s->db, &copies,
		                 "SELECT seq FROM op WHERE message = ?1 AND kind = 3 AND seq <"
		                 " (SELECT min(seq) FROM op WHERE message = ?1 AND kind = 2)",
		                 "i", id);
	if (r >= 0)
		r = rescue_edit(s, id, &ids, &edit);
	for (size_t i = 0; r >= 0 && i < copies.n; i++) {
		r = store_log_park(s, copies.v[i], err, reason);
		if (r >= 0)
			r = forget_source(s, copies.v[i]);
	}
	return r;
}

/* Actions that name a UID of the mailbox cannot be carried out any more; edits can. */
static int fail_actions(struct store *s, int64_t mailbox, const char *reason, int err)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	_cleanup_ids_ struct store_ids edited = { 0 };
	int r = store_db_ids(
		&s->db, &edited,
		"SELECT DISTINCT o.message FROM op o JOIN message m ON m.id = o.message"
		" WHERE m.mailbox = ?1 AND o.kind = 2",
		"i", mailbox);

	for (size_t i = 0; r >= 0 && i < edited.n; i++)
		r = fail_edited(s, edited.v[i], reason, err);
	if (r >= 0)
		r = store_db_ids(&s->db, &ids,
		                 "SELECT o.seq FROM op o JOIN message m ON m.id = o.message"
		                 " WHERE m.mailbox = ?1 AND (o.kind BETWEEN 2 AND 6 OR o.kind = 12)"
		                 " ORDER BY o.seq",
		                 "i", mailbox);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_park(s, ids.v[i], err, reason);
	return r;
}

static int reset_locked(struct store *s, int64_t mailbox, uint32_t uidvalidity)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = fail_actions(s, mailbox, "the server gave the mailbox a new UIDVALIDITY",
	                     ERR_CONFLICT);

	if (r >= 0)
		r = store_db_ids(&s->db, &ids,
		                 "SELECT id FROM message WHERE mailbox = ?1 AND uid > 0", "i",
		                 mailbox);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = set_aside(s, ids.v[i]);
	if (r >= 0)
		r = store_db_run(
			&s->db,
			"UPDATE mailbox SET uidvalidity = ?2, uidnext = 0, highestmodseq = 0,"
			" messages = 0, unseen = 0 WHERE id = ?1",
			"ii", mailbox, INT(uidvalidity));
	if (r >= 0)
		store_txn_note(s, STORE_CHANGE_ATTR, mailbox, 0, NULL);
	return r;
}

int store_pull_reset(struct store *s, int64_t mailbox, uint32_t uidvalidity)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, reset_locked(s, mailbox, uidvalidity));
}

/* ---- a mailbox that is gone ---- */

static int leave_mailbox(struct store *s, int64_t mailbox, int64_t id)
{
	struct store_node n;
	int64_t any = 0;
	int r = keep_dirty(s, id);

	if (r != 0)
		return r < 0 ? r : 0;
	r = store_db_int(&s->db, &any,
	                 "SELECT 1 FROM op WHERE message = ?1 OR (copy = ?1 AND copy != 0) LIMIT 1",
	                 "i", id);
	if (r <= 0)
		return r < 0 ? r : store_message_forget(s, id);
	r = store_db_run(&s->db,
	                 "UPDATE message SET uid = NULL, modseq = 0, aside = 1 WHERE id = ?1", "i",
	                 id);
	if (r == 0)
		r = store_node_get(s, id, &n);
	return r < 0 || n.parent != mailbox ? r : store_node_place(s, id, 0, n.name);
}

/* The directory stays while something still lives in it or is on its way there. */
static int leave_directory(struct store *s, int64_t mailbox)
{
	int64_t any = 0;
	int r = store_db_int(&s->db, &any,
	                     "SELECT 1 FROM node WHERE parent = ?1 UNION ALL SELECT 1 FROM op WHERE"
	                     " mailbox = ?1 OR target = ?1 UNION ALL SELECT 1 FROM message WHERE"
	                     " mailbox = ?1 LIMIT 1",
	                     "i", mailbox);

	if (r < 0)
		return r;
	if (r == 0)
		return store_mailbox_forget(s, mailbox);
	store_txn_note(s, STORE_CHANGE_ATTR, mailbox, 0, NULL);
	return store_db_run(&s->db,
	                    "UPDATE mailbox SET selectable = 0, uidvalidity = 0, uidnext = 0,"
	                    " highestmodseq = 0, messages = 0, unseen = 0, missing_since_ms = 0"
	                    " WHERE id = ?1",
	                    "i", mailbox);
}

/* A removal of it is done; the rest of what concerns the mailbox itself fails, and uploads whose
 * outcome nobody can look up there any more. */
static int gone_structure(struct store *s, int64_t mailbox)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int64_t removal = 0;
	int r = store_db_ids(
		&s->db, &ids,
		"SELECT seq FROM op WHERE mailbox = ?1 AND state != 3 AND (kind IN (9, 10, 11)"
		" OR (kind = 1 AND state = 2))",
		"i", mailbox);

	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_park(s, ids.v[i], ERR_NOTFOUND,
		                   "the mailbox is gone from the server");
	if (r >= 0)
		r = store_db_int(&s->db, &removal,
		                 "SELECT seq FROM op WHERE mailbox = ?1 AND kind = 8", "i",
		                 mailbox);
	return r == 1 ? store_log_finish(s, removal, NULL) : r;
}

static int mailbox_gone_locked(struct store *s, int64_t mailbox)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = fail_actions(s, mailbox, "the mailbox is gone from the server", ERR_NOTFOUND);

	if (r >= 0)
		r = gone_structure(s, mailbox);
	if (r >= 0)
		r = store_db_ids(&s->db, &ids, "SELECT id FROM message WHERE mailbox = ?1", "i",
		                 mailbox);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = leave_mailbox(s, mailbox, ids.v[i]);
	return r < 0 ? r : leave_directory(s, mailbox);
}

int store_pull_mailbox_gone(struct store *s, int64_t mailbox)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, mailbox_gone_locked(s, mailbox));
}
