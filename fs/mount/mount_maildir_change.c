/* SPDX-License-Identifier: MIT */
#include "mount_maildir_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "mount_edit_priv.h"
#include "store_mailbox.h"
#include "store_message.h"

/*
 * Changes by name.  A rename says more than where a file is to be: the letters that the new name
 * has and the old one had not are flags to set, the others to clear.  So what another client did
 * meanwhile stays.
 */

/* The store's directory for one of the kernel's. */
static int store_dir(struct mount *m, fuse_ino_t dir, int64_t *id)
{
	*id = maildir_id(dir);
	if (mount_is_virtual(dir))
		return ERR_PERM;
	return maildir_part(dir) == MAILDIR_TMP ? maildir_tmp(m, m->store, *id, true, id) : 0;
}

static bool is_box(fuse_ino_t dir)
{
	return maildir_part(dir) == MAILDIR_CUR || maildir_part(dir) == MAILDIR_NEW;
}

/* The name that the store is to have for a new entry; files do not lie beside cur/ and new/. */
static int store_name(struct mount *m, fuse_ino_t dir, const char *name, struct maildir_name *out)
{
	struct store_node n;

	if (strlen(name) > STORE_NAME_MAX)
		return ERR_TOOBIG;
	maildir_parse(name, m->maildir->separator, out);
	if (is_box(dir) && !store_name_is_scratch(name))
		return 0;
	(void)snprintf(out->base, sizeof(out->base), "%s", name);
	out->marks = 0;
	if (is_box(dir) || maildir_part(dir) == MAILDIR_TMP)
		return 0;
	if (store_node_get(m->store, maildir_id(dir), &n) == 0 && n.kind == STORE_KIND_MAILBOX)
		return ERR_PERM;
	return 0;
}

static void reply_error(fuse_req_t req, int r)
{
	fuse_reply_err(req, r == ERR_TOOBIG ? ENAMETOOLONG : mount_errno(r));
}

/* Which part it is in, once its flags are right. */
static int put(struct mount *m, int64_t id, bool cur)
{
	struct store_node n;
	int r = store_node_get(m->store, id, &n);

	if (r < 0 || cur == (maildir_part_of(&n) == MAILDIR_CUR))
		return r;
	return store_node_put(m->store, id, cur);
}

static int set_flags(struct mount *m, int64_t id, uint32_t from, uint32_t to)
{
	_cleanup_free_ char *add = maildir_flags(to & ~from);
	_cleanup_free_ char *del = maildir_flags(from & ~to);
	int r = to == from ? 0 : store_message_flag(m->store, id, add, del);

	return r < 0 ? r : 0;
}

/* After a node got its place in cur/ or new/; with `id` only if it is that one. */
static void mark_new(struct mount *m, fuse_ino_t dir, const struct maildir_name *name, int64_t id)
{
	struct store_node n;

	if (!is_box(dir) || store_node_lookup(m->store, maildir_id(dir), name->base, &n) < 0 ||
	    (id != 0 && n.id != id))
		return;
	(void)set_flags(m, n.id, 0, name->marks);
	(void)put(m, n.id, maildir_part(dir) == MAILDIR_CUR);
}

void maildir_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct mount *m = fuse_req_userdata(req);
	struct maildir_name to;
	int64_t dir;
	int r = store_name(m, parent, name, &to);

	if (r == 0)
		r = store_dir(m, parent, &dir);
	if (r < 0) {
		reply_error(req, r);
		return;
	}
	mount_op_mknod(req, (fuse_ino_t)dir, to.base, mode, rdev);
	mark_new(m, parent, &to, 0);
}

void maildir_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct maildir_name to;
	int64_t dir;
	int r = store_name(m, parent, name, &to);

	if (r == 0)
		r = store_dir(m, parent, &dir);
	if (r < 0)
		reply_error(req, r);
	else
		mount_op_symlink(req, target, (fuse_ino_t)dir, to.base);
}

/* Names that begin with a dot are indexes and the like of programs, no mailboxes. */
static void make_local_dir(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name,
                           mode_t mode)
{
	struct store_node n;
	int r = mount_name_reserved((int64_t)parent, name) ? ERR_EXISTS : 0;

	mount_own_set(m, 0, (int64_t)parent, name);
	if (r == 0)
		r = store_node_create(m->store, (int64_t)parent, name, STORE_KIND_DIR, mode & 0777,
		                      NULL, &n);
	mount_own_clear(m);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		mount_reply_entry(m, req, &n);
}

void maildir_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct mount *m = fuse_req_userdata(req);
	char stored[STORE_NAME_MAX + 1];

	if (mount_is_virtual(parent) || maildir_part(parent) != MAILDIR_NODE)
		fuse_reply_err(req, EPERM);
	else if (strlen(name) > STORE_NAME_MAX)
		fuse_reply_err(req, ENAMETOOLONG);
	else if (name[0] == '.')
		make_local_dir(m, req, parent, name, mode);
	else if (parent == STORE_ROOT)
		mount_op_mkdir(req, parent, name, mode);
	else if (!maildir_folder_read(name, stored))
		fuse_reply_err(req, EEXIST);
	else
		mount_op_mkdir(req, parent, stored, mode);
}

/* ---- removing ---- */

static int remembered_link(struct mount *m, int64_t dir, const char *name)
{
	struct mount_maildir *d = m->maildir;

	for (size_t i = 0; i < MAILDIR_LEFT; i++) {
		if (d->left[i].dir == dir && strcmp(d->left[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

void maildir_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct maildir_found f;
	int64_t dir = 0;
	int left, r;

	if (mount_is_virtual(parent)) {
		mount_op_unlink(req, parent, name);
		return;
	}
	r = store_dir(m, parent, &dir);
	left = r == 0 ? remembered_link(m, dir, name) : -1;
	if (left >= 0) {
		m->maildir->left[left].dir = 0;
		fuse_reply_err(req, 0);
		return;
	}
	if (r == 0)
		r = maildir_find(m, parent, name, true, &f);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else if (maildir_part((fuse_ino_t)f.n.id) != MAILDIR_NODE)
		fuse_reply_err(req, EISDIR);
	else
		mount_op_unlink(req, (fuse_ino_t)dir, f.n.name);
}

/* cur/, new/ and tmp/ come and go with the mailbox: who removes a tree is not held up. */
static void rmdir_part(struct mount *m, fuse_req_t req, fuse_ino_t ino)
{
	struct store_node any;
	int r = mount_maildir_list(m, m->store, ino, 0, &any, 1);

	fuse_reply_err(req, r < 0 ? mount_errno(r) : r > 0 ? ENOTEMPTY : 0);
}

void maildir_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct maildir_found f;
	int64_t tmp;
	int r;

	if (mount_is_virtual(parent)) {
		mount_op_rmdir(req, parent, name);
		return;
	}
	r = maildir_find(m, parent, name, true, &f);
	if (r == 0 && maildir_part((fuse_ino_t)f.n.id) != MAILDIR_NODE) {
		rmdir_part(m, req, (fuse_ino_t)f.n.id);
		return;
	}
	if (r == 0 && maildir_part(parent) != MAILDIR_NODE) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (r == 0 && f.n.kind == STORE_KIND_MAILBOX &&
	    maildir_tmp(m, m->store, f.n.id, false, &tmp) == 0)
		r = store_node_remove(m->store, tmp);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		mount_op_rmdir(req, parent, f.n.name);
}

/* ---- renaming ---- */

struct move {
	struct mount *m;
	fuse_ino_t from_dir, to_dir;
	const char *to_name; /* as the kernel has it */
	struct maildir_found from, target;
	struct maildir_name to;
	bool over; /* something else has the target's name */
	int64_t dir;
};

static int move_find(struct move *v, const char *name)
{
	int r = maildir_find(v->m, v->from_dir, name, true, &v->from);

	if (r == 0)
		r = store_name(v->m, v->to_dir, v->to_name, &v->to);
	if (r == ERR_PERM &&
	    (v->from.n.kind == STORE_KIND_MAILBOX || v->from.n.kind == STORE_KIND_DIR))
		r = maildir_folder_read(v->to_name, v->to.base) ? 0 : ERR_EXISTS;
	if (r == 0)
		r = store_dir(v->m, v->to_dir, &v->dir);
	if (r < 0)
		return r;
	r = maildir_find(v->m, v->to_dir, v->to_name, true, &v->target);
	v->over = r == 0 && v->target.n.id != v->from.n.id;
	return r == ERR_NOTFOUND ? 0 : r;
}

/* Flags that the new name has and the old had not, and the other way round. */
static int move_flags(struct move *v)
{
	uint32_t from = is_box(v->from_dir) ? v->from.name.marks : 0;

	if (v->from.n.kind != STORE_KIND_MESSAGE && v->from.n.kind != STORE_KIND_FILE)
		return 0;
	return set_flags(v->m, v->from.n.id, from, v->to.marks);
}

/* Only its letters or its part change. */
static bool same_place(const struct move *v)
{
	return is_box(v->from_dir) && is_box(v->to_dir) &&
	       maildir_id(v->from_dir) == maildir_id(v->to_dir) &&
	       strcmp(v->from.name.base, v->to.base) == 0;
}

/* A message in the way whose name is made from its number: a file that takes its place is its
 * new content; else it goes first, because the store knows it by another name. */
static int clear_target(struct move *v)
{
	struct store_node *t = &v->target.n;

	if (!v->over || strcmp(t->name, v->to.base) == 0 || t->kind != STORE_KIND_MESSAGE)
		return 0;
	if (v->from.n.kind == STORE_KIND_FILE) {
		(void)snprintf(v->to.base, sizeof(v->to.base), "%s", t->name);
		return 0;
	}
	return store_message_remove(v->m->store, t->id, v->m->cfg.delete_mode);
}

static void move_done(struct move *v, fuse_req_t req)
{
	int r = put(v->m, v->from.n.id, maildir_part(v->to_dir) == MAILDIR_CUR);

	sync_kick(v->m->sync);
	fuse_reply_err(req, mount_errno(r));
}

static void move_do(struct move *v, fuse_req_t req, fuse_ino_t parent, unsigned int flags)
{
	int64_t from_dir = 0;
	int r = store_dir(v->m, parent, &from_dir);

	if (r == 0 && v->over && (flags & RENAME_NOREPLACE))
		r = ERR_EXISTS;
	if (r == 0)
		r = move_flags(v);
	if (r == 0 && same_place(v)) {
		move_done(v, req);
		return;
	}
	if (r == 0)
		r = clear_target(v);
	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	mount_op_rename(req, (fuse_ino_t)from_dir, v->from.n.name, (fuse_ino_t)v->dir, v->to.base,
	                flags);
	mark_new(v->m, v->to_dir, &v->to, v->from.n.id);
}

void maildir_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                       const char *newname, unsigned int flags)
{
	struct move v = { .m = fuse_req_userdata(req),
		          .from_dir = parent,
		          .to_dir = newparent,
		          .to_name = newname };
	int r;

	if (mount_is_virtual(parent) || mount_is_virtual(newparent) ||
	    mount_name_reserved((int64_t)parent, name) ||
	    mount_name_reserved((int64_t)newparent, newname)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (flags & ~(unsigned int)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = move_find(&v, name);
	if (r < 0)
		reply_error(req, r);
	else if (maildir_part((fuse_ino_t)v.from.n.id) != MAILDIR_NODE)
		fuse_reply_err(req, EBUSY);
	else
		move_do(&v, req, parent, flags);
}

/* ---- linking ---- */

/* tmp/a linked to new/a, then tmp/a removed, is how some deliver: the first is the move already,
 * and the old name is remembered until it is removed. */
static void link_delivery(struct mount *m, fuse_req_t req, const struct store_node *n,
                          fuse_ino_t parent, const struct maildir_name *to)
{
	struct maildir_left *left = &m->maildir->left[m->maildir->next_left++ % MAILDIR_LEFT];
	struct fuse_entry_param e;
	struct store_node now;
	int r;

	mount_own_set(m, 0, n->parent, n->name);
	mount_own_set(m, 1, maildir_id(parent), to->base);
	mount_files_lock(m); /* nobody makes a message of it halfway */
	r = store_node_rename(m->store, n->id, maildir_id(parent), to->base, false, 0);
	mount_own_clear(m);
	if (r == 0) {
		*left = (struct maildir_left){ .dir = n->parent, .node = n->id };
		(void)snprintf(left->name, sizeof(left->name), "%s", n->name);
		mark_new(m, parent, to, n->id);
		r = store_node_get(m->store, n->id, &now);
	}
	mount_files_unlock(m);
	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	mount_file_named(m, &now);
	mount_file_overlay(m, &now);
	mount_entry(m, &now, &e);
	e.attr.st_nlink = 2; /* until the other name is removed */
	fuse_reply_entry(req, &e);
}

void maildir_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n, dir;
	struct maildir_name to;
	struct maildir_found f;
	int r = mount_is_virtual(ino) || !is_box(parent) ? ERR_PERM : 0;

	if (r == 0)
		r = store_name(m, parent, name, &to);
	if (r == 0 && maildir_find(m, parent, name, true, &f) == 0)
		r = ERR_EXISTS;
	if (r == 0)
		r = store_node_get(m->store, mount_alias_real(m, (fuse_ino_t)maildir_id(ino)), &n);
	if (r == 0)
		r = store_node_get(m->store, n.parent, &dir);
	if (r < 0)
		reply_error(req, r);
	else if (n.kind == STORE_KIND_FILE && dir.kind == STORE_KIND_DIR)
		link_delivery(m, req, &n, parent, &to);
	else
		mount_op_link(req, (fuse_ino_t)n.id, (fuse_ino_t)maildir_id(parent), to.base);
}
