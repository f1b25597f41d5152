/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

/*
 * One message, however its editor saves it.  In place is no matter; but most write a second file:
 * rename it over the first, or rename the first away to a backup name and write the name anew. Such a file is
 * the message's new content, not a new message.  The store remembers which belong together.
 */

void mount_edit_made(struct mount *m, struct store_node *file)
{
	struct store_node message;
	int64_t id;

	if (store_aside_message(m->store, file->id, &id) < 0 ||
	    store_node_get(m->store, id, &message) < 0)
		return;
	file->mtime_ns = message.mtime_ns;
	(void)store_node_set(m->store, file->id, STORE_SET_MTIME, file);
	mount_files_lock(m);
	mount_file_get(m, file)->dated = true;
	mount_files_unlock(m);
}

int mount_edit_join(struct mount *m, struct store *s, const struct store_node *message,
                    const struct store_node *file, enum store_edit how)
{
	int r = mount_file_join(m, s, message, file->id, how);

	if (r == 0) { /* the kernel has the message at its backup name, or open */
		mount_notify_content(m, message->id);
		mount_notify_add(m, STORE_CHANGE_REMOVED, message->id, message->parent,
		                 message->name);
	}
	return r;
}

bool mount_edit_unlink(struct mount *m, const struct store_node *message)
{
	struct store_node file;
	int64_t id;

	return store_aside_file(m->store, message->id, &id) == 0 &&
	       store_node_get(m->store, id, &file) == 0 && file.kind == STORE_KIND_FILE &&
	       file.spool != 0 && file.parent == message->parent &&
	       mount_edit_join(m, m->store, message, &file, STORE_EDIT_MOVE) == 0;
}

/* The file still is one where the message was, and the message still waits beside it. */
static bool belong_together(const struct store_node *message, const struct store_node *file)
{
	return file->kind == STORE_KIND_FILE && message->kind == STORE_KIND_MESSAGE &&
	       message->parent == file->parent && store_name_is_scratch(message->name);
}

bool mount_edit_settle(struct mount *m, struct store *s, int64_t file, int64_t *became)
{
	struct store_node message, now;
	bool joined = false;
	int64_t id;

	mount_files_lock(m);
	if (store_aside_message(s, file, &id) == 0 && store_node_get(s, id, &message) == 0 &&
	    store_node_get(s, file, &now) == 0 && belong_together(&message, &now))
		joined = mount_edit_join(m, s, &message, &now, STORE_EDIT_KEEP) == 0;
	mount_files_unlock(m);
	if (joined)
		*became = id;
	return joined;
}
