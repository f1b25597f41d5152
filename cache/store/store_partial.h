/* SPDX-License-Identifier: MIT */
#ifndef STORE_PARTIAL_H
#define STORE_PARTIAL_H

#include "store.h"
#include "store_pull.h"

/*
 * Messages too large to be fetched unasked, of which the parts that people read are here: kept beside
 * the bodies, in CACHE_DIR/partial, as a message of its own that says what it lacks.  Never given out
 * for the message itself; gone once that is here.
 */

/* Numbered on disk */
enum store_partial_state {
	STORE_PARTIAL_UNKNOWN = 0,
	STORE_PARTIAL_HERE = 1,
	STORE_PARTIAL_NONE = 2, /* looked at: it has no part worth having */
};

/* The newest messages larger than `min_size`, of date `since` or later, of which nothing is here and
 * that were not looked at yet; as store_pull_missing(). */
int store_partial_missing(struct store *s, int64_t mailbox, uint32_t below, uint64_t min_size,
                          int64_t since, struct store_missing *out, int max);

/* Keeps these bytes; `len` 0: there is nothing worth having. */
int store_partial_put(struct store *s, int64_t message, const void *data, size_t len);
bool store_partial_have(struct store *s, int64_t message);

/* What is here in part, by name "ID-INBOX%2F12.eml". */
struct store_partial {
	int64_t message, size, mtime_ns;
	char name[STORE_NAME_MAX + 1];
};
int store_partial_list(struct store *s, struct store_partial **list, size_t *count);
int store_partial_get(struct store *s, const char *name, struct store_partial *out);
int store_partial_open(struct store *s, int64_t message); /* to be read; -1 with errno */

#endif
