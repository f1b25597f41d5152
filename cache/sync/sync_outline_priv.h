/* SPDX-License-Identifier: MIT */
#ifndef SYNC_OUTLINE_PRIV_H
#define SYNC_OUTLINE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "imap_resp.h"

/*
 * What a large message consists of, by its BODYSTRUCTURE, which parts of it are worth fetching, and the
 * message that can be shown when these have come: its own header and parts, a line in place of each
 * part that is not here, and a header field that says so.
 */
enum {
	SYNC_PART_MAX = 128 * 1024,   /* of one part */
	SYNC_PARTS_BYTES = 512 * 1024 /* of all of a message */
};

struct sync_piece {
	char *number;      /* "1.2"; "" is the message */
	char *boundary;    /* of a multipart; NULL: not one, or not one that can be taken apart */
	char *label;       /* "video/mp4 \"clip.mp4\"" */
	size_t children;   /* pieces that follow and belong to it directly */
	uint64_t size;     /* as the server says; untrusted */
	bool wanted, cut;  /* worth fetching; only its beginning */
	char *mime, *data; /* what came: its MIME header, its content */
	size_t mime_len, data_len;
};

struct sync_outline {
	struct sync_piece *list; /* depth first */
	size_t count;
	char *header;
	size_t header_len;
};

/* NULL: it has no part worth having, or too many. */
struct sync_outline *sync_outline_new(const struct imap_part *structure);
void sync_outline_free(struct sync_outline **o);

/* The items of a FETCH that brings all that is wanted: "(UID BODY.PEEK[HEADER] BODY.PEEK[1] ...)". */
char *sync_outline_items(const struct sync_outline *o);

/* Takes what came of them. */
void sync_outline_take(struct sync_outline *o, const struct imap_body *body);

/* The message to be shown; false: too little came. */
bool sync_outline_write(const struct sync_outline *o, uint64_t size, struct buf *out);

#endif
