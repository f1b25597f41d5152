/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wordset.h"

#define COLUMNS                                                                                  \
	"id, wire_name, delimiter, attributes, selectable,"                                      \
	" coalesce((SELECT kind = 10 FROM op WHERE op.mailbox = mailbox.id AND kind IN (10, 11)" \
	" ORDER BY seq DESC LIMIT 1), subscribed), read_only,"                                   \
	" uidnotsticky, keywords_ok, uidvalidity, uidnext, highestmodseq, messages, unseen,"     \
	" permanent_flags, mailboxid, profile, missing_since_ms, rights, size"

static void read_mailbox(sqlite3_stmt *st, struct store_mailbox *m)
{
	*m = (struct store_mailbox){
		.id = sqlite3_column_int64(st, 0),
		.wire_name = store_db_dup(st, 1),
		.delimiter = (char)sqlite3_column_int(st, 2),
		.attributes = store_db_dup(st, 3),
		.selectable = sqlite3_column_int(st, 4) != 0,
		.subscribed = sqlite3_column_int(st, 5) != 0,
		.read_only = sqlite3_column_int(st, 6) != 0,
		.uidnotsticky = sqlite3_column_int(st, 7) != 0,
		.keywords_ok = sqlite3_column_int(st, 8) != 0,
		.uidvalidity = (uint32_t)sqlite3_column_int64(st, 9),
		.uidnext = (uint32_t)sqlite3_column_int64(st, 10),
		.highestmodseq = (uint64_t)sqlite3_column_int64(st, 11),
		.messages = (uint32_t)sqlite3_column_int64(st, 12),
		.unseen = (uint32_t)sqlite3_column_int64(st, 13),
		.permanent_flags = store_db_dup(st, 14),
		.mailboxid = store_db_dup(st, 15),
		.profile = (enum store_profile)sqlite3_column_int(st, 16),
		.missing_since_ms = sqlite3_column_int64(st, 17),
		.rights = store_db_dup(st, 18),
		.size = sqlite3_column_int64(st, 19),
	};
}

int store_mailbox_get(struct store *s, int64_t id, struct store_mailbox *out)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st, "SELECT " COLUMNS " FROM mailbox WHERE id = ?1", "i", id);

	if (r == 1)
		read_mailbox(st, out);
	store_db_reset(&st);
	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

void store_mailbox_release(struct store_mailbox *m)
{
	free(m->wire_name);
	free(m->attributes);
	free(m->permanent_flags);
	free(m->mailboxid);
	free(m->rights);
	*m = (struct store_mailbox){ 0 };
}

struct entry {
	struct store_mailbox m;
	char *path;
};

static int by_path(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	bool xi = strcmp(x->path, "INBOX") == 0, yi = strcmp(y->path, "INBOX") == 0;

	return xi != yi ? (xi ? -1 : 1) : strcmp(x->path, y->path);
}

static int read_all(struct store *s, struct entry **out, size_t *count)
{
	struct entry *e = NULL;
	size_t n = 0, cap = 0;
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st, "SELECT " COLUMNS " FROM mailbox", "");

	for (; r == 1; r = store_db_next(&s->db, &st)) {
		if (n == cap) {
			cap = cap ? cap * 2 : 16;
			e = mem_realloc(e, cap, sizeof(*e));
		}
		e[n].path = NULL;
		read_mailbox(st, &e[n++].m);
	}
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = store_node_path(s, e[i].m.id, &e[i].path);
		if (r == ERR_NOTFOUND) { /* removed in the view */
			e[i].path = mem_strdup("");
			r = 0;
		}
	}
	*out = e;
	*count = n;
	return r;
}

int store_mailbox_list(struct store *s, struct store_mailbox **list, size_t *count)
{
	struct entry *e = NULL;
	struct store_mailbox *l;
	size_t n = 0;
	int r = read_all(s, &e, &n);

	if (r >= 0 && n > 0)
		qsort(e, n, sizeof(*e), by_path);
	l = mem_realloc(NULL, n + 1, sizeof(*l));
	for (size_t i = 0; i < n; i++) {
		l[i] = e[i].m;
		free(e[i].path);
	}
	free(e);
	if (r < 0) {
		store_mailbox_list_free(l, n);
		return r;
	}
	*list = l;
	*count = n;
	return 0;
}

void store_mailbox_list_free(struct store_mailbox *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_mailbox_release(&list[i]);
	free(list);
}

int store_mailbox_by_wire(struct store *s, const char *wire_name, int64_t *id)
{
	const char *sql = strcasecmp(wire_name, "INBOX") == 0
	                          ? "SELECT id FROM mailbox WHERE lower(wire_name) = lower(?1)"
	                          : "SELECT id FROM mailbox WHERE wire_name = ?1";
	int r = store_db_int(&s->db, id, sql, "s", wire_name);

	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

static bool has_special_use(const char *attributes)
{
	static const char *const uses[] = { "\\All",  "\\Archive", "\\Drafts", "\\Flagged",
		                            "\\Junk", "\\Sent",    "\\Trash",  "\\Important" };

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if (wordset_has(attributes, uses[i]))
			return true;
	return false;
}

/* Where no mailbox has a special use, the server may know of none: there the trash is the mailbox
 * that is called so, at the top or next to it below the INBOX.  1, 0, ERR_IO. */
static int trash_by_name(struct store *s, int64_t *id)
{
	return store_db_int(&s->db, id,
	                    "SELECT m.id FROM mailbox m JOIN node n ON n.id = m.id"
	                    " LEFT JOIN node p ON p.id = n.parent AND p.parent = ?1"
	                    " WHERE n.name = 'Trash' COLLATE NOCASE AND m.selectable"
	                    " AND (n.parent = ?1 OR p.name = 'INBOX' COLLATE NOCASE)"
	                    " ORDER BY n.parent != ?1, m.id LIMIT 1",
	                    "i", STORE_ROOT);
}

int store_mailbox_by_use(struct store *s, const char *use, int64_t *id)
{
	sqlite3_stmt *st;
	int64_t found = 0;
	bool any = false;
	int r = store_db_row(&s->db, &st,
	                     "SELECT m.id, m.attributes FROM mailbox m JOIN node n ON n.id = m.id"
	                     " WHERE m.attributes != '' AND n.parent IS NOT NULL ORDER BY m.id",
	                     "");

	for (; r == 1; r = store_db_next(&s->db, &st)) {
		const char *attributes = (const char *)sqlite3_column_text(st, 1);

		if (!found && wordset_has(attributes, use))
			found = sqlite3_column_int64(st, 0);
		any = any || has_special_use(attributes);
	}
	if (r == 0 && !any && strcmp(use, "\\Trash") == 0)
		r = trash_by_name(s, &found);
	if (r < 0 || !found)
		return r < 0 ? r : ERR_NOTFOUND;
	*id = found;
	return 0;
}

int store_mailbox_set_profile(struct store *s, int64_t id, enum store_profile p)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_db_run(&s->db, "UPDATE mailbox SET profile = ?2 WHERE id = ?1", "ii", id, INT(p));
	if (r == 0 && sqlite3_changes(s->db.h) == 0)
		r = ERR_NOTFOUND;
	if (r == 0)
		store_txn_note(s, STORE_CHANGE_ATTR, id, 0, NULL);
	return store_txn_end(s, r);
}

/* ---- changes by the user ---- */

/* Actions on mailboxes that must come first: those on the same one, on its new parent, and
 * those that free the name it gets. */
static int need_structure(struct store *s, int64_t seq, int64_t mailbox, int64_t parent,
                          const char *name)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(
		&s->db, &ids,
		"SELECT seq FROM op WHERE seq < ?1 AND kind IN (7, 8, 9) AND"
		" (mailbox = ?2 OR mailbox = ?3 OR (old_parent = ?3 AND old_name = ?4))",
		"iiis", seq, mailbox, parent, name);

	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_need(s, seq, ids.v[i]);
	return r;
}

int store_mailbox_add(struct store *s, int64_t parent, const char *name, int64_t *id)
{
	struct store_node n = { .kind = STORE_KIND_MAILBOX, .mode = 0700, .size_exact = true };
	int r;

	n.mtime_ns = n.ctime_ns = store_now_ns();
	r = store_node_insert(s, parent, name, &n, NULL, id);
	if (r < 0)
		return r;
	return store_db_run(&s->db,
	                    "INSERT INTO mailbox (id, delimiter) VALUES (?1, coalesce("
	                    "(SELECT delimiter FROM mailbox WHERE id = ?2 AND delimiter != 0),"
	                    "(SELECT delimiter FROM mailbox WHERE delimiter != 0 LIMIT 1), 0))",
	                    "ii", *id, parent);
}

static int check_parent(struct store *s, int64_t parent)
{
	_cleanup_free_ char *attributes = NULL;
	struct store_node dir;
	int r = store_node_get(s, parent, &dir);

	if (r < 0)
		return r;
	if (dir.kind != STORE_KIND_ROOT && dir.kind != STORE_KIND_MAILBOX)
		return ERR_PERM;
	r = store_db_text(&s->db, &attributes, "SELECT attributes FROM mailbox WHERE id = ?1", "i",
	                  parent);
	if (r < 0)
		return r;
	if (wordset_has(attributes, "\\Noinferiors"))
		return ERR_PERM;
	return store_rights_check(s, parent, "k");
}

static int create_locked(struct store *s, int64_t parent, const char *name, int64_t *id)
{
	struct store_op op = { .kind = STORE_OP_CREATE, .target = 0, .name = (char *)name };
	int64_t seq = 0;
	int r = check_parent(s, parent);

	if (r == 0)
		r = store_mailbox_add(s, parent, name, id);
	if (r < 0)
		return r;
	op.mailbox = *id;
	op.target = parent == STORE_ROOT ? 0 : parent;
	r = store_log_insert(s, &op, 0, NULL, &seq);
	return r < 0 ? r : need_structure(s, seq, *id, parent, name);
}

int store_mailbox_create(struct store *s, int64_t parent, const char *name, int64_t *id)
{
	int64_t made = 0;
	int r;

	if (!store_name_valid(name))
		return ERR_INVAL;
	r = store_txn_begin(s);
	if (r < 0)
		return r;
	r = store_txn_end(s, create_locked(s, parent, name, &made));
	if (r == 0)
		*id = made;
	return r;
}

/* A mailbox that was never made on the server is just gone, when nothing else names it. */
static int cancel_create(struct store *s, int64_t id)
{
	int64_t seq = 0, others = 0;
	int r = store_db_int(&s->db, &seq,
	                     "SELECT seq FROM op WHERE mailbox = ?1 AND kind = 7 AND state != 2",
	                     "i", id);

	if (r <= 0 || s->plain_log)
		return r < 0 ? r : 0;
	r = store_db_int(
		&s->db, &others,
		"SELECT count(*) FROM op WHERE (mailbox = ?1 OR target = ?1) AND seq != ?2", "ii",
		id, seq);
	if (r < 0 || others > 0)
		return r < 0 ? r : 0;
	r = store_log_cancel(s, seq);
	if (r == 0)
		r = store_db_run(&s->db, "DELETE FROM mailbox WHERE id = ?1", "i", id);
	if (r == 0)
		r = store_node_delete(s, id);
	return r < 0 ? r : 1;
}

/* All that happens in it, goes out of it or left its directory comes first (R135). */
static int log_remove(struct store *s, const struct store_node *n, const char *wire_name)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	struct store_op op = { .kind = STORE_OP_REMOVE,
		               .mailbox = n->id,
		               .name = (char *)wire_name };
	int64_t seq = 0;
	int r = store_log_insert(s, &op, n->parent, n->name, &seq);

	if (r == 0)
		r = store_db_ids(
			&s->db, &ids,
			"SELECT seq FROM op WHERE seq < ?2 AND (mailbox = ?1 OR target = ?1 OR"
			" old_parent = ?1 OR message IN (SELECT id FROM message"
			" WHERE mailbox = ?1))",
			"ii", n->id, seq);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_log_need(s, seq, ids.v[i]);
	return r;
}

static bool is_inbox(const struct store_node *n)
{
	return n->parent == STORE_ROOT && strcasecmp(n->name, "INBOX") == 0;
}

static int check_removable(struct store *s, const struct store_node *n)
{
	int64_t any;
	int r;

	if (n->kind != STORE_KIND_MAILBOX || n->parent == 0)
		return n->parent == 0 ? ERR_NOTFOUND : ERR_INVAL;
	if (is_inbox(n))
		return ERR_PERM;
	r = store_rights_check(s, n->id, "x");
	if (r < 0)
		return r;
	r = store_db_int(&s->db, &any, "SELECT 1 FROM node WHERE parent = ?1 LIMIT 1", "i", n->id);
	return r < 0 ? r : r == 1 ? ERR_NOTEMPTY : 0;
}

static int remove_locked(struct store *s, int64_t id)
{
	_cleanup_free_ char *wire = NULL;
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r == 0)
		r = check_removable(s, &n);
	if (r == 0)
		r = cancel_create(s, id);
	if (r != 0)
		return r < 0 ? r : 0;
	r = store_db_text(&s->db, &wire, "SELECT wire_name FROM mailbox WHERE id = ?1", "i", id);
	if (r >= 0)
		r = log_remove(s, &n, wire);
	return r < 0 ? r : store_node_place(s, id, 0, n.name);
}

int store_mailbox_remove(struct store *s, int64_t id)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, remove_locked(s, id));
}

/* The name of one that is not made yet changes in the action that will make it.  1: so it was. */
static int rename_unborn(struct store *s, int64_t id, int64_t parent, const char *name)
{
	int64_t seq = 0;
	int r = store_db_int(
		&s->db, &seq,
		"SELECT seq FROM op WHERE mailbox = ?1 AND kind = 7 AND state = 1 AND NOT"
		" EXISTS (SELECT 1 FROM op WHERE mailbox = ?1 AND kind IN (8, 9))",
		"i", id);

	if (r <= 0 || s->plain_log)
		return r < 0 ? r : 0;
	r = store_db_run(&s->db, "UPDATE op SET target = ?2, name = ?3 WHERE seq = ?1", "iis", seq,
	                 parent == STORE_ROOT ? INT(0) : parent, name);
	if (r == 0)
		r = store_log_need_mailbox(s, seq, parent);
	if (r == 0)
		r = need_structure(s, seq, id, parent, name);
	return r < 0 ? r : 1;
}

static int rename_locked(struct store *s, int64_t id, int64_t parent, const char *name)
{
	struct store_op op = {
		.kind = STORE_OP_RENAME,
		.mailbox = id,
		.target = parent == STORE_ROOT ? 0 : parent,
		.name = (char *)name,
	};
	struct store_node n;
	int64_t seq = 0;
	int r = store_node_get(s, id, &n);

	if (r == 0 && (n.kind != STORE_KIND_MAILBOX || n.parent == 0))
		return ERR_INVAL;
	if (r == 0 && is_inbox(&n))
		return ERR_PERM;
	if (r == 0)
		r = store_rights_check(s, id, "x");
	if (r == 0)
		r = check_parent(s, parent);
	if (r == 0)
		r = store_node_check_loop(s, id, parent);
	if (r < 0)
		return r;
	if (n.parent == parent && strcmp(n.name, name) == 0)
		return 0;
	r = store_node_place(s, id, parent, name);
	if (r == 0)
		r = rename_unborn(s, id, parent, name);
	if (r != 0)
		return r < 0 ? r : 0;
	r = store_log_insert(s, &op, n.parent, n.name, &seq);
	return r < 0 ? r : need_structure(s, seq, id, parent, name);
}

int store_mailbox_rename(struct store *s, int64_t id, int64_t parent, const char *name)
{
	int r;

	if (!store_name_valid(name))
		return ERR_INVAL;
	r = store_txn_begin(s);
	return r < 0 ? r : store_txn_end(s, rename_locked(s, id, parent, name));
}

static int is_subscribed(struct store *s, int64_t id)
{
	struct store_mailbox m;
	int r = store_mailbox_get(s, id, &m);

	if (r < 0)
		return r;
	r = m.subscribed;
	store_mailbox_release(&m);
	return r;
}

/* An unsent change is taken back first: then there may be nothing left to do. */
static int cancel_subscription(struct store *s, int64_t id)
{
	int64_t seq = 0;
	int r = store_db_int(
		&s->db, &seq,
		"SELECT seq FROM op WHERE mailbox = ?1 AND kind IN (10, 11) AND state = 1"
		" ORDER BY seq DESC LIMIT 1",
		"i", id);

	return r == 1 && !s->plain_log ? store_log_cancel(s, seq) : r;
}

static int subscribe_locked(struct store *s, int64_t id, bool on)
{
	struct store_op op = {
		.kind = on ? STORE_OP_SUBSCRIBE : STORE_OP_UNSUBSCRIBE,
		.mailbox = id,
	};
	int r = is_subscribed(s, id);

	if (r < 0 || (r == 1) == on)
		return r < 0 ? r : 0;
	r = cancel_subscription(s, id);
	if (r >= 0)
		r = is_subscribed(s, id);
	if (r < 0)
		return r;
	store_txn_note(s, STORE_CHANGE_ATTR, id, 0, NULL);
	if ((r == 1) == on)
		return 0;
	r = store_db_int(&s->db, &op.depends_on,
	                 "SELECT max(seq) FROM op WHERE mailbox = ?1 AND kind IN (7, 9, 10, 11)",
	                 "i", id);
	return r < 0 ? r : store_log_insert(s, &op, 0, NULL, NULL);
}

int store_mailbox_subscribe(struct store *s, int64_t id, bool on)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, subscribe_locked(s, id, on));
}
