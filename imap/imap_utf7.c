/* SPDX-License-Identifier: MIT */
#include "imap_text.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Takes one character off *p; 0 for NUL and for what is no valid UTF-8. */
static uint32_t utf8_take(const unsigned char **p, const unsigned char *end)
{
	static const uint32_t smallest[] = { 1, 0x80, 0x800, 0x10000 };
	const unsigned char *s = *p;
	uint32_t c = *s;
	int more = c < 0x80 ? 0 : c < 0xc0 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf8 ? 3 : -1;

	if (more < 0 || end - s <= more)
		return 0;
	if (more > 0)
		c &= 0x3fu >> more;
	for (int i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*p = s + more + 1;
	return c;
}

static char *utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xe0 | c >> 12);
		} else {
			*out++ = (char)(0xf0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

/* Bits on their way into BASE64 letters. */
struct shift {
	uint32_t bits;
	int count;
};

static char *shift_unit(struct shift *s, char *out, uint32_t unit)
{
	s->bits = s->bits << 16 | unit;
	s->count += 16;
	while (s->count >= 6) {
		s->count -= 6;
		*out++ = alphabet[s->bits >> s->count & 0x3f];
	}
	return out;
}

static char *shift_char(struct shift *s, char *out, uint32_t c)
{
	if (c < 0x10000)
		return shift_unit(s, out, c);
	c -= 0x10000;
	out = shift_unit(s, out, 0xd800 | c >> 10);
	return shift_unit(s, out, 0xdc00 | (c & 0x3ff));
}

static char *shift_end(struct shift *s, char *out)
{
	if (s->count > 0)
		*out++ = alphabet[s->bits << (6 - s->count) & 0x3f];
	*s = (struct shift){ 0 };
	*out++ = '-';
	return out;
}

char *imap_utf7_encode(const char *utf8, size_t len)
{
	const unsigned char *p = (const unsigned char *)utf8, *end = p + len;
	_cleanup_free_ char *text = mem_alloc(len * 5 + 1); /* one control character: "&AAE-" */
	struct shift s = { 0 };
	bool shifted = false;
	char *out = text;

	while (p < end) {
		uint32_t c = utf8_take(&p, end);
		bool plain = c >= 0x20 && c < 0x7f;

		if (c == 0)
			return NULL;
		if (plain == shifted) {
			if (shifted)
				out = shift_end(&s, out);
			else
				*out++ = '&';
			shifted = !shifted;
		}
		if (!plain) {
			out = shift_char(&s, out, c);
			continue;
		}
		*out++ = (char)c;
		if (c == '&')
			*out++ = '-';
	}
	if (shifted)
		shift_end(&s, out);
	return mem_steal(text);
}

/* Decodes the letters between '&' and '-'; NULL when they are no UTF-16.  What is merely
 * not canonical is left to the caller. */
static char *decode_run(const char *p, const char *end, char *out)
{
	uint32_t bits = 0, high = 0;
	int count = 0;

	for (; p < end; p++) {
		const char *at = *p != '\0' ? strchr(alphabet, *p) : NULL;
		uint32_t unit;

		if (at == NULL)
			return NULL;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		unit = bits >> count & 0xffff;
		if (high != 0) {
			if (unit < 0xdc00 || unit > 0xdfff)
				return NULL;
			out = utf8_put(out, 0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ff)));
			high = 0;
		} else if (unit >= 0xd800 && unit <= 0xdbff) {
			high = unit;
		} else {
			out = utf8_put(out, unit);
		}
	}
	return high == 0 ? out : NULL;
}

static char *decode_loosely(const char *p, const char *end)
{
	_cleanup_free_ char *text = mem_alloc((size_t)(end - p) * 2 + 1);
	char *out = text;

	while (p < end) {
		const char *stop;

		if (*p != '&') {
			*out++ = *p++;
			continue;
		}
		stop = memchr(p, '-', (size_t)(end - p));
		if (stop == NULL)
			return NULL;
		if (stop == p + 1)
			*out++ = '&';
		else if ((out = decode_run(p + 1, stop, out)) == NULL)
			return NULL;
		p = stop + 1;
	}
	return mem_steal(text);
}

/* Canonical is what encoding gives again: that one comparison finds missing shifts, null
 * shifts, shifted ASCII, stray bits, lone surrogates, NUL and raw 8-bit bytes. */
char *imap_utf7_decode(const char *utf7, size_t len)
{
	_cleanup_free_ char *text = decode_loosely(utf7, utf7 + len);
	_cleanup_free_ char *again = text != NULL ? imap_utf7_encode(text, strlen(text)) : NULL;

	if (again == NULL || strlen(again) != len || memcmp(again, utf7, len) != 0)
		return NULL;
	return mem_steal(text);
}
