/* SPDX-License-Identifier: MIT */
#ifndef SYNC_LABELS_PRIV_H
#define SYNC_LABELS_PRIV_H

#include "sync_replay_priv.h"

/* Gmail's labels, as it sends and takes them. */

/* What a FETCH said, one a line, in UTF-8; one that is no modified UTF-7 stays as it came.  NULL for
 * NULL; the caller frees. */
char *sync_labels_text(const char *lines);

/* Words (store_labels_to_words()) that a message in this mailbox has and does not show: Gmail leaves
 * out the one that the mailbox is. */
char *sync_labels_own(const char *wire_name);

/* As sync_store_send(), of labels. */
void sync_labels_send(struct sync_link *l, struct sync_box *box, const struct sync_uids *uids,
                      char sign, const char *words, struct sync_reply *reply);

#endif
