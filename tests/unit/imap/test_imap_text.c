/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "imap_digest.h"
#include "imap_text.h"
#include "mem.h"

/* R302: names in modified UTF-7, both ways. */
static void test_utf7(void **state)
{
	static const struct {
		const char *utf8, *utf7;
	} rows[] = {
		{ "", "" },
		{ "INBOX/a b", "INBOX/a b" },
		{ "a&b", "a&-b" },
		{ "&&", "&-&-" },
		{ "caf\xc3\xa9", "caf&AOk-" },
		{ "\xc3\xa9\xc3\xa9x", "&AOkA6Q-x" },
		{ "\xc3\xa9&", "&AOk-&-" },
		{ "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		  "~peter/mail/&U,BTFw-/&ZeVnLIqe-" },
		{ "\xf0\x9f\x90\x80", "&2D3cAA-" },
		{ "a\x01\n", "a&AAEACg-" },
		{ "\x7f", "&AH8-" },
		{ "\xef\xbf\xbf", "&,,8-" },
		{ "Entw\xc3\xbcrfe", "Entw&APw-rfe" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *wire = imap_utf7_encode(rows[i].utf8, strlen(rows[i].utf8));
		_cleanup_free_ char *text = imap_utf7_decode(rows[i].utf7, strlen(rows[i].utf7));

		assert_string_equal(wire, rows[i].utf7);
		assert_string_equal(text, rows[i].utf8);
	}
}

/* From blocks of exactly their size, with every cut of them: no look behind the end. */
static void test_utf7_cuts(void **state)
{
	static const char wire[] = "a&AOk-b&2D3cAA-&-&U,BTFw-";
	static const char text[] = "a\xc3\xa9\xf0\x9f\x90\x80&\xe5\x8f\xb0";

	(void)state;
	for (size_t n = 0; n < sizeof(wire); n++) {
		char *block = malloc(n > 0 ? n : 1);

		memcpy(block, wire, n);
		free(imap_utf7_decode(block, n));
		free(block);
	}
	for (size_t n = 0; n < sizeof(text); n++) {
		char *block = malloc(n > 0 ? n : 1);

		memcpy(block, text, n);
		free(imap_utf7_encode(block, n));
		free(block);
	}
}

static void test_utf7_invalid(void **state)
{
	static const char *const wire[] = { "&",     "a&AOk",  "&AOk",     "&A-",
		                            "&AO-",  "&AOl-",  "&AGE-",    "&AOk-&AOk-",
		                            "&2D0-", "&3AA-",  "&3ADYPQ-", "\xc3\xa9",
		                            "a\n",   "&AA A-", "&/-",      "&AAA-",
		                            "\x7f",  "&ACY-",  "&U/BTFw-", "bad&utf7" };
	static const char *const text[] = { "\x80",
		                            "\xc3",
		                            "\xc0\xaf",
		                            "\xe0\x80\xaf",
		                            "\xed\xa0\x80",
		                            "\xf4\x90\x80\x80",
		                            "\xf8\x88\x80\x80\x80",
		                            "a\xff",
		                            "\xc3(",
		                            "\xf0\x80\x80\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(wire) / sizeof(wire[0]); i++)
		if (imap_utf7_decode(wire[i], strlen(wire[i])) != NULL)
			fail_msg("decoded: %s", wire[i]);
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		assert_null(imap_utf7_encode(text[i], strlen(text[i])));
	assert_null(imap_utf7_encode("a\0b", 3));
	assert_null(imap_utf7_decode("a\0b", 3));
}

/* Every character there is goes out and comes back. */
static void test_utf7_all(void **state)
{
	(void)state;
	for (uint32_t c = 0x80; c <= 0x10ffff; c += c < 0x1000 ? 1 : 37) {
		char s[5] = { 0 };
		_cleanup_free_ char *wire = NULL;
		_cleanup_free_ char *back = NULL;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		if (c < 0x800) {
			s[0] = (char)(0xc0 | c >> 6);
			s[1] = (char)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			s[0] = (char)(0xe0 | c >> 12);
			s[1] = (char)(0x80 | (c >> 6 & 0x3f));
			s[2] = (char)(0x80 | (c & 0x3f));
		} else {
			s[0] = (char)(0xf0 | c >> 18);
			s[1] = (char)(0x80 | (c >> 12 & 0x3f));
			s[2] = (char)(0x80 | (c >> 6 & 0x3f));
			s[3] = (char)(0x80 | (c & 0x3f));
		}
		wire = imap_utf7_encode(s, strlen(s));
		assert_non_null(wire);
		assert_int_equal(wire[0], '&');
		back = imap_utf7_decode(wire, strlen(wire));
		assert_string_equal(back, s);
	}
}

/* R059: date and zone, both ways. */
static void test_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int zone;
		bool same; /* formatting gives the text again */
	} rows[] = {
		{ "17-Jul-1996 02:44:25 -0700", 837596665, -420, true },
		{ " 1-Jan-1970 00:00:00 +0000", 0, 0, true },
		{ "1-Jan-1970 00:00:00 +0000", 0, 0, false },
		{ "01-jan-1970 00:00:00 -0000", 0, 0, false },
		{ "31-Dec-1969 23:59:59 +0000", -1, 0, true },
		{ " 1-Jan-1970 05:30:00 +0530", 0, 330, true },
		{ "29-Feb-2000 12:00:00 +0000", 951825600, 0, true },
		{ "29-Feb-2024 12:00:00 +0000", 1709208000, 0, true },
		{ "19-Jan-2038 03:14:08 +0000", 2147483648, 0, true },
		{ "31-Dec-2016 23:59:60 +0000", 1483228800, 0, false },
		{ " 1-Mar-1900 00:00:00 +0000", -2203891200, 0, true },
		{ "31-Dec-9999 23:59:59 -2359", 253402387139, -1439, true },
		{ " 1-Jan-0000 00:00:00 +2359", -62167305540, 1439, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[IMAP_DATE_MAX];
		int64_t seconds = 77;
		int zone = 77;
		size_t len = strlen(rows[i].text);

		assert_int_equal(imap_date_parse(rows[i].text, len, &seconds, &zone), 0);
		assert_int_equal(seconds, rows[i].seconds);
		assert_int_equal(zone, rows[i].zone);
		imap_date_format(out, seconds, zone);
		if (rows[i].same)
			assert_string_equal(out, rows[i].text);
		for (size_t n = 0; n < len; n++) {
			char *block = malloc(n > 0 ? n : 1);

			memcpy(block, rows[i].text, n);
			assert_int_equal(imap_date_parse(block, n, &seconds, &zone), ERR_INVAL);
			free(block);
		}
		assert_int_equal(seconds, rows[i].seconds);
	}
}

static void test_dates_invalid(void **state)
{
	static const char *const rows[] = { "",
		                            "31-Feb-2020 00:00:00 +0000",
		                            "29-Feb-2100 00:00:00 +0000",
		                            "29-Feb-2023 00:00:00 +0000",
		                            " 0-Jan-2020 00:00:00 +0000",
		                            "32-Jan-2020 00:00:00 +0000",
		                            " 1-Foo-2020 00:00:00 +0000",
		                            " 1-Jan-20 00:00:00 +0000",
		                            " 1-Jan-2020 24:00:00 +0000",
		                            " 1-Jan-2020 00:60:00 +0000",
		                            " 1-Jan-2020 00:00:61 +0000",
		                            " 1-Jan-2020 00:00:00 +2400",
		                            " 1-Jan-2020 00:00:00 +0060",
		                            " 1-Jan-2020 00:00:00 0000",
		                            " 1-Jan-2020 00:00:00 +0000x",
		                            " 1-Jan-2020 00:00 +0000",
		                            "-1-Jan-2020 00:00:00 +0000",
		                            " 11-Jan-2020 00:00:00 +0000",
		                            " 1-Jan-2020 00:00:00 GMT" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t seconds = 77;
		int zone = 77;

		if (imap_date_parse(rows[i], strlen(rows[i]), &seconds, &zone) != ERR_INVAL)
			fail_msg("taken: %s", rows[i]);
		assert_int_equal(seconds, 77);
		assert_int_equal(zone, 77);
	}
}

/* Any number gives a date that can be sent. */
static void test_dates_extreme(void **state)
{
	static const int64_t seconds[] = { INT64_MIN, INT64_MAX, -62167219201, 253402300800 };
	static const int zones[] = { INT32_MIN, INT32_MAX, -1440, 0, 1440 };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 5; k++) {
			char out[IMAP_DATE_MAX];
			int64_t back = 0;
			int zone = 0;

			imap_date_format(out, seconds[i], zones[k]);
			assert_int_equal(strlen(out), 26);
			assert_int_equal(imap_date_parse(out, 26, &back, &zone), 0);
		}
}

/* Each day of 800 years, in both directions. */
static void test_dates_all(void **state)
{
	(void)state;
	for (int64_t day = -146097; day < 146097; day++) {
		char out[IMAP_DATE_MAX];
		int64_t back = 0;
		int zone = 0;

		imap_date_format(out, day * 86400 + 86399, 0);
		assert_int_equal(imap_date_parse(out, strlen(out), &back, &zone), 0);
		assert_int_equal(back, day * 86400 + 86399);
	}
}

static void test_day(void **state)
{
	char out[IMAP_DATE_MAX];

	(void)state;
	imap_day_format(out, 0, 0);
	assert_string_equal(out, "1-Jan-1970");
	imap_day_format(out, 0, -1);
	assert_string_equal(out, "31-Dec-1969");
}

static void test_flags(void **state)
{
	static const char *const good[] = { "\\Seen", "\\Foo", "$Work", "a", "NonJunk", "a+b:c" };
	static const char *const bad[] = { "",     "\\",   "\\*",      "*",        "\\recent",
		                           "a b",  "a(b",  "a)b",      "a{b",      "a%b",
		                           "a\"b", "a\\b", "\\\\Seen", "bad]flag", "caf\xc3\xa9",
		                           "a\tb", "a\x7f" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(imap_flag_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (imap_flag_valid(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(imap_flag_valid("a\0b", 3));
}

static void test_digest(void **state)
{
	static const char want[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	static const char empty[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	struct imap_digest *d = imap_digest_new();
	char out[IMAP_DIGEST_MAX];

	(void)state;
	imap_digest_add(d, "a", 1);
	imap_digest_add(d, "", 0);
	imap_digest_add(d, "bc", 2);
	imap_digest_finish(&d, out);
	assert_null(d);
	assert_string_equal(out, want);
	d = imap_digest_new();
	imap_digest_finish(&d, out);
	assert_string_equal(out, empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf7),          cmocka_unit_test(test_utf7_cuts),
		cmocka_unit_test(test_utf7_invalid),  cmocka_unit_test(test_utf7_all),
		cmocka_unit_test(test_dates),         cmocka_unit_test(test_dates_invalid),
		cmocka_unit_test(test_dates_extreme), cmocka_unit_test(test_dates_all),
		cmocka_unit_test(test_day),           cmocka_unit_test(test_flags),
		cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
