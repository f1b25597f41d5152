/* SPDX-License-Identifier: MIT */
#ifndef BASE_TEXT_PRIV_H
#define BASE_TEXT_PRIV_H

#include <stdarg.h>
#include <stddef.h>

/* vsnprintf() for one line a person reads: control characters become '?', and a
 * cut never leaves half a UTF-8 character behind. */
void text_format_line(char *out, size_t cap, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

#endif
