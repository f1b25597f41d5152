/* SPDX-License-Identifier: MIT */
#ifndef IMAP_TEXT_H
#define IMAP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Modified UTF-7 (RFC 3501 5.1.3).  Both give a string that the caller frees, or
 * NULL when the input is not valid (not UTF-8; not canonical modified UTF-7). */
char *imap_utf7_encode(const char *utf8, size_t len);
char *imap_utf7_decode(const char *utf7, size_t len);

/* "17-Jul-1996 02:44:25 -0700" to seconds and zone; ERR_INVAL. */
int imap_date_parse(const char *s, size_t len, int64_t *seconds, int *zone_min);

/* Writes the date-time form, day padded with a space, NUL-terminated.  Dates outside the
 * years 0 to 9999 become the nearest inside. */
#define IMAP_DATE_MAX 64
void imap_date_format(char out[IMAP_DATE_MAX], int64_t seconds, int zone_min);

/* Writes the day alone as SEARCH takes it, "1-Feb-1994", NUL-terminated. */
void imap_day_format(char out[IMAP_DATE_MAX], int64_t seconds, int zone_min);

/* True: may stand in an atom. */
bool imap_atom_char(char c);

/* True: a client may set it: \Seen and the like, or a keyword atom.  Not \Recent. */
bool imap_flag_valid(const char *flag, size_t len);

#endif
