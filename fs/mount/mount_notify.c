/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

/*
 * The kernel believes what it was told until it is told otherwise.  Names are expired rather
 * than dropped: a directory somebody works in stays whole, and is asked for again at its next
 * use.  The body of a message needs no word: its content never changes, and a size that was not
 * exact was given without a time to hold.
 */
#define NOTIFY_MAX 65536
#define NOTIFY_INC_EPOCH 8 /* drops all names at once; younger than the headers of some systems */

struct note {
	enum store_change what;
	bool content;
	int64_t node, parent;
	char *name;
};

struct mount_notify {
	pthread_mutex_t lock;
	pthread_cond_t cond, told_one;
	pthread_t thread;
	struct mount *m;
	struct store *store; /* of another layout, to find out the names it shows */
	struct note *ring;
	size_t first, count;
	bool flood;      /* more than the ring holds: all names are in doubt */
	bool stop, busy; /* `busy`: one is taken out and not told yet */
	uint64_t told;
};

static void add(struct mount *m, const struct note *note)
{
	struct mount_notify *n = m->notify;
	struct note *slot;

	pthread_mutex_lock(&n->lock);
	if (n->count == NOTIFY_MAX) {
		n->flood = true;
	} else if (!n->stop) {
		slot = &n->ring[(n->first + n->count++) % NOTIFY_MAX];
		*slot = *note;
		slot->name = mem_strdup(note->name);
	}
	pthread_cond_signal(&n->cond);
	pthread_mutex_unlock(&n->lock);
}

void mount_notify_add(struct mount *m, enum store_change what, int64_t node, int64_t parent,
                      const char *name)
{
	struct note note = {
		.what = what, .node = node, .parent = parent, .name = (char *)(uintptr_t)name
	};

	atomic_fetch_add(&m->changes, 1);
	if (what != STORE_CHANGE_BODY)
		add(m, &note);
	else
		mount_names_body(m, node);
}

void mount_notify_content(struct mount *m, int64_t node)
{
	struct note note = { .what = STORE_CHANGE_BODY, .content = true, .node = node };

	atomic_fetch_add(&m->changes, 1);
	add(m, &note);
}

void mount_on_change(void *mount, enum store_change what, int64_t node, int64_t parent,
                     const char *name)
{
	mount_notify_add(mount, what, node, parent, name);
}

static void tell_name(struct mount *m, int64_t parent, const char *name)
{
	int r = -ENOSYS;

	if (name && m->expire)
		r = fuse_lowlevel_notify_expire_entry(m->se, (fuse_ino_t)parent, name, strlen(name),
		                                      FUSE_LL_EXPIRE_ONLY);
	if (name && r == -ENOSYS)
		(void)fuse_lowlevel_notify_inval_entry(m->se, (fuse_ino_t)parent, name,
		                                       strlen(name));
	(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)parent, 0, 0);
}

/* By every inode that the kernel may know it by.  `off`: -1 for the attributes alone. */
void mount_notify_node(struct mount *m, int64_t node, off_t off)
{
	int64_t inodes[16];
	size_t n = mount_alias_list(m, node, inodes, 15);

	inodes[n++] = node;
	while (n-- > 0)
		(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)inodes[n], off, 0);
}

static void tell(struct mount *m, const struct note *note)
{
	if (note->what != STORE_CHANGE_BODY)
		mount_events_note(m, note->what, note->node, note->parent, note->name);
	if (m->maildir && note->what != STORE_CHANGE_BODY) {
		mount_maildir_tell(m, m->notify->store, note->what, note->node, note->parent,
		                   note->name);
		return;
	}
	switch (note->what) {
	case STORE_CHANGE_ADDED:
	case STORE_CHANGE_REMOVED:
		tell_name(m, note->parent, note->name);
		if (note->what == STORE_CHANGE_REMOVED)
			mount_notify_node(m, note->node, -1);
		break;
	case STORE_CHANGE_ATTR:
	case STORE_CHANGE_BODY:
		mount_notify_node(m, note->node, note->content ? 0 : -1);
		break;
	}
}

/* Drops every name the kernel holds, where it can. */
static bool new_epoch(struct mount *m)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = NOTIFY_INC_EPOCH };

	return write(fuse_session_fd(m->se), &out, sizeof(out)) == (ssize_t)sizeof(out);
}

static void expire_children(struct mount *m, struct store *s, int64_t dir)
{
	struct store_node page[32];
	char name[STORE_NAME_MAX + 1];
	int64_t after = 0;
	int count;

	while ((count = mount_dir_list(m, s, dir, after, page, 32)) > 0) {
		for (int i = 0; i < count; i++)
			tell_name(m, dir, mount_dir_name(m, dir, &page[i], name));
		after = page[count - 1].id;
	}
}

static void tell_flood(struct mount *m)
{
	bool epoch = new_epoch(m);
	struct store *s = NULL;
	size_t count;
	_cleanup_free_ int64_t *dirs = mount_dirs_listed(m->dirs, &count);

	log_info("many changes at once: all names are looked up again");
	if (!epoch)
		(void)store_open_again(m->cfg.state_dir, m->cfg.cache_dir, &s, NULL);
	for (size_t i = 0; i < count; i++) {
		if (s)
			expire_children(m, s, dirs[i]);
		(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)dirs[i], 0, 0);
	}
	store_close(&s);
}

static void *notify_thread(void *ctx)
{
	struct mount_notify *n = ctx;
	struct note note;
	bool flood;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		if (n->count == 0 && !n->flood) {
			pthread_cond_wait(&n->cond, &n->lock);
			continue;
		}
		flood = n->count == 0;
		if (flood) {
			n->flood = false;
		} else {
			note = n->ring[n->first];
			n->first = (n->first + 1) % NOTIFY_MAX;
			n->count--;
		}
		n->busy = true;
		pthread_mutex_unlock(&n->lock);
		if (flood) {
			tell_flood(n->m);
		} else {
			tell(n->m, &note);
			free(note.name);
		}
		pthread_mutex_lock(&n->lock);
		n->busy = false;
		n->told++;
		pthread_cond_broadcast(&n->told_one);
	}
	pthread_cond_broadcast(&n->told_one);
	pthread_mutex_unlock(&n->lock);
	mount_thread_ended(n->m);
	return NULL;
}

/* Changes the loop's own calls made, except those that the kernel does itself. */
static void on_own_change(void *ctx, enum store_change what, int64_t node, int64_t parent,
                          const char *name)
{
	struct mount *m = ctx;

	if ((what == STORE_CHANGE_ATTR && !m->maildir) || what == STORE_CHANGE_BODY)
		return;
	for (int i = 0; i < 2; i++) {
		if (m->own[i].name && name && m->own[i].parent == parent &&
		    strcmp(m->own[i].name, name) == 0)
			return;
	}
	mount_notify_add(m, what, node, parent, name);
}

int mount_notify_start(struct mount *m)
{
	struct mount_notify *n = mem_alloc(sizeof(*n));
	pthread_condattr_t attr;

	n->m = m;
	n->ring = mem_alloc(NOTIFY_MAX * sizeof(*n->ring));
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->cond, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&n->told_one, &attr);
	(void)pthread_condattr_destroy(&attr);
	m->notify = n;
	store_set_listener(m->store, on_own_change, m);
	return m->maildir ? store_open(m->cfg.state_dir, m->cfg.cache_dir, &n->store, NULL) : 0;
}

int mount_notify_run(struct mount *m)
{
	return pthread_create(&m->notify->thread, NULL, notify_thread, m->notify) == 0 ? 0 : ERR_IO;
}

void mount_await_told(struct mount *m, int64_t deadline_ms)
{
	struct mount_notify *n = m->notify;
	struct timespec until = { .tv_sec = deadline_ms / 1000,
		                  .tv_nsec = deadline_ms % 1000 * 1000000 };
	uint64_t upto;

	pthread_mutex_lock(&n->lock);
	upto = n->told + n->busy + n->count + n->flood;
	while (n->told < upto && !n->stop &&
	       pthread_cond_timedwait(&n->told_one, &n->lock, &until) == 0)
		;
	pthread_mutex_unlock(&n->lock);
}

void mount_notify_ask(struct mount *m)
{
	pthread_mutex_lock(&m->notify->lock);
	m->notify->stop = true;
	pthread_cond_signal(&m->notify->cond);
	pthread_mutex_unlock(&m->notify->lock);
}

void mount_notify_join(struct mount *m)
{
	pthread_join(m->notify->thread, NULL);
}

void mount_notify_free(struct mount_notify **notify)
{
	struct mount_notify *n = *notify;

	if (!n)
		return;
	for (size_t i = 0; i < n->count; i++)
		free(n->ring[(n->first + i) % NOTIFY_MAX].name);
	store_close(&n->store);
	pthread_cond_destroy(&n->cond);
	pthread_cond_destroy(&n->told_one);
	pthread_mutex_destroy(&n->lock);
	free(n->ring);
	free(n);
	*notify = NULL;
}
