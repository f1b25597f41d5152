/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

#include <errno.h>
#include <unistd.h>

#include "mem.h"

/* Answering ENOSYS once tells the kernel that this mount needs no OPEN and no FLUSH. */
void mount_op_open_none(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

void mount_reply_range(fuse_req_t req, const void *data, size_t len, size_t size, off_t off)
{
	size_t left = off < 0 || (uint64_t)off >= len ? 0 : len - (size_t)off;

	fuse_reply_buf(req, (const char *)data + (left ? off : 0), left < size ? left : size);
}

void mount_reply_body(struct mount *m, fuse_req_t req, const void *data, size_t len, size_t size,
                      off_t off)
{
	if (m->maildir)
		mount_maildir_reply(NULL, req, data, len, size, off);
	else
		mount_reply_range(req, data, len, size, off);
}

int64_t mount_shown_size(struct mount *m, const void *data, size_t len)
{
	return (int64_t)len - (m->maildir ? mount_maildir_shorter(data, len) : 0);
}

/* Reads from the node's spool; ERR_NOTFOUND: it has none. */
static int read_spool(struct mount *m, const struct store_node *n, int64_t id, char *out,
                      size_t size, off_t off, size_t *got)
{
	struct mount_file *f;
	ssize_t len;
	int r = ERR_NOTFOUND;

	mount_files_lock(m);
	f = n ? mount_file_get(m, n) : mount_file_find(m, id);
	if (f && n && f->spool == 0)
		f->spool = n->spool;
	if (f)
		r = mount_file_open(m, m->store, f);
	if (r == 0) {
		len = pread(f->fd, out, size, off);
		if (len < 0)
			r = ERR_IO;
		else
			*got = (size_t)len;
	}
	mount_files_unlock(m);
	return r;
}

/* What is not in the pack: a spool, an empty file, or a body that has to be fetched. */
static void read_other(struct mount *m, fuse_req_t req, int64_t id, size_t size, off_t off)
{
	_cleanup_free_ char *out = malloc(size);
	struct store_node n;
	size_t got = 0;
	int r;

	if (!out) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	r = read_spool(m, NULL, id, out, size, off, &got);
	if (r == ERR_NOTFOUND) {
		r = store_node_get(m->store, id, &n);
		if (r == 0 && n.spool != 0)
			r = read_spool(m, &n, id, out, size, off, &got);
		else if (r == 0 && n.kind == STORE_KIND_MESSAGE) {
			mount_park_read(m, req, id, size, off, n.size);
			return;
		}
	}
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		fuse_reply_buf(req, out, got);
}

void mount_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                   struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	const void *data;
	int64_t id;
	size_t len;

	(void)fi;
	if (mount_is_virtual(ino)) {
		mount_virtual_read(m, req, ino, size, off);
		return;
	}
	id = mount_alias_real(m, ino);
	if (store_body_get(m->store, id, &data, &len) == 0)
		mount_reply_range(req, data, len, size, off);
	else
		read_other(m, req, id, size, off);
	if (off == 0)
		mount_ahead_saw(m->ahead, id);
}
