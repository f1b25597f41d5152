/* SPDX-License-Identifier: MIT */
#ifndef TEST_RESP_DUMP_H
#define TEST_RESP_DUMP_H

#include "imap_resp.h"

/* A response as one line of text, for comparing; the caller frees it. */
char *resp_dump(const struct imap_resp *r);

/* Parses `len` bytes from a block of exactly that size; the dump, or "PROTO", "LIMIT". */
char *resp_parse_dump(const char *text, size_t len, const struct imap_limits *lim);

#endif
