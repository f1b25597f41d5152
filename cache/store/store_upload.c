/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <time.h>

#include "wordset.h"

/* How bytes written here become something that the server is to get: APPEND and REPLACE. */

static int zone_of(time_t t)
{
	struct tm tm;

	return localtime_r(&t, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

int store_upload_set_date(struct store *s, int64_t id, int64_t mtime_ns)
{
	int64_t date = mtime_ns / 1000000000;
	int r = store_db_run(
		&s->db,
		"UPDATE message SET date = ?2, zone = ?3 WHERE id = ?1 AND (date = ?2 OR"
		" EXISTS (SELECT 1 FROM op WHERE op.message = ?1 AND op.kind = 1"
		" AND op.state IN (1, 3)))",
		"iii", id, date, INT(zone_of(date)));

	return r == 0 && sqlite3_changes(s->db.h) == 0 ? ERR_PERM : r;
}

static int check_mailbox(struct store *s, int64_t id)
{
	int64_t any = 0;
	int r = store_db_int(&s->db, &any, "SELECT 1 FROM mailbox WHERE id = ?1", "i", id);

	if (r <= 0)
		return r < 0 ? r : ERR_INVAL;
	return store_rights_check(s, id, "i");
}

/* A file turns into a message: its first upload. */
static int upload_new(struct store *s, const struct store_node *n, const char *flags,
                      const char *message_id)
{
	_cleanup_free_ char *before = store_message_view_flags(s, n->id, 0);
	_cleanup_free_ char *all = wordset_union(before, flags);
	int64_t date = n->mtime_ns / 1000000000;
	struct store_op op = {
		.kind = STORE_OP_APPEND,
		.mailbox = n->parent,
		.message = n->id,
		.spool = n->spool,
		.add = all,
	};
	int r = store_db_run(&s->db, "UPDATE node SET kind = 3, mode = mode & ~73 WHERE id = ?1",
	                     "i", n->id);

	if (r == 0)
		r = store_db_run(&s->db,
		                 "INSERT INTO message (id, date, zone, server_size, message_id,"
		                 " server_flags) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id)"
		                 " DO UPDATE SET date = ?2, zone = ?3, server_size = ?4,"
		                 " message_id = ?5, server_flags = ?6",
		                 "iiiiss", n->id, date, INT(zone_of(date)), n->size, message_id,
		                 all);
	return r < 0 ? r : store_log_insert(s, &op, 0, NULL, NULL);
}

/* An unsent upload gets its newest bytes: only the last draft is sent. */
static int renew(struct store *s, const struct store_op *op, int64_t spool)
{
	int r = store_db_run(&s->db,
	                     "UPDATE op SET spool = ?2, not_before_ms = ?3, state = 1, err = 0,"
	                     " error = NULL WHERE seq = ?1",
	                     "iii", op->seq, spool, store_now_ms() + s->hold_ms);

	if (r == 0)
		r = store_spool_release(s, op->spool);
	return r < 0 ? r : store_count(s, "cancelled", 1, NULL);
}

/* What the server has keeps its Message-ID until the edit is there. */
static int renew_id(struct store *s, const struct store_op *op, const char *message_id)
{
	if (op->kind == STORE_OP_APPEND)
		return store_db_run(&s->db, "UPDATE message SET message_id = ?2 WHERE id = ?1",
		                    "is", op->message, message_id);
	return store_db_run(&s->db, "UPDATE op SET name = ?2 WHERE seq = ?1", "is", op->seq,
	                    message_id ? message_id : "");
}

static int log_replace(struct store *s, const struct store_node *n, const char *message_id,
                       int64_t after)
{
	struct store_op op = {
		.kind = STORE_OP_REPLACE,
		.mailbox = n->parent,
		.message = n->id,
		.spool = n->spool,
		.name = (char *)(message_id ? message_id : ""),
		.depends_on = after,
	};

	return store_log_insert(s, &op, 0, NULL, NULL);
}

/* The content of a message changed. */
static int upload_again(struct store *s, const struct store_node *n, const char *message_id)
{
	struct store_op last = { 0 };
	int64_t clean = 0;
	bool fold;
	int r = store_db_int(&s->db, &clean, "SELECT clean_spool FROM message WHERE id = ?1", "i",
	                     n->id);

	if (r < 0 || clean == n->spool)
		return r < 0 ? r : 0; /* what the server has already */
	r = store_log_last(s, n->id, 0, &last);
	if (r < 0)
		return r;
	fold = r == 1 && last.message == n->id && !s->plain_log && last.state == STORE_OP_QUEUED &&
	       (last.kind == STORE_OP_APPEND || last.kind == STORE_OP_REPLACE);
	if (last.spool == n->spool && last.message == n->id)
		r = 0;
	else
		r = fold ? renew(s, &last, n->spool) : log_replace(s, n, message_id, last.seq);
	if (r == 0 && fold)
		r = renew_id(s, &last, message_id);
	store_op_release(&last);
	return r;
}

static int upload_locked(struct store *s, int64_t node, const char *flags, const char *message_id)
{
	struct store_node n;
	int r = store_node_get(s, node, &n);

	if (r < 0)
		return r;
	if ((n.kind != STORE_KIND_FILE && n.kind != STORE_KIND_MESSAGE) || n.spool == 0)
		return ERR_INVAL;
	r = check_mailbox(s, n.parent);
	if (r == 0)
		r = store_spool_sync(s, n.spool, &n.size);
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE node SET size = ?2, size_exact = 1 WHERE id = ?1",
		                 "ii", node, n.size);
	if (r < 0)
		return r;
	if (n.kind == STORE_KIND_FILE)
		r = upload_new(s, &n, flags, message_id);
	else
		r = upload_again(s, &n, message_id);
	return r < 0 ? r : store_node_touch(s, node);
}

int store_message_upload(struct store *s, int64_t node, const char *flags, const char *message_id)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, upload_locked(s, node, flags ? flags : "", message_id));
}
