/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "store_mailbox.h"

int mount_write_allowed(struct mount *m, const struct store_node *n)
{
	if (n->kind == STORE_KIND_FILE)
		return 0;
	if (n->kind != STORE_KIND_MESSAGE)
		return ERR_PERM;
	return store_rights_check(m->store, n->parent, "ite");
}

int mount_write_open(struct mount *m, int64_t id, struct mount_file **out)
{
	struct mount_file *f = mount_file_find(m, id);
	struct store_node n;
	int r;

	if (!f || (!f->write_ok && !f->unlinked)) {
		r = store_node_get(m->store, id, &n);
		if (r < 0)
			return r;
		r = mount_write_allowed(m, &n);
		if (r < 0)
			return r;
		f = mount_file_get(m, &n);
	}
	*out = f;
	return mount_file_open_write(m, m->store, f);
}

int mount_write_all(int fd, const char *data, size_t size, off_t off, size_t *done)
{
	while (*done < size) {
		ssize_t n = pwrite(fd, data + *done, size - *done, off + (off_t)*done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE
			       : errno == EFBIG                   ? ERR_TOOBIG
			                                          : ERR_IO;
		*done += (size_t)n;
	}
	return 0;
}

void mount_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct mount_file *f = NULL;
	int64_t id = mount_alias_real(m, ino);
	size_t done = 0;
	int r;

	(void)fi;
	if (mount_is_virtual(ino)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	mount_files_lock(m);
	r = off > MOUNT_FILE_MAX - (off_t)size ? ERR_TOOBIG : mount_write_open(m, id, &f);
	if (r == 0)
		r = mount_write_all(f->fd, data, size, off, &done);
	if (done > 0) {
		if (off + (off_t)done > f->size)
			f->size = off + (off_t)done;
		mount_file_written(m, f);
		mount_file_tell(m, f, ino);
	}
	mount_files_unlock(m);
	if (done > 0)
		fuse_reply_write(req, done);
	else
		fuse_reply_err(req, mount_errno(r));
}

/* A file with a real name in a mailbox is meant to be a message. */
static bool meant_as_message(struct mount *m, int64_t id)
{
	struct store_node n, parent;

	return store_node_get(m->store, id, &n) == 0 && n.kind == STORE_KIND_FILE &&
	       !store_name_is_scratch(n.name) && store_node_get(m->store, n.parent, &parent) == 0 &&
	       parent.kind == STORE_KIND_MAILBOX;
}

void mount_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	int64_t id = mount_alias_real(m, ino);
	struct mount_file *f;
	bool refused = false;
	int r = 0;

	(void)datasync;
	(void)fi;
	mount_files_lock(m);
	f = mount_file_find(m, id);
	if (f && f->fd < 0 && f->spool != 0)
		r = mount_file_open(m, m->store, f);
	if (r == 0 && f && f->fd >= 0) {
		r = fdatasync(f->fd) == 0 ? mount_file_record(m->store, f) : ERR_IO;
		refused = !f->unlinked && f->size > 0 && meant_as_message(m, f->id) &&
		          mount_file_refused(f);
	}
	mount_files_unlock(m);
	if (r == 0)
		r = store_flush(m->store);
	fuse_reply_err(req, r < 0 ? mount_errno(r) : refused ? EINVAL : 0);
}
