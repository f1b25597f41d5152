/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mem.h"

#define FIRST_CAPACITY 64

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf)BUF_INIT(max_bytes);
}

void buf_release(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Doubles, so that many small appends cost O(n); one byte more than asked for the NUL.  A
 * peer decides the size, so that a lack of memory is ERR_LIMIT and not the process's end. */
static int grow(struct buf *b, size_t len)
{
	size_t want, cap;
	char *data;

	if (len > b->max || b->len > b->max - len || b->max == SIZE_MAX)
		return ERR_LIMIT;
	want = b->len + len + 1;
	if (b->data != NULL && want <= b->cap)
		return 0;
	cap = b->cap > b->max / 2 ? b->max + 1 : b->cap * 2;
	if (cap < FIRST_CAPACITY)
		cap = FIRST_CAPACITY;
	if (cap < want)
		cap = want;
	data = realloc(b->data, cap);
	if (data == NULL)
		return ERR_LIMIT;
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	int r = grow(b, len);

	if (r < 0)
		return r;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return ERR_LIMIT;
	}
	return buf_append(b, text, (size_t)n);
}

char *buf_reserve(struct buf *b, size_t len)
{
	if (grow(b, len) < 0)
		return NULL;
	return b->data + b->len;
}

void buf_consume(struct buf *b, size_t len)
{
	if (len == 0)
		return;
	if (len >= b->len) {
		buf_clear(b);
		return;
	}
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
	b->data[b->len] = '\0';
}

char *buf_detach(struct buf *b)
{
	char *data = b->data;

	if (data == NULL)
		data = mem_alloc(1);
	data[b->len] = '\0';
	buf_init(b, b->max);
	return data;
}
