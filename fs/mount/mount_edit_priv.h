/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_EDIT_PRIV_H
#define MOUNT_EDIT_PRIV_H

#include "mount_file_priv.h"

/* Saves of editors: a second file that is the new content of a message (mount_edit.c). */

/* A file was made.  At the old name of a message set aside it shows that one's date, now and when
 * it is written: an editor that remembers the date finds no other one later. */
void mount_edit_made(struct mount *m, struct store_node *file);

/* The file becomes the message's content. */
int mount_edit_join(struct mount *m, struct store *s, const struct store_node *message,
                    const struct store_node *file, enum store_edit how);

/* A message that was set aside is removed: true when its new content stands at its old name and it
 * is now that, not removed.  The lock of the files is held. */
bool mount_edit_unlink(struct mount *m, const struct store_node *message);

/* A file rests: true when it was the new content of a message set aside, whose old bytes stay
 * under the backup name as a local file; *became: the message. */
bool mount_edit_settle(struct mount *m, struct store *s, int64_t file, int64_t *became);

#endif
