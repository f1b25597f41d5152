/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_WORDS_H
#define MOUNT_WORDS_H

#include <stddef.h>

/* Decodes the encoded words of an unfolded header field to UTF-8 (RFC 2047).  What is wrong stays
 * as it is; bytes that are no UTF-8 are taken for Latin-1.  The caller frees. */
char *mount_words_decode(const char *text, size_t len);

#endif
