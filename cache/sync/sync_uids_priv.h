/* SPDX-License-Identifier: MIT */
#ifndef SYNC_UIDS_PRIV_H
#define SYNC_UIDS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing list of UIDs. */
struct sync_uids {
	uint32_t *items;
	size_t count, cap;
};

void sync_uids_add(struct sync_uids *u, uint32_t uid);
void sync_uids_clear(struct sync_uids *u);
void sync_uids_release(struct sync_uids *u);

/* Ascending, each once; 0 is dropped. */
void sync_uids_sort(struct sync_uids *u);

/* Of two sorted ones: takes out of `u` what is in `out`. */
void sync_uids_minus(struct sync_uids *u, const struct sync_uids *out);
void sync_uids_drop_upto(struct sync_uids *u, uint32_t last); /* also sorts */

/* Where the chunk that ends before `end` begins: at most `max` UIDs and about `bytes` long as a set. */
size_t sync_uids_chunk_before(const struct sync_uids *u, size_t end, size_t max, size_t bytes);

/* The first in a sorted array that is `uid` or greater. */
size_t sync_uids_from(const uint32_t *items, size_t count, uint32_t uid);

/* Where `uid` is in a sorted array. */
bool sync_uids_index(const uint32_t *items, size_t count, uint32_t uid, size_t *index);

#endif
