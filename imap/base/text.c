/* SPDX-License-Identifier: MIT */
#include "text_priv.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the character that `lead` begins; 1 for what begins none. */
static size_t utf8_length(unsigned char lead)
{
	if (lead >= 0xf0)
		return 4;
	if (lead >= 0xe0)
		return 3;
	return lead >= 0xc0 ? 2 : 1;
}

/* How much of s[0..len) is left when a character cut short at its end is dropped. */
static size_t whole_characters(const char *s, size_t len)
{
	for (size_t back = 1; back <= 3 && back <= len; back++) {
		unsigned char c = (unsigned char)s[len - back];

		if ((c & 0xc0) != 0x80)
			return utf8_length(c) > back ? len - back : len;
	}
	return len;
}

void text_format_line(char *out, size_t cap, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, cap, fmt, ap);

	if (n < 0)
		out[0] = '\0';
	else if ((size_t)n >= cap)
		out[whole_characters(out, cap - 1)] = '\0';
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}
