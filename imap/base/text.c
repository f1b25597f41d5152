/* SPDX-License-Identifier: MIT */
#include "text_priv.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

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

/* Bytes of the character at `s` that may be shown; 0: it may not, or is none. */
static size_t shown_length(const unsigned char *s)
{
	static const uint32_t smallest[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	size_t n = utf8_length(s[0]);
	uint32_t c = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

	if (s[0] >= 0xf8 || (n == 1 && s[0] >= 0x7f))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c >= smallest[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

void text_clean(char *s)
{
	while (*s != '\0') {
		size_t n = shown_length((const unsigned char *)s);

		if (n == 0)
			*s = '?';
		s += n > 0 ? n : 1;
	}
}

void text_format_line(char *out, size_t cap, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, cap, fmt, ap);

	if (n < 0)
		out[0] = '\0';
	else if ((size_t)n >= cap)
		out[whole_characters(out, cap - 1)] = '\0';
	text_clean(out);
}
