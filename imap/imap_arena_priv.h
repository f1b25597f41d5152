/* SPDX-License-Identifier: MIT */
#ifndef IMAP_ARENA_PRIV_H
#define IMAP_ARENA_PRIV_H

#include <stddef.h>

/* Memory that is given back all at once.  Its sizes come from a peer, so that running out
 * is an answer (NULL) and not the process's end; no more than `max_bytes` are taken. */
struct imap_arena;

struct imap_arena *imap_arena_new(size_t max_bytes);
void imap_arena_free(struct imap_arena *a);

/* `size` bytes, aligned for anything, not zeroed. */
void *imap_arena_alloc(struct imap_arena *a, size_t size);

#endif
