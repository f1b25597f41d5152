/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "mount_lf.h"
#include "mount_maildir.h"

/* ---- line ends ---- */

/* The LF form, made the simple way. */
static size_t simple(const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!(in[i] == '\r' && i + 1 < len && in[i + 1] == '\n'))
			out[n++] = in[i];
	}
	return n;
}

/* All of it, each range of it, and in steps with a place that is kept */
static void check_text(const char *text, size_t len)
{
	char *in = mem_alloc(len), *want = mem_alloc(len), *got = mem_alloc(len);
	size_t n;

	memcpy(in, text, len);
	n = simple(in, len, want);
	for (size_t off = 0; off <= n + 1; off++) {
		for (size_t size = 0; size <= n + 1; size++) {
			size_t left = off < n ? n - off : 0;
			size_t expect = left < size ? left : size;
			size_t have = mount_lf_read(NULL, in, len, off, got, expect ? size : 0);

			assert_int_equal(have, expect);
			assert_memory_equal(got, want + (off < n ? off : 0), have);
		}
	}
	for (size_t step = 1; step <= n; step++) {
		struct mount_lf_place place = { .data = NULL };

		for (size_t off = 0; off < n; off += step) {
			size_t have = mount_lf_read(&place, in, len, off, got, step);

			assert_int_equal(have, n - off < step ? n - off : step);
			assert_memory_equal(got, want + off, have);
		}
		assert_int_equal(mount_lf_read(&place, in, len, 0, got, 1), 1); /* back again */
		assert_int_equal(got[0], want[0]);
	}
	free(in);
	free(want);
	free(got);
}

static void test_line_ends(void **state)
{
	static const char *const texts[] = {
		"",         "a",      "\n",         "\r",           "\r\n",          "\r\r\n",
		"\r\n\r\n", "\n\r",   "a\r\nb\r\n", "a\rb\nc\r\nd", "\r\na\r\r\n\n", "x\r\n\r",
		"\r\r\r",   "ab\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_text(texts[i], strlen(texts[i]));
}

/* Every text of seven bytes out of three */
static void test_all_short_texts(void **state)
{
	static const char bytes[] = "\r\nx";
	char text[7];

	(void)state;
	for (int i = 0; i < 3 * 3 * 3 * 3 * 3 * 3 * 3; i++) {
		for (int k = 0, rest = i; k < 7; k++, rest /= 3)
			text[k] = bytes[rest % 3];
		check_text(text, sizeof(text));
	}
}

/* ---- names ---- */

static void test_parse(void **state)
{
	static const struct {
		const char *name, *base;
		uint32_t marks;
		bool info;
		int64_t node, parent;
	} rows[] = {
		{ "a", "a", 0, false, 0, 0 },
		{ "a:2,", "a", 0, true, 0, 0 },
		{ "a:2,FS", "a", STORE_MARK_FLAGGED | STORE_MARK_SEEN, true, 0, 0 },
		{ "a:2,SaF", "a", STORE_MARK_FLAGGED | STORE_MARK_SEEN, true, 0, 0 },
		{ "a:2,S~", "a:2,S~", 0, false, 0, 0 },
		{ "a:1,S", "a:1,S", 0, false, 0, 0 },
		{ ":2,S", ":2,S", 0, false, 0, 0 },
		{ "a:2,x:2,T", "a:2,x", STORE_MARK_TRASHED, true, 0, 0 },
		{ "0000001042.B3.imapfs:2,R", "0000001042.B3.imapfs", STORE_MARK_REPLIED, true,
		  1042, 3 },
		{ "1042.B3.imapfs", "1042.B3.imapfs", 0, false, 0, 0 },
		{ "0000001042.B3.imapfsx", "0000001042.B3.imapfsx", 0, false, 0, 0 },
		{ "0000001042.B-3.imapfs", "0000001042.B-3.imapfs", 0, false, 0, 0 },
		{ "99999999999999999999.B3.imapfs", "99999999999999999999.B3.imapfs", 0, false, 0,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *exact = mem_strdup(rows[i].name);
		struct maildir_name n;

		maildir_parse(exact, ':', &n);
		assert_string_equal(n.base, rows[i].base);
		assert_int_equal(n.marks, rows[i].marks);
		assert_int_equal(n.has_info, rows[i].info);
		assert_int_equal(n.node, rows[i].node);
		assert_int_equal(n.parent, rows[i].parent);
		free(exact);
	}
}

static void check_shown(const char *name, enum store_kind kind, uint32_t mark, const char *want)
{
	struct store_node n = { .id = 7, .parent = 2, .kind = kind };
	char out[STORE_NAME_MAX + 1];

	snprintf(n.name, sizeof(n.name), "%s", name);
	maildir_show(&n, mark, ':', out);
	assert_string_equal(out, want);
}

static void test_show(void **state)
{
	char longest[STORE_NAME_MAX + 1], shown[STORE_NAME_MAX + 1];
	struct store_node n = { .id = 7, .parent = 2, .kind = STORE_KIND_MESSAGE };

	(void)state;
	check_shown("12.eml", STORE_KIND_MESSAGE, 0, "0000000007.B2.imapfs");
	check_shown("12-2.eml", STORE_KIND_MESSAGE, STORE_MARK_CUR, "0000000007.B2.imapfs:2,");
	check_shown("a.b", STORE_KIND_MESSAGE, STORE_MARK_SEEN | STORE_MARK_DRAFT, "a.b:2,DS");
	check_shown("a.b", STORE_KIND_FILE, STORE_MARK_NEW | STORE_MARK_FLAGGED, "a.b:2,F");
	check_shown("a:2,b", STORE_KIND_MESSAGE, 0, "0000000007.B2.imapfs");
	check_shown(".hidden", STORE_KIND_MESSAGE, 0, "0000000007.B2.imapfs");
	check_shown(".x.swp", STORE_KIND_FILE, STORE_MARK_CUR, ".x.swp");
	check_shown("link", STORE_KIND_SYMLINK, 0, "link");
	memset(longest, 'a', STORE_NAME_MAX);
	longest[STORE_NAME_MAX] = '\0';
	memcpy(n.name, longest, sizeof(longest));
	maildir_show(&n, STORE_MARK_FLAGS, ':', shown);
	assert_string_equal(shown, "0000000007.B2.imapfs:2,DFPRST");
	n.kind = STORE_KIND_FILE;
	maildir_show(&n, STORE_MARK_FLAGS, ':', shown);
	assert_true(strlen(shown) <= STORE_NAME_MAX);
}

/* What is shown is found again, whatever the flags and the separator */
static void test_round_trip(void **state)
{
	static const char separators[] = ":;!+=^~";

	(void)state;
	for (const char *s = separators; *s; s++) {
		for (uint32_t mark = 0; mark <= STORE_MARK_FLAGS; mark++) {
			struct store_node n = {
				.id = 99, .parent = 4, .kind = STORE_KIND_MESSAGE, .name = "5.eml"
			};
			char shown[STORE_NAME_MAX + 1];
			struct maildir_name back;

			maildir_show(&n, mark | STORE_MARK_CUR, *s, shown);
			maildir_parse(shown, *s, &back);
			assert_int_equal(back.marks, mark);
			assert_int_equal(back.node, 99);
			assert_int_equal(back.parent, 4);
		}
	}
}

static void test_flags(void **state)
{
	char *flags = maildir_flags(STORE_MARK_FLAGS);

	(void)state;
	assert_string_equal(flags, "\\Draft \\Flagged $Forwarded \\Answered \\Seen \\Deleted");
	free(flags);
	flags = maildir_flags(0);
	assert_string_equal(flags, "");
	free(flags);
}

static void test_folders(void **state)
{
	static const char *const names[] = { "cur", "new", "tmp", "curl", "%63ur", "Work" };
	char shown[STORE_NAME_MAX + 1], back[STORE_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		maildir_folder_show(names[i], shown);
		assert_int_equal(strcmp(shown, names[i]) != 0, i < 3);
		assert_int_equal(maildir_folder_read(names[i], back), i >= 3);
		assert_true(maildir_folder_read(shown, back));
		assert_string_equal(back, i == 4 ? "cur" : names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_ends),  cmocka_unit_test(test_all_short_texts),
		cmocka_unit_test(test_parse),      cmocka_unit_test(test_show),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_flags),
		cmocka_unit_test(test_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
