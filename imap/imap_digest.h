/* SPDX-License-Identifier: MIT */
#ifndef IMAP_DIGEST_H
#define IMAP_DIGEST_H

#include <stddef.h>

/* SHA-256 in lower-case hexadecimal, for telling bodies apart. */
#define IMAP_DIGEST_MAX 65
struct imap_digest;

struct imap_digest *imap_digest_new(void);
void imap_digest_add(struct imap_digest *d, const void *data, size_t len);
void imap_digest_finish(struct imap_digest **d, char out[IMAP_DIGEST_MAX]);

#endif
