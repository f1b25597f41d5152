/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "imap_cmd_priv.h"
#include "mem.h"

/* All pieces as they would go out: [SECRET], {n}[literal]. */
static char *wire(const struct imap_cmd *cmd)
{
	struct buf b = BUF_INIT(1 << 22);

	for (size_t i = 0; i < imap_cmd_piece_count(cmd); i++) {
		const struct imap_piece *p = imap_cmd_piece(cmd, i);
		bool marked = p->kind != IMAP_PIECE_TEXT;

		if (p->kind == IMAP_PIECE_LITERAL)
			buf_printf(&b, "{%llu}", (unsigned long long)p->length);
		if (marked)
			buf_putc(&b, '[');
		buf_append(&b, p->bytes.data, p->bytes.len);
		if (marked)
			buf_putc(&b, ']');
	}
	return buf_detach(&b);
}

static void expect(struct imap_cmd *cmd, const char *want)
{
	_cleanup_free_ char *got = wire(cmd);

	assert_string_equal(got, want);
	assert_int_equal(imap_cmd_error(cmd), 0);
	imap_cmd_free(&cmd);
	assert_null(cmd);
}

static void expect_error(struct imap_cmd *cmd, int err)
{
	assert_int_equal(imap_cmd_error(cmd), err);
	imap_cmd_free(&cmd);
}

static void test_astring(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} rows[] = {
		{ "INBOX", 5, "X INBOX" },
		{ "", 0, "X \"\"" },
		{ "nil", 3, "X \"nil\"" },
		{ "a b", 3, "X \"a b\"" },
		{ "a\"b\\c", 5, "X \"a\\\"b\\\\c\"" },
		{ "a*", 2, "X \"a*\"" },
		{ "a~b", 3, "X \"a~b\"" },
		{ "a]", 2, "X \"a]\"" },
		{ "{5}", 3, "X \"{5}\"" },
		{ "&AOk-", 5, "X &AOk-" },
		{ "a\r\nb", 4, "X {4}[a\r\nb]" },
		{ "a\tb", 3, "X {3}[a\tb]" },
		{ "\xc3\xa9", 2, "X {2}[\xc3\xa9]" },
		{ "\x7f", 1, "X {1}[\x7f]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct imap_cmd *cmd = imap_cmd_new("X");

		imap_cmd_astring(cmd, rows[i].in, rows[i].len);
		expect(cmd, rows[i].out);
	}
}

/* What no string can hold, or what would end the line. */
static void test_unsendable(void **state)
{
	static const uint32_t down[] = { 3, 2 }, twice[] = { 2, 2 }, zero[] = { 0, 1 };
	struct imap_cmd *cmd = imap_cmd_new("X");

	(void)state;
	imap_cmd_astring(cmd, "a\0b", 3);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_raw(cmd, "a\r\nb");
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X\n");
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_flags(cmd, "\\Seen a(b");
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_flags(cmd, "\\Recent");
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_uids(cmd, NULL, 0);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_uids(cmd, down, 2);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_uids(cmd, twice, 2);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_uids(cmd, zero, 2);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_range(cmd, 5, 4);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_range(cmd, 0, 4);
	expect_error(cmd, ERR_INVAL);
	cmd = imap_cmd_new("X");
	imap_cmd_literal(cmd, UINT64_MAX, NULL, NULL);
	expect_error(cmd, ERR_INVAL);
}

static void test_line_ceiling(void **state)
{
	_cleanup_free_ char *big = mem_alloc(600001);
	struct imap_cmd *cmd = imap_cmd_new("X");

	(void)state;
	memset(big, 'a', 600000);
	imap_cmd_raw(cmd, big);
	assert_int_equal(imap_cmd_error(cmd), 0);
	imap_cmd_raw(cmd, big);
	expect_error(cmd, ERR_LIMIT);
}

static void test_sets(void **state)
{
	static const uint32_t uids[] = { 1, 2, 3, 5, 7, 8, 4294967294u, 4294967295u };
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

	(void)state;
	/* R129: UIDs over 2^31 */
	imap_cmd_uids(cmd, uids, 8);
	imap_cmd_raw(cmd, "(FLAGS)");
	expect(cmd, "UID FETCH 1:3,5,7:8,4294967294:4294967295 (FLAGS)");
	cmd = imap_cmd_new("UID FETCH");
	imap_cmd_uids(cmd, uids + 3, 1);
	expect(cmd, "UID FETCH 5");
	cmd = imap_cmd_new("UID FETCH");
	imap_cmd_range(cmd, 1, UINT32_MAX);
	expect(cmd, "UID FETCH 1:4294967295");
	cmd = imap_cmd_new("UID FETCH");
	imap_cmd_range(cmd, 9, 9);
	imap_cmd_rawf(cmd, "(%s) %d", "UID", 5);
	expect(cmd, "UID FETCH 9 (UID) 5");
}

static void test_flags_dates(void **state)
{
	struct imap_cmd *cmd = imap_cmd_new("X");

	(void)state;
	imap_cmd_flags(cmd, "$Work \\Flagged \\Seen");
	imap_cmd_flags(cmd, "");
	imap_cmd_flags(cmd, NULL);
	expect(cmd, "X ($Work \\Flagged \\Seen) () ()");
	/* R059: the day padded, the zone kept */
	cmd = imap_cmd_new("X");
	imap_cmd_datetime(cmd, 0, 0);
	imap_cmd_datetime(cmd, 837596665, -420);
	imap_cmd_date(cmd, 837596665, -420);
	imap_cmd_date(cmd, 0, -60);
	expect(cmd, "X \" 1-Jan-1970 00:00:00 +0000\" \"17-Jul-1996 02:44:25 -0700\" "
	            "17-Jul-1996 31-Dec-1969");
}

static int64_t read_nothing(void *ctx, uint64_t offset, char *dst, size_t cap)
{
	(void)ctx;
	(void)offset;
	(void)dst;
	(void)cap;
	return ERR_IO;
}

static void test_append_shape(void **state)
{
	struct imap_cmd *cmd = imap_cmd_new("APPEND");
	const struct imap_piece *p;
	_cleanup_free_ char *shown = NULL;

	(void)state;
	imap_cmd_mailbox(cmd, "a b");
	imap_cmd_flags(cmd, "\\Seen");
	imap_cmd_literal(cmd, 5000000000, read_nothing, &cmd);
	assert_string_equal(imap_cmd_mailbox_name(cmd), "a b");
	assert_true(imap_cmd_is(cmd, "append"));
	assert_false(imap_cmd_is(cmd, "APPENDX"));
	assert_int_equal(imap_cmd_piece_count(cmd), 4);
	assert_string_equal(imap_cmd_piece(cmd, 1)->name, "a b");
	p = imap_cmd_piece(cmd, 3);
	assert_int_equal(p->kind, IMAP_PIECE_LITERAL);
	assert_true(p->length == 5000000000);
	assert_true(p->read == read_nothing && p->ctx == &cmd);
	assert_null(imap_cmd_piece(cmd, 4));
	shown = imap_cmd_show(cmd);
	assert_string_equal(shown, "APPEND \"a b\" (\\Seen) {5000000000}");
	assert_in_range(imap_cmd_line_length(cmd), strlen(shown) + 2, strlen(shown) + 26);
	expect(cmd, "APPEND \"a b\" (\\Seen) {5000000000}[]");
}

/* R302: names are kept in modified UTF-7 and go out in UTF-8 where the session says so; what is no
 * modified UTF-7 goes as it is.  A message in UTF-8 is wrapped. */
static void test_names_utf8(void **state)
{
	struct imap_cmd *cmd = imap_cmd_new("RENAME");

	(void)state;
	imap_cmd_mailbox(cmd, "A&-B");
	imap_cmd_mailbox(cmd, "Entw&APw-rfe/\"x");
	imap_cmd_names_utf8(cmd);
	expect(cmd, "RENAME A&B \"Entw\xc3\xbcrfe/\\\"x\"");
	cmd = imap_cmd_new("STATUS");
	imap_cmd_mailbox(cmd, "A&B");
	imap_cmd_raw(cmd, "(MESSAGES)");
	imap_cmd_names_utf8(cmd);
	expect(cmd, "STATUS A&B (MESSAGES)");
	cmd = imap_cmd_new("APPEND");
	imap_cmd_mailbox(cmd, "INBOX");
	imap_cmd_literal_utf8(cmd, 9, read_nothing, NULL);
	assert_true(imap_cmd_piece(cmd, 3)->binary);
	expect(cmd, "APPEND INBOX UTF8 ({9}[])");
}

/* A secret goes out in whatever form it needs and is never shown. */
static void test_secret(void **state)
{
	static const char *const secrets[] = { "hunter2", "pass word\"x", "caf\xc3\xa9-hunter",
		                               "" };
	static const char *const wires[] = { "LOGIN me [hunter2] x",
		                             "LOGIN me [\"pass word\\\"x\"] x",
		                             "LOGIN me {12}[caf\xc3\xa9-hunter] x",
		                             "LOGIN me [\"\"] x" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct imap_cmd *cmd = imap_cmd_new("LOGIN");
		_cleanup_free_ char *shown = NULL;

		imap_cmd_astring(cmd, "me", 2);
		imap_cmd_secret(cmd, secrets[i], strlen(secrets[i]));
		imap_cmd_raw(cmd, "x");
		shown = imap_cmd_show(cmd);
		assert_string_equal(shown, "LOGIN me *** x");
		expect(cmd, wires[i]);
	}
}

static void test_free_null(void **state)
{
	struct imap_cmd *cmd = NULL;

	(void)state;
	imap_cmd_free(&cmd);
	assert_null(cmd);
}

/* R212: the name of the entry is a quoted string, the backslash of a flag escaped */
static void test_modseq(void **state)
{
	static const struct {
		const char *flag, *out;
	} rows[] = {
		{ NULL, "X MODSEQ 620162338" },
		{ "\\Draft", "X MODSEQ \"/flags/\\\\Draft\" all 620162338" },
		{ "$Work", "X MODSEQ \"/flags/$Work\" all 620162338" },
		{ "a\"b", "X MODSEQ \"/flags/a\\\"b\" all 620162338" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct imap_cmd *cmd = imap_cmd_new("X");

		imap_cmd_modseq(cmd, rows[i].flag, 620162338);
		expect(cmd, rows[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_astring),      cmocka_unit_test(test_modseq),
		cmocka_unit_test(test_unsendable),   cmocka_unit_test(test_line_ceiling),
		cmocka_unit_test(test_sets),         cmocka_unit_test(test_flags_dates),
		cmocka_unit_test(test_append_shape), cmocka_unit_test(test_names_utf8),
		cmocka_unit_test(test_secret),       cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
