/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "store_lost.h"
#include "store_partial.h"

/*
 * Directories below .imapfs whose files are kept by the store:
 *
 *   lost+found   bytes written here that the server does not take; rm gives them up
 *   partial      what is here of messages that are too large to be fetched unasked
 *
 * Read-only otherwise.  Names come and go behind the kernel's back, so none is cached; an inode
 * stands for bytes that never change and lives until the kernel forgets it.
 */
enum { ROOMS = MOUNT_KEPT_DIRS };

/* One file, as the store knows it. */
struct kept {
	int64_t key; /* of its bytes: the same name with another key is another file */
	int64_t size, mtime_ns;
	char name[STORE_NAME_MAX + 1];
	struct store_lost lost;
};

struct kept_file {
	int64_t ino;
	uint64_t lookups; /* of the kernel */
	struct kept is;
	struct kept_file *next;
};

struct mount_kepts {
	struct kept_file *files;
	int64_t next_ino[ROOMS];
};

struct room {
	const char *name;
	int (*list)(struct store *s, struct kept **list, size_t *count);
	int (*get)(struct store *s, const char *name, struct kept *out);
	int (*open)(struct store *s, const struct kept *k);
	int (*remove)(struct store *s, const char *name); /* NULL: only by what made it */
};

/* ---- lost+found ---- */

static void from_lost(const struct store_lost *l, struct kept *out)
{
	*out = (struct kept){ .key = l->spool, .size = l->size, .mtime_ns = l->mtime_ns };
	memcpy(out->name, l->name, sizeof(out->name));
	out->lost = *l;
}

static int lost_list(struct store *s, struct kept **list, size_t *count)
{
	struct store_lost *lost = NULL;
	size_t n = 0;
	int r = store_lost_list(s, &lost, &n);

	if (r < 0)
		return r;
	*list = mem_realloc(NULL, n + 1, sizeof(**list));
	for (size_t i = 0; i < n; i++)
		from_lost(&lost[i], &(*list)[i]);
	*count = n;
	free(lost);
	return 0;
}

static int lost_get(struct store *s, const char *name, struct kept *out)
{
	struct store_lost l;
	int r = store_lost_get(s, name, &l);

	if (r == 0)
		from_lost(&l, out);
	return r;
}

static int lost_open(struct store *s, const struct kept *k)
{
	return store_lost_open(s, &k->lost);
}

/* ---- partial ---- */

static void from_partial(const struct store_partial *p, struct kept *out)
{
	*out = (struct kept){ .key = p->message, .size = p->size, .mtime_ns = p->mtime_ns };
	memcpy(out->name, p->name, sizeof(out->name));
}

static int partial_list(struct store *s, struct kept **list, size_t *count)
{
	struct store_partial *partial = NULL;
	size_t n = 0;
	int r = store_partial_list(s, &partial, &n);

	if (r < 0)
		return r;
	*list = mem_realloc(NULL, n + 1, sizeof(**list));
	for (size_t i = 0; i < n; i++)
		from_partial(&partial[i], &(*list)[i]);
	*count = n;
	free(partial);
	return 0;
}

static int partial_get(struct store *s, const char *name, struct kept *out)
{
	struct store_partial p;
	int r = store_partial_get(s, name, &p);

	if (r == 0)
		from_partial(&p, out);
	return r;
}

static int partial_open(struct store *s, const struct kept *k)
{
	return store_partial_open(s, k->key);
}

static const struct room rooms[ROOMS] = {
	{ "lost+found", lost_list, lost_get, lost_open, store_lost_remove },
	{ "partial", partial_list, partial_get, partial_open, NULL },
};

/* ---- Inodes: each room has a range, which begins with the directory's own ---- */

static int64_t room_ino(int room)
{
	return MOUNT_INO_KEPT + ((int64_t)room << 40);
}

static int room_of(fuse_ino_t ino)
{
	return (int)(((int64_t)ino - MOUNT_INO_KEPT) >> 40);
}

bool mount_kept_is_dir(fuse_ino_t ino)
{
	return mount_is_kept(ino) && (int64_t)ino == room_ino(room_of(ino));
}

const char *mount_kept_dir_name(int dir)
{
	return rooms[dir].name;
}

int mount_kepts_start(struct mount *m)
{
	m->kepts = mem_alloc(sizeof(*m->kepts));
	for (int i = 0; i < ROOMS; i++)
		m->kepts->next_ino[i] = room_ino(i) + 1;
	return 0;
}

void mount_kepts_free(struct mount_kepts **k)
{
	struct kept_file *f, *next;

	if (!*k)
		return;
	for (f = (*k)->files; f; f = next) {
		next = f->next;
		free(f);
	}
	free(*k);
	*k = NULL;
}

static struct kept_file *find_ino(struct mount *m, fuse_ino_t ino)
{
	struct kept_file *f = m->kepts->files;

	while (f && f->ino != (int64_t)ino)
		f = f->next;
	return f;
}

static struct kept_file *file_of(struct mount *m, int room, const struct kept *is)
{
	struct kept_file *f = m->kepts->files;

	while (f &&
	       (room_of((fuse_ino_t)f->ino) != room || strcmp(f->is.name, is->name) != 0 ||
	        f->is.key != is->key || f->is.size != is->size || f->is.mtime_ns != is->mtime_ns))
		f = f->next;
	if (f)
		return f;
	f = mem_alloc(sizeof(*f));
	*f = (struct kept_file){ .is = *is, .next = m->kepts->files };
	f->ino = m->kepts->next_ino[room]++;
	m->kepts->files = f;
	return f;
}

static void stat_file(struct mount *m, const struct kept_file *f, struct stat *st)
{
	*st = (struct stat){ .st_ino = (ino_t)f->ino, .st_mode = S_IFREG | 0400, .st_nlink = 1 };
	mount_virtual_owner(m, st, f->is.mtime_ns);
	st->st_size = f->is.size;
	st->st_blocks = (f->is.size + 511) / 512;
}

static void stat_dir(struct mount *m, int room, struct stat *st)
{
	*st = (struct stat){ .st_ino = (ino_t)room_ino(room),
		             .st_mode = S_IFDIR | (rooms[room].remove ? 0700 : 0500),
		             .st_nlink = 2 };
	mount_virtual_owner(m, st, -1);
}

/* ---- Requests ---- */

bool mount_kept_dir_lookup(struct mount *m, fuse_req_t req, const char *name)
{
	struct fuse_entry_param e = { .generation = 1,
		                      .attr_timeout = MOUNT_FOREVER,
		                      .entry_timeout = MOUNT_FOREVER };

	for (int i = 0; i < ROOMS; i++) {
		if (strcmp(rooms[i].name, name) != 0)
			continue;
		stat_dir(m, i, &e.attr);
		e.ino = (fuse_ino_t)room_ino(i);
		fuse_reply_entry(req, &e);
		return true;
	}
	return false;
}

void mount_kept_lookup(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .generation = 1, .attr_timeout = MOUNT_FOREVER };
	int room = room_of(parent);
	struct kept_file *f;
	struct kept is;
	int r = rooms[room].get(m->store, name, &is);

	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	f = file_of(m, room, &is);
	f->lookups++;
	e.ino = (fuse_ino_t)f->ino;
	stat_file(m, f, &e.attr);
	fuse_reply_entry(req, &e);
}

void mount_kept_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino)
{
	struct kept_file *f = find_ino(m, ino);
	struct stat st;

	if (mount_kept_is_dir(ino)) {
		stat_dir(m, room_of(ino), &st);
	} else if (f) {
		stat_file(m, f, &st);
	} else {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fuse_reply_attr(req, &st, MOUNT_FOREVER);
}

void mount_kept_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct kept_file *f = find_ino(m, ino);
	_cleanup_free_ char *out = malloc(size);
	int fd = f ? rooms[room_of(ino)].open(m->store, &f->is) : -1;
	ssize_t n = fd >= 0 && out ? pread(fd, out, size, off) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		fuse_reply_err(req, fd < 0 ? ESTALE : EIO);
	else
		fuse_reply_buf(req, out, (size_t)n);
}

void mount_kept_readdir(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        bool plus)
{
	_cleanup_free_ char *buf = mem_alloc(size);
	struct kept *list = NULL;
	size_t used = 0, count = 0, n;
	int r = rooms[room_of(ino)].list(m->store, &list, &count);

	for (size_t i = (size_t)off; r == 0 && i < count + 2; i++) {
		struct fuse_entry_param e = { .attr = { .st_mode = i < 2 ? S_IFDIR : S_IFREG,
			                                .st_ino = ino } };
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

void mount_kept_unlink(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct room *room = &rooms[room_of(parent)];
	int r = !room->remove ? ERR_PERM : m->cfg.read_only ? ERR_READONLY : 0;

	if (r == 0)
		r = room->remove(m->store, name);
	if (r == 0)
		sync_kick(m->sync);
	fuse_reply_err(req, mount_errno(r));
}

void mount_kept_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup)
{
	struct kept_file **p = &m->kepts->files, *f;

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
