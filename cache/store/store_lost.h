/* SPDX-License-Identifier: MIT */
#ifndef STORE_LOST_H
#define STORE_LOST_H

#include "store.h"

/*
 * Bytes that were written here and that the server does not take: those of uploads that are parked,
 * and those of uploads that were given up, kept in STATE_DIR/lost+found.
 */
struct store_lost {
	int64_t seq;   /* of the parked action; 0: a kept file */
	int64_t spool; /* of the parked action's bytes */
	int64_t size, mtime_ns;
	char name[STORE_NAME_MAX + 1]; /* "parked-12-report.eml"; of a kept file "7-report.eml" */
};

/* All, parked ones first; caller frees *list.  Bounded by the log and the directory. */
int store_lost_list(struct store *s, struct store_lost **list, size_t *count);

/* ERR_NOTFOUND. */
int store_lost_get(struct store *s, const char *name, struct store_lost *out);

/* Opens the bytes to be read; -1 with errno. */
int store_lost_open(struct store *s, const struct store_lost *l);

/* Gives the bytes up for good: the parked action is dropped, the kept file removed.
 * ERR_BUSY: it is being sent after all. */
int store_lost_remove(struct store *s, const char *name);

#endif
