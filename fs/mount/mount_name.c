/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "store_mailbox.h"

bool mount_name_reserved(int64_t parent, const char *name)
{
	return parent == STORE_ROOT && strcmp(name, MOUNT_VIRTUAL_DIR) == 0;
}

void mount_own_set(struct mount *m, int which, int64_t parent, const char *name)
{
	m->own[which].parent = parent;
	m->own[which].name = name;
}

/* An answer about the directory may still be on its way into the kernel, made before the change:
 * it would be kept for ever.  Attributes alone: this waits for no page and no lock. */
void mount_own_clear(struct mount *m)
{
	for (int i = 0; i < 2; i++) {
		if (m->own[i].name)
			(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)m->own[i].parent,
			                                       -1, 0);
	}
	memset(m->own, 0, sizeof(m->own));
}

/* What may be made below `parent`: 0 and the directory. */
static int check_new(struct mount *m, fuse_ino_t parent, const char *name, struct store_node *dir)
{
	int r;

	if (mount_is_virtual(parent))
		return ERR_PERM;
	if (mount_name_reserved((int64_t)parent, name))
		return ERR_EXISTS;
	r = store_node_get(m->store, (int64_t)parent, dir);
	if (r < 0)
		return r;
	mount_own_set(m, 0, (int64_t)parent, name);
	return 0;
}

static void reply_new(struct mount *m, fuse_req_t req, int r, const struct store_node *n)
{
	mount_own_clear(m);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		mount_reply_entry(m, req, n);
}

static bool name_too_long(fuse_req_t req, const char *name)
{
	if (strlen(name) <= STORE_NAME_MAX)
		return false;
	fuse_reply_err(req, ENAMETOOLONG);
	return true;
}

void mount_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node dir, n;
	int r;

	(void)rdev;
	if (name_too_long(req, name))
		return;
	if (!S_ISREG(mode)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	r = check_new(m, parent, name, &dir);
	if (r == 0 && !store_name_is_scratch(name))
		r = store_rights_check(m->store, dir.id, "i");
	mount_files_lock(m);
	if (r == 0)
		r = store_node_create(m->store, dir.id, name, STORE_KIND_FILE, mode & 0777, NULL,
		                      &n);
	if (r == 0) {
		mount_edit_made(m, &n);
		mount_file_named(m, &n);
	}
	mount_files_unlock(m);
	reply_new(m, req, r, &n);
}

void mount_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node dir, n;
	int64_t id;
	int r;

	if (name_too_long(req, name))
		return;
	r = check_new(m, parent, name, &dir);
	if (r == 0 && (dir.kind == STORE_KIND_DIR || store_name_is_scratch(name))) {
		r = store_node_create(m->store, dir.id, name, STORE_KIND_DIR, mode & 0777, NULL,
		                      &n);
	} else if (r == 0) {
		r = store_mailbox_create(m->store, dir.id, name, &id);
		if (r == 0)
			r = store_node_get(m->store, id, &n);
		if (r == 0)
			sync_kick(m->sync);
	}
	reply_new(m, req, r, &n);
}

void mount_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node dir, n;
	int r;

	if (name_too_long(req, name))
		return;
	r = check_new(m, parent, name, &dir);
	if (r == 0)
		r = store_node_create(m->store, dir.id, name, STORE_KIND_SYMLINK, 0777, target, &n);
	reply_new(m, req, r, &n);
}

/* A second name for a message is a second message with the same content. */
void mount_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node dir, n;
	int64_t copy;
	int r;

	if (name_too_long(req, name))
		return;
	r = mount_is_virtual(ino) ? ERR_PERM : check_new(m, parent, name, &dir);
	if (r == 0)
		r = store_node_get(m->store, mount_alias_real(m, ino), &n);
	if (r == 0 && (n.kind != STORE_KIND_MESSAGE || dir.kind != STORE_KIND_MAILBOX))
		r = ERR_PERM;
	if (r == 0)
		r = store_message_copy(m->store, n.id, dir.id, name, &copy);
	if (r == 0)
		r = store_node_get(m->store, copy, &n);
	if (r == 0)
		sync_kick(m->sync);
	reply_new(m, req, r, &n);
}

static int find(struct mount *m, fuse_ino_t parent, const char *name, struct store_node *n)
{
	if (mount_is_virtual(parent) || mount_name_reserved((int64_t)parent, name))
		return ERR_PERM;
	return mount_find(m, (int64_t)parent, name, n);
}

static int unlink_node(struct mount *m, const struct store_node *n)
{
	int r = ERR_INVAL;

	switch (n->kind) {
	case STORE_KIND_MESSAGE:
		if (mount_edit_unlink(m, n))
			return 0;
		r = store_message_remove(m->store, n->id, m->cfg.delete_mode);
		if (r == 0)
			sync_kick(m->sync);
		return r;
	case STORE_KIND_FILE:
	case STORE_KIND_SYMLINK:
		r = mount_file_hold(m, m->store, n);
		if (r == 0)
			r = store_node_remove(m->store, n->id);
		if (r == 0)
			mount_file_left(m, n->id);
		return r;
	case STORE_KIND_ROOT:
	case STORE_KIND_MAILBOX:
	case STORE_KIND_DIR:
		break;
	}
	return r;
}

void mount_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n = { 0 };
	int code;

	if (mount_kept_is_dir(parent)) {
		mount_kept_unlink(m, req, parent, name);
		return;
	}
	mount_files_lock(m);
	code = mount_errno(find(m, parent, name, &n));
	if (code == 0 && mount_is_dir(&n))
		code = EISDIR;
	mount_own_set(m, 0, (int64_t)parent, name);
	if (code == 0)
		code = mount_errno(unlink_node(m, &n));
	mount_own_clear(m);
	mount_files_unlock(m);
	fuse_reply_err(req, code);
}

void mount_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	int r = find(m, parent, name, &n);

	mount_own_set(m, 0, (int64_t)parent, name);
	if (r == 0 && n.kind == STORE_KIND_MAILBOX) {
		r = store_mailbox_remove(m->store, n.id);
		if (r == 0)
			sync_kick(m->sync);
	} else if (r == 0 && n.kind == STORE_KIND_DIR) {
		r = store_node_remove(m->store, n.id);
	} else if (r == 0) {
		mount_own_clear(m);
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	mount_own_clear(m);
	fuse_reply_err(req, mount_errno(r));
}
