/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_SNIFF_H
#define MOUNT_SNIFF_H

#include <stddef.h>

/* Is this the content of a message?  Pure functions over bytes. */
enum mount_sniff {
	MOUNT_SNIFF_MESSAGE,    /* starts with header fields and then an empty line, or nothing */
	MOUNT_SNIFF_INCOMPLETE, /* nothing says no, but the header has not ended yet */
	MOUNT_SNIFF_EMPTY,
	MOUNT_SNIFF_MBOX,      /* starts with an mbox "From " line */
	MOUNT_SNIFF_NO_HEADER, /* a line before the first empty one is no header field */
};

/* Headers longer than this are taken on trust beyond it. */
#define MOUNT_HEADER_MAX ((size_t)256 * 1024)

enum mount_sniff mount_sniff(const char *data, size_t len);

/* Why it is none, for a person; NULL for one that is, or may become one. */
const char *mount_sniff_reason(enum mount_sniff what);

/* The value of the header's Message-ID, `<...>`; NULL: none.  The caller frees. */
char *mount_sniff_message_id(const char *data, size_t len);

/* Makes line ends CRLF: each LF that no CR precedes gets one.  `*last` is the byte before
 * `in` (0 at the start) and is kept up to date, so that a stream can be cut anywhere.
 * `out` has room for 2 * len.  Returns how much was written. */
size_t mount_crlf(const char *in, size_t len, char *last, char *out);

#endif
