/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_TITLE_H
#define MOUNT_TITLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* File names that say what a message is about.  Pure functions over bytes. */

/* The value of a header field as UTF-8: unfolded, encoded words (RFC 2047) decoded, control
 * characters and what changes the direction of writing left out.  NULL: there is none. */
char *mount_title_field(const char *data, size_t len, const char *field);

/* "2026-11-20 Alice Example - Invoice [123].eml", fit for a file name; the caller frees. */
char *mount_title(const char *data, size_t len, int64_t date, int zone_min, uint32_t uid);

/* The UID in "123.eml", or at the end of "... [123].eml"; 0: none. */
uint32_t mount_title_uid(const char *name, bool *plain);

#endif
