/* SPDX-License-Identifier: MIT */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

/* A growing byte buffer with a ceiling given at birth.  `data` is always
 * NUL-terminated when not NULL (the NUL is not counted in `len`). */
struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
};

#define BUF_INIT(max_bytes)        \
	{                          \
		.max = (max_bytes) \
	}

void buf_init(struct buf *b, size_t max_bytes);

/* Frees the memory; the buffer can be used again with the same ceiling. */
void buf_release(struct buf *b);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);

/* Each returns 0, or ERR_LIMIT with the buffer unchanged when the ceiling
 * would be passed. */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for `len` more bytes and returns where to write them; NULL over the
 * ceiling.  The caller then adds what it wrote to b->len. */
char *buf_reserve(struct buf *b, size_t len);

/* Drops the first `len` bytes. */
void buf_consume(struct buf *b, size_t len);

/* Hands the memory to the caller (free()); the buffer is empty afterwards.
 * Never NULL: an empty buffer gives "". */
char *buf_detach(struct buf *b);

#endif
