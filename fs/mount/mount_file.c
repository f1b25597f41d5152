/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "mount_sniff.h"

#define FILES_HASH 4096
#define FILES_OPEN_MAX 128
#define ALIASES_MAX 16

struct mount_files {
	pthread_mutex_t lock;
	struct mount_file *hash[FILES_HASH];
	struct mount_file *newest, *oldest; /* open ones that are in the tree */
	int open_count;
};

int mount_files_start(struct mount *m)
{
	pthread_mutexattr_t attr;

	m->files = mem_alloc(sizeof(*m->files));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m->files->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return 0;
}

void mount_files_lock(struct mount *m)
{
	pthread_mutex_lock(&m->files->lock);
}

void mount_files_unlock(struct mount *m)
{
	pthread_mutex_unlock(&m->files->lock);
}

static struct mount_file **slot(struct mount_files *files, int64_t id)
{
	struct mount_file **p = &files->hash[(uint64_t)id % FILES_HASH];

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

struct mount_file *mount_file_find(struct mount *m, int64_t id)
{
	return *slot(m->files, id);
}

struct mount_file *mount_file_get(struct mount *m, const struct store_node *n)
{
	struct mount_file **p = slot(m->files, n->id);
	struct mount_file *f = *p;

	if (f)
		return f;
	f = mem_alloc(sizeof(*f));
	f->id = n->id;
	f->parent = n->parent;
	f->spool = n->spool;
	f->fd = -1;
	f->size = n->size;
	f->mtime_ns = n->mtime_ns;
	f->changed_ms = clock_mono_ms();
	*p = f;
	return f;
}

static void list_remove(struct mount_files *files, struct mount_file *f)
{
	*(f->newer ? &f->newer->older : &files->newest) = f->older;
	*(f->older ? &f->older->newer : &files->oldest) = f->newer;
	f->newer = f->older = NULL;
	files->open_count--;
}

static void list_add(struct mount_files *files, struct mount_file *f)
{
	f->newer = NULL;
	f->older = files->newest;
	*(f->older ? &f->older->newer : &files->oldest) = f;
	files->newest = f;
	files->open_count++;
}

void mount_file_close(struct mount *m, struct mount_file *f)
{
	if (f->fd < 0)
		return;
	if (!f->unlinked)
		list_remove(m->files, f);
	close(f->fd);
	f->fd = -1;
}

void mount_file_drop(struct mount *m, struct mount_file *f)
{
	mount_file_close(m, f);
	*slot(m->files, f->id) = f->next;
	free(f->reason);
	free(f);
}

void mount_files_free(struct mount_files **files)
{
	struct mount_files *fs = *files;

	if (!fs)
		return;
	for (size_t i = 0; i < FILES_HASH; i++) {
		struct mount_file *f, *next;

		for (f = fs->hash[i]; f; f = next) {
			next = f->next;
			if (f->fd >= 0)
				close(f->fd);
			free(f->reason);
			free(f);
		}
	}
	pthread_mutex_destroy(&fs->lock);
	free(fs);
	*files = NULL;
}

/* Closes the descriptor that was not used for longest; what is only a descriptor goes. */
static void make_room(struct mount *m)
{
	struct mount_file *f = m->files->oldest;

	if (m->files->open_count < FILES_OPEN_MAX || !f)
		return;
	if (f->dirty || f->candidate || f->reason)
		mount_file_close(m, f);
	else
		mount_file_drop(m, f);
}

static int keep_fd(struct mount *m, struct mount_file *f, int fd)
{
	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : ERR_IO;
	f->fd = fd;
	list_add(m->files, f);
	return 0;
}

int mount_file_open(struct mount *m, struct store *s, struct mount_file *f)
{
	if (f->fd >= 0 && f->unlinked)
		return 0;
	if (f->fd >= 0) {
		list_remove(m->files, f);
		list_add(m->files, f);
		return 0;
	}
	if (f->spool == 0)
		return ERR_NOTFOUND;
	make_room(m);
	return keep_fd(m, f, store_spool_open(s, f->spool, 0));
}

static int open_own(struct mount *m, struct store *s, struct mount_file *f, bool fresh)
{
	int64_t spool = f->spool;
	int r;

	if (f->unlinked)
		return mount_file_open(m, s, f);
	if (!f->write_ok) {
		r = fresh ? store_spool_fresh(s, f->id, &spool)
		          : store_spool_writable(s, f->id, &spool);
		if (r < 0) /* a body that is not here cannot be changed in part */
			return r == ERR_NOTFOUND ? ERR_OFFLINE : r;
		if (spool != f->spool || m->maildir)
			mount_file_close(m, f);
		f->spool = spool;
		r = m->maildir && !fresh ? mount_maildir_writable(m, s, f->id, spool, &f->size) : 0;
		if (r < 0)
			return r;
		f->write_ok = true;
	}
	return mount_file_open(m, s, f);
}

int mount_file_open_write(struct mount *m, struct store *s, struct mount_file *f)
{
	return open_own(m, s, f, false);
}

int mount_file_open_fresh(struct mount *m, struct store *s, struct mount_file *f)
{
	return open_own(m, s, f, true);
}

void mount_file_written(struct mount *m, struct mount_file *f)
{
	f->ctime_ns = clock_wall_ns();
	if (f->copied)
		f->copied = f->dated = false;
	if (!f->dated)
		f->mtime_ns = f->ctime_ns;
	mount_file_touch(m, f);
}

void mount_file_touch(struct mount *m, struct mount_file *f)
{
	bool first = !f->candidate && !f->dirty;

	f->change++;
	f->changed_ms = clock_mono_ms();
	f->look_ms = 0;
	f->dirty = true;
	f->candidate = true;
	free(mem_steal(f->reason));
	if (first)
		mount_settle_wake(m);
}

int mount_file_record(struct store *s, struct mount_file *f)
{
	struct store_node n = { .id = f->id, .size = f->size, .mtime_ns = f->mtime_ns };
	int r;

	if (!f->dirty || f->unlinked)
		return 0;
	r = store_node_set(s, f->id, STORE_SET_SIZE | STORE_SET_MTIME, &n);
	if (r < 0 && r != ERR_NOTFOUND)
		return r;
	f->dirty = false;
	return 0;
}

bool mount_file_refused(struct mount_file *f)
{
	_cleanup_free_ char *head = malloc(MOUNT_HEADER_MAX + 1);
	const char *reason;
	ssize_t n;

	if (!head || f->fd < 0)
		return false;
	n = pread(f->fd, head, MOUNT_HEADER_MAX + 1, 0);
	if (n < 0)
		return false;
	reason = mount_sniff_reason(mount_sniff(head, (size_t)n));
	free(f->reason);
	f->reason = mem_strdup(reason);
	return reason != NULL;
}

void mount_files_each(struct mount *m, void (*fn)(struct mount *m, struct mount_file *f, void *ctx),
                      void *ctx)
{
	for (size_t i = 0; i < FILES_HASH; i++) {
		struct mount_file *f, *next;

		for (f = m->files->hash[i]; f; f = next) {
			next = f->next;
			fn(m, f, ctx);
		}
	}
}

void mount_file_overlay(struct mount *m, struct store_node *n)
{
	struct mount_file *f;
	struct store_node now;

	if (n->kind != STORE_KIND_FILE && n->kind != STORE_KIND_MESSAGE)
		return;
	mount_files_lock(m);
	/* what was read before the lock may have been recorded since: neither old nor dirty */
	if ((n->kind == STORE_KIND_FILE || n->spool != 0) &&
	    store_node_get(m->store, n->id, &now) == 0 && now.kind == n->kind)
		*n = now;
	f = mount_file_find(m, n->id);
	if (f && f->dirty && n->kind == STORE_KIND_MESSAGE) {
		n->crlf = 0;
		n->size = f->size; /* its date is the server's, whatever is written */
		n->size_exact = true;
	} else if (f && f->dirty) {
		n->size = f->size;
		if (n->ctime_ns < f->ctime_ns)
			n->ctime_ns = f->ctime_ns;
		n->mtime_ns = f->mtime_ns;
	}
	mount_files_unlock(m);
}

bool mount_file_unlinked(struct mount *m, int64_t id, struct store_node *n)
{
	struct mount_file *f;
	bool held;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	held = f && f->unlinked;
	if (held)
		*n = (struct store_node){ .id = id,
			                  .kind = STORE_KIND_FILE,
			                  .mode = 0600,
			                  .size = f->size,
			                  .size_exact = true,
			                  .mtime_ns = f->mtime_ns,
			                  .ctime_ns = f->ctime_ns };
	mount_files_unlock(m);
	return held;
}

int mount_file_hold(struct mount *m, struct store *s, const struct store_node *n)
{
	struct mount_file *f;
	int r = 0;

	if (n->kind != STORE_KIND_FILE || n->spool == 0)
		return 0;
	mount_files_lock(m);
	f = mount_file_get(m, n);
	if (f->spool == 0)
		f->spool = n->spool;
	if (mount_file_open(m, s, f) < 0 && (errno == EMFILE || errno == ENFILE))
		r = ERR_BUSY;
	mount_files_unlock(m);
	return r;
}

void mount_file_left(struct mount *m, int64_t id)
{
	struct mount_file *f;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	if (f && f->fd < 0) {
		mount_file_drop(m, f);
	} else if (f && !f->unlinked) {
		list_remove(m->files, f); /* it could not be opened again */
		f->unlinked = true;
		f->dirty = f->candidate = false;
	}
	mount_files_unlock(m);
}

void mount_file_tell(struct mount *m, const struct mount_file *f, fuse_ino_t ino)
{
	int64_t others[ALIASES_MAX];
	size_t n = mount_alias_list(m, f->id, others, ALIASES_MAX);

	if (n > 0 && f->id != (int64_t)ino)
		mount_notify_content(m, f->id);
	for (size_t i = 0; i < n; i++) {
		if (others[i] != (int64_t)ino)
			mount_notify_content(m, others[i]);
	}
}

void mount_file_forgotten(struct mount *m, int64_t id)
{
	struct mount_file *f;

	mount_files_lock(m);
	f = mount_file_find(m, id);
	if (f && f->unlinked)
		mount_file_drop(m, f);
	mount_files_unlock(m);
}

static void look_again(struct mount *m, struct mount_file *f)
{
	f->change++;
	f->changed_ms = clock_mono_ms();
	f->look_ms = 0;
	free(mem_steal(f->reason));
	if (!f->candidate) {
		f->candidate = true;
		mount_settle_wake(m);
	}
}

void mount_file_named(struct mount *m, const struct store_node *n)
{
	struct mount_file *f;

	if (n->kind != STORE_KIND_FILE)
		return;
	mount_files_lock(m);
	f = mount_file_get(m, n);
	f->parent = n->parent;
	look_again(m, f);
	mount_files_unlock(m);
}

/* The content of the message came by another way than through this entry. */
static void take_over(struct mount *m, struct mount_file *f, const struct store_node *message)
{
	mount_file_close(m, f);
	f->spool = message->spool;
	f->size = message->size;
	f->write_ok = f->dirty = false;
	look_again(m, f);
}

int mount_file_join(struct mount *m, struct store *s, const struct store_node *message,
                    int64_t file, enum store_edit how)
{
	struct store_node now;
	struct mount_file *f;
	int r;

	mount_files_lock(m);
	f = mount_file_find(m, file);
	r = f ? mount_file_record(s, f) : 0;
	if (r == 0)
		r = store_message_edit(s, message->id, file, how);
	if (r == 0 && f)
		mount_file_drop(m, f);
	if (r == 0 && store_node_get(s, message->id, &now) == 0)
		take_over(m, mount_file_get(m, &now), &now);
	if (r == 0)
		mount_alias_add(m, file, message->id);
	mount_files_unlock(m);
	return r;
}

void mount_file_edited(struct mount *m, const struct store_node *message)
{
	mount_files_lock(m);
	take_over(m, mount_file_get(m, message), message);
	mount_files_unlock(m);
}
