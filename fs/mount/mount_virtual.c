/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"

/*
 * Without OPEN there is no moment at which a file's text could be fixed, so it is fixed at
 * look-up: each new text is a new inode with its size known, and lives until the kernel forgets
 * it.  While the text is the same the inode is, too.
 */
struct snapshot {
	int64_t ino;
	size_t file;      /* index of its file */
	uint64_t lookups; /* of the kernel */
	int64_t made_ns;
	char *text;
	size_t len;
	struct snapshot *next;
};

struct mount_virtuals {
	struct snapshot *snapshots; /* newest first */
	int64_t next_ino;
	int64_t start_ns;
};

int mount_virtuals_start(struct mount *m)
{
	m->virtuals = mem_alloc(sizeof(*m->virtuals));
	m->virtuals->next_ino = MOUNT_INO_VIRTUAL + 1;
	m->virtuals->start_ns = clock_wall_ns();
	return 0;
}

void mount_virtuals_free(struct mount_virtuals **v)
{
	struct snapshot *s, *next;

	if (!*v)
		return;
	for (s = (*v)->snapshots; s; s = next) {
		next = s->next;
		free(s->text);
		free(s);
	}
	free(*v);
	*v = NULL;
}

static void set_time(struct stat *st, int64_t ns)
{
	st->st_mtim.tv_sec = ns / 1000000000;
	st->st_mtim.tv_nsec = ns % 1000000000;
	st->st_atim = st->st_ctim = st->st_mtim;
}

void mount_virtual_owner(struct mount *m, struct stat *st, int64_t ns)
{
	st->st_uid = (uid_t)m->cfg.uid;
	st->st_gid = (gid_t)m->cfg.gid;
	st->st_blksize = 4096;
	set_time(st, ns < 0 ? m->virtuals->start_ns : ns);
}

static void stat_dir(struct mount *m, struct stat *st)
{
	*st = (struct stat){ .st_ino = MOUNT_INO_VIRTUAL,
		             .st_mode = S_IFDIR | 0500,
		             .st_nlink = 2 + MOUNT_KEPT_DIRS };
	mount_virtual_owner(m, st, -1);
}

static void stat_file(struct mount *m, const struct snapshot *s, struct stat *st)
{
	*st = (struct stat){ .st_ino = (ino_t)s->ino, .st_mode = S_IFREG | 0400, .st_nlink = 1 };
	mount_virtual_owner(m, st, s->made_ns);
	st->st_size = (off_t)s->len;
	st->st_blocks = (off_t)((s->len + 511) / 512);
}

static struct snapshot *find_ino(struct mount *m, fuse_ino_t ino)
{
	struct snapshot *s = m->virtuals->snapshots;

	while (s && s->ino != (int64_t)ino)
		s = s->next;
	return s;
}

/* The file's present text: the newest snapshot if it still says the same, else a new one. */
static int present(struct mount *m, size_t file, struct snapshot **out)
{
	const struct mount_virtual *v = &m->cfg.virtuals[file];
	_cleanup_free_ char *text = NULL;
	struct snapshot *s = m->virtuals->snapshots;
	size_t len = 0;
	int r = v->make(v->ctx, &text, &len);

	if (r < 0)
		return r;
	while (s && s->file != file)
		s = s->next;
	if (!s || s->len != len || memcmp(s->text, text, len) != 0) {
		s = mem_alloc(sizeof(*s));
		s->ino = m->virtuals->next_ino++;
		s->file = file;
		s->made_ns = clock_wall_ns();
		s->text = mem_steal(text);
		s->len = len;
		s->next = m->virtuals->snapshots;
		m->virtuals->snapshots = s;
	}
	*out = s;
	return 0;
}

static void lookup_file(struct mount *m, fuse_req_t req, const char *name)
{
	struct fuse_entry_param e = { .generation = 1, .attr_timeout = MOUNT_FOREVER };
	struct snapshot *s;
	int r = ERR_NOTFOUND;

	for (size_t i = 0; i < m->cfg.virtual_count; i++) {
		if (strcmp(m->cfg.virtuals[i].name, name) == 0) {
			r = present(m, i, &s);
			break;
		}
	}
	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	s->lookups++;
	e.ino = (fuse_ino_t)s->ino;
	stat_file(m, s, &e.attr);
	fuse_reply_entry(req, &e);
}

void mount_virtual_lookup(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .generation = 1,
		                      .attr_timeout = MOUNT_FOREVER,
		                      .entry_timeout = MOUNT_FOREVER };

	if ((int64_t)parent == STORE_ROOT) {
		e.ino = MOUNT_INO_VIRTUAL;
		stat_dir(m, &e.attr);
		fuse_reply_entry(req, &e);
	} else if (mount_kept_is_dir(parent)) {
		mount_kept_lookup(m, req, parent, name);
	} else if ((int64_t)parent == MOUNT_INO_VIRTUAL && strcmp(name, MOUNT_EVENTS_NAME) == 0) {
		mount_events_lookup(m, req);
	} else if ((int64_t)parent == MOUNT_INO_VIRTUAL) {
		if (!mount_kept_dir_lookup(m, req, name))
			lookup_file(m, req, name);
	} else {
		fuse_reply_err(req, ENOTDIR);
	}
}

void mount_virtual_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino)
{
	struct snapshot *s = find_ino(m, ino);
	struct stat st;

	if (mount_is_kept(ino)) {
		mount_kept_getattr(m, req, ino);
		return;
	}
	if (mount_is_events(ino)) {
		mount_events_getattr(m, req, ino);
		return;
	}
	if (ino == MOUNT_INO_VIRTUAL) {
		stat_dir(m, &st);
	} else if (s) {
		stat_file(m, s, &st);
	} else {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fuse_reply_attr(req, &st, MOUNT_FOREVER);
}

void mount_virtual_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct snapshot *s = find_ino(m, ino);

	if (mount_is_kept(ino))
		mount_kept_read(m, req, ino, size, off);
	else if (mount_is_events(ino))
		mount_events_read(m, req, ino, size, off);
	else if (s)
		mount_reply_range(req, s->text, s->len, size, off);
	else
		fuse_reply_err(req, ESTALE);
}

/* ".", "..", the files, the directories. */
static const char *name_at(struct mount *m, size_t i)
{
	if (i < 2)
		return i == 0 ? "." : "..";
	if (i - 2 < m->cfg.virtual_count)
		return m->cfg.virtuals[i - 2].name;
	if (i - 2 == m->cfg.virtual_count)
		return MOUNT_EVENTS_NAME;
	return mount_kept_dir_name((int)(i - 3 - m->cfg.virtual_count));
}

void mount_virtual_readdir(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           bool plus)
{
	_cleanup_free_ char *buf = NULL;
	size_t used = 0, n, files = m->cfg.virtual_count + 3;

	if (mount_is_kept(ino)) {
		mount_kept_readdir(m, req, ino, size, off, plus);
		return;
	}
	buf = mem_alloc(size);
	for (size_t i = (size_t)off; i < files + MOUNT_KEPT_DIRS; i++) {
		bool dir = i < 2 || i >= files;
		struct fuse_entry_param e = { .attr = { .st_mode = dir ? S_IFDIR : S_IFREG,
			                                .st_ino = MOUNT_INO_VIRTUAL } };

		n = plus ? fuse_add_direntry_plus(req, buf + used, size - used, name_at(m, i), &e,
		                                  (off_t)i + 1)
		         : fuse_add_direntry(req, buf + used, size - used, name_at(m, i), &e.attr,
		                             (off_t)i + 1);
		if (n > size - used)
			break;
		used += n;
	}
	fuse_reply_buf(req, buf, used);
}

void mount_virtual_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup)
{
	struct snapshot **p = &m->virtuals->snapshots, *s;

	if (mount_is_kept(ino)) {
		mount_kept_forget(m, ino, nlookup);
		return;
	}
	if (mount_is_events(ino)) {
		mount_events_forget(m, ino, nlookup);
		return;
	}
	while (*p && (*p)->ino != (int64_t)ino)
		p = &(*p)->next;
	s = *p;
	if (!s)
		return;
	s->lookups -= nlookup < s->lookups ? nlookup : s->lookups;
	if (s->lookups > 0)
		return;
	*p = s->next;
	free(s->text);
	free(s);
}
