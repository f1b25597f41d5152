/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

/*
 * Editors that write a second file: it turns into the new content of the message.  Some rename the
 * message away first; which file then stands at its name is kept in the table `aside`.
 */

/* The old bytes in a spool of their own; 0: they are not here. */
static int old_bytes(struct store *s, const struct store_node *n, int64_t *spool, int64_t *size)
{
	const void *data;
	size_t len;
	int r;

	*spool = n->spool;
	*size = n->size;
	if (n->spool != 0)
		return 0;
	r = store_body_get(s, n->id, &data, &len);
	if (r < 0)
		return r == ERR_NOTFOUND ? 0 : r;
	*size = (int64_t)len;
	return store_spool_from(s, data, len, spool);
}

static int keep_old_file(struct store *s, const struct store_node *old, int64_t spool, int64_t size)
{
	struct store_node n = *old;
	int64_t id;

	n.kind = STORE_KIND_FILE;
	n.mode = 0600;
	n.spool = spool;
	n.size = size;
	n.size_exact = true;
	return store_node_insert(s, old->parent, old->name, &n, NULL, &id);
}

#define ASIDE_MS ((int64_t)600000) /* how long a place waits for a file */

static int aside_forget(struct store *s, int64_t message)
{
	return store_db_run(&s->db, "DELETE FROM aside WHERE message = ?1", "i", message);
}

int store_aside_moved(struct store *s, const struct store_node *n, int64_t parent, const char *name)
{
	int r = 0;

	if (n->kind == STORE_KIND_FILE)
		return store_aside_placed(s, n->id, parent, name);
	if (n->kind != STORE_KIND_MESSAGE || store_name_is_scratch(n->name))
		return n->kind == STORE_KIND_MESSAGE ? aside_forget(s, n->id) : 0;
	if (parent == n->parent && store_name_is_scratch(name))
		r = store_db_run(&s->db,
		                 "INSERT OR REPLACE INTO aside (message, dir, name, at_ms)"
		                 " VALUES (?1, ?2, ?3, ?4)",
		                 "iisi", n->id, parent, n->name, store_now_ms());
	return r;
}

int store_aside_placed(struct store *s, int64_t file, int64_t parent, const char *name)
{
	return store_db_run(&s->db,
	                    "UPDATE aside SET file = ?1 WHERE message = (SELECT message FROM aside"
	                    " WHERE dir = ?2 AND name = ?3 AND at_ms BETWEEN ?4 AND ?5"
	                    " ORDER BY at_ms DESC, message DESC LIMIT 1)",
	                    "iisii", file, parent, name, store_now_ms() - ASIDE_MS, store_now_ms());
}

int store_aside_purge(struct store *s)
{
	return store_db_run(&s->db,
	                    "DELETE FROM aside WHERE message NOT IN (SELECT id FROM message) OR"
	                    " (file NOT IN (SELECT id FROM node) AND"
	                    " at_ms NOT BETWEEN ?1 AND ?2)",
	                    "ii", store_now_ms() - ASIDE_MS, store_now_ms());
}

int store_aside_message(struct store *s, int64_t file, int64_t *message)
{
	int r = store_db_int(&s->db, message, "SELECT message FROM aside WHERE file = ?1", "i",
	                     file);

	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

int store_aside_file(struct store *s, int64_t message, int64_t *file)
{
	int r = store_db_int(&s->db, file,
	                     "SELECT file FROM aside WHERE message = ?1 AND file != 0", "i",
	                     message);

	return r == 1 ? 0 : r == 0 ? ERR_NOTFOUND : r;
}

/* The file's spool is the message's before the file goes, so that it stays. */
static int take_content(struct store *s, const struct store_node *n, const struct store_node *file,
                        enum store_edit how)
{
	int r = store_db_run(&s->db,
	                     "UPDATE node SET spool = ?2, size = ?3, size_exact = 1 WHERE id = ?1",
	                     "iii", n->id, file->spool, file->size);

	if (r == 0)
		r = store_node_delete(s, file->id);
	if (r == 0 && how != STORE_EDIT_STAY)
		r = store_node_place(s, n->id, file->parent, file->name);
	if (r == 0)
		r = store_node_touch(s, n->id);
	return r;
}

static int edit_locked(struct store *s, int64_t id, int64_t file, enum store_edit how)
{
	int64_t spool = 0, size = 0, place, any;
	struct store_node n, f;
	int r = store_node_get(s, id, &n);

	if (r == 0)
		r = store_node_get(s, file, &f);
	if (r < 0)
		return r;
	if (n.kind != STORE_KIND_MESSAGE || f.kind != STORE_KIND_FILE || f.spool == 0)
		return ERR_INVAL;
	place = how == STORE_EDIT_STAY ? n.parent : f.parent;
	r = store_db_int(&s->db, &any, "SELECT 1 FROM mailbox WHERE id = ?1", "i", place);
	if (r <= 0)
		return r < 0 ? r : ERR_INVAL;
	r = store_rights_check(s, place, "ite");
	if (r < 0)
		return r;
	r = how == STORE_EDIT_KEEP ? old_bytes(s, &n, &spool, &size) : 0;
	if (r == 0)
		r = take_content(s, &n, &f, how);
	if (r == 0 && spool != 0)
		r = keep_old_file(s, &n, spool, size);
	if (r == 0 && n.spool != 0)
		r = store_spool_release(s, n.spool);
	if (r == 0 && how != STORE_EDIT_STAY)
		r = aside_forget(s, id);
	if (r == 0)
		r = store_body_forget(s, id); /* or a read would find the old bytes first */
	if (r == 0)
		store_txn_note(s, STORE_CHANGE_BODY, id, 0, NULL);
	return r;
}

int store_message_edit(struct store *s, int64_t id, int64_t file, enum store_edit how)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, edit_locked(s, id, file, how));
}
