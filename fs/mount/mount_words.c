/* SPDX-License-Identifier: MIT */
#include "mount_words.h"

#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "mem.h"

#define WORDS_MAX ((size_t)4096) /* of the result: nobody shows more of a subject */
#define CHARSET_MAX 40

/* What adjacent words of one character set said so far: they may share a character. */
struct words {
	char charset[CHARSET_MAX];
	char *bytes;
	size_t used;
	char *out;
	size_t len;
};

static void put(struct words *w, const char *p, size_t n)
{
	if (n > WORDS_MAX - w->len)
		n = WORDS_MAX - w->len;
	memcpy(w->out + w->len, p, n);
	w->len += n;
}

/* One character that could not be read. */
static void put_bad(struct words *w)
{
	put(w, "\xef\xbf\xbd", 3);
}

static void convert(struct words *w, const char *charset, char *p, size_t n)
{
	iconv_t cd = iconv_open("UTF-8", charset);
	char piece[256];

	if (cd == (iconv_t)-1)
		cd = iconv_open("UTF-8", "LATIN1");
	while (cd != (iconv_t)-1 && n > 0 && w->len < WORDS_MAX) {
		char *to = piece;
		size_t room = sizeof(piece), before = n;

		(void)iconv(cd, &p, &n, &to, &room);
		put(w, piece, (size_t)(to - piece));
		if (n == before && to == piece) { /* neither read nor written: a bad byte */
			put_bad(w);
			p++;
			n--;
		}
	}
	if (cd != (iconv_t)-1)
		iconv_close(cd);
}

static void flush(struct words *w)
{
	if (w->used > 0)
		convert(w, w->charset, w->bytes, w->used);
	w->used = 0;
}

static int sextet(char c)
{
	static const char all[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(all, c) : NULL;

	return at ? (int)(at - all) : -1;
}

static void add_base64(struct words *w, const char *p, size_t n)
{
	uint32_t bits = 0;
	int count = 0;

	for (size_t i = 0; i < n; i++) {
		int v = sextet(p[i]);

		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		w->bytes[w->used++] = (char)(bits >> count);
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void add_quoted(struct words *w, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int hi = p[i] == '=' && i + 2 < n ? hex(p[i + 1]) : -1;
		int lo = hi >= 0 ? hex(p[i + 2]) : -1;

		if (lo >= 0) {
			w->bytes[w->used++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			w->bytes[w->used++] = p[i] == '_' ? ' ' : p[i];
		}
	}
}

/* An encoded word at p: its length, and its bytes are added; 0: there is none. */
static size_t take_word(struct words *w, const char *p, size_t n)
{
	const char *end = p + n, *charset = p + 2, *q, *text, *stop;
	char name[CHARSET_MAX];
	size_t len;

	if (n < 8 || p[0] != '=' || p[1] != '?')
		return 0;
	q = memchr(charset, '?', (size_t)(end - charset));
	if (!q || q == charset || end - q < 4 || q[2] != '?' || !strchr("bBqQ", q[1]))
		return 0;
	text = q + 3;
	for (stop = text; stop + 1 < end && !(stop[0] == '?' && stop[1] == '='); stop++) {
		if (*stop == ' ' || *stop == '\t')
			return 0;
	}
	if (stop + 1 >= end)
		return 0;
	len = strcspn(charset, "?*");
	if (len >= sizeof(name))
		return 0;
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, charset);
	if (w->used > 0 && strcasecmp(name, w->charset) != 0)
		flush(w);
	memcpy(w->charset, name, sizeof(name));
	if (q[1] == 'b' || q[1] == 'B')
		add_base64(w, text, (size_t)(stop - text));
	else
		add_quoted(w, text, (size_t)(stop - text));
	return (size_t)(stop + 2 - p);
}

static size_t blanks(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && (p[i] == ' ' || p[i] == '\t'))
		i++;
	return i;
}

/* Text that is no encoded word: up to the next one. */
static size_t take_plain(struct words *w, const char *p, size_t n)
{
	size_t len = 1;

	while (len < n && !(p[len] == '=' && len + 1 < n && p[len + 1] == '?'))
		len++;
	for (size_t i = 0; i < len; i++)
		w->bytes[w->used++] = p[i];
	return len;
}

/* UTF-8 as it is, else Latin-1: what mail programs wrote before there were encoded words. */
static void flush_plain(struct words *w)
{
	iconv_t cd = iconv_open("UTF-8", "UTF-8");
	char *in = w->bytes, *check = mem_alloc(w->used + 1), *to = check;
	size_t left = w->used, room = w->used;
	bool good = cd != (iconv_t)-1 && iconv(cd, &in, &left, &to, &room) != (size_t)-1;

	if (cd != (iconv_t)-1)
		iconv_close(cd);
	free(check);
	(void)snprintf(w->charset, sizeof(w->charset), "%s", good ? "UTF-8" : "LATIN1");
	flush(w);
}

char *mount_words_decode(const char *text, size_t len)
{
	_cleanup_free_ char *bytes = mem_alloc(len + 1);
	_cleanup_free_ char *in = mem_strndup(text, len);
	struct words w = { .bytes = bytes, .out = mem_alloc(WORDS_MAX + 1) };

	len = strlen(in);
	for (size_t at = 0, n; at < len; at += n) {
		size_t gap = w.used > 0 ? blanks(in + at, len - at) : 0;

		/* blanks between two encoded words are not meant to be seen */
		n = take_word(&w, in + at + gap, len - at - gap);
		if (n > 0) {
			n += gap;
			continue;
		}
		flush(&w);
		n = take_plain(&w, in + at, len - at);
		flush_plain(&w);
	}
	flush(&w);
	w.out[w.len] = '\0';
	return w.out;
}
