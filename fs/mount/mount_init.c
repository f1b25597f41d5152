/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"

/* What the kernel does for us, and what would be wrong here: ATOMIC_O_TRUNC loses the truncation
 * where there is no OPEN; AUTO_INVAL_DATA asks for attributes that we push; READDIRPLUS_AUTO
 * asks for each name of a listing that could have brought its attributes along; with ASYNC_READ
 * no signal reaches the daemon for a reader who waits. */
void mount_op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mount *m = userdata;
	unsigned int on = FUSE_CAP_READDIRPLUS | FUSE_CAP_EXPLICIT_INVAL_DATA |
	                  FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_PARALLEL_DIROPS |
	                  FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPIRE_ONLY;
	unsigned int off = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
	                   FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_READ |
	                   FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_POSIX_ACL | FUSE_CAP_SPLICE_READ |
	                   FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
	                   FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_POSIX_LOCKS |
	                   FUSE_CAP_FLOCK_LOCKS;

	conn->want = (conn->want | (conn->capable & on)) & ~off;
	m->expire = (conn->capable & FUSE_CAP_EXPIRE_ONLY) != 0;
	m->init_done = true;
}

/* HANDLE_KILLPRIV_V2 spares a request before each write.  libfuse has no name for it, so it is
 * put into the reply to INIT as that passes by; no file here ever has set-id bits to clear. */
static ssize_t io_read(int fd, void *data, size_t len, void *userdata)
{
	struct mount *m = userdata;
	const struct fuse_in_header *head = data;
	const struct fuse_init_in *init = (const void *)(head + 1);
	ssize_t n = read(fd, data, len);

	if (n >= (ssize_t)(sizeof(*head) + sizeof(*init)) && head->opcode == FUSE_INIT &&
	    (init->flags & FUSE_HANDLE_KILLPRIV_V2))
		m->init_unique = head->unique;
	return n;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct mount *m = userdata;
	const struct fuse_out_header *head = iov[0].iov_base;
	struct fuse_init_out *init;

	if (m->init_unique && head->unique == m->init_unique) {
		if (count == 2 && head->error == 0 && iov[1].iov_len >= sizeof(*init)) {
			init = iov[1].iov_base;
			init->flags |= FUSE_HANDLE_KILLPRIV_V2;
		}
		m->init_unique = 0;
	}
	return writev(fd, iov, count);
}

int mount_custom_io(struct fuse_session *se)
{
	static const struct fuse_custom_io io = { .read = io_read, .writev = io_writev };

	return fuse_session_custom_io(se, &io, fuse_session_fd(se)) == 0 ? 0 : ERR_IO;
}
