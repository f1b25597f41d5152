/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_XATTR_PRIV_H
#define MOUNT_XATTR_PRIV_H

#include "buf.h"
#include "mount_priv.h"

#define MOUNT_LABELS "labels"

/* The value of `user.imap.NAME` other than flags.  0, or an errno (ENODATA: unknown now, or
 * never for such a node). */
int mount_xattr_fact(struct mount *m, const struct store_node *n, const char *name,
                     struct buf *out);

/* Sets one of those that can be set; else EPERM, or EOPNOTSUPP for one that does not exist. */
int mount_xattr_set_fact(struct mount *m, const struct store_node *n, const char *name,
                         const char *value, size_t len);

/* The parts that need no mount. */

/* "2026-11-20T09:15:02+01:00" */
#define MOUNT_DATE_MAX 40
void mount_date_text(int64_t seconds, int zone_min, char out[MOUNT_DATE_MAX]);

/* The words of special use among a mailbox's attributes, without backslash; caller frees. */
char *mount_special_use(const char *attributes);

/* "headers" and the like; ERR_INVAL. */
const char *mount_profile_name(enum store_profile p);
int mount_profile_parse(const char *word, size_t len, enum store_profile *out);

/* "1", "yes", "true" and their opposites; ERR_INVAL. */
int mount_bool_parse(const char *word, size_t len, bool *out);

#endif
