/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>

#include "wordset.h"

/* The server's list of mailboxes, and account-wide facts. */

/* The wire name of the ancestor that is `up` levels above. */
static char *wire_above(const struct store_list_entry *e, int up)
{
	char *wire = mem_strdup(e->wire_name);

	for (; up > 0; up--) {
		char *cut = e->delimiter ? strrchr(wire, e->delimiter) : NULL;

		if (!cut) {
			free(wire);
			return NULL;
		}
		*cut = '\0';
	}
	return wire;
}

static int levels(const char *path)
{
	int n = 1;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* One that the user has made here and given another name since: the server has what was made. */
static int made_as(struct store *s, int64_t parent, const char *name, int64_t *id)
{
	return store_db_int(&s->db, id,
	                    "SELECT o.mailbox FROM op o JOIN mailbox m ON m.id = o.mailbox WHERE"
	                    " o.kind = 7 AND o.state = 2 AND o.name = ?2 AND o.target = ?1 AND"
	                    " m.wire_name IS NULL",
	                    "is", parent == STORE_ROOT ? 0 : parent, name);
}

/* The mailbox of that wire name, else the one that the user made at this place, else a new
 * one; *id. */
static int find_or_add(struct store *s, int64_t parent, const char *name, const char *wire,
                       char delimiter, int64_t *id)
{
	char free_name[STORE_NAME_MAX + 1];
	struct store_node n;
	int64_t unborn = 0;
	int r = wire ? store_mailbox_by_wire(s, wire, id) : ERR_NOTFOUND;

	if (r != ERR_NOTFOUND)
		return r;
	r = store_node_lookup(s, parent, name, &n);
	if (r == 0 && n.kind == STORE_KIND_MAILBOX) {
		r = store_db_int(&s->db, &unborn,
		                 "SELECT 1 FROM mailbox WHERE id = ?1 AND wire_name IS NULL", "i",
		                 n.id);
		if (r == 1)
			*id = n.id;
	}
	if ((r == 0 || r == ERR_NOTFOUND) && !unborn) {
		r = made_as(s, parent, name, id);
		unborn = r == 1;
	}
	if (r < 0)
		return r;
	if (!unborn) {
		r = store_node_free_name(s, parent, name, 0, free_name);
		if (r == 0)
			r = store_mailbox_add(s, parent, free_name, id);
		if (r == 0)
			r = store_db_run(&s->db, "UPDATE mailbox SET selectable = 0 WHERE id = ?1",
			                 "i", *id);
	}
	if (r < 0)
		return r;
	return store_db_run(&s->db,
	                    "UPDATE mailbox SET wire_name = ?2, delimiter = ?3 WHERE id = ?1",
	                    "isi", *id, wire, INT(delimiter));
}

/* Walks the path down to `above` levels over its end, making what is missing. */
static int walk(struct store *s, const struct store_list_entry *e, int above, int64_t *id)
{
	int64_t at = STORE_ROOT;
	const char *p = e->path;
	int up = levels(p) - 1;
	int r = 0;

	for (; r >= 0 && up >= above; up--) {
		_cleanup_free_ char *wire = wire_above(e, up);
		char name[STORE_NAME_MAX + 1];
		size_t len = strcspn(p, "/");
		int64_t next = 0;

		if (len == 0 || len > STORE_NAME_MAX)
			return ERR_INVAL;
		memcpy(name, p, len);
		name[len] = '\0';
		p += len + (p[len] == '/');
		if (!store_name_valid(name))
			return ERR_INVAL;
		r = find_or_add(s, at, name, wire, e->delimiter, &next);
		at = next;
	}
	if (r >= 0)
		*id = at;
	return r < 0 ? r : 0;
}

static int take_rights(struct store *s, int64_t mailbox, const char *said)
{
	_cleanup_free_ char *rights = store_rights_canon(said);
	int r = store_db_run(&s->db,
	                     "UPDATE mailbox SET rights = ?2 WHERE id = ?1 AND rights IS NOT ?2",
	                     "is", mailbox, rights);

	return r == 0 && sqlite3_changes(s->db.h) > 0 ? store_rights_apply(s, mailbox) : r;
}

static int take_size(struct store *s, int64_t mailbox, uint64_t size)
{
	return size > INT64_MAX ? 0
	                        : store_db_run(&s->db,
	                                       "UPDATE mailbox SET size = ?2 WHERE id = ?1"
	                                       " AND size != ?2",
	                                       "ii", mailbox, INT(size));
}

static int take_entry(struct store *s, const struct store_list_entry *e)
{
	bool dead = wordset_has(e->attributes, "\\Noselect") ||
	            wordset_has(e->attributes, "\\NonExistent");
	_cleanup_free_ char *attributes = wordset_canon(e->attributes);
	int64_t id = 0;
	int r = walk(s, e, 0, &id);

	if (r < 0)
		return r;
	r = store_db_run(
		&s->db,
		"UPDATE mailbox SET attributes = ?2, delimiter = ?3, selectable = ?4,"
		" subscribed = ?5, missing_since_ms = 0 WHERE id = ?1 AND (attributes != ?2 OR"
		" delimiter != ?3 OR selectable != ?4 OR subscribed != ?5 OR"
		" missing_since_ms != 0)",
		"isiii", id, attributes, INT(e->delimiter), INT(!dead), INT(e->subscribed));
	if (r == 0 && sqlite3_changes(s->db.h) > 0)
		store_txn_note(s, STORE_CHANGE_ATTR, id, 0, NULL);
	if (r == 0 && e->has_size)
		r = take_size(s, id, e->size);
	return r == 0 && e->rights ? take_rights(s, id, e->rights) : r;
}

/* Where the user has put it, it stays: that rename is still to be sent. */
static int follow(struct store *s, int64_t mailbox, const struct store_list_entry *e)
{
	const char *last = strrchr(e->path, '/');
	int64_t any = 0, parent = 0;
	struct store_node n;
	int r = store_db_int(&s->db, &any,
	                     "SELECT 1 FROM op WHERE mailbox = ?1 AND kind IN (8, 9) LIMIT 1", "i",
	                     mailbox);

	if (r == 0)
		r = store_node_get(s, mailbox, &n);
	if (r != 0 || any || n.parent == 0)
		return r < 0 ? r : 0;
	last = last ? last + 1 : e->path;
	r = walk(s, e, 1, &parent);
	if (r == 0)
		r = store_node_check_loop(s, mailbox, parent);
	if (r < 0 || (n.parent == parent && strcmp(n.name, last) == 0))
		return r;
	return store_node_place_free(s, mailbox, parent, last);
}

static int rename_locked(struct store *s, int64_t mailbox, const struct store_list_entry *e)
{
	int64_t other = 0;
	int r = store_mailbox_by_wire(s, e->wire_name, &other);

	if (r != ERR_NOTFOUND)
		return r < 0 ? r : ERR_EXISTS;
	r = store_db_run(&s->db,
	                 "UPDATE mailbox SET wire_name = ?2, delimiter = ?3, missing_since_ms = 0"
	                 " WHERE id = ?1",
	                 "isi", mailbox, e->wire_name, INT(e->delimiter));
	if (r == 0 && sqlite3_changes(s->db.h) == 0)
		return ERR_NOTFOUND;
	return r < 0 ? r : follow(s, mailbox, e);
}

int store_pull_mailbox_renamed(struct store *s, int64_t mailbox, const struct store_list_entry *e)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, rename_locked(s, mailbox, e));
}

static int mark_missing(struct store *s, const struct store_list_entry *e, size_t count)
{
	int r = store_db_script(&s->db,
	                        "CREATE TEMP TABLE IF NOT EXISTS listed (wire TEXT PRIMARY KEY)"
	                        " WITHOUT ROWID; DELETE FROM temp.listed");

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_db_run(&s->db, "INSERT OR IGNORE INTO temp.listed VALUES (?1)", "s",
		                 e[i].wire_name);
	if (r < 0)
		return r;
	return store_db_run(
		&s->db,
		"UPDATE mailbox SET missing_since_ms = ?1 WHERE missing_since_ms = 0 AND"
		" selectable AND wire_name IS NOT NULL AND lower(wire_name) != 'inbox' AND"
		" wire_name NOT IN (SELECT wire FROM temp.listed)",
		"i", store_now_ms());
}

int store_pull_list(struct store *s, const struct store_list_entry *e, size_t count, bool complete)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = take_entry(s, &e[i]);
		if (r == ERR_INVAL) /* one that cannot be shown shall not hide the others */
			r = 0;
	}
	if (r == 0 && complete && count > 0)
		r = mark_missing(s, e, count);
	return store_txn_end(s, r);
}

/* ---- account-wide facts ---- */

static int put_fact(struct store *s, const char *key, uint64_t v)
{
	return store_db_run(
		&s->db,
		"INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", "si",
		key, (int64_t)v);
}

static int get_fact(struct store *s, const char *key, uint64_t *v)
{
	int64_t n = 0;
	int r = store_db_int(&s->db, &n, "SELECT value FROM meta WHERE key = ?1", "s", key);

	*v = (uint64_t)n;
	return r;
}

int store_pull_quota(struct store *s, const struct store_quota *q)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = put_fact(s, "quota_known", q->known);
	if (r == 0)
		r = put_fact(s, "storage_used_kb", q->storage_used_kb);
	if (r == 0)
		r = put_fact(s, "storage_limit_kb", q->storage_limit_kb);
	if (r == 0)
		r = put_fact(s, "messages_used", q->messages_used);
	if (r == 0)
		r = put_fact(s, "messages_limit", q->messages_limit);
	return store_txn_end(s, r);
}

int store_quota_get(struct store *s, struct store_quota *q)
{
	struct store_quota n = { 0 };
	uint64_t known = 0;
	int r = get_fact(s, "quota_known", &known);

	if (r >= 0)
		r = get_fact(s, "storage_used_kb", &n.storage_used_kb);
	if (r >= 0)
		r = get_fact(s, "storage_limit_kb", &n.storage_limit_kb);
	if (r >= 0)
		r = get_fact(s, "messages_used", &n.messages_used);
	if (r >= 0)
		r = get_fact(s, "messages_limit", &n.messages_limit);
	if (r < 0)
		return r;
	n.known = known != 0;
	*q = n;
	return 0;
}

int store_totals_get(struct store *s, struct store_totals *t)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT (SELECT count(*) FROM mailbox), count(*),"
	                     " coalesce(sum(m.body), 0), coalesce(sum(m.body * n.size), 0),"
	                     " coalesce(sum(m.body = 0 AND n.spool = 0), 0)"
	                     " FROM message m JOIN node n ON n.id = m.id WHERE n.parent IS NOT NULL"
	                     " AND n.kind = 3",
	                     "");

	if (r <= 0)
		return r < 0 ? r : ERR_IO;
	t->mailboxes = sqlite3_column_int64(st, 0);
	t->messages = sqlite3_column_int64(st, 1);
	t->bodies = sqlite3_column_int64(st, 2);
	t->body_bytes = sqlite3_column_int64(st, 3);
	t->missing_bodies = sqlite3_column_int64(st, 4);
	store_db_reset(&st);
	return 0;
}
