/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS                                                                               \
	"id, parent, kind, mode, size, size_exact, mtime_ns, ctime_ns, subdirs, spool, name," \
	" crlf, view_ns, mark, was"
#define PATH_MAX_BYTES 65536

static bool is_dir(enum store_kind kind)
{
	return kind == STORE_KIND_ROOT || kind == STORE_KIND_MAILBOX || kind == STORE_KIND_DIR;
}

static void read_node(sqlite3_stmt *st, struct store_node *n)
{
	const char *name = (const char *)sqlite3_column_text(st, 10);
	size_t len = (size_t)sqlite3_column_bytes(st, 10);

	n->id = sqlite3_column_int64(st, 0);
	n->parent = sqlite3_column_int64(st, 1);
	n->kind = (enum store_kind)sqlite3_column_int(st, 2);
	n->mode = (uint32_t)sqlite3_column_int64(st, 3);
	n->size = sqlite3_column_int64(st, 4);
	n->size_exact = sqlite3_column_int(st, 5) != 0;
	n->mtime_ns = sqlite3_column_int64(st, 6);
	n->ctime_ns = sqlite3_column_int64(st, 7);
	n->subdirs = (uint32_t)sqlite3_column_int64(st, 8);
	n->spool = sqlite3_column_int64(st, 9);
	n->crlf = sqlite3_column_int64(st, 11);
	n->view_ns = sqlite3_column_int64(st, 12);
	n->mark = (uint32_t)sqlite3_column_int(st, 13);
	n->was = (uint32_t)sqlite3_column_int(st, 14);
	if (len > STORE_NAME_MAX)
		len = STORE_NAME_MAX;
	memcpy(n->name, name, len);
	n->name[len] = '\0';
}

static int one(int r, sqlite3_stmt *st, struct store_node *out)
{
	if (r == 1)
		read_node(st, out);
	store_db_reset(&st);
	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

int store_node_get(struct store *s, int64_t id, struct store_node *out)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st, "SELECT " COLUMNS " FROM node WHERE id = ?1", "i", id);

	return one(r, st, out);
}

int store_node_lookup(struct store *s, int64_t parent, const char *name, struct store_node *out)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT " COLUMNS " FROM node WHERE parent = ?1 AND name = ?2", "is",
	                     parent, name);

	return one(r, st, out);
}

int store_node_list(struct store *s, int64_t parent, int64_t after, struct store_node *out, int max)
{
	sqlite3_stmt *st;
	int n = 0;
	int r = store_db_row(&s->db, &st,
	                     "SELECT " COLUMNS " FROM node INDEXED BY node_parent"
	                     " WHERE parent = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
	                     "iii", parent, after, INT(max));

	for (; r == 1; r = store_db_next(&s->db, &st))
		read_node(st, &out[n++]);
	return r < 0 ? r : n;
}

int store_node_list_part(struct store *s, int64_t parent, enum store_part part, int64_t after,
                         struct store_node *out, int max)
{
	static const char *const sql[] = {
		[STORE_PART_DIRS] = "SELECT " COLUMNS " FROM node INDEXED BY node_dirs WHERE"
				    " parent = ?1 AND id > ?2 AND kind IN (2, 5) ORDER BY id"
				    " LIMIT ?3",
		[STORE_PART_NEW] = "SELECT " COLUMNS " FROM node INDEXED BY node_fresh WHERE"
				   " parent = ?1 AND id > ?2 AND fresh ORDER BY id LIMIT ?3",
		[STORE_PART_CUR] = "SELECT " COLUMNS " FROM node INDEXED BY node_parent WHERE"
				   " parent = ?1 AND id > ?2 AND kind NOT IN (2, 5) AND NOT fresh"
				   " ORDER BY id LIMIT ?3",
	};
	sqlite3_stmt *st;
	int n = 0;
	int r = store_db_row(&s->db, &st, sql[part], "iii", parent, after, INT(max));

	for (; r == 1; r = store_db_next(&s->db, &st))
		read_node(st, &out[n++]);
	return r < 0 ? r : n;
}

int store_node_path(struct store *s, int64_t id, char **out)
{
	_cleanup_free_ char *path = mem_strdup("");

	while (id != STORE_ROOT) {
		struct store_node n;
		char *longer;
		int r = store_node_get(s, id, &n);

		if (r < 0)
			return r;
		if (n.parent == 0)
			return ERR_NOTFOUND;
		if (strlen(path) > PATH_MAX_BYTES)
			return ERR_LIMIT;
		longer = mem_printf("%s%s%s", n.name, *path ? "/" : "", path);
		free(path);
		path = longer;
		id = n.parent;
	}
	*out = mem_steal(path);
	return 0;
}

int store_node_by_path(struct store *s, const char *path, struct store_node *out)
{
	struct store_node n;
	int r = store_node_get(s, STORE_ROOT, &n);

	while (r == 0) {
		char name[STORE_NAME_MAX + 1];
		size_t len;

		path += strspn(path, "/");
		if (*path == '\0')
			break;
		len = strcspn(path, "/");
		if (len > STORE_NAME_MAX)
			return ERR_NOTFOUND;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		r = store_node_lookup(s, n.id, name, &n);
	}
	if (r == 0)
		*out = n;
	return r;
}

int store_symlink_target(struct store *s, int64_t id, char **out)
{
	int r = store_db_text(&s->db, out,
	                      "SELECT target FROM node WHERE id = ?1 AND target IS NOT NULL", "i",
	                      id);

	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

bool store_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= STORE_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* ---- pieces of changes ---- */

/* Membership of a directory changed. */
static int touch_dir(struct store *s, int64_t parent, int subdirs)
{
	int r;

	if (parent == 0 || (parent == s->touched && subdirs == 0))
		return 0;
	r = store_db_run(&s->db,
	                 "UPDATE node SET mtime_ns = max(?2, mtime_ns + 1), ctime_ns = ?2,"
	                 " subdirs = max(0, subdirs + ?3) WHERE id = ?1",
	                 "iii", parent, store_now_ns(), INT(subdirs));
	if (r == 0)
		s->touched = parent;
	return r;
}

int store_node_insert(struct store *s, int64_t parent, const char *name, const struct store_node *n,
                      const char *target, int64_t *id)
{
	int r = store_db_run(&s->db,
	                     "INSERT OR IGNORE INTO node (parent, name, kind, mode, size,"
	                     " size_exact, mtime_ns, ctime_ns, spool, target, mark, fresh)"
	                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	                     "zsiiiiiiisii", parent, name, INT(n->kind), INT(n->mode), n->size,
	                     INT(n->size_exact), n->mtime_ns, n->ctime_ns, n->spool, target,
	                     INT(n->mark), INT(store_mark_is_fresh(n->kind, n->mark)));

	if (r < 0)
		return r;
	if (sqlite3_changes(s->db.h) == 0)
		return ERR_EXISTS;
	*id = sqlite3_last_insert_rowid(s->db.h);
	if (parent == 0)
		return 0;
	store_txn_note(s, STORE_CHANGE_ADDED, *id, parent, name);
	return touch_dir(s, parent, is_dir(n->kind) ? 1 : 0);
}

int store_node_place(struct store *s, int64_t id, int64_t parent, const char *name)
{
	struct store_node n;
	int r = store_node_get(s, id, &n);
	int dirs = r == 0 && is_dir(n.kind) ? 1 : 0;

	if (r < 0)
		return r;
	if (n.parent == parent && strcmp(n.name, name) == 0)
		return 0;
	r = store_db_run(&s->db,
	                 "UPDATE OR IGNORE node SET parent = ?2, name = ?3, ctime_ns = ?4"
	                 " WHERE id = ?1",
	                 "izsi", id, parent, name, store_now_ns());
	if (r < 0)
		return r;
	if (sqlite3_changes(s->db.h) == 0)
		return ERR_EXISTS;
	if (n.parent != 0)
		store_txn_note(s, STORE_CHANGE_REMOVED, id, n.parent, n.name);
	if (parent != 0)
		store_txn_note(s, STORE_CHANGE_ADDED, id, parent, name);
	r = touch_dir(s, n.parent, -dirs);
	return r < 0 ? r : touch_dir(s, parent, dirs);
}

int store_node_free_name(struct store *s, int64_t parent, const char *name, int64_t self,
                         char out[STORE_NAME_MAX + 1])
{
	const char *dot = strrchr(name, '.');
	size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);

	for (int i = 1; i < 1000000; i++) {
		char tail[STORE_NAME_MAX + 32];
		struct store_node n;
		size_t room;
		int r;

		if (i == 1)
			snprintf(tail, sizeof(tail), "%s", name + stem);
		else
			snprintf(tail, sizeof(tail), "-%d%s", i, name + stem);
		if (strlen(tail) > STORE_NAME_MAX / 2)
			snprintf(tail, sizeof(tail), "-%d", i);
		room = STORE_NAME_MAX - strlen(tail);
		while (stem > room && ((unsigned char)name[room] & 0xc0) == 0x80)
			room--;
		snprintf(out, STORE_NAME_MAX + 1, "%.*s%s", (int)(stem < room ? stem : room), name,
		         tail);
		r = store_node_lookup(s, parent, out, &n);
		if (r == ERR_NOTFOUND || (r == 0 && n.id == self))
			return 0;
		if (r < 0)
			return r;
	}
	return ERR_LIMIT;
}

int store_node_place_free(struct store *s, int64_t id, int64_t parent, const char *name)
{
	char free_name[STORE_NAME_MAX + 1];
	int r = store_node_free_name(s, parent, name, id, free_name);

	return r < 0 ? r : store_node_place(s, id, parent, free_name);
}

int store_node_delete(struct store *s, int64_t id)
{
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r < 0)
		return r;
	r = store_db_run(&s->db, "DELETE FROM node WHERE id = ?1", "i", id);
	if (r == 0 && n.kind == STORE_KIND_FILE) /* the flags it was to be sent with */
		r = store_db_run(&s->db, "DELETE FROM message WHERE id = ?1", "i", id);
	if (r < 0)
		return r;
	if (n.spool != 0)
		r = store_spool_release(s, n.spool);
	if (r < 0 || n.parent == 0)
		return r;
	store_txn_note(s, STORE_CHANGE_REMOVED, id, n.parent, n.name);
	return touch_dir(s, n.parent, is_dir(n.kind) ? -1 : 0);
}

int store_node_touch(struct store *s, int64_t id)
{
	store_txn_note(s, STORE_CHANGE_ATTR, id, 0, NULL);
	return store_db_run(&s->db,
	                    "UPDATE node SET ctime_ns = max(?2, ctime_ns + 1) WHERE id = ?1", "ii",
	                    id, store_now_ns());
}

static int has_children(struct store *s, int64_t id)
{
	int64_t any;

	return store_db_int(&s->db, &any, "SELECT 1 FROM node WHERE parent = ?1 LIMIT 1", "i", id);
}

int store_node_clear(struct store *s, int64_t parent, const char *name, int64_t self, bool replace,
                     int delete_mode)
{
	struct store_node n;
	int r = store_node_lookup(s, parent, name, &n);

	if (r == ERR_NOTFOUND || (r == 0 && n.id == self))
		return 0;
	if (r < 0)
		return r;
	if (!replace || n.kind == STORE_KIND_MAILBOX)
		return ERR_EXISTS;
	if (n.kind == STORE_KIND_MESSAGE)
		return store_message_remove(s, n.id, (enum store_delete)delete_mode);
	return store_node_remove(s, n.id);
}

/* ---- public changes ---- */

static int create(struct store *s, int64_t parent, const char *name, struct store_node *n,
                  const char *target)
{
	struct store_node dir;
	int fd = -1;
	int r = store_node_get(s, parent, &dir);

	if (r < 0 || !is_dir(dir.kind))
		return r < 0 ? r : ERR_NOTFOUND;
	n->mtime_ns = n->ctime_ns = store_now_ns();
	n->size_exact = true;
	n->size = target ? (int64_t)strlen(target) : 0;
	if (n->kind == STORE_KIND_FILE)
		r = store_spool_new(s, &n->spool, &fd);
	if (fd >= 0)
		store_spool_close(fd);
	if (r == 0)
		r = store_node_insert(s, parent, name, n, target, &n->id);
	if (r == 0 && n->kind == STORE_KIND_FILE)
		r = store_aside_placed(s, n->id, parent, name);
	return r;
}

int store_node_create(struct store *s, int64_t parent, const char *name, enum store_kind kind,
                      uint32_t mode, const char *target, struct store_node *out)
{
	struct store_node n = { .parent = parent, .kind = kind, .mode = mode & 07777 };
	int r;

	if (!store_name_valid(name) || kind < STORE_KIND_FILE ||
	    (kind == STORE_KIND_SYMLINK && !target))
		return ERR_INVAL;
	r = store_txn_begin(s);
	if (r < 0)
		return r;
	r = store_txn_end(s,
	                  create(s, parent, name, &n, kind == STORE_KIND_SYMLINK ? target : NULL));
	if (r < 0)
		return r;
	snprintf(n.name, sizeof(n.name), "%s", name);
	*out = n;
	return 0;
}

static int set_locked(struct store *s, int64_t id, unsigned int mask, const struct store_node *from)
{
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r < 0)
		return r;
	if (mask & STORE_SET_MODE)
		n.mode = from->mode & 07777;
	if (mask & STORE_SET_SIZE)
		n.size = from->size;
	if ((mask & STORE_SET_SIZE) && n.kind == STORE_KIND_MESSAGE)
		mask &= ~(unsigned int)STORE_SET_MTIME;
	if (mask & STORE_SET_MTIME)
		n.mtime_ns = from->mtime_ns;
	if ((mask & STORE_SET_MTIME) && n.kind == STORE_KIND_MESSAGE)
		r = store_upload_set_date(s, id, n.mtime_ns);
	if (r < 0)
		return r;
	r = store_db_run(&s->db,
	                 "UPDATE node SET mode = ?2, size = ?3, mtime_ns = ?4 WHERE id = ?1",
	                 "iiii", id, INT(n.mode), n.size, n.mtime_ns);
	if (r == 0)
		r = store_node_touch(s, id);
	if (r == 0 && (mask & STORE_SET_SIZE))
		store_txn_note(s, STORE_CHANGE_BODY, id, 0, NULL);
	return r;
}

int store_node_set(struct store *s, int64_t id, unsigned int mask, const struct store_node *from)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, set_locked(s, id, mask, from));
}

static int remove_locked(struct store *s, int64_t id)
{
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r < 0)
		return r;
	if (n.kind < STORE_KIND_FILE)
		return ERR_INVAL;
	if (n.kind == STORE_KIND_DIR) {
		r = has_children(s, id);
		if (r != 0)
			return r < 0 ? r : ERR_NOTEMPTY;
	}
	return store_node_delete(s, id);
}

int store_node_remove(struct store *s, int64_t id)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, remove_locked(s, id));
}

int store_node_check_loop(struct store *s, int64_t id, int64_t parent)
{
	while (parent != STORE_ROOT && parent != 0) {
		struct store_node n;
		int r;

		if (parent == id)
			return ERR_INVAL;
		r = store_node_get(s, parent, &n);
		if (r < 0)
			return r;
		parent = n.parent;
	}
	return 0;
}

static int rename_locked(struct store *s, int64_t id, int64_t parent, const char *name,
                         bool replace, int delete_mode)
{
	struct store_node n, dir;
	int r = store_node_get(s, id, &n);

	if (r == 0)
		r = store_node_get(s, parent, &dir);
	if (r < 0)
		return r;
	if (n.kind < STORE_KIND_MESSAGE || (n.kind == STORE_KIND_MESSAGE && n.parent != parent) ||
	    !is_dir(dir.kind))
		return ERR_INVAL;
	r = store_node_check_loop(s, id, parent);
	if (r == 0)
		r = store_node_clear(s, parent, name, id, replace, delete_mode);
	if (r == 0)
		r = store_aside_moved(s, &n, parent, name);
	return r < 0 ? r : store_node_place(s, id, parent, name);
}

int store_node_rename(struct store *s, int64_t id, int64_t parent, const char *name, bool replace,
                      int delete_mode)
{
	int r;

	if (!store_name_valid(name))
		return ERR_INVAL;
	r = store_txn_begin(s);
	return r < 0 ? r
	             : store_txn_end(s, rename_locked(s, id, parent, name, replace, delete_mode));
}
