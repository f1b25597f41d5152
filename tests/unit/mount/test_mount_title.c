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
#include "mount_title.h"
#include "mount_words.h"
#include "store.h"

/* From a block of exactly that size. */
static char *decode(const char *text)
{
	size_t len = strlen(text);
	char *exact = mem_alloc(len), *out;

	memcpy(exact, text, len);
	out = mount_words_decode(exact, len);
	free(exact);
	return out;
}

static void test_words(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "plain words", "plain words" },
		{ "=?utf-8?Q?caf=C3=A9?=", "caf\xc3\xa9" },
		{ "=?ISO-8859-1?q?caf=E9_au?= lait", "caf\xc3\xa9 au lait" },
		{ "=?utf-8?B?SsO2cmc=?=", "J\xc3\xb6rg" },
		{ "=?utf-8*de?B?SsO2cmc=?=", "J\xc3\xb6rg" },
		{ "a =?utf-8?Q?b?= =?utf-8?Q?c?= d", "a bc d" },
		{ "a =?utf-8?Q?b?= \t =?iso-8859-1?Q?=E9?=x", "a b\xc3\xa9x" },
		{ "=?utf-8?Q?=C3?= =?utf-8?Q?=B6?=", "\xc3\xb6" }, /* cut in a character */
		{ "=?utf-8?Q?=C3?=", "\xef\xbf\xbd" },
		{ "=?no-such-set?Q?a=E9?=", "a\xc3\xa9" },
		{ "=?utf-8?X?abc?=", "=?utf-8?X?abc?=" },
		{ "=?utf-8?Q?abc", "=?utf-8?Q?abc" },
		{ "=?utf-8?Q?a b?=", "=?utf-8?Q?a b?=" },
		{ "=?", "=?" },
		{ "=??Q?a?=", "=??Q?a?=" },
		{ "=?utf-8?Q?=4?=", "=4" },
		{ "raw gr\xc3\xbc\xc3\x9f"
		  "e",
		  "raw gr\xc3\xbc\xc3\x9f"
		  "e" },
		{ "raw gr\xfc\xdf"
		  "e",
		  "raw gr\xc3\xbc\xc3\x9f"
		  "e" },
		{ "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out = decode(rows[i].in);

		assert_string_equal(out, rows[i].out);
		free(out);
	}
}

/* Every beginning of each, and any length: nothing is read beyond the end or grows without one */
static void test_words_cut(void **state)
{
	static const char text[] = "x =?utf-8?B?SsO2cmc=?= =?iso-8859-1?Q?=E9=E?= \xc3\xbc =?a?q?";
	size_t big = 200000;
	char *much = mem_alloc(big), *out;

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *exact = mem_alloc(len);

		memcpy(exact, text, len);
		free(mount_words_decode(exact, len));
		free(exact);
	}
	for (size_t i = 0; i < big; i++)
		much[i] = "=?utf-8?Q?=41?= "[i % 16];
	out = mount_words_decode(much, big);
	assert_true(strlen(out) <= 4096);
	free(out);
	free(much);
}

static void check(const char *head, const char *want)
{
	size_t len = strlen(head);
	char *exact = mem_alloc(len), *name;

	memcpy(exact, head, len);
	name = mount_title(exact, len, 1795000000, 60, 123);
	assert_string_equal(name, want);
	free(name);
	free(exact);
}

static void test_title(void **state)
{
	(void)state;
	check("From: Alice Example <a@b>\r\nSubject: Invoice\r\n\r\nx",
	      "2026-11-18 Alice Example - Invoice [123].eml");
	check("subject: =?utf-8?Q?gr=C3=BC?=\r\n =?utf-8?Q?n?=\r\nfrom: a@b.example\r\n\r\n",
	      "2026-11-18 a@b.example - gr\xc3\xbcn [123].eml");
	check("From: <a@b.example>\nSubject:\n\n",
	      "2026-11-18 a@b.example - (no subject) [123].eml");
	check("", "2026-11-18 (no subject) [123].eml");
	check("\r\nSubject: in the body\r\n", "2026-11-18 (no subject) [123].eml");
	check("From: \"Last, First\" <a@b>\nSubject: a/b\\c\x01 ../ \t z\n\n",
	      "2026-11-18 Last, First - a_b\\c .._ z [123].eml");
	check("Subject: =?utf-8?B?L2V0Yy9wYXNzd2QA?=\nFrom: =?utf-8?Q?=2E=2E=2F?= <x>\n\n",
	      "2026-11-18 .._ - _etc_passwd [123].eml");
	/* what would make it look like another name */
	check("Subject: =?utf-8?Q?=E2=80=AEfdp=2Eexe=E2=80=8B?=\nFrom: b\n\n",
	      "2026-11-18 b - fdp.exe [123].eml");
}

/* However long the fields are, the name fits and ends in a whole character */
static void test_long_title(void **state)
{
	static char head[300000];

	(void)state;
	for (size_t len = 150; len < 260; len++) {
		size_t at = (size_t)sprintf(head, "From: %0100d <x>\r\nSubject: ", 7);
		char *name;
		size_t end;

		for (size_t i = 0; i < len; i++)
			at += (size_t)sprintf(head + at, "\xc3\xbc");
		at += (size_t)sprintf(head + at, "\r\n\r\n");
		name = mount_title(head, at, 0, 0, 4294967295u);
		end = strlen(name);
		assert_true(end <= STORE_NAME_MAX);
		assert_string_equal(name + end - 17, " [4294967295].eml");
		assert_int_equal((unsigned char)name[end - 18], 0xbc);
		free(name);
	}
	memset(head, 'a', 300000);
	memcpy(head, "Subject: ", 9);
	free(mount_title(head, 300000, INT64_MAX / 100, 0, 1));
	free(mount_title(head, 300000, INT64_MIN / 100, 0, 1));
}

static void test_uid(void **state)
{
	static const struct {
		const char *name;
		uint32_t uid;
		bool plain;
	} rows[] = {
		{ "123.eml", 123, true },
		{ "a [123].eml", 123, false },
		{ "a [b] [4294967295].eml", 4294967295u, false },
		{ "a [4294967296].eml", 0, false },
		{ "[123].eml", 0, false },
		{ "a[123].eml", 0, false },
		{ "a [].eml", 0, false },
		{ "a [0].eml", 0, false },
		{ "0123.eml", 0, false },
		{ "123-2.eml", 0, false },
		{ "a [123].eml2", 0, false },
		{ ".eml", 0, false },
		{ "eml", 0, false },
		{ "", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *exact = mem_strdup(rows[i].name);
		bool plain = false;

		assert_int_equal(mount_title_uid(exact, &plain), rows[i].uid);
		if (rows[i].uid)
			assert_int_equal(plain, rows[i].plain);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_words_cut),
		cmocka_unit_test(test_title), cmocka_unit_test(test_long_title),
		cmocka_unit_test(test_uid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
