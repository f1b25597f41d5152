/* SPDX-License-Identifier: MIT */
#include "mount_maildir_priv.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "mem.h"
#include "store_mailbox.h"

int mount_maildir_start(struct mount *m)
{
	if (!m->cfg.maildir)
		return 0;
	m->maildir = mem_alloc(sizeof(*m->maildir));
	m->maildir->separator = m->cfg.separator ? m->cfg.separator : ':';
	store_set_renames(m->store);
	return 0;
}

void mount_maildir_end(struct mount *m)
{
	struct store_mailbox *list = NULL;
	size_t count = 0;
	int64_t tmp;

	(void)store_mailbox_list(m->store, &list, &count);
	for (size_t i = 0; i < count; i++) {
		if (maildir_tmp(m, m->store, list[i].id, false, &tmp) == 0)
			(void)store_node_remove(m->store, tmp);
	}
	store_mailbox_list_free(list, count);
}

void mount_maildir_free(struct mount_maildir **d)
{
	free(*d);
	*d = NULL;
}

int maildir_tmp(struct mount *m, struct store *s, int64_t mailbox, bool make, int64_t *id)
{
	struct store_node n;
	int r = store_node_lookup(s, mailbox, MAILDIR_TMP_NAME, &n);

	(void)m;
	if (r == ERR_NOTFOUND && make)
		r = store_node_create(s, mailbox, MAILDIR_TMP_NAME, STORE_KIND_DIR, 0700, NULL, &n);
	if (r == 0)
		*id = n.id;
	return r;
}

enum maildir_part maildir_part_of(const struct store_node *n)
{
	bool fresh = n->kind == STORE_KIND_MESSAGE || n->kind == STORE_KIND_FILE;

	return fresh && store_mark_fresh(n->mark) ? MAILDIR_NEW : MAILDIR_CUR;
}

/* A part looks like a local directory; its times tell programs whether to read it again. */
static int part_node(struct store *s, fuse_ino_t ino, struct store_node *n)
{
	struct store_node tmp;
	int r = store_node_get(s, maildir_id(ino), n);

	if (r < 0)
		return r;
	if (n->kind != STORE_KIND_MAILBOX)
		return ERR_NOTFOUND;
	if (n->mtime_ns < n->view_ns)
		n->mtime_ns = n->view_ns;
	if (maildir_part(ino) == MAILDIR_TMP &&
	    store_node_lookup(s, n->id, MAILDIR_TMP_NAME, &tmp) == 0)
		n->mtime_ns = tmp.mtime_ns;
	if (n->ctime_ns < n->mtime_ns)
		n->ctime_ns = n->mtime_ns;
	n->kind = STORE_KIND_DIR;
	n->parent = n->id;
	n->id = (int64_t)ino;
	n->subdirs = 0;
	return 0;
}

int maildir_node(struct mount *m, struct store *s, fuse_ino_t ino, struct store_node *n)
{
	(void)m;
	return maildir_part(ino) != MAILDIR_NODE ? part_node(s, ino, n)
	                                         : store_node_get(s, maildir_id(ino), n);
}

static int find_part(struct mount *m, int64_t mailbox, const char *name, struct store_node *n)
{
	enum maildir_part part = strcmp(name, "cur") == 0   ? MAILDIR_CUR
	                         : strcmp(name, "new") == 0 ? MAILDIR_NEW
	                         : strcmp(name, "tmp") == 0 ? MAILDIR_TMP
	                                                    : MAILDIR_NODE;

	return part == MAILDIR_NODE ? ERR_NOTFOUND
	                            : part_node(m->store, maildir_ino(mailbox, part), n);
}

/* In a mailbox's own directory: its parts, child mailboxes, local directories. */
static int find_in_mailbox(struct mount *m, int64_t mailbox, const char *name, struct store_node *n)
{
	char stored[STORE_NAME_MAX + 1];
	int r;

	if (!maildir_folder_read(name, stored))
		return find_part(m, mailbox, name, n);
	r = store_node_lookup(m->store, mailbox, stored, n);
	if (r == 0 && ((n->kind != STORE_KIND_MAILBOX && n->kind != STORE_KIND_DIR) ||
	               strcmp(stored, MAILDIR_TMP_NAME) == 0))
		r = ERR_NOTFOUND;
	return r;
}

static bool is_entry(const struct store_node *n, int64_t mailbox)
{
	return n->parent == mailbox &&
	       (n->kind == STORE_KIND_MESSAGE || n->kind == STORE_KIND_FILE ||
	        n->kind == STORE_KIND_SYMLINK);
}

/* The name it had before another client changed its flags, not long ago. */
static bool was_called(const struct maildir_found *f, enum maildir_part part)
{
	struct store_node before = f->n;

	before.mark = f->n.was;
	return !(f->n.was & STORE_MARK_OWN) && maildir_part_of(&before) == part &&
	       (f->n.was & STORE_MARK_FLAGS) == f->name.marks &&
	       clock_wall_ns() - f->n.ctime_ns < MAILDIR_WAS_NS;
}

/* In cur/ or new/: by its base, then by where it is and which flags it has. */
static int find_entry(struct mount *m, int64_t mailbox, enum maildir_part part, const char *name,
                      bool any, struct maildir_found *f)
{
	char base[STORE_NAME_MAX + 1];
	int r;

	maildir_parse(name, m->maildir->separator, &f->name);
	r = store_node_lookup(m->store, mailbox, f->name.base, &f->n);
	if (r == ERR_NOTFOUND && f->name.parent == mailbox)
		r = store_node_get(m->store, f->name.node, &f->n);
	else if (r == ERR_NOTFOUND) /* what looks like a suffix is a name that a program gave */
		r = store_node_lookup(m->store, mailbox, name, &f->n);
	if (r < 0)
		return r;
	if (!is_entry(&f->n, mailbox))
		return ERR_NOTFOUND;
	f->alias = false;
	if (any ||
	    (maildir_part_of(&f->n) == part && (maildir_base(&f->n, m->maildir->separator, base) ||
	                                        (f->n.mark & STORE_MARK_FLAGS) == f->name.marks)))
		return 0;
	f->alias = was_called(f, part);
	return f->alias ? 0 : ERR_NOTFOUND;
}

static int find_in_tmp(struct mount *m, int64_t mailbox, const char *name, struct store_node *n)
{
	int64_t dir;
	int r = maildir_tmp(m, m->store, mailbox, false, &dir);

	return r < 0 ? r : store_node_lookup(m->store, dir, name, n);
}

int maildir_find(struct mount *m, fuse_ino_t dir, const char *name, bool any,
                 struct maildir_found *out)
{
	enum maildir_part part = maildir_part(dir);
	int64_t id = maildir_id(dir);
	struct store_node n;
	int r;

	*out = (struct maildir_found){ .alias = false };
	switch (part) {
	case MAILDIR_CUR:
	case MAILDIR_NEW:
		return find_entry(m, id, part, name, any, out);
	case MAILDIR_TMP:
		return find_in_tmp(m, id, name, &out->n);
	case MAILDIR_NODE:
		break;
	}
	r = store_node_get(m->store, id, &n);
	if (r < 0)
		return r;
	return n.kind == STORE_KIND_MAILBOX ? find_in_mailbox(m, id, name, &out->n)
	                                    : store_node_lookup(m->store, id, name, &out->n);
}

/* ---- operations ---- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	bool sure = maildir_part(parent) == MAILDIR_NODE || maildir_part(parent) == MAILDIR_TMP;
	struct fuse_entry_param e = { .entry_timeout = sure ? MOUNT_FOREVER : 0 };
	struct maildir_found f;
	int r;

	if (mount_is_virtual(parent) || mount_name_reserved((int64_t)parent, name)) {
		mount_virtual_lookup(m, req, parent, name);
		return;
	}
	r = strlen(name) > STORE_NAME_MAX ? ERR_TOOBIG : maildir_find(m, parent, name, false, &f);
	if (r == ERR_TOOBIG) {
		fuse_reply_err(req, ENAMETOOLONG);
	} else if (r == ERR_NOTFOUND) {
		fuse_reply_entry(req, &e);
	} else if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
	} else {
		mount_file_overlay(m, &f.n);
		if (f.alias) {
			e = (struct fuse_entry_param){ .generation = 1 };
			e.ino = (fuse_ino_t)f.n.id | MAILDIR_ALIAS;
			mount_stat(m, &f.n, &e.attr);
			e.attr.st_ino = (ino_t)e.ino;
		} else {
			mount_entry(m, &f.n, &e);
		}
		fuse_reply_entry(req, &e);
	}
}

static void reply_part(struct mount *m, fuse_req_t req, fuse_ino_t ino)
{
	struct store_node n;
	struct stat st;
	int r = maildir_node(m, m->store, ino, &n);

	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	mount_stat(m, &n, &st);
	fuse_reply_attr(req, &st, MOUNT_FOREVER);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	struct stat st;

	if (mount_is_virtual(ino) ||
	    (maildir_part(ino) == MAILDIR_NODE && !(ino & MAILDIR_ALIAS))) {
		mount_op_getattr(req, ino, fi);
	} else if (maildir_part(ino) != MAILDIR_NODE) {
		reply_part(m, req, ino);
	} else if (store_node_get(m->store, maildir_id(ino), &n) < 0) {
		fuse_reply_err(req, ENOENT);
	} else {
		mount_file_overlay(m, &n);
		mount_stat(m, &n, &st);
		st.st_ino = (ino_t)ino;
		fuse_reply_attr(req, &st, 0);
	}
}

static fuse_ino_t real(fuse_ino_t ino)
{
	return mount_is_virtual(ino) ? ino : (fuse_ino_t)maildir_id(ino);
}

/* The directories' times are the mailbox's, and their modes. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
                       struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	struct stat now;

	if (!mount_is_virtual(ino) && maildir_part(ino) != MAILDIR_NODE) {
		reply_part(m, req, ino);
		return;
	}
	if (!mount_is_virtual(ino) && (set & FUSE_SET_ATTR_SIZE) && attr->st_size > 0 &&
	    store_node_get(m->store, mount_alias_real(m, real(ino)), &n) == 0) {
		mount_file_overlay(m, &n);
		mount_stat(m, &n, &now);
		if (now.st_size == attr->st_size)
			set &= ~FUSE_SET_ATTR_SIZE;
	}
	mount_op_setattr(req, mount_is_virtual(ino) ? ino : (fuse_ino_t)maildir_id(ino), attr, set,
	                 fi);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
	mount_op_write(req, real(ino), data, size, off, fi);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	mount_op_fsync(req, real(ino), datasync, fi);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	int64_t id = maildir_id(ino);

	if (!mount_is_virtual(ino) && maildir_part(ino) == MAILDIR_TMP)
		(void)maildir_tmp(m, m->store, id, false, &id);
	mount_op_fsyncdir(req, mount_is_virtual(ino) ? ino : (fuse_ino_t)id, datasync, fi);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	mount_op_getxattr(req, real(ino), name, size);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
	mount_op_setxattr(req, real(ino), name, value, size, flags);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	mount_op_listxattr(req, real(ino), size);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	mount_op_removexattr(req, real(ino), name);
}

void mount_maildir_ops(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->mknod = maildir_op_mknod;
	ops->mkdir = maildir_op_mkdir;
	ops->unlink = maildir_op_unlink;
	ops->rmdir = maildir_op_rmdir;
	ops->symlink = maildir_op_symlink;
	ops->rename = maildir_op_rename;
	ops->link = maildir_op_link;
	ops->read = maildir_op_read;
	ops->write = op_write;
	ops->fsync = op_fsync;
	ops->fsyncdir = op_fsyncdir;
	ops->getxattr = op_getxattr;
	ops->setxattr = op_setxattr;
	ops->listxattr = op_listxattr;
	ops->removexattr = op_removexattr;
}
