/* SPDX-License-Identifier: MIT */
#include "json.h"

/* Bytes of the well-formed UTF-8 character at `s`; 0: there is none. */
static size_t utf8_at(const unsigned char *s)
{
	static const unsigned char least_second[] = { [0x0] = 0xa0, [0x10] = 0x90 };
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 || s[0] == 0xf0) && s[1] < least_second[s[0] - 0xe0])
		return 0;
	if ((s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

int json_string(struct buf *out, const char *text)
{
	int r;

	if (text == NULL)
		return buf_puts(out, "null");
	r = buf_putc(out, '"');
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0' && r == 0;) {
		size_t len = utf8_at(s);

		if (*s == '"' || *s == '\\')
			r = buf_printf(out, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			r = buf_printf(out, "\\u%04x", *s);
		else if (len == 0)
			r = buf_puts(out, "\xef\xbf\xbd");
		else
			r = buf_append(out, s, len);
		s += len > 0 ? len : 1;
	}
	return r < 0 ? r : buf_putc(out, '"');
}
