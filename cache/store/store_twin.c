/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>

#include "wordset.h"

/* A local file whose bytes are those of a message that the server has: copied there, not sent. */

#define CLEAN_MESSAGE                                                                    \
	"node n JOIN message m ON m.id = n.id WHERE n.kind = 3 AND n.parent IS NOT NULL" \
	" AND n.spool = 0 AND m.uid IS NOT NULL AND m.mailbox = n.parent AND m.body = 1" \
	" AND NOT m.aside AND NOT m.hidden AND NOT EXISTS (SELECT 1 FROM op"             \
	" WHERE op.message = m.id AND op.kind NOT IN (3, 6))"

int store_message_twins(struct store *s, const char *message_id, int64_t size, int64_t *ids,
                        int max)
{
	sqlite3_stmt *st;
	int n = 0;
	int r = store_db_row(&s->db, &st,
	                     "SELECT m.id FROM " CLEAN_MESSAGE
	                     " AND m.message_id = ?1 AND n.size = ?2 ORDER BY m.id LIMIT ?3",
	                     "sii", message_id, size, INT(max));

	for (; r == 1; r = store_db_next(&s->db, &st))
		ids[n++] = sqlite3_column_int64(st, 0);
	return r < 0 ? r : n;
}

/* Still one, still of that size, in a mailbox that takes it. */
static int check(struct store *s, const struct store_node *file, int64_t message)
{
	int64_t any;
	int r = file->kind == STORE_KIND_FILE ? 1 : 0;

	if (r == 1)
		r = store_db_int(&s->db, &any,
		                 "SELECT 1 FROM " CLEAN_MESSAGE " AND m.id = ?1 AND n.size = ?2",
		                 "ii", message, file->size);
	if (r == 1)
		r = store_db_int(&s->db, &any,
		                 "SELECT 1 FROM mailbox WHERE id = ?1 AND NOT read_only", "i",
		                 file->parent);
	return r < 0 ? r : r == 0 ? ERR_CONFLICT : 0;
}

/* The file becomes a message with the other one's bytes and facts. */
static int become(struct store *s, const struct store_node *file, int64_t message,
                  const char *flags)
{
	int r = store_db_run(
		&s->db,
		"UPDATE node SET kind = 3, mode = mode & ~73, spool = 0, size_exact = 1"
		" WHERE id = ?1",
		"i", file->id);

	if (r == 0)
		r = store_db_run(&s->db, "DELETE FROM message WHERE id = ?1", "i", file->id);
	if (r == 0)
		r = store_db_run(
			&s->db,
			"INSERT INTO message (id, date, zone, server_size, body, message_id,"
			" server_flags) SELECT ?2, date, zone, server_size, body, message_id,"
			" ?3 FROM message WHERE id = ?1",
			"iis", message, file->id, flags);
	if (r == 0)
		r = store_pack_share(s, message, file->id);
	if (r == 0 && file->spool != 0)
		r = store_spool_release(s, file->spool);
	return r < 0 ? r : store_node_touch(s, file->id);
}

static int log_copy(struct store *s, const struct store_node *file, int64_t message)
{
	struct store_op last = { 0 };
	struct store_op op = {
		.kind = STORE_OP_COPY, .target = file->parent, .message = message, .copy = file->id
	};
	struct store_node n;
	int r = store_node_get(s, message, &n);

	if (r < 0)
		return r;
	op.mailbox = n.parent;
	r = store_log_last(s, message, 0, &last);
	if (r == 1)
		op.depends_on = last.seq;
	store_op_release(&last);
	return r < 0 ? r : store_log_insert(s, &op, 0, NULL, NULL);
}

/* Flags that were set on the file are the copy's; one without any takes the message's along. */
static int set_flags(struct store *s, int64_t copy, const char *flags, const char *wanted)
{
	_cleanup_free_ char *add = wordset_minus(wanted, flags);
	_cleanup_free_ char *del = wordset_minus(flags, wanted);
	int r;

	if (wordset_count(wanted) == 0 || (wordset_count(add) == 0 && wordset_count(del) == 0))
		return 0;
	r = store_message_flag(s, copy, add, del);
	return r < 0 ? r : 0;
}

static int duplicate_locked(struct store *s, int64_t id, int64_t message)
{
	_cleanup_free_ char *flags = store_message_view_flags(s, message, 0);
	_cleanup_free_ char *wanted = store_message_view_flags(s, id, 0);
	struct store_node file;
	int r = store_node_get(s, id, &file);

	if (r == 0)
		r = flags ? check(s, &file, message) : ERR_CONFLICT;
	if (r == 0)
		r = become(s, &file, message, flags);
	if (r == 0)
		r = log_copy(s, &file, message);
	return r < 0 ? r : set_flags(s, id, flags, wanted ? wanted : "");
}

int store_message_duplicate(struct store *s, int64_t file, int64_t message)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, duplicate_locked(s, file, message));
}
