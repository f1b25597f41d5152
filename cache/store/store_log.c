/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

/* How actions get into the log, leave it, and wait for each other (table dep). */

#define HOLDS_MORE 2 /* that a held action waits for those that still come */

#define COLUMNS                                                                                   \
	"o.seq, o.kind, o.state,"                                                                 \
	" CASE WHEN o.kind BETWEEN 2 AND 6 OR o.kind = 12 THEN coalesce(m.mailbox, o.mailbox) "   \
	"ELSE o.mailbox "                                                                         \
	"END,"                                                                                    \
	" o.target, o.message, o.copy, o.spool,"                                                  \
	" (SELECT max(needs) FROM dep WHERE dep.seq = o.seq), m.uid, x.uidvalidity, o.add_words," \
	" o.del_words, o.name, o.delete_mode, o.step, o.evidence, o.err, o.error, o.created_ms,"  \
	" o.not_before_ms, o.tries, o.base_flags, o.base_modseq"
#define FROM_LOG                                             \
	" FROM op o LEFT JOIN message m ON m.id = o.message" \
	" LEFT JOIN mailbox x ON x.id = m.mailbox "

static void read_op(sqlite3_stmt *st, struct store_op *op)
{
	*op = (struct store_op){
		.seq = sqlite3_column_int64(st, 0),
		.kind = (enum store_op_kind)sqlite3_column_int(st, 1),
		.state = (enum store_op_state)sqlite3_column_int(st, 2),
		.mailbox = sqlite3_column_int64(st, 3),
		.target = sqlite3_column_int64(st, 4),
		.message = sqlite3_column_int64(st, 5),
		.copy = sqlite3_column_int64(st, 6),
		.spool = sqlite3_column_int64(st, 7),
		.depends_on = sqlite3_column_int64(st, 8),
		.uid = (uint32_t)sqlite3_column_int64(st, 9),
		.uidvalidity = (uint32_t)sqlite3_column_int64(st, 10),
		.add = store_db_dup(st, 11),
		.del = store_db_dup(st, 12),
		.name = store_db_dup(st, 13),
		.delete_mode = sqlite3_column_int(st, 14),
		.step = sqlite3_column_int(st, 15),
		.evidence = store_db_dup(st, 16),
		.err = store_err_from_disk(sqlite3_column_int64(st, 17)),
		.error = store_db_dup(st, 18),
		.created_ms = sqlite3_column_int64(st, 19),
		.not_before_ms = sqlite3_column_int64(st, 20),
		.tries = sqlite3_column_int(st, 21),
		.base = store_db_dup(st, 22),
		.base_modseq = (uint64_t)sqlite3_column_int64(st, 23),
	};
	if (op->uid == 0)
		op->uidvalidity = 0;
}

void store_op_release(struct store_op *op)
{
	free(op->add);
	free(op->del);
	free(op->name);
	free(op->evidence);
	free(op->error);
	free(op->base);
	*op = (struct store_op){ 0 };
}

static int take(int r, sqlite3_stmt *st, struct store_op *op)
{
	if (r == 1)
		read_op(st, op);
	store_db_reset(&st);
	return r;
}

int store_log_get(struct store *s, int64_t seq, struct store_op *op)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st, "SELECT " COLUMNS FROM_LOG "WHERE o.seq = ?1", "i", seq);

	r = take(r, st, op);
	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

int store_log_last(struct store *s, int64_t message, int64_t before, struct store_op *op)
{
	int64_t seq = 0;
	int r = store_db_int(&s->db, &seq,
	                     "SELECT max(seq) FROM (SELECT seq FROM op WHERE message = ?1"
	                     " UNION ALL SELECT seq FROM op WHERE copy = ?1 AND copy != 0)"
	                     " WHERE ?2 = 0 OR seq < ?2",
	                     "ii", message, before);

	if (r < 0 || seq == 0)
		return r < 0 ? r : 0;
	r = store_log_get(s, seq, op);
	return r < 0 ? r : 1;
}

int store_op_next(struct store *s, int64_t after, int64_t now_ms, struct store_op *op)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT " COLUMNS FROM_LOG "WHERE o.seq > ?1 AND +o.state IN (1, 2)"
	                     " AND (?2 = 0 OR o.not_before_ms <= ?2)"
	                     " AND NOT EXISTS (SELECT 1 FROM dep WHERE dep.seq = o.seq)"
	                     " ORDER BY o.seq LIMIT 1",
	                     "ii", after, now_ms);

	return take(r, st, op);
}

int store_op_list(struct store *s, struct store_op **list, size_t *count)
{
	struct store_op *ops = NULL;
	size_t n = 0, cap = 0;
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st, "SELECT " COLUMNS FROM_LOG "ORDER BY o.seq", "");

	for (; r == 1; r = store_db_next(&s->db, &st)) {
		if (n == cap) {
			cap = cap ? cap * 2 : 16;
			ops = mem_realloc(ops, cap, sizeof(*ops));
		}
		read_op(st, &ops[n++]);
	}
	if (r < 0) {
		store_op_list_free(ops, n);
		return r;
	}
	*list = ops;
	*count = n;
	return 0;
}

void store_op_list_free(struct store_op *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_op_release(&list[i]);
	free(list);
}

int store_op_next_time(struct store *s, int64_t now_ms, int64_t *when_ms)
{
	int64_t first, last, bound;
	sqlite3_stmt *st;
	int r = store_db_row(
		&s->db, &st,
		"SELECT min(not_before_ms),"
		" max(CASE WHEN state = 1 AND not_before_ms <= ?1 THEN not_before_ms END)"
		" FROM op WHERE state IN (1, 2) AND not_before_ms > 0"
		" AND NOT EXISTS (SELECT 1 FROM dep WHERE dep.seq = op.seq)",
		"i", now_ms + s->hold_ms);

	if (r < 0)
		return r;
	first = sqlite3_column_int64(st, 0);
	last = sqlite3_column_int64(st, 1);
	store_db_reset(&st);
	bound = first + HOLDS_MORE * (int64_t)s->hold_ms;
	*when_ms = first >= last ? first : last < bound ? last : bound;
	return 0;
}

int store_op_open(struct store *s, int64_t upto, int64_t *count)
{
	int r = store_db_int(&s->db, count,
	                     "SELECT count(*) FROM op WHERE state IN (1, 2) AND seq <= ?1", "i",
	                     upto);

	return r < 0 ? r : 0;
}

int store_op_last(struct store *s, int64_t *seq)
{
	int64_t last = 0;
	int r = store_db_int(&s->db, &last, "SELECT coalesce(max(seq), 0) FROM op", "");

	if (r >= 0)
		*seq = last;
	return r < 0 ? r : 0;
}

static int counter(struct store *s, const char *key, int64_t *v)
{
	*v = 0;
	return store_db_int(&s->db, v, "SELECT value FROM meta WHERE key = ?1", "s", key);
}

int store_op_counts(struct store *s, struct store_op_counts *c)
{
	struct store_op_counts n = { 0 };
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT (SELECT count(*) FROM op WHERE state = 1),"
	                     " (SELECT count(*) FROM op WHERE state = 2),"
	                     " (SELECT count(*) FROM op WHERE state = 3)",
	                     "");

	if (r < 0)
		return r;
	n.queued = sqlite3_column_int64(st, 0);
	n.sent = sqlite3_column_int64(st, 1);
	n.parked = sqlite3_column_int64(st, 2);
	store_db_reset(&st);
	r = counter(s, "done", &n.done_total);
	if (r >= 0)
		r = counter(s, "cancelled", &n.cancelled_total);
	if (r >= 0)
		*c = n;
	return r < 0 ? r : 0;
}

void store_op_set_hold(struct store *s, int hold_ms)
{
	s->hold_ms = hold_ms;
}

/* ---- changes ---- */

int store_log_need(struct store *s, int64_t seq, int64_t needs)
{
	sqlite3_stmt *st;
	bool parked;
	int r;

	if (needs == 0 || needs == seq)
		return 0;
	r = store_db_row(&s->db, &st, "SELECT state FROM op WHERE seq = ?1", "i", needs);
	if (r <= 0)
		return r;
	parked = sqlite3_column_int(st, 0) == STORE_OP_PARKED;
	store_db_reset(&st);
	r = store_db_run(&s->db, "INSERT OR IGNORE INTO dep VALUES (?1, ?2)", "ii", seq, needs);
	if (r == 0 && parked)
		r = store_log_park(s, seq, ERR_BLOCKED,
		                   "an earlier change that it needs has failed");
	return r;
}

int store_log_need_mailbox(struct store *s, int64_t seq, int64_t mailbox)
{
	int64_t create = 0;
	int r = store_db_int(&s->db, &create,
	                     "SELECT max(seq) FROM op WHERE mailbox = ?1 AND kind = 7", "i",
	                     mailbox);

	return r < 0 ? r : store_log_need(s, seq, create);
}

int store_log_insert(struct store *s, const struct store_op *op, int64_t old_parent,
                     const char *old_name, int64_t *seq)
{
	int64_t now = store_now_ms();
	int64_t id;
	int r = store_db_run(
		&s->db,
		"INSERT INTO op (kind, state, mailbox, target, message, copy, spool,"
		" add_words, del_words, name, old_parent, old_name, delete_mode,"
		" created_ms, not_before_ms) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
		" ?9, ?10, ?11, ?12, ?13, ?14)",
		"iiiiiisssisiii", INT(op->kind), op->mailbox, op->target, op->message, op->copy,
		op->spool, op->add, op->del, op->name, old_parent, old_name, INT(op->delete_mode),
		now, now + s->hold_ms);

	if (r < 0)
		return r;
	id = sqlite3_last_insert_rowid(s->db.h);
	r = store_log_need(s, id, op->depends_on);
	if (r == 0 && op->mailbox != 0 && op->kind != STORE_OP_CREATE)
		r = store_log_need_mailbox(s, id, op->mailbox);
	if (r == 0 && op->target != 0)
		r = store_log_need_mailbox(s, id, op->target);
	if (r == 0 && seq)
		*seq = id;
	return r;
}

static int tell_subject(struct store *s, int64_t seq)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(
		&s->db, &ids,
		"SELECT CASE WHEN message != 0 THEN message ELSE mailbox END FROM op"
		" WHERE seq = ?1 UNION SELECT copy FROM op WHERE seq = ?1 AND copy != 0",
		"i", seq);

	for (size_t i = 0; r == 0 && i < ids.n; i++)
		store_txn_note(s, STORE_CHANGE_ATTR, ids.v[i], 0, NULL);
	return r;
}

int store_log_set_state(struct store *s, int64_t seq, enum store_op_state state, int err,
                        const char *reason)
{
	int r = store_db_run(&s->db,
	                     "UPDATE op SET state = ?2, err = ?3, error = ?4 WHERE seq = ?1",
	                     "iiis", seq, INT(state), store_err_to_disk(err), reason);

	return r < 0 ? r : tell_subject(s, seq);
}

/* Every action that needs `seq`, directly or by way of others. */
int store_log_dependents(struct store *s, int64_t seq, struct store_ids *ids)
{
	return store_db_ids(&s->db, ids,
	                    "WITH RECURSIVE d (seq) AS (SELECT seq FROM dep WHERE needs = ?1"
	                    " UNION SELECT dep.seq FROM dep, d WHERE dep.needs = d.seq)"
	                    " SELECT seq FROM d ORDER BY seq",
	                    "i", seq);
}

int store_log_unblock(struct store *s, int64_t seq)
{
	int64_t blocked, bad, subject = 0;
	int r = store_db_int(&s->db, &blocked,
	                     "SELECT 1 FROM op WHERE seq = ?1 AND state = 3 AND err = ?2", "ii",
	                     seq, store_err_to_disk(ERR_BLOCKED));

	if (r <= 0)
		return r;
	r = store_db_int(&s->db, &bad,
	                 "SELECT 1 FROM dep, op WHERE dep.seq = ?1 AND op.seq = dep.needs"
	                 " AND op.state = 3 LIMIT 1",
	                 "i", seq);
	if (r != 0)
		return r < 0 ? r : 0;
	r = store_log_set_state(s, seq, STORE_OP_QUEUED, 0, NULL);
	if (r == 0)
		r = store_db_int(&s->db, &subject,
		                 "SELECT message FROM op WHERE seq = ?1 AND kind IN (4, 5)", "i",
		                 seq);
	return r == 1 ? store_message_restore(s, subject, NULL) : r;
}

int store_log_unblock_all(struct store *s, const struct store_ids *ids)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ids->n; i++)
		r = store_log_unblock(s, ids->v[i]);
	return r;
}

static int remove_rows(struct store *s, int64_t seq)
{
	int r = store_db_run(&s->db,
	                     "INSERT OR IGNORE INTO dep SELECT a.seq, b.needs FROM dep a, dep b"
	                     " WHERE a.needs = ?1 AND b.seq = ?1",
	                     "i", seq);

	if (r == 0)
		r = store_db_run(&s->db, "DELETE FROM dep WHERE needs = ?1", "i", seq);
	if (r == 0)
		r = store_db_run(&s->db, "DELETE FROM dep WHERE seq = ?1", "i", seq);
	if (r == 0)
		r = store_db_run(&s->db, "DELETE FROM op WHERE seq = ?1", "i", seq);
	return r;
}

int store_log_remove(struct store *s, int64_t seq)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_log_dependents(s, seq, &ids);

	if (r >= 0)
		r = remove_rows(s, seq);
	return r < 0 ? r : store_log_unblock_all(s, &ids);
}

int store_log_released(struct store *s, int64_t seq)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_log_dependents(s, seq, &ids);

	return r < 0 ? r : store_log_unblock_all(s, &ids);
}

int store_log_cancel(struct store *s, int64_t seq)
{
	int64_t spool = 0;
	int r = store_db_int(&s->db, &spool, "SELECT spool FROM op WHERE seq = ?1", "i", seq);

	if (r <= 0)
		return r;
	r = store_log_remove(s, seq);
	if (r == 0 && spool != 0)
		r = store_spool_release(s, spool);
	return r < 0 ? r : store_count(s, "cancelled", 1, NULL);
}

int store_log_park(struct store *s, int64_t seq, int err, const char *reason)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_log_set_state(s, seq, STORE_OP_PARKED, err, reason);

	if (r == 0)
		r = store_log_dependents(s, seq, &ids);
	for (size_t i = 0; r == 0 && i < ids.n; i++) {
		int64_t queued;

		r = store_db_int(&s->db, &queued, "SELECT 1 FROM op WHERE seq = ?1 AND state != 3",
		                 "i", ids.v[i]);
		if (r == 1)
			r = store_log_set_state(s, ids.v[i], STORE_OP_PARKED, ERR_BLOCKED, reason);
	}
	return r;
}
