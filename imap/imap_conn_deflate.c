/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <zlib.h>

#include "imap_conn_priv.h"
#include "mem.h"

/*
 * RFC 4978: both directions are raw deflate streams, above TLS.  What comes in is expanded
 * into the caller's buffer and no further, so that a kilobyte that stands for a megabyte
 * waits here as a kilobyte.
 */

#define RAW_BYTES (32 << 10)   /* read at a time */
#define TAKE_BYTES (64 << 10)  /* compressed at a time */
#define CALL_BYTES (256 << 10) /* of the stream, looked at in one call: it may expand to nothing */

struct imap_deflate {
	z_stream in, out;
	unsigned char *raw; /* received and not expanded yet: next_in, avail_in of `in` */
	size_t raw_cap;
	bool more; /* the caller's buffer was full: there may be more without another byte */
	unsigned char *packed; /* compressed and not sent yet: from `sent` to `len` */
	size_t sent, len, cap;
};

int imap_conn_start_deflate(struct imap_conn *c, const void *early, size_t len)
{
	struct imap_deflate *d = mem_alloc(sizeof(*d));

	if (inflateInit2(&d->in, -MAX_WBITS) != Z_OK) {
		free(d);
		return ERR_LIMIT;
	}
	if (deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL - 1,
	                 Z_DEFAULT_STRATEGY) != Z_OK) {
		(void)inflateEnd(&d->in);
		free(d);
		return ERR_LIMIT;
	}
	d->raw_cap = len > RAW_BYTES ? len : RAW_BYTES;
	d->raw = mem_alloc(d->raw_cap);
	memcpy(d->raw, early, len);
	d->in.next_in = d->raw;
	d->in.avail_in = (unsigned)len;
	d->cap = deflateBound(&d->out, TAKE_BYTES) + 64;
	d->packed = mem_alloc(d->cap);
	c->deflate = d;
	return 0;
}

bool imap_conn_is_deflated(const struct imap_conn *c)
{
	return c->deflate != NULL;
}

void imap_conn_deflate_free(struct imap_conn *c)
{
	struct imap_deflate *d = c->deflate;

	if (d == NULL)
		return;
	(void)inflateEnd(&d->in);
	(void)deflateEnd(&d->out);
	free(d->raw);
	free(d->packed);
	free(d);
	c->deflate = NULL;
}

bool imap_conn_deflate_has_input(const struct imap_conn *c)
{
	return c->deflate != NULL && (c->deflate->more || c->deflate->in.avail_in > 0);
}

bool imap_conn_deflate_has_output(const struct imap_conn *c)
{
	return c->deflate != NULL && c->deflate->sent < c->deflate->len;
}

/* Sends what is packed.  1: all has gone; 0: the peer takes no more now; ERR_OFFLINE. */
static int flush(struct imap_conn *c)
{
	struct imap_deflate *d = c->deflate;

	while (d->sent < d->len) {
		int64_t n = imap_conn_raw_write(c, d->packed + d->sent, d->len - d->sent);

		if (n <= 0)
			return (int)n;
		d->sent += (size_t)n;
	}
	d->sent = d->len = 0;
	return 1;
}

/* Expands what is here.  False: it is no deflate stream, or has ended. */
static bool expand(struct imap_deflate *d, unsigned char *dst, size_t cap, size_t *have)
{
	int r;

	d->in.next_out = dst + *have;
	d->in.avail_out = (unsigned)(cap - *have);
	r = inflate(&d->in, Z_SYNC_FLUSH);
	*have = cap - d->in.avail_out;
	d->more = d->in.avail_out == 0;
	return r == Z_OK || r == Z_BUF_ERROR;
}

int64_t imap_conn_deflate_read(struct imap_conn *c, void *dst, size_t cap)
{
	struct imap_deflate *d = c->deflate;
	size_t have = 0, seen = 0;

	if (flush(c) < 0)
		return ERR_OFFLINE;
	while (have < cap && seen < CALL_BYTES) {
		int64_t n;

		if (imap_conn_deflate_has_input(c)) {
			if (!expand(d, dst, cap, &have))
				return imap_conn_lost(c, "compressed data makes no sense");
			if (d->in.avail_in > 0)
				continue;
		}
		if (have == cap)
			break;
		n = imap_conn_raw_read(c, d->raw, d->raw_cap);
		if (n < 0)
			return have > 0 ? (int64_t)have : n; /* the next read says so, too */
		if (n == 0)
			break;
		seen += (size_t)n;
		d->in.next_in = d->raw;
		d->in.avail_in = (unsigned)n;
	}
	return (int64_t)have;
}

int64_t imap_conn_deflate_write(struct imap_conn *c, const void *src, size_t len)
{
	struct imap_deflate *d = c->deflate;
	size_t take = len < TAKE_BYTES ? len : TAKE_BYTES;
	int r = flush(c);

	if (r <= 0)
		return r;
	d->out.next_in = (unsigned char *)(uintptr_t)src;
	d->out.avail_in = (unsigned)take;
	d->out.next_out = d->packed;
	d->out.avail_out = (unsigned)d->cap;
	if (deflate(&d->out, Z_SYNC_FLUSH) != Z_OK || d->out.avail_in > 0 || d->out.avail_out == 0)
		return imap_conn_lost(c, "data cannot be compressed");
	d->len = d->cap - d->out.avail_out;
	return flush(c) < 0 ? ERR_OFFLINE : (int64_t)take;
}
