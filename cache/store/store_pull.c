/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <stdio.h>
#include <string.h>

#include "wordset.h"

int store_pull_selected(struct store *s, int64_t mailbox, const struct store_selected *sel)
{
	bool fixed = sel->read_only || sel->uidnotsticky; /* no UID could be named later on */
	struct store_node n;
	int64_t known = 0, read_only = 0;
	bool changed;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_int(&s->db, &known, "SELECT uidvalidity FROM mailbox WHERE id = ?1", "i",
	                 mailbox);
	r = r == 1 ? store_node_get(s, mailbox, &n) : r == 0 ? ERR_NOTFOUND : r;
	if (r == 0 && known != 0 && known != (int64_t)sel->uidvalidity)
		r = ERR_CONFLICT;
	if (r == 0)
		r = store_db_int(&s->db, &read_only, "SELECT read_only FROM mailbox WHERE id = ?1",
		                 "i", mailbox);
	if (r >= 0)
		r = store_db_run(
			&s->db,
			"UPDATE mailbox SET uidvalidity = ?2, read_only = ?3, uidnotsticky = ?4,"
			" keywords_ok = ?5, permanent_flags = ?6, selectable = 1,"
			" mailboxid = coalesce(?7, mailboxid) WHERE id = ?1 AND"
			" (uidvalidity IS NOT ?2 OR read_only IS NOT ?3 OR uidnotsticky IS NOT ?4"
			" OR keywords_ok IS NOT ?5 OR permanent_flags IS NOT ?6 OR selectable != 1"
			" OR mailboxid IS NOT coalesce(?7, mailboxid))",
			"iiiiiss", mailbox, INT(sel->uidvalidity), INT(fixed),
			INT(sel->uidnotsticky), INT(sel->keywords_ok), sel->permanent_flags,
			sel->mailboxid);
	changed = r == 0 && sqlite3_changes(s->db.h) > 0;
	if (r == 0 && (read_only != 0) != fixed)
		r = store_rights_apply(s, mailbox);
	if (r >= 0 && changed)
		store_txn_note(s, STORE_CHANGE_ATTR, mailbox, 0, NULL);
	return store_txn_end(s, r);
}

/* ---- descriptors ---- */

static int update_flags(struct store *s, int64_t id, const char *flags, uint64_t modseq)
{
	_cleanup_free_ char *new_flags = wordset_canon(flags);
	_cleanup_free_ char *old = NULL;
	int64_t hidden = 0, place = 0;
	struct store_node n;
	int r = store_db_text(&s->db, &old, "SELECT server_flags FROM message WHERE id = ?1", "i",
	                      id);

	if (r == 1)
		r = store_db_run(
			&s->db,
			"UPDATE message SET server_flags = ?2, modseq = CASE WHEN ?3 != 0 THEN"
			" ?3 ELSE modseq END WHERE id = ?1",
			"isi", id, new_flags, (int64_t)modseq);
	if (r < 0 || wordset_equal(old, new_flags))
		return r;
	r = store_node_touch(s, id);
	if (r == 0)
		r = store_db_int(&s->db, &hidden, "SELECT hidden FROM message WHERE id = ?1", "i",
		                 id);
	if (r < 0 || !hidden || wordset_has(new_flags, "\\Deleted"))
		return r < 0 ? r : 0;
	/* Deleted here by flag only, and somebody took the flag off. */
	r = store_db_run(&s->db, "UPDATE message SET hidden = 0 WHERE id = ?1", "i", id);
	if (r == 0)
		r = store_message_place(s, id, &place);
	if (r == 0)
		r = store_node_get(s, id, &n);
	return r < 0 || place == 0 ? r : store_node_place_free(s, id, place, n.name);
}

/* Bytes that were uploaded from here and that the server holds in another form (line ends added,
 * say) are not what it would give: they go, and its own are fetched. */
static int drop_altered(struct store *s, int64_t id, const struct store_descriptor *d)
{
	sqlite3_stmt *st;
	int64_t known, clean, spool;
	int r = store_db_row(&s->db, &st,
	                     "SELECT m.server_size, m.clean_spool, n.spool FROM message m"
	                     " JOIN node n ON n.id = m.id WHERE m.id = ?1",
	                     "i", id);

	if (r <= 0)
		return r;
	known = sqlite3_column_int64(st, 0);
	clean = sqlite3_column_int64(st, 1);
	spool = sqlite3_column_int64(st, 2);
	store_db_reset(&st);
	if (known == 0 || known == (int64_t)d->size || (spool != 0 && spool != clean))
		return 0;
	r = store_body_forget(s, id);
	if (r >= 0)
		r = store_db_run(&s->db, "UPDATE node SET spool = 0, size_exact = 0 WHERE id = ?1",
		                 "i", id);
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE message SET clean_spool = 0 WHERE id = ?1", "i",
		                 id);
	return r < 0 || spool == 0 ? r : store_spool_release(s, spool);
}

static int update_known(struct store *s, int64_t id, const struct store_descriptor *d)
{
	int r = drop_altered(s, id, d);

	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE message SET server_size = ?2, date = ?3, zone = ?4,"
	                 " message_id = coalesce(?5, message_id), emailid = coalesce(?6, emailid),"
	                 " threadid = coalesce(?7, threadid) WHERE id = ?1",
	                 "iiiisss", id, (int64_t)d->size, d->date, INT(d->date_zone_min),
	                 d->message_id, d->emailid, d->threadid);

	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE node SET size = ?2 WHERE id = ?1 AND size_exact = 0"
		                 " AND size != ?2",
		                 "ii", id, (int64_t)d->size);
	if (r == 0 && sqlite3_changes(s->db.h) > 0)
		store_txn_note(s, STORE_CHANGE_BODY, id, 0, NULL);
	return r < 0 ? r : update_flags(s, id, d->flags, d->modseq);
}

/* What nanoseconds in 64 bits cannot hold becomes the nearest that they can (1677, 2262). */
static int64_t date_ns(int64_t seconds)
{
	const int64_t most = INT64_MAX / 1000000000;

	return (seconds > most ? most : seconds < -most ? -most : seconds) * 1000000000;
}

static int insert_new(struct store *s, int64_t mailbox, const struct store_descriptor *d,
                      uint32_t mode)
{
	_cleanup_free_ char *flags = wordset_canon(d->flags);
	struct store_node n = { .kind = STORE_KIND_MESSAGE, .mode = mode };
	char name[STORE_NAME_MAX + 1], plain[32];
	int64_t id = 0;
	int r;

	n.size = (int64_t)d->size;
	n.mtime_ns = date_ns(d->date);
	n.ctime_ns = store_now_ns();
	n.mark = store_mark_of(flags);
	snprintf(plain, sizeof(plain), "%u.eml", (unsigned)d->uid);
	r = store_node_insert(s, mailbox, plain, &n, NULL, &id);
	if (r == ERR_EXISTS) {
		r = store_node_free_name(s, mailbox, plain, 0, name);
		if (r == 0)
			r = store_node_insert(s, mailbox, name, &n, NULL, &id);
	}
	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "INSERT INTO message (id, mailbox, uid, modseq, date, zone, server_size,"
	                 " message_id, emailid, threadid, server_flags)"
	                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	                 "iiiiiiissss", id, mailbox, INT(d->uid), (int64_t)d->modseq, d->date,
	                 INT(d->date_zone_min), (int64_t)d->size, d->message_id, d->emailid,
	                 d->threadid, flags);
	return r == 0 && d->emailid ? store_body_share_in(s, id) : r;
}

/* The same bytes, and no action that was meant for one of the two. */
static bool are_twins(struct store *s, int64_t a, int64_t b)
{
	const void *one, *other;
	size_t len, other_len;
	int64_t any;

	return store_db_int(
		       &s->db, &any,
		       "SELECT 1 FROM op WHERE message IN (?1, ?2) OR copy IN (?1, ?2) LIMIT 1",
		       "ii", a, b) == 0 &&
	       store_pack_get(s, a, &one, &len) == 0 &&
	       store_pack_get(s, b, &other, &other_len) == 0 && len == other_len &&
	       memcmp(one, other, len) == 0;
}

/* A message that is known to be in this mailbox under a UID that is not: moved, copied or
 * uploaded here without an answer that named it, or of an earlier UIDVALIDITY.  1 and *id only
 * when exactly one fits, or all that do are the same (R054); one set aside must have the same date
 * too. */
static int find_expected(struct store *s, int64_t mailbox, const struct store_descriptor *d,
                         int64_t *id)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int64_t any;
	int r = store_db_int(&s->db, &any,
	                     "SELECT 1 FROM message WHERE mailbox = ?1 AND uid IS NULL LIMIT 1",
	                     "i", mailbox);

	if (r <= 0 || (!d->message_id && !d->emailid))
		return r < 0 ? r : 0;
	r = store_db_ids(&s->db, &ids,
	                 "SELECT id FROM message INDEXED BY message_unsure_content"
	                 " WHERE mailbox = ?1 AND uid IS NULL AND emailid = ?2"
	                 " UNION SELECT id FROM message INDEXED BY message_unsure"
	                 " WHERE mailbox = ?1 AND uid IS NULL AND message_id = ?3"
	                 " AND server_size = ?4 AND (aside = 0 OR date = ?5)"
	                 " ORDER BY id LIMIT 8",
	                 "issii", mailbox, d->emailid, d->message_id, (int64_t)d->size, d->date);
	if (r < 0 || ids.n == 0)
		return r;
	for (size_t i = 1; r == 0 && i < ids.n; i++)
		r = !are_twins(s, ids.v[0], ids.v[i]);
	if (r != 0)
		return 0;
	*id = ids.v[0];
	return 1;
}

/* "12.eml": a name that came from a UID, not from the user. */
static bool is_uid_name(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits > 0 && strcmp(name + digits, ".eml") == 0;
}

/* The user has put it somewhere else since it was set aside. */
static int is_moved_since(struct store *s, int64_t id)
{
	int64_t any;

	return store_db_int(&s->db, &any,
	                    "SELECT 1 FROM op WHERE message = ?1 AND kind IN (4, 5) AND state != 3"
	                    " LIMIT 1",
	                    "i", id);
}

static int link_expected(struct store *s, int64_t mailbox, int64_t id,
                         const struct store_descriptor *d)
{
	struct store_node n;
	char name[STORE_NAME_MAX + 1];
	int64_t place = 0, aside = 0;
	int r = store_db_int(&s->db, &aside, "SELECT aside FROM message WHERE id = ?1", "i", id);

	if (r >= 0)
		r = store_db_run(&s->db,
		                 "UPDATE message SET uid = ?2, modseq = ?3, passes = 0, aside = 0"
		                 " WHERE id = ?1",
		                 "iii", id, INT(d->uid), (int64_t)d->modseq);
	if (r == 0)
		r = update_known(s, id, d);
	if (r >= 0)
		r = store_node_get(s, id, &n);
	if (r == 0)
		r = store_message_place(s, id, &place);
	if (r >= 0 && aside) {
		r = is_moved_since(s, id);
		if (r == 0)
			place = mailbox; /* its actions have failed: the tree follows the server */
	}
	if (r < 0 || place != mailbox)
		return r < 0 ? r : 0;
	snprintf(name, sizeof(name), "%s", n.name);
	if (aside && is_uid_name(name))
		snprintf(name, sizeof(name), "%u.eml", (unsigned)d->uid);
	else if (n.parent == place)
		return 0;
	return store_node_place_free(s, id, mailbox, name);
}

static int descriptor_locked(struct store *s, int64_t mailbox, const struct store_descriptor *d)
{
	int64_t id = 0;
	uint32_t box, mode = 0;
	int r = store_rights_mode(s, mailbox, &box, &mode);

	if (r < 0 || d->uid == 0)
		return r < 0 ? r : ERR_INVAL;
	r = store_message_by_uid(s, mailbox, d->uid, &id);
	if (r == 0)
		return update_known(s, id, d);
	if (r != ERR_NOTFOUND)
		return r;
	r = find_expected(s, mailbox, d, &id);
	if (r == 1)
		return link_expected(s, mailbox, id, d);
	return r < 0 ? r : insert_new(s, mailbox, d, mode);
}

int store_pull_descriptor(struct store *s, int64_t mailbox, const struct store_descriptor *d)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = descriptor_locked(s, mailbox, d);
	return store_txn_end(s, r < 0 ? r : 0);
}

int store_pull_expects(struct store *s, int64_t mailbox)
{
	int64_t n = 0;
	int r = store_db_int(&s->db, &n,
	                     "SELECT count(*) FROM message WHERE mailbox = ?1 AND uid IS NULL", "i",
	                     mailbox);

	return r < 0 ? r : n > 1000000 ? 1000000 : (int)n;
}

int store_pull_searches(struct store *s, int64_t mailbox)
{
	int64_t any;

	return store_db_int(
		&s->db, &any,
		"SELECT 1 FROM message m WHERE mailbox = ?1 AND uid IS NULL AND (passes < 2 OR"
		" EXISTS (SELECT 1 FROM op o WHERE o.message = m.id AND o.state != 3 AND o.kind"
		" BETWEEN 3 AND 6 AND o.step = 0)) LIMIT 1",
		"i", mailbox);
}

int store_pull_flags(struct store *s, int64_t mailbox, uint32_t uid, const char *flags,
                     uint64_t modseq)
{
	int64_t id = 0;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_message_by_uid(s, mailbox, uid, &id);
	r = r == ERR_NOTFOUND ? 0 : r < 0 ? r : update_flags(s, id, flags, modseq);
	return store_txn_end(s, r < 0 ? r : 0);
}

int store_pull_labels(struct store *s, int64_t mailbox, uint32_t uid, const char *labels)
{
	int64_t id = 0;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_message_by_uid(s, mailbox, uid, &id);
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE message SET labels = ?2 WHERE id = ?1"
		                 " AND labels IS NOT ?2",
		                 "is", id, labels);
	if (r == 0 && sqlite3_changes(s->db.h) > 0)
		r = store_node_touch(s, id);
	return store_txn_end(s, r == ERR_NOTFOUND ? 0 : r);
}

int store_pull_uids(struct store *s, int64_t mailbox, uint32_t **uids, size_t *count)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	uint32_t *u;
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT uid FROM message WHERE mailbox = ?1 AND uid > 0 ORDER BY uid",
	                     "i", mailbox);

	if (r < 0)
		return r;
	u = mem_realloc(NULL, ids.n + 1, sizeof(*u));
	for (size_t i = 0; i < ids.n; i++)
		u[i] = (uint32_t)ids.v[i];
	*uids = u;
	*count = ids.n;
	return 0;
}

/* What names by its UID a message that two complete passes did not find where it was put waits for the
 * user: whether somebody else took it away, or it looks different now, cannot be told. */
static int park_unfound(struct store *s, int64_t mailbox)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT o.seq FROM op o JOIN message m ON m.id = o.message WHERE"
	                     " m.mailbox = ?1 AND m.uid IS NULL AND m.passes > 1 AND o.kind BETWEEN"
	                     " 3 AND 6 AND o.state != 3 AND o.step = 0 ORDER BY o.seq",
	                     "i", mailbox);

	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_park(s, ids.v[i], ERR_CONFLICT,
		                   "the server does not show the message where it should be");
	return r;
}

/* Expected here, and two complete passes did not find it by what is known of it: the server has
 * it under another description, and the pass brought that one.  Bytes only we have are kept. */
static int drop_unfound(struct store *s, int64_t mailbox)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_run(
		&s->db, "UPDATE message SET passes = passes + 1 WHERE mailbox = ?1 AND uid IS NULL",
		"i", mailbox);

	if (r == 0)
		r = store_db_ids(&s->db, &ids,
		                 "SELECT id FROM message WHERE mailbox = ?1 AND uid IS NULL"
		                 " AND passes > 1 AND NOT EXISTS (SELECT 1 FROM op WHERE"
		                 " op.message = message.id OR op.copy = message.id)",
		                 "i", mailbox);
	for (size_t i = 0; r >= 0 && i < ids.n; i++) {
		struct store_node n;

		r = store_node_get(s, ids.v[i], &n);
		if (r == 0 && n.spool != 0)
			r = store_spool_rescue(s, n.spool, n.name);
		if (r == 0)
			r = store_message_forget(s, n.id);
	}
	return r;
}

int store_pull_complete(struct store *s, int64_t mailbox, uint32_t uidnext, uint64_t highestmodseq,
                        uint32_t messages, uint32_t unseen)
{
	bool changed;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE mailbox SET uidnext = ?2, highestmodseq = ?3, messages = ?4,"
	                 " unseen = ?5 WHERE id = ?1 AND (uidnext IS NOT ?2 OR"
	                 " highestmodseq IS NOT ?3 OR messages IS NOT ?4 OR unseen IS NOT ?5)",
	                 "iiiii", mailbox, INT(uidnext), (int64_t)highestmodseq, INT(messages),
	                 INT(unseen));
	changed = r == 0 && sqlite3_changes(s->db.h) > 0;
	if (r == 0)
		r = drop_unfound(s, mailbox);
	if (r >= 0)
		r = park_unfound(s, mailbox);
	if (r >= 0 && changed)
		store_txn_note(s, STORE_CHANGE_ATTR, mailbox, 0, NULL);
	return store_txn_end(s, r);
}

int store_pull_missing(struct store *s, int64_t mailbox, uint32_t below, uint64_t max_size,
                       int64_t since, struct store_missing *out, int max)
{
	sqlite3_stmt *st;
	int n = 0;
	int r = store_db_row(&s->db, &st,
	                     "SELECT m.id, m.uid, m.server_size FROM message m"
	                     " JOIN node n ON n.id = m.id WHERE m.mailbox = ?1 AND m.body = 0"
	                     " AND m.uid > 0 AND m.uid < ?2 AND n.spool = 0 AND (?3 = 0 OR"
	                     " m.server_size <= ?3) AND m.date >= ?4 ORDER BY m.uid DESC LIMIT ?5",
	                     "iiiii", mailbox, below ? INT(below) : INT(UINT32_MAX) + 1,
	                     (int64_t)(max_size > INT64_MAX ? INT64_MAX : max_size), since,
	                     INT(max));

	for (; r == 1; r = store_db_next(&s->db, &st)) {
		out[n].id = sqlite3_column_int64(st, 0);
		out[n].uid = (uint32_t)sqlite3_column_int64(st, 1);
		out[n++].size = (uint64_t)sqlite3_column_int64(st, 2);
	}
	return r < 0 ? r : n;
}
