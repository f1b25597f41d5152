/* SPDX-License-Identifier: MIT */
#include "imap_arena_priv.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT alignof(max_align_t)
#define FIRST_BYTES 1024
#define CHUNK_BYTES 8192

struct chunk {
	struct chunk *next;
	alignas(ALIGNMENT) char data[];
};

/* The first bytes come with the arena itself: most responses need no more. */
struct imap_arena {
	struct chunk *chunks;
	char *free;
	size_t left;
	size_t allowed; /* bytes that chunks may still take */
	alignas(ALIGNMENT) char first[FIRST_BYTES];
};

struct imap_arena *imap_arena_new(size_t max_bytes)
{
	struct imap_arena *a = malloc(sizeof(*a));

	if (a == NULL)
		return NULL;
	a->chunks = NULL;
	a->allowed = max_bytes;
	a->free = a->first;
	a->left = sizeof(a->first);
	return a;
}

void imap_arena_free(struct imap_arena *a)
{
	if (a == NULL)
		return;
	while (a->chunks != NULL) {
		struct chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
	free(a);
}

static struct chunk *add_chunk(struct imap_arena *a, size_t size)
{
	struct chunk *c = size <= a->allowed ? malloc(sizeof(*c) + size) : NULL;

	if (c != NULL) {
		a->allowed -= size;
		c->next = a->chunks;
		a->chunks = c;
	}
	return c;
}

void *imap_arena_alloc(struct imap_arena *a, size_t size)
{
	struct chunk *c;
	char *p;

	if (size > PTRDIFF_MAX - sizeof(*c) - ALIGNMENT)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (size > a->left) {
		/* what is big gets its own block and leaves the current chunk in use */
		if (size > CHUNK_BYTES / 4) {
			c = add_chunk(a, size);
			return c != NULL ? c->data : NULL;
		}
		c = add_chunk(a, CHUNK_BYTES);
		if (c == NULL)
			return NULL;
		a->free = c->data;
		a->left = CHUNK_BYTES;
	}
	p = a->free;
	a->free += size;
	a->left -= size;
	return p;
}
