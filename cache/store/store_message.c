/* SPDX-License-Identifier: MIT */
#include "store_partial.h"
#include "store_priv.h"

#include <string.h>

#include "wordset.h"

/* What the server has, with the actions of this kind on top.  One statement: each is a turn at the
 * file's locks. */
static int view_words(struct store *s, int64_t id, enum store_op_kind kind, int64_t before_seq,
                      char **out)
{
	_cleanup_free_ char *words = NULL;
	bool labels = kind == STORE_OP_LABELS;
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT CASE ?3 WHEN 12 THEN m.labels ELSE m.server_flags END,"
	                     " o.seq, o.add_words, o.del_words FROM message m"
	                     " LEFT JOIN op o ON o.message = m.id AND o.kind = ?3"
	                     " AND (?2 = 0 OR o.seq < ?2) WHERE m.id = ?1 ORDER BY o.seq",
	                     "iii", id, before_seq, INT(kind));

	if (r == 0)
		return ERR_NOTFOUND;
	if (r == 1) {
		_cleanup_free_ char *text = store_db_dup(st, 0);

		words = labels && text ? store_labels_to_words(text) : mem_steal(text);
	}
	for (; r == 1; r = store_db_next(&s->db, &st)) {
		_cleanup_free_ char *old = NULL, *more = NULL;

		if (sqlite3_column_type(st, 1) == SQLITE_NULL || (labels && !words))
			continue;
		old = mem_steal(words);
		more = wordset_union(old, (const char *)sqlite3_column_text(st, 2));
		words = wordset_minus(more, (const char *)sqlite3_column_text(st, 3));
	}
	if (r < 0 || (labels && !words))
		return r < 0 ? r : ERR_NOTFOUND;
	*out = words ? mem_steal(words) : mem_strdup("");
	return 0;
}

char *store_message_view_flags(struct store *s, int64_t id, int64_t before_seq)
{
	char *flags = NULL;

	(void)view_words(s, id, STORE_OP_FLAGS, before_seq, &flags);
	return flags;
}

char *store_message_view_labels(struct store *s, int64_t id, int64_t before_seq)
{
	char *labels = NULL;

	(void)view_words(s, id, STORE_OP_LABELS, before_seq, &labels);
	return labels;
}

static char *labels_shown(struct store *s, int64_t id)
{
	_cleanup_free_ char *words = store_message_view_labels(s, id, 0);

	return words ? store_labels_to_lines(words) : NULL;
}

int store_message_flags(struct store *s, int64_t id, char **out)
{
	return view_words(s, id, STORE_OP_FLAGS, 0, out);
}

static int pending(struct store *s, int64_t id, struct store_message *m)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT err, error FROM op WHERE message = ?1"
	                     " UNION ALL SELECT err, error FROM op WHERE copy = ?1 AND copy != 0"
	                     " AND message != ?1",
	                     "i", id);

	for (; r == 1; r = store_db_next(&s->db, &st)) {
		m->pending++;
		if (sqlite3_column_type(st, 1) == SQLITE_NULL)
			continue;
		free(m->error);
		m->error = store_db_dup(st, 1);
	}
	return r;
}

int store_message_get(struct store *s, int64_t id, struct store_message *out)
{
	struct store_message m = { .id = id };
	sqlite3_stmt *st;
	int r = store_db_row(
		&s->db, &st,
		"SELECT m.mailbox, m.uid, x.uidvalidity, m.modseq, m.date, m.zone,"
		" m.server_size, m.body, m.message_id, m.emailid, m.threadid,"
		" m.server_flags FROM message m LEFT JOIN mailbox x ON x.id = m.mailbox"
		" WHERE m.id = ?1",
		"i", id);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	m.mailbox = sqlite3_column_int64(st, 0);
	m.uid = (uint32_t)sqlite3_column_int64(st, 1);
	m.uidvalidity = m.uid ? (uint32_t)sqlite3_column_int64(st, 2) : 0;
	m.modseq = (uint64_t)sqlite3_column_int64(st, 3);
	m.date = sqlite3_column_int64(st, 4);
	m.date_zone_min = sqlite3_column_int(st, 5);
	m.server_size = (uint64_t)sqlite3_column_int64(st, 6);
	m.body_here = sqlite3_column_int(st, 7) != 0;
	m.message_id = store_db_dup(st, 8);
	m.emailid = store_db_dup(st, 9);
	m.threadid = store_db_dup(st, 10);
	m.server_flags = store_db_dup(st, 11);
	store_db_reset(&st);
	m.flags = store_message_view_flags(s, id, 0);
	m.labels = labels_shown(s, id);
	m.body_here = m.body_here && store_body_have(s, id);
	m.partial = !m.body_here && store_partial_have(s, id);
	r = m.flags ? pending(s, id, &m) : ERR_IO;
	if (r < 0) {
		store_message_release(&m);
		return r;
	}
	*out = m;
	return 0;
}

void store_message_release(struct store_message *m)
{
	free(m->message_id);
	free(m->emailid);
	free(m->threadid);
	free(m->labels);
	free(m->server_flags);
	free(m->flags);
	free(m->error);
	*m = (struct store_message){ 0 };
}

int store_message_by_uid(struct store *s, int64_t mailbox, uint32_t uid, int64_t *id)
{
	int r = store_db_int(&s->db, id, "SELECT id FROM message WHERE mailbox = ?1 AND uid = ?2",
	                     "ii", mailbox, INT(uid));

	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

int store_message_forget(struct store *s, int64_t id)
{
	int r = store_pack_drop(s, id);

	if (r >= 0)
		r = store_db_run(&s->db, "DELETE FROM message WHERE id = ?1", "i", id);
	if (r >= 0)
		r = store_node_delete(s, id);
	return r == ERR_NOTFOUND ? 0 : r;
}

int store_message_place(struct store *s, int64_t id, int64_t *parent)
{
	struct store_op op = { 0 };
	int64_t seq = 0, place = 0;
	int r = store_db_int(
		&s->db, &place,
		"SELECT CASE WHEN hidden OR aside THEN 0 ELSE mailbox END FROM message WHERE id ="
		" ?1",
		"i", id);

	if (r < 0)
		return r;
	r = store_db_int(&s->db, &seq,
	                 "SELECT max(seq) FROM (SELECT seq FROM op WHERE message = ?1 AND kind IN"
	                 " (1, 4, 5) AND NOT (state = 3 AND err = ?2) UNION ALL SELECT seq FROM op "
	                 "WHERE copy = ?1 AND copy != 0)",
	                 "ii", id, store_err_to_disk(ERR_CONFLICT));
	if (r < 0 || seq == 0) {
		*parent = place;
		return r < 0 ? r : 0;
	}
	r = store_log_get(s, seq, &op);
	if (r == 0)
		*parent = op.kind == STORE_OP_APPEND ? op.mailbox : op.target;
	store_op_release(&op);
	return r;
}

/* A pull saw it before the answer did: that row's facts come here, its node goes. */
static int take_over(struct store *s, int64_t id, int64_t pulled)
{
	int r = store_db_run(
		&s->db,
		"UPDATE message SET (modseq, server_flags, server_size, date, zone,"
		" labels, emailid, threadid) = (SELECT modseq, server_flags, server_size, date,"
		" zone, coalesce(labels, message.labels), coalesce(emailid, message.emailid),"
		" coalesce(threadid, message.threadid) FROM message p WHERE p.id = ?2)"
		" WHERE id = ?1",
		"ii", id, pulled);

	/* What the user did to the other one meanwhile is meant for this message. */
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE op SET message = ?1 WHERE message = ?2", "ii", id,
		                 pulled);
	if (r == 0 && !store_body_have(s, id)) {
		r = store_pack_share(s, pulled, id);
		if (r == 0)
			r = store_db_run(&s->db,
			                 "UPDATE message SET body = (SELECT body FROM message p"
			                 " WHERE p.id = ?2) WHERE id = ?1",
			                 "ii", id, pulled);
	}
	return r < 0 ? r : store_message_forget(s, pulled);
}

int store_message_settle(struct store *s, int64_t id, int64_t mailbox, uint32_t uidvalidity,
                         uint32_t uid)
{
	int64_t known = 0, other = 0;
	int r = store_db_int(&s->db, &known, "SELECT uidvalidity FROM mailbox WHERE id = ?1", "i",
	                     mailbox);

	if (r < 0)
		return r;
	if (uid != 0 && uidvalidity != 0 && known == 0) {
		known = uidvalidity;
		r = store_db_run(&s->db, "UPDATE mailbox SET uidvalidity = ?2 WHERE id = ?1", "ii",
		                 mailbox, known);
	}
	if (r >= 0 && (uidvalidity == 0 || known != (int64_t)uidvalidity))
		uid = 0;
	if (r >= 0 && uid != 0 && store_message_by_uid(s, mailbox, uid, &other) == 0 && other != id)
		r = take_over(s, id, other);
	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE message SET mailbox = ?2, uid = ?3, passes = 0, aside = 0,"
	                 " modseq = CASE WHEN ?4 THEN modseq ELSE 0 END WHERE id = ?1",
	                 "iizi", id, mailbox, INT(uid), other);
	return r < 0 ? r : store_node_touch(s, id);
}

/* The message is shown where what is left of the log puts it; `name` NULL: as it is called now. */
int store_message_restore(struct store *s, int64_t message, const char *name)
{
	struct store_node n;
	int64_t place = 0;
	int r = store_node_get(s, message, &n);

	if (r < 0)
		return r == ERR_NOTFOUND ? 0 : r;
	r = store_message_place(s, message, &place);
	if (r < 0 || place == n.parent)
		return r;
	return place ? store_node_place_free(s, message, place, name ? name : n.name)
	             : store_node_place(s, message, 0, n.name);
}
