/* SPDX-License-Identifier: MIT */
#include "mount_maildir_priv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem.h"

/* Contents: CR LF in the store, LF in the files. */

void mount_maildir_reply(struct mount_lf_place *place, fuse_req_t req, const void *data, size_t len,
                         size_t size, off_t off)
{
	_cleanup_free_ char *out = malloc(size ? size : 1);
	size_t n;

	if (!out) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = off < 0 ? 0 : mount_lf_read(place, data, len, (uint64_t)off, out, size);
	fuse_reply_buf(req, out, n);
}

int64_t mount_maildir_shorter(const void *data, size_t len)
{
	char last = 0;

	return store_crlf_count(data, len, &last);
}

char *mount_maildir_body(const void *data, size_t len, size_t *shown)
{
	char *out = mem_alloc(len);

	*shown = mount_lf_read(NULL, data, len, 0, out, len);
	return out;
}

/* A message whose content is a spool that nobody writes now: mapped for the moment. */
static int reply_spool(struct mount *m, fuse_req_t req, int64_t spool, size_t size, off_t off)
{
	struct stat st;
	void *data = NULL;
	int fd = store_spool_open(m->store, spool, 0);
	int r = fd < 0 ? ERR_IO : 0;

	if (r == 0 && fstat(fd, &st) != 0)
		r = ERR_IO;
	if (r == 0 && st.st_size > 0) {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		r = data == MAP_FAILED ? ERR_IO : 0;
	}
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return r;
	mount_maildir_reply(NULL, req, data ? data : "", (size_t)st.st_size, size, off);
	if (data)
		munmap(data, (size_t)st.st_size);
	return 0;
}

static bool is_written(struct mount *m, int64_t id)
{
	struct mount_file *f;
	bool written;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	written = f && (f->dirty || f->unlinked);
	mount_files_unlock(m);
	return written;
}

void maildir_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	int64_t id = mount_alias_real(m, (fuse_ino_t)maildir_id(ino));
	struct store_node n;
	const void *data;
	size_t len;
	int r;

	if (mount_is_virtual(ino)) {
		mount_op_read(req, ino, size, off, fi);
	} else if (store_body_get(m->store, id, &data, &len) == 0) {
		if (m->maildir->place_of != id)
			m->maildir->place = (struct mount_lf_place){ .data = NULL };
		m->maildir->place_of = id;
		mount_maildir_reply(&m->maildir->place, req, data, len, size, off);
		if (off == 0)
			mount_ahead_saw(m->ahead, id);
	} else if (!is_written(m, id) && store_node_get(m->store, id, &n) == 0 &&
	           n.kind == STORE_KIND_MESSAGE && n.spool != 0) {
		r = reply_spool(m, req, n.spool, size, off);
		if (r < 0)
			fuse_reply_err(req, mount_errno(r));
	} else {
		mount_op_read(req, (fuse_ino_t)id, size, off, fi);
	}
}

static int write_lf(const char *data, size_t len, const char *path, int64_t *size)
{
	_cleanup_free_ char *out = mem_alloc(65536);
	struct mount_lf_place place = { .data = data, .len = len };
	FILE *f = fopen(path, "we");
	int64_t done = 0;
	size_t n;
	int r = 0;

	if (!f)
		return errno == ENOSPC ? ERR_NOSPACE : ERR_IO;
	while ((n = mount_lf_read(&place, data, len, (uint64_t)done, out, 65536)) > 0) {
		if (fwrite(out, 1, n, f) != n)
			break;
		done += (int64_t)n;
	}
	if (n > 0 || fflush(f) != 0 || fdatasync(fileno(f)) != 0)
		r = errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : ERR_IO;
	if (fclose(f) != 0 && r == 0)
		r = ERR_IO;
	if (r == 0)
		*size = done;
	return r;
}

int mount_maildir_writable(struct mount *m, struct store *s, int64_t id, int64_t spool,
                           int64_t *size)
{
	_cleanup_free_ char *path = mem_printf("%s/spool/%lld", m->cfg.state_dir, (long long)spool);
	_cleanup_free_ char *beside = mem_printf("%s.lf", path);
	struct store_node n;
	struct stat st;
	void *data;
	int r = store_node_get(s, id, &n);
	int fd;

	if (r < 0 || n.kind != STORE_KIND_MESSAGE)
		return r; /* a file is kept as it was written */
	fd = store_spool_open(s, spool, 0);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? ERR_IO : 0;
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (data == MAP_FAILED)
		return ERR_IO;
	r = write_lf(data, (size_t)st.st_size, beside, size);
	munmap(data, (size_t)st.st_size);
	if (r == 0 && rename(beside, path) != 0)
		r = ERR_IO;
	if (r < 0)
		(void)unlink(beside);
	return r;
}
