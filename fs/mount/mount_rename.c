/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_mailbox.h"

/* One rename under way. */
struct rename {
	struct mount *m;
	struct store_node from, dir; /* what is renamed, and the directory it goes to */
	struct store_node target;    /* what has the name there; id 0: nothing */
	const char *name;
	bool replace;
};

static int rename_message(struct rename *r)
{
	struct mount *m = r->m;

	if (r->dir.id == r->from.parent)
		return store_node_rename(m->store, r->from.id, r->dir.id, r->name, r->replace,
		                         (int)m->cfg.delete_mode);
	return store_message_move(m->store, r->from.id, r->dir.id, r->name, r->replace,
	                          m->cfg.delete_mode);
}

/* A file over a message is its new content. */
static bool is_save(const struct rename *r)
{
	return r->from.kind == STORE_KIND_FILE && r->target.kind == STORE_KIND_MESSAGE &&
	       r->target.id != 0 && r->from.spool != 0;
}

static int rename_local(struct rename *r)
{
	struct store_node now;
	int err;

	if (is_save(r))
		return mount_edit_join(r->m, r->m->store, &r->target, &r->from, STORE_EDIT_STAY);
	err = store_node_rename(r->m->store, r->from.id, r->dir.id, r->name, r->replace,
	                        (int)r->m->cfg.delete_mode);

	if (err == 0 && store_node_get(r->m->store, r->from.id, &now) == 0)
		mount_file_named(r->m, &now);
	return err;
}

/* The errno by which one of the two cannot be what the other is; 0. */
static int check_kinds(const struct rename *r)
{
	if (r->from.kind == STORE_KIND_MESSAGE && r->dir.kind != STORE_KIND_MAILBOX)
		return EXDEV; /* leaving the account: mv(1) then copies and removes */
	if (r->from.kind == STORE_KIND_MAILBOX && r->dir.kind == STORE_KIND_DIR)
		return EPERM;
	if (r->target.id == 0)
		return 0;
	if (!r->replace)
		return EEXIST;
	if (mount_is_dir(&r->target) && !mount_is_dir(&r->from))
		return EISDIR;
	if (!mount_is_dir(&r->target) && mount_is_dir(&r->from))
		return ENOTDIR;
	return 0;
}

static int rename_find(struct rename *r, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                       const char *newname)
{
	int err;

	if (mount_is_virtual(parent) || mount_is_virtual(newparent) ||
	    mount_name_reserved((int64_t)parent, name) ||
	    mount_name_reserved((int64_t)newparent, newname))
		return ERR_PERM;
	err = mount_find(r->m, (int64_t)parent, name, &r->from);
	if (err == 0)
		err = store_node_get(r->m->store, (int64_t)newparent, &r->dir);
	if (err < 0)
		return err;
	err = store_node_lookup(r->m->store, (int64_t)newparent, newname, &r->target);
	if (err == ERR_NOTFOUND)
		r->target.id = 0;
	return err == ERR_NOTFOUND ? 0 : err;
}

static int rename_kind(struct rename *r)
{
	switch (r->from.kind) {
	case STORE_KIND_MESSAGE:
		return rename_message(r);
	case STORE_KIND_MAILBOX:
		return store_mailbox_rename(r->m->store, r->from.id, r->dir.id, r->name);
	case STORE_KIND_FILE:
	case STORE_KIND_DIR:
	case STORE_KIND_SYMLINK:
		return rename_local(r);
	case STORE_KIND_ROOT:
		break;
	}
	return ERR_PERM;
}

static int rename_do(struct rename *r)
{
	bool replaced = r->target.id != 0 && r->target.id != r->from.id && !is_save(r);
	int err = replaced ? mount_file_hold(r->m, r->m->store, &r->target) : 0;

	if (err == 0)
		err = rename_kind(r);
	if (err == 0 && replaced)
		mount_file_left(r->m, r->target.id);
	return err;
}

void mount_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                     const char *newname, unsigned int flags)
{
	struct rename r = { .m = fuse_req_userdata(req), .name = newname };
	int err, code;

	if (flags & ~(unsigned int)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (strlen(newname) > STORE_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	if (mount_kept_is_dir(parent)) { /* mv(1) then copies and removes */
		fuse_reply_err(req, mount_is_virtual(newparent) ? EPERM : EXDEV);
		return;
	}
	r.replace = !(flags & RENAME_NOREPLACE);
	mount_files_lock(r.m);
	err = rename_find(&r, parent, name, newparent, newname);
	code = err < 0 ? mount_errno(err) : check_kinds(&r);
	if (code == 0) {
		mount_own_set(r.m, 0, (int64_t)parent, name);
		mount_own_set(r.m, 1, (int64_t)newparent, newname);
		code = mount_errno(rename_do(&r));
		mount_own_clear(r.m);
	}
	mount_files_unlock(r.m);
	if (code == 0)
		sync_kick(r.m->sync);
	fuse_reply_err(req, code);
}
