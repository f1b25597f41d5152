/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "imap_text.h"
#include "mem.h"
#include "sync_pass_priv.h"

/*
 * File names from a server's mailbox names.  Whatever the server says, they are names below the
 * mount point: no "/", no "..", no control characters, none that hides what the mount shows itself,
 * none that is too long.  The wire name stays the mailbox's identity; two that look the same here are
 * told apart by the store.
 */

#define NAME_MAX_BYTES 255
#define OWN_DIRECTORY ".imapfs" /* in the root: the mount's own */

/* "%~" and 16 digits: no escape, so that no server's name is taken for it by chance. */
#define CUT_MARK_BYTES 18

static uint64_t hash(const char *s, size_t len, uint64_t seed)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* Where a name of at most `room` bytes can end: not within a character or an escape. */
static size_t cut_at(const char *name, size_t room)
{
	while (room > 0 && ((unsigned char)name[room] & 0xc0) == 0x80)
		room--;
	for (size_t back = 1; back <= 2 && back <= room; back++)
		if (name[room - back] == '%')
			return room - back;
	return room;
}

/* One component as a file name.  What is no modified UTF-7 keeps its bytes, with '&' escaped, so that
 * it cannot be taken for the name that decodes to the same. */
static char *file_name(const char *part, size_t len, bool first)
{
	_cleanup_free_ char *utf8 = imap_utf7_decode(part, len);
	_cleanup_free_ char *name = store_name_escape(utf8 ? utf8 : part,
	                                              utf8 ? strlen(utf8) : len);
	struct buf out = BUF_INIT(SYNC_WIRE_MAX * 6);

	if (first && strcmp(name, OWN_DIRECTORY) == 0)
		return mem_strdup("%2E"
		                  "imapfs");
	for (const char *p = name; *p; p++) {
		if (!utf8 && *p == '&')
			(void)buf_puts(&out, "%26");
		else
			(void)buf_putc(&out, *p);
	}
	if (out.len > NAME_MAX_BYTES) {
		out.len = cut_at(out.data, NAME_MAX_BYTES - CUT_MARK_BYTES);
		(void)buf_printf(&out, "%%~%016llx", (unsigned long long)hash(part, len, 0));
	}
	return buf_detach(&out);
}

char sync_list_delimiter(char c)
{
	return c > ' ' && c < 0x7f && strchr("!#$'+,-./:;<=>?@\\^_`|~", c) ? c : '\0';
}

char *sync_list_path(const char *wire, size_t len, char delimiter)
{
	struct buf path = BUF_INIT(SYNC_DEPTH_MAX * (NAME_MAX_BYTES + 1));
	const char *end = wire + len;
	int depth = 0, r = len <= SYNC_WIRE_MAX ? 0 : ERR_LIMIT;

	for (const char *p = wire; p < end && r == 0;) {
		const char *stop = delimiter ? memchr(p, delimiter, (size_t)(end - p)) : NULL;
		size_t n = (size_t)((stop ? stop : end) - p);
		_cleanup_free_ char *name = n > 0 ? file_name(p, n, depth == 0) : NULL;

		if (name && ++depth > 1)
			r = buf_putc(&path, '/');
		if (depth > SYNC_DEPTH_MAX)
			r = ERR_LIMIT;
		if (p == wire && n == 5 && strncasecmp(p, "INBOX", 5) == 0)
			r = buf_puts(&path, "INBOX");
		else if (name && r == 0)
			r = buf_puts(&path, name);
		p += n + 1;
	}
	if (r == 0 && path.len > 0)
		return buf_detach(&path);
	buf_release(&path);
	return NULL;
}

/* ---- Finding by wire name ---- */

/* The place of the name, or the free one where it belongs. */
static size_t slot_of(const struct sync_list *list, const char *wire)
{
	size_t mask = list->slot_count - 1;
	size_t at = (size_t)hash(wire, strlen(wire), list->seed) & mask;

	while (list->slots[at] && strcmp(list->items[list->slots[at] - 1].wire_name, wire) != 0)
		at = (at + 1) & mask;
	return at;
}

struct sync_seen *sync_list_find(const struct sync_list *list, const char *wire)
{
	uint32_t number = wire && list->slot_count ? list->slots[slot_of(list, wire)] : 0;

	return number ? &list->items[number - 1] : NULL;
}

static void grow(struct sync_list *list)
{
	list->cap = list->cap ? list->cap * 2 : 64;
	list->items = mem_realloc(list->items, list->cap, sizeof(*list->items));
	free(list->slots);
	list->slot_count = list->cap * 2;
	list->slots = mem_alloc(list->slot_count * sizeof(*list->slots));
	for (size_t i = 0; i < list->count; i++)
		list->slots[slot_of(list, list->items[i].wire_name)] = (uint32_t)i + 1;
}

struct sync_seen *sync_list_add(struct sync_list *list, const char *wire)
{
	struct sync_seen *seen;

	if (list->cap == 0) /* so that no server can choose names that are slow to find */
		list->seed = (uint64_t)clock_wall_ns() * UINT64_C(0x9e3779b97f4a7c15);
	if (list->count == list->cap)
		grow(list);
	seen = &list->items[list->count++];
	*seen = (struct sync_seen){ .wire_name = mem_strdup(wire) };
	list->slots[slot_of(list, wire)] = (uint32_t)list->count;
	return seen;
}

void sync_list_release(struct sync_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].wire_name);
		free(list->items[i].path);
		free(list->items[i].attributes);
		free(list->items[i].mailboxid);
		free(list->items[i].rights);
	}
	free(list->items);
	free(list->slots);
	*list = (struct sync_list){ 0 };
}
