/* SPDX-License-Identifier: MIT */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "buf.h"

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD.  NULL: null. */
int json_string(struct buf *out, const char *text);

#endif
