/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include <errno.h>
#include <unistd.h>

/*
 * copy_file_range(2), which cp(1) tries first.  The bytes go from here to here; that a whole message was
 * copied is found out from them when the copy rests (mount_message.c), as for any program's copy.  A
 * copy of a whole message keeps its date, as it does on the server.
 */
#define COPY_MAX ((size_t)8 * 1024 * 1024) /* of one answer: the loop has others waiting */

/* What is copied from. */
struct source {
	const char *data; /* a clean body, or */
	int fd;           /* a spool */
	int64_t size, mtime_ns;
	bool message;
};

/* EOPNOTSUPP: the kernel reads and writes it by itself, which waits for a body if need be. */
static int source_open(struct mount *m, int64_t id, struct source *from)
{
	struct store_node n;
	struct mount_file *f;
	const void *data;
	size_t len;

	*from = (struct source){ .fd = -1 };
	if (store_node_get(m->store, id, &n) < 0)
		return EOPNOTSUPP;
	from->mtime_ns = n.mtime_ns;
	from->message = n.kind == STORE_KIND_MESSAGE;
	if (from->message && n.spool == 0) {
		if (store_body_get(m->store, id, &data, &len) < 0)
			return EOPNOTSUPP;
		from->data = data;
		from->size = (int64_t)len;
		return 0;
	}
	f = mount_file_find(m, id);
	from->size = f && f->dirty ? f->size : n.size;
	if (n.spool != 0)
		from->fd = store_spool_open(m->store, f && f->spool ? f->spool : n.spool, 0);
	return from->fd < 0 ? EOPNOTSUPP : 0;
}

static int copy_some(const struct source *from, int out, off_t off_in, off_t off_out, size_t len,
                     size_t *done)
{
	while (*done < len) {
		loff_t in = off_in + (loff_t)*done, to = off_out + (loff_t)*done;
		ssize_t n;

		if (from->data)
			return mount_write_all(out, from->data + off_in, len, off_out, done);
		n = copy_file_range(from->fd, &in, out, &to, len - *done, 0);
		if (n < 0)
			return errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : ERR_IO;
		if (n == 0)
			break;
		*done += (size_t)n;
	}
	return 0;
}

/* With the lock held; an errno. */
static int copy(struct mount *m, const struct source *from, fuse_ino_t ino, off_t off_in,
                off_t off_out, size_t len, size_t *done)
{
	struct mount_file *f = NULL;
	bool whole;
	int r;

	if (off_in >= from->size)
		return 0;
	if (len > (size_t)(from->size - off_in))
		len = (size_t)(from->size - off_in);
	if (len > COPY_MAX)
		len = COPY_MAX;
	if (off_out > MOUNT_FILE_MAX - (off_t)len)
		return EFBIG;
	r = mount_write_open(m, mount_alias_real(m, ino), &f);
	if (r < 0)
		return mount_errno(r);
	whole = from->message && f->size == 0 && off_out == 0 && (int64_t)len == from->size;
	r = copy_some(from, f->fd, off_in, off_out, len, done);
	if (*done == 0)
		return mount_errno(r);
	if (off_out + (off_t)*done > f->size)
		f->size = off_out + (off_t)*done;
	mount_file_written(m, f);
	mount_file_tell(m, f, ino);
	if (whole && *done == len && !f->dated) {
		f->dated = f->copied = true;
		f->mtime_ns = from->mtime_ns;
	}
	return 0;
}

void mount_op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                              struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
                              struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct mount *m = fuse_req_userdata(req);
	struct source from = { .fd = -1 };
	size_t done = 0;
	int64_t in;
	int code = EOPNOTSUPP;

	(void)fi_in;
	(void)fi_out;
	(void)flags;
	if (!mount_is_virtual(ino_in) && !mount_is_virtual(ino_out) && !m->maildir) {
		in = mount_alias_real(m, ino_in);
		mount_files_lock(m);
		code = in == mount_alias_real(m, ino_out) ? EOPNOTSUPP : source_open(m, in, &from);
		if (code == 0)
			code = copy(m, &from, ino_out, off_in, off_out, len, &done);
		mount_files_unlock(m);
	}
	if (from.fd >= 0)
		close(from.fd);
	if (code == 0)
		fuse_reply_write(req, done);
	else
		fuse_reply_err(req, code);
}
