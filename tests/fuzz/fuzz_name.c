/* SPDX-License-Identifier: MIT */
/*
 * Names.  Whatever a server calls a mailbox, its path here is relative, stays below where it begins
 * and is made of names that a file system takes; what a name was made of can be got back.
 */
#include <strings.h>

#include "fuzz.h"
#include "imap_text.h"
#include "mem.h"
#include "store.h"
#include "sync_pass_priv.h"
#include "text.h"

static void check_part(const char *s, size_t len)
{
	must(len > 0 && len <= STORE_NAME_MAX);
	must(!(len == 1 && s[0] == '.') && !(len == 2 && s[0] == '.' && s[1] == '.'));
	for (size_t i = 0; i < len; i++)
		must((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
}

static void check_path(const char *path)
{
	int depth = 1;

	must(path[0] != '/' && strncmp(path, ".imapfs/", 8) != 0 && strcmp(path, ".imapfs") != 0);
	for (;; depth++) {
		size_t len = strcspn(path, "/");

		check_part(path, len);
		if (path[len] == '\0')
			break;
		path += len + 1;
	}
	must(depth <= SYNC_DEPTH_MAX);
}

static void check_wire(const char *wire, size_t len, char delimiter)
{
	_cleanup_free_ char *path = sync_list_path(wire, len, delimiter);
	_cleanup_free_ char *again = sync_list_path(wire, len, delimiter);
	_cleanup_free_ char *shown = NULL;

	must((path == NULL) == (again == NULL));
	if (path == NULL)
		return;
	must(strcmp(path, again) == 0);
	check_path(path);
	shown = mem_strdup(path);
	text_clean(shown);
	must(strlen(shown) == strlen(path));
}

/* Escaping is undone by its reverse, and what is escaped already stays what it is. */
static void check_escape(const char *s, size_t len)
{
	_cleanup_free_ char *name = store_name_escape(s, len);
	_cleanup_free_ char *back = store_name_unescape(name);

	for (const char *p = name; *p != '\0'; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f && *p != '/');
	must(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	if (memchr(s, '\0', len) == NULL)
		must(strlen(back) == len && memcmp(back, s, len) == 0);
}

static void check_utf7(const char *s, size_t len)
{
	_cleanup_free_ char *text = imap_utf7_decode(s, len);
	_cleanup_free_ char *wire = text != NULL ? imap_utf7_encode(text, strlen(text)) : NULL;

	must((text == NULL) == (wire == NULL));
	if (wire != NULL)
		must(strlen(wire) == len && memcmp(wire, s, len) == 0);
}

static bool is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* Two different names are not one here, as long as neither had to be cut.  What is sent as UTF-8 may
 * look like what modified UTF-7 decodes to: the store tells those apart. */
static void check_pair(const char *a, size_t a_len, const char *b, size_t b_len)
{
	_cleanup_free_ char *x = sync_list_path(a, a_len, '\0'),
			    *y = sync_list_path(b, b_len, '\0');
	bool equal = a_len == b_len && strncasecmp(a, b, a_len) == 0;

	if (x != NULL && y != NULL && is_ascii(a) && is_ascii(b) && strlen(x) < 200 &&
	    strlen(y) < 200 && !equal)
		must(strcmp(x, y) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *zero;
	char *s;
	size_t half;

	if (size < 1)
		return 0;
	s = fuzz_string(data + 1, size - 1);
	check_escape(s, size - 1);
	zero = memchr(s, '\0', size - 1);
	half = zero != NULL ? (size_t)(zero - s) : size - 1;
	check_wire(s, half, sync_list_delimiter((char)data[0]));
	check_wire(s, half, '/');
	check_utf7(s, half);
	if (zero != NULL)
		check_pair(s, half, zero + 1, strlen(zero + 1));
	(void)store_name_is_scratch(s);
	free(s);
	return 0;
}
