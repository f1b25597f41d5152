/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_LF_H
#define MOUNT_LF_H

#include <stddef.h>
#include <stdint.h>

/* A text with CR LF line ends, read as if they were LF. */

/* Where a reader of a text has come: it goes on from there and need not begin anew. */
struct mount_lf_place {
	const char *data;
	size_t len;
	size_t raw, lf;
};

/* The bytes from `off` of the LF form, at most `size`; returns how many.  `place` may be NULL. */
size_t mount_lf_read(struct mount_lf_place *place, const char *data, size_t len, uint64_t off,
                     char *out, size_t size);

#endif
