/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_SETTLE_PRIV_H
#define MOUNT_SETTLE_PRIV_H

#include "mount_file_priv.h"

/* Queues a resting file for upload, its line ends made CRLF first, unless it changed since
 * `change` was read.  ERR_INVAL: it is no message, the reason is kept; ERR_IO, ERR_NOSPACE. */
int mount_make_message(struct mount *m, struct store *s, const struct store_node *n,
                       unsigned int change);

#endif
