/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* ---- scratch names ---- */

static const char *const scratch[] = {
	".*.sw?",           "4913",      "*~",  ".#*",       "#*#",   "*.tmp",
	".goutputstream-*", ".~lock.*#", "._*", ".DS_Store", ".nfs*", ".Trash*",
};

static bool is_word(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
			return false;
	}
	return true;
}

/* sed -i: "sedXXXXXX"; rsync: ".NAME.XXXXXX" of letters and digits. */
static bool is_random_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 9 && strncmp(name, "sed", 3) == 0)
		return is_word(name + 3, 6);
	return len > 9 && name[0] == '.' && name[len - 7] == '.' && is_word(name + len - 6, 6);
}

bool store_name_is_scratch(const char *name)
{
	for (size_t i = 0; i < sizeof(scratch) / sizeof(scratch[0]); i++) {
		if (fnmatch(scratch[i], name, 0) == 0)
			return true;
	}
	return is_random_name(name);
}

/* ---- names from a server ---- */

/* Length of the valid UTF-8 character at p, 0 when there is none. */
static size_t utf8_char(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));

	if (n > left || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool must_escape(const unsigned char *p, size_t left, size_t *n)
{
	*n = utf8_char(p, left);
	if (*n == 0) {
		*n = 1;
		return true;
	}
	return p[0] < 0x20 || p[0] == 0x7f || p[0] == '/' ||
	       (p[0] == '%' && left >= 3 && hex((char)p[1]) >= 0 && hex((char)p[2]) >= 0);
}

char *store_name_escape(const char *utf8, size_t len)
{
	const unsigned char *p = (const unsigned char *)utf8;
	char *out = mem_realloc(NULL, len + 1, 3);
	bool dots = (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.');
	size_t n, o = 0;

	for (size_t i = 0; i < len; i += n) {
		if (must_escape(p + i, len - i, &n) || (dots && i == 0)) {
			o += (size_t)sprintf(out + o, "%%%02X", p[i]);
			n = 1;
			continue;
		}
		memcpy(out + o, p + i, n);
		o += n;
	}
	out[o] = '\0';
	return out;
}

char *store_name_unescape(const char *name)
{
	char *out = mem_alloc(strlen(name) + 1);
	size_t o = 0;

	for (const char *p = name; *p; p++) {
		int hi = *p == '%' ? hex(p[1]) : -1;
		int lo = hi >= 0 ? hex(p[2]) : -1;

		if (lo >= 0 && (hi || lo)) {
			out[o++] = (char)(hi << 4 | lo);
			p += 2;
		} else {
			out[o++] = *p;
		}
	}
	return out;
}
