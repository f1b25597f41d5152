/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "store_lost.h"

/*
 * .imapfs/lost+found: bytes written here that the server does not take.  Read-only but for rm, which
 * gives them up.  Names come and go behind the kernel's back, so none is cached; an inode stands
 * for bytes that never change and lives until the kernel forgets it.
 */
struct lost_file {
	int64_t ino;
	uint64_t lookups; /* of the kernel */
	struct store_lost is;
	struct lost_file *next;
};

struct mount_losts {
	struct lost_file *files;
	int64_t next_ino;
};

int mount_losts_start(struct mount *m)
{
	m->losts = mem_alloc(sizeof(*m->losts));
	m->losts->next_ino = MOUNT_INO_LOST + 1;
	return 0;
}

void mount_losts_free(struct mount_losts **l)
{
	struct lost_file *f, *next;

	if (!*l)
		return;
	for (f = (*l)->files; f; f = next) {
		next = f->next;
		free(f);
	}
	free(*l);
	*l = NULL;
}

static struct lost_file *find_ino(struct mount *m, fuse_ino_t ino)
{
	struct lost_file *f = m->losts->files;

	while (f && f->ino != (int64_t)ino)
		f = f->next;
	return f;
}

static struct lost_file *file_of(struct mount *m, const struct store_lost *is)
{
	struct lost_file *f = m->losts->files;

	while (f && (strcmp(f->is.name, is->name) != 0 || f->is.spool != is->spool ||
	             f->is.size != is->size || f->is.mtime_ns != is->mtime_ns))
		f = f->next;
	if (f)
		return f;
	f = mem_alloc(sizeof(*f));
	*f = (struct lost_file){ .ino = m->losts->next_ino++, .is = *is, .next = m->losts->files };
	m->losts->files = f;
	return f;
}

static void stat_file(struct mount *m, const struct lost_file *f, struct stat *st)
{
	*st = (struct stat){ .st_ino = (ino_t)f->ino, .st_mode = S_IFREG | 0400, .st_nlink = 1 };
	mount_virtual_owner(m, st, f->is.mtime_ns);
	st->st_size = f->is.size;
	st->st_blocks = (f->is.size + 511) / 512;
}

void mount_lost_entry(struct mount *m, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){ .ino = (fuse_ino_t)MOUNT_INO_LOST,
		                        .generation = 1,
		                        .attr_timeout = MOUNT_FOREVER,
		                        .entry_timeout = MOUNT_FOREVER };
	e->attr = (struct stat){ .st_ino = MOUNT_INO_LOST,
		                 .st_mode = S_IFDIR | 0700,
		                 .st_nlink = 2 };
	mount_virtual_owner(m, &e->attr, -1);
}

void mount_lost_lookup(struct mount *m, fuse_req_t req, const char *name)
{
	struct fuse_entry_param e = { .generation = 1, .attr_timeout = MOUNT_FOREVER };
	struct store_lost is;
	struct lost_file *f;
	int r = store_lost_get(m->store, name, &is);

	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	f = file_of(m, &is);
	f->lookups++;
	e.ino = (fuse_ino_t)f->ino;
	stat_file(m, f, &e.attr);
	fuse_reply_entry(req, &e);
}

void mount_lost_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino)
{
	struct lost_file *f = find_ino(m, ino);
	struct fuse_entry_param e;

	if (ino == MOUNT_INO_LOST)
		mount_lost_entry(m, &e);
	else if (f)
		stat_file(m, f, &e.attr);
	if (f || ino == MOUNT_INO_LOST)
		fuse_reply_attr(req, &e.attr, MOUNT_FOREVER);
	else
		fuse_reply_err(req, ESTALE);
}

void mount_lost_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct lost_file *f = find_ino(m, ino);
	_cleanup_free_ char *out = malloc(size);
	int fd = f ? store_lost_open(m->store, &f->is) : -1;
	ssize_t n = fd >= 0 && out ? pread(fd, out, size, off) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		fuse_reply_err(req, fd < 0 ? ESTALE : EIO);
	else
		fuse_reply_buf(req, out, (size_t)n);
}

void mount_lost_readdir(struct mount *m, fuse_req_t req, size_t size, off_t off, bool plus)
{
	_cleanup_free_ char *buf = mem_alloc(size);
	struct store_lost *list = NULL;
	size_t used = 0, count = 0, n;
	int r = store_lost_list(m->store, &list, &count);

	for (size_t i = (size_t)off; r == 0 && i < count + 2; i++) {
		struct fuse_entry_param e = { .attr = { .st_mode = i < 2 ? S_IFDIR : S_IFREG,
			                                .st_ino = MOUNT_INO_LOST } };
		const char *name = i == 0 ? "." : i == 1 ? ".." : list[i - 2].name;

		n = plus ? fuse_add_direntry_plus(req, buf + used, size - used, name, &e,
		                                  (off_t)i + 1)
		         : fuse_add_direntry(req, buf + used, size - used, name, &e.attr,
		                             (off_t)i + 1);
		if (n > size - used)
			break;
		used += n;
	}
	free(list);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		fuse_reply_buf(req, buf, used);
}

void mount_lost_unlink(struct mount *m, fuse_req_t req, const char *name)
{
	int r = m->cfg.read_only ? ERR_READONLY : store_lost_remove(m->store, name);

	if (r == 0)
		sync_kick(m->sync);
	fuse_reply_err(req, mount_errno(r));
}

void mount_lost_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup)
{
	struct lost_file **p = &m->losts->files, *f;

	while (*p && (*p)->ino != (int64_t)ino)
		p = &(*p)->next;
	f = *p;
	if (!f)
		return;
	f->lookups -= nlookup < f->lookups ? nlookup : f->lookups;
	if (f->lookups > 0)
		return;
	*p = f->next;
	free(f);
}
