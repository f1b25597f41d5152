/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

/*
 * The kernel keeps a directory's listing with the attributes of all that is in it.  Each file
 * read by request loses its access time there, and costs a request at its next stat; after many
 * of those a new listing, which brings all attributes along, is the cheaper way.
 */
#define DIRS_HASH 256
#define LIST_FIRST 16 /* offsets below are for "." and ".." */
#define LIST_PAGE 128
#define LIST_ENTRY 32 /* bytes that one takes at least, and with its attributes */
#define LIST_ENTRY_PLUS 160

struct dir {
	int64_t id;
	uint32_t entries; /* at the last complete listing */
	uint32_t listing; /* entries of the one under way */
	uint32_t reads;   /* by request since then */
	struct dir *next;
};

struct mount_dirs {
	pthread_mutex_t lock;
	struct dir *hash[DIRS_HASH];
	size_t count;
	struct store_node page[LIST_PAGE]; /* the loop's */
};

int mount_dirs_start(struct mount *m)
{
	m->dirs = mem_alloc(sizeof(*m->dirs));
	pthread_mutex_init(&m->dirs->lock, NULL);
	return 0;
}

void mount_dirs_free(struct mount_dirs **dirs)
{
	struct mount_dirs *d = *dirs;

	if (!d)
		return;
	for (size_t i = 0; i < DIRS_HASH; i++) {
		struct dir *one, *next;

		for (one = d->hash[i]; one; one = next) {
			next = one->next;
			free(one);
		}
	}
	pthread_mutex_destroy(&d->lock);
	free(d);
	*dirs = NULL;
}

static struct dir *dir_get(struct mount_dirs *d, int64_t id, bool make)
{
	struct dir **p = &d->hash[(uint64_t)id % DIRS_HASH];

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	if (!*p && make) {
		*p = mem_alloc(sizeof(**p));
		(*p)->id = id;
		d->count++;
	}
	return *p;
}

void mount_dirs_count_read(struct mount_dirs *d, int64_t id)
{
	struct dir *dir;

	pthread_mutex_lock(&d->lock);
	dir = dir_get(d, id, false);
	if (dir)
		dir->reads++;
	pthread_mutex_unlock(&d->lock);
}

int64_t *mount_dirs_listed(struct mount_dirs *d, size_t *count)
{
	int64_t *ids;
	size_t n = 0;

	pthread_mutex_lock(&d->lock);
	ids = mem_alloc((d->count + 1) * sizeof(*ids));
	for (size_t i = 0; i < DIRS_HASH; i++) {
		for (struct dir *dir = d->hash[i]; dir; dir = dir->next)
			ids[n++] = dir->id;
	}
	pthread_mutex_unlock(&d->lock);
	*count = n;
	return ids;
}

int mount_dir_list(struct mount *m, struct store *s, int64_t id, int64_t after,
                   struct store_node *out, int max)
{
	return m->maildir ? mount_maildir_list(m, s, (fuse_ino_t)id, after, out, max)
	                  : store_node_list(s, id, after, out, max);
}

const char *mount_dir_name(struct mount *m, int64_t id, const struct store_node *n,
                           char buf[STORE_NAME_MAX + 1])
{
	return m->maildir ? mount_maildir_name(m, (fuse_ino_t)id, n, buf) : n->name;
}

void mount_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct dir *dir;

	fi->cache_readdir = !mount_is_virtual(ino);
	if (!mount_is_virtual(ino)) {
		pthread_mutex_lock(&m->dirs->lock);
		dir = dir_get(m->dirs, (int64_t)ino, true);
		fi->keep_cache = dir->reads * 100 <= dir->entries;
		if (!fi->keep_cache)
			dir->reads = 0;
		pthread_mutex_unlock(&m->dirs->lock);
	}
	fuse_reply_open(req, fi);
}

void mount_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* One reply under construction. */
struct list {
	struct mount *m;
	fuse_req_t req;
	bool plus;
	char *buf;
	size_t size, used;
};

/* False when it does not fit any more. */
static bool list_put(struct list *l, const char *name, const struct fuse_entry_param *e, off_t next)
{
	size_t left = l->size - l->used, n;

	if (l->plus)
		n = fuse_add_direntry_plus(l->req, l->buf + l->used, left, name, e, next);
	else
		n = fuse_add_direntry(l->req, l->buf + l->used, left, name, &e->attr, next);
	if (n > left)
		return false;
	l->used += n;
	return true;
}

static bool list_dots(struct list *l, int64_t id, off_t off)
{
	struct fuse_entry_param e = { .attr = { .st_ino = (ino_t)id, .st_mode = S_IFDIR } };

	if (off < 1 && !list_put(l, ".", &e, 1))
		return false;
	return off >= 2 || list_put(l, "..", &e, LIST_FIRST);
}

static void count_listing(struct mount *m, int64_t id, off_t off, uint32_t entries, bool complete)
{
	struct dir *dir;

	pthread_mutex_lock(&m->dirs->lock);
	dir = dir_get(m->dirs, id, true);
	if (off == 0)
		dir->listing = 0;
	dir->listing += entries;
	if (complete)
		dir->entries = dir->listing;
	pthread_mutex_unlock(&m->dirs->lock);
}

/* How many more may fit: after the first, by what those took. */
static int list_room(const struct list *l, uint32_t entries)
{
	size_t least = l->plus ? LIST_ENTRY_PLUS : LIST_ENTRY;
	size_t each = entries > 0 ? l->used / (entries + 2) : least;
	size_t room = (l->size - l->used) / (each > least ? each : least) + 1;

	return room < LIST_PAGE ? (int)room : LIST_PAGE;
}

static int list_nodes(struct list *l, int64_t id, off_t off)
{
	struct store_node *page = l->m->dirs->page;
	int64_t after = off < LIST_FIRST ? 0 : off - LIST_FIRST;
	char name[STORE_NAME_MAX + 1];
	struct fuse_entry_param e;
	uint32_t entries = 0;
	int count, max;

	do {
		max = list_room(l, entries);
		count = mount_dir_list(l->m, l->m->store, id, after, page, max);
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			mount_file_overlay(l->m, &page[i]);
			mount_entry(l->m, &page[i], &e);
			after = page[i].id;
			if (!list_put(l, mount_dir_name(l->m, id, &page[i], name), &e,
			              after + LIST_FIRST)) {
				count_listing(l->m, id, off, entries, false);
				return 0;
			}
			entries++;
		}
	} while (count == max);
	count_listing(l->m, id, off, entries, true);
	return 0;
}

static void list_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct mount *m = fuse_req_userdata(req);
	_cleanup_free_ char *buf = NULL;
	struct list l = { .m = m, .req = req, .plus = plus, .size = size };
	int r = 0;

	if (mount_is_virtual(ino)) {
		mount_virtual_readdir(m, req, ino, size, off, plus);
		return;
	}
	l.buf = buf = malloc(size);
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (list_dots(&l, (int64_t)ino, off))
		r = list_nodes(&l, (int64_t)ino, off);
	if (r < 0 && l.used == 0)
		fuse_reply_err(req, mount_errno(r));
	else
		fuse_reply_buf(req, buf, l.used);
}

void mount_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                      struct fuse_file_info *fi)
{
	(void)fi;
	list_dir(req, ino, size, off, false);
}

void mount_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                          struct fuse_file_info *fi)
{
	(void)fi;
	list_dir(req, ino, size, off, true);
}

struct sync_dir {
	int64_t id;
	int r;
};

static void sync_one(struct mount *m, struct mount_file *f, void *ctx)
{
	struct sync_dir *s = ctx;

	if (f->parent != s->id || !f->dirty || f->unlinked || s->r < 0)
		return;
	s->r = mount_file_open(m, m->store, f);
	if (s->r == 0 && fdatasync(f->fd) != 0)
		s->r = ERR_IO;
	if (s->r == 0)
		s->r = mount_file_record(m->store, f);
}

/* Makes what was done in the directory survive power loss, contents included. */
void mount_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct sync_dir s = { .id = (int64_t)ino };

	(void)datasync;
	(void)fi;
	mount_files_lock(m);
	mount_files_each(m, sync_one, &s);
	mount_files_unlock(m);
	if (s.r == 0)
		s.r = store_flush(m->store);
	fuse_reply_err(req, mount_errno(s.r));
}
