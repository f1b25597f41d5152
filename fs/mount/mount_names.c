/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "mount_title.h"
#include "store_mailbox.h"
#include "store_message.h"

/*
 * `-o names=subject`: a message that is called by its UID gets a name that says what it is about,
 * once its body is here.  It is its name from then on, as if a user had given it, and stays when
 * the message changes; only a mount without the option turns it back.  A file in the state tells
 * that there are such names.
 */
#define NAMES_RING 1024
#define NAMES_BATCH 64

struct mount_names {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	struct mount *m;
	struct store *store;
	int64_t ring[NAMES_RING]; /* messages whose body arrived */
	size_t first, count;
	bool all; /* more than the ring holds: all are looked at */
	bool stop;
};

static bool stopped(struct mount_names *n)
{
	bool stop;

	pthread_mutex_lock(&n->lock);
	stop = n->stop;
	pthread_mutex_unlock(&n->lock);
	return stop;
}

/* The name that the message would have been given; NULL: its body is not here. */
static char *title_of(struct store *s, const struct store_node *n)
{
	struct store_message msg;
	const void *data;
	size_t len;
	char *name = NULL;

	if (store_message_get(s, n->id, &msg) < 0)
		return NULL;
	if (msg.uid != 0 && store_body_get(s, n->id, &data, &len) == 0)
		name = mount_title(data, len, msg.date, msg.date_zone_min, msg.uid);
	store_message_release(&msg);
	return name;
}

/* The name it is to have now; NULL: the one it has. */
static char *wanted(struct mount_names *names, const struct store_node *n)
{
	_cleanup_free_ char *title = NULL;
	uint32_t uid;
	bool plain;

	if (n->kind != STORE_KIND_MESSAGE || n->parent == 0)
		return NULL;
	uid = mount_title_uid(n->name, &plain);
	if (uid == 0 || plain != names->m->cfg.subjects)
		return NULL;
	title = title_of(names->store, n);
	if (!title)
		return NULL;
	if (plain) /* a user may have called another message so */
		return mount_title_uid(title, &plain) == uid ? mem_steal(title) : NULL;
	return strcmp(title, n->name) == 0 ? mem_printf("%u.eml", (unsigned)uid) : NULL;
}

/* Unless somebody renamed or moved it meanwhile. */
static void rename_one(struct mount_names *names, const struct store_node *n, const char *name)
{
	struct store_node now;

	if (store_node_get(names->store, n->id, &now) == 0 && now.parent == n->parent &&
	    strcmp(now.name, n->name) == 0)
		(void)store_node_rename(names->store, n->id, n->parent, name, false, 0);
}

static void rename_some(struct mount_names *names, const struct store_node *page, int count)
{
	char *want[NAMES_BATCH];
	bool any = false;

	for (int i = 0; i < count; i++) {
		want[i] = wanted(names, &page[i]);
		any = any || want[i];
	}
	if (any && store_batch_begin(names->store) == 0) {
		for (int i = 0; i < count; i++) {
			if (want[i])
				rename_one(names, &page[i], want[i]);
		}
		(void)store_batch_commit(names->store);
	}
	for (int i = 0; i < count; i++)
		free(want[i]);
}

static void rename_all(struct mount_names *names)
{
	struct store_node *page = mem_alloc(NAMES_BATCH * sizeof(*page));
	struct store_mailbox *list = NULL;
	size_t boxes = 0;

	(void)store_mailbox_list(names->store, &list, &boxes);
	for (size_t b = 0; b < boxes; b++) {
		int64_t after = 0;
		int count;

		while (!stopped(names) && (count = store_node_list(names->store, list[b].id, after,
		                                                   page, NAMES_BATCH)) > 0) {
			rename_some(names, page, count);
			after = page[count - 1].id;
		}
	}
	store_mailbox_list_free(list, boxes);
	free(page);
}

/* What arrived; false: all are to be looked at. */
static bool take(struct mount_names *names, int64_t *ids, int *count)
{
	bool all = names->all;

	*count = 0;
	names->all = false;
	while (names->count > 0 && (all || *count < NAMES_BATCH)) {
		if (!all)
			ids[(*count)++] = names->ring[names->first];
		names->first = (names->first + 1) % NAMES_RING;
		names->count--;
	}
	return !all;
}

static void rename_taken(struct mount_names *names, const int64_t *ids, int count)
{
	struct store_node *page = mem_alloc(NAMES_BATCH * sizeof(*page));
	int found = 0;

	for (int i = 0; i < count; i++)
		found += store_node_get(names->store, ids[i], &page[found]) == 0;
	rename_some(names, page, found);
	free(page);
}

static char *mark_path(struct mount *m)
{
	return mem_printf("%s/names", m->cfg.state_dir);
}

/* The first look at all: with the option the mark comes before the first name, without it goes
 * after the last. */
static void begin(struct mount_names *names)
{
	_cleanup_free_ char *path = mark_path(names->m);
	int fd;

	if (names->m->cfg.subjects) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			log_warn("cannot write %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	rename_all(names);
	if (!names->m->cfg.subjects && !stopped(names))
		(void)unlink(path);
}

static void *names_thread(void *ctx)
{
	struct mount_names *names = ctx;
	int64_t ids[NAMES_BATCH];
	int count;

	begin(names);
	pthread_mutex_lock(&names->lock);
	while (!names->stop) {
		bool some;

		if (names->count == 0 && !names->all) {
			pthread_cond_wait(&names->cond, &names->lock);
			continue;
		}
		some = take(names, ids, &count);
		pthread_mutex_unlock(&names->lock);
		if (some)
			rename_taken(names, ids, count);
		else
			rename_all(names);
		pthread_mutex_lock(&names->lock);
	}
	pthread_mutex_unlock(&names->lock);
	mount_thread_ended(names->m);
	return NULL;
}

void mount_names_body(struct mount *m, int64_t id)
{
	struct mount_names *names = m->names;

	if (!names || !m->cfg.subjects)
		return;
	pthread_mutex_lock(&names->lock);
	if (names->count == NAMES_RING)
		names->all = true;
	else
		names->ring[(names->first + names->count++) % NAMES_RING] = id;
	pthread_cond_signal(&names->cond);
	pthread_mutex_unlock(&names->lock);
}

int mount_find(struct mount *m, int64_t parent, const char *name, struct store_node *n)
{
	_cleanup_free_ char *title = NULL;
	uint32_t uid;
	int64_t id;
	bool plain;
	int r = store_node_lookup(m->store, parent, name, n);

	if (r != ERR_NOTFOUND || !m->names)
		return r;
	uid = mount_title_uid(name, &plain);
	if (uid == 0 || store_message_by_uid(m->store, parent, uid, &id) < 0 ||
	    store_node_get(m->store, id, n) < 0 || n->parent != parent)
		return ERR_NOTFOUND;
	/* "12.eml" for one that has a name, or the name that it has without this mount's option */
	title = title_of(m->store, n);
	if (!title || strcmp(plain ? n->name : name, title) != 0)
		return ERR_NOTFOUND;
	return 0;
}

int mount_names_start(struct mount *m)
{
	_cleanup_free_ char *path = mark_path(m);
	struct mount_names *names;

	if (m->maildir || (!m->cfg.subjects && access(path, F_OK) != 0))
		return 0;
	names = mem_alloc(sizeof(*names));
	names->m = m;
	pthread_mutex_init(&names->lock, NULL);
	pthread_cond_init(&names->cond, NULL);
	m->names = names;
	return store_open(m->cfg.state_dir, m->cfg.cache_dir, &names->store, NULL);
}

int mount_names_run(struct mount *m)
{
	if (!m->names) {
		mount_thread_ended(m);
		return 0;
	}
	store_set_listener(m->names->store, mount_on_change, m);
	return pthread_create(&m->names->thread, NULL, names_thread, m->names) == 0 ? 0 : ERR_IO;
}

void mount_names_ask(struct mount *m)
{
	if (!m->names)
		return;
	pthread_mutex_lock(&m->names->lock);
	m->names->stop = true;
	pthread_cond_signal(&m->names->cond);
	pthread_mutex_unlock(&m->names->lock);
}

void mount_names_join(struct mount *m)
{
	if (m->names)
		pthread_join(m->names->thread, NULL);
}

void mount_names_free(struct mount_names **names)
{
	if (!*names)
		return;
	store_close(&(*names)->store);
	pthread_cond_destroy(&(*names)->cond);
	pthread_mutex_destroy(&(*names)->lock);
	free(*names);
	*names = NULL;
}
