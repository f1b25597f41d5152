/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "store_mailbox.h"

/*
 * One message, however its editor saves it.  In place is no matter; but most write a second file:
 * rename it over the first, or rename the first away to a backup name and write the name anew. Such a file is
 * the message's new content, not a new message.
 */
#define ASIDE_MAX 64
#define ASIDE_MS 600000 /* how long a message set aside waits for its new content */

struct aside {
	int64_t message, dir;
	int64_t at_ms; /* monotonic; 0: empty */
	char name[STORE_NAME_MAX + 1];
};

struct mount_edits {
	pthread_mutex_t lock;
	struct aside aside[ASIDE_MAX];
	size_t next;
};

int mount_edit_start(struct mount *m)
{
	m->edits = mem_alloc(sizeof(*m->edits));
	pthread_mutex_init(&m->edits->lock, NULL);
	return 0;
}

void mount_edit_free(struct mount_edits **edits)
{
	if (!*edits)
		return;
	pthread_mutex_destroy(&(*edits)->lock);
	free(*edits);
	*edits = NULL;
}

void mount_edit_set_aside(struct mount *m, const struct store_node *message)
{
	struct mount_edits *e = m->edits;

	pthread_mutex_lock(&e->lock);
	e->aside[e->next] = (struct aside){ .message = message->id,
		                            .dir = message->parent,
		                            .at_ms = clock_mono_ms() };
	(void)snprintf(e->aside[e->next].name, sizeof(e->aside[0].name), "%s", message->name);
	e->next = (e->next + 1) % ASIDE_MAX;
	pthread_mutex_unlock(&e->lock);
}

/* The entry that `match` likes, the newest first; false: there is none. */
static bool find(struct mount *m, bool (*match)(const struct aside *a, const struct store_node *n),
                 const struct store_node *n, bool take_out, struct aside *out)
{
	struct mount_edits *e = m->edits;
	int64_t now = clock_mono_ms();
	bool found = false;

	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < ASIDE_MAX && !found; i++) {
		struct aside *a = &e->aside[(e->next + ASIDE_MAX - 1 - i) % ASIDE_MAX];

		found = a->at_ms != 0 && now - a->at_ms < ASIDE_MS && match(a, n);
		if (found) {
			*out = *a;
			a->at_ms = take_out ? 0 : a->at_ms;
		}
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}

static bool is_message(const struct aside *a, const struct store_node *n)
{
	return a->message == n->id;
}

static bool is_place(const struct aside *a, const struct store_node *n)
{
	return a->dir == n->parent && strcmp(a->name, n->name) == 0;
}

void mount_edit_made(struct mount *m, struct store_node *file)
{
	struct store_node message;
	struct aside a;

	if (!find(m, is_place, file, false, &a) ||
	    store_node_get(m->store, a.message, &message) < 0)
		return;
	file->mtime_ns = message.mtime_ns;
	(void)store_node_set(m->store, file->id, STORE_SET_MTIME, file);
	mount_files_lock(m);
	mount_file_get(m, file)->dated = true;
	mount_files_unlock(m);
}

/* The kernel has the file's inode at the name: it is to ask again, for the message's new pages. */
static void tell(struct mount *m, const struct store_node *message, const struct store_node *file)
{
	mount_notify_content(m, message->id);
	mount_notify_add(m, STORE_CHANGE_REMOVED, message->id, message->parent, message->name);
	mount_notify_add(m, STORE_CHANGE_ADDED, message->id, file->parent, file->name);
}

int mount_edit_join(struct mount *m, struct store *s, const struct store_node *message,
                    const struct store_node *file, enum store_edit how)
{
	struct store_node now;
	int r;

	mount_file_hold(m, file);
	mount_files_lock(m);
	r = mount_file_find(m, file->id) ? mount_file_record(s, mount_file_find(m, file->id)) : 0;
	mount_files_unlock(m);
	if (r == 0)
		r = store_message_edit(s, message->id, file->id, how);
	if (r < 0)
		return r;
	mount_file_left(m, file->id);
	if (store_node_get(s, message->id, &now) == 0)
		mount_file_edited(m, &now);
	mount_file_became(m, file->id, message->id);
	tell(m, message, file);
	return 0;
}

bool mount_edit_unlink(struct mount *m, const struct store_node *message)
{
	struct store_node file;
	struct aside a;

	if (!find(m, is_message, message, true, &a) || a.dir != message->parent)
		return false;
	if (store_node_lookup(m->store, a.dir, a.name, &file) < 0 || file.kind != STORE_KIND_FILE ||
	    file.spool == 0)
		return false;
	return mount_edit_join(m, m->store, message, &file, STORE_EDIT_MOVE) == 0;
}

bool mount_edit_settle(struct mount *m, struct store *s, const struct store_node *file)
{
	struct store_node message;
	struct aside a;

	if (!find(m, is_place, file, true, &a))
		return false;
	if (store_node_get(s, a.message, &message) < 0 || message.kind != STORE_KIND_MESSAGE ||
	    message.parent != file->parent || !store_name_is_scratch(message.name))
		return false;
	return mount_edit_join(m, s, &message, file, STORE_EDIT_KEEP) == 0;
}
