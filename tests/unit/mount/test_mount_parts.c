/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "mount_ahead.h"
#include "mount_flags.h"
#include "mount_priv.h"
#include "mount_sniff.h"
#include "mount_xattr_priv.h"
#include "wordset.h"

/* The same bytes in a block of exactly that size. */
static char *exact(const char *s, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, s, len);
	return copy;
}

/* R070 */
static void flags_to_wire(void **state)
{
	static const struct {
		const char *word, *wire;
	} rows[] = {
		{ "Seen", "\\Seen" },
		{ "seen", "\\Seen" },
		{ "\\Seen", "\\Seen" },
		{ "ANSWERED", "\\Answered" },
		{ "Draft", "\\Draft" },
		{ "deleted", "\\Deleted" },
		{ "Flagged", "\\Flagged" },
		{ "$Work", "$Work" },
		{ "NonJunk", "NonJunk" },
		{ "", NULL },
		{ "\\", NULL },
		{ "Recent", NULL },
		{ "\\Recent", NULL },
		{ "a b", NULL },
		{ "a(b", NULL },
		{ "a\"b", NULL },
		{ "a\\b", NULL },
		{ "a]b", NULL },
		{ "gr\xc3\xbc\xc3\x9f", NULL },
		{ "a%b", NULL },
		{ "a*b", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_cleanup_free_ char *word = exact(rows[i].word, strlen(rows[i].word));
		_cleanup_free_ char *wire = mount_flag_to_wire(word, strlen(rows[i].word));

		if (rows[i].wire)
			assert_string_equal(wire, rows[i].wire);
		else
			assert_null(wire);
	}
}

static void flags_to_words(void **state)
{
	static const struct {
		const char *wire, *words;
	} rows[] = {
		{ "", "" },
		{ NULL, "" },
		{ "\\Seen", "Seen" },
		{ "$Work \\Flagged \\Recent \\Seen", "$Work Flagged Seen" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_cleanup_free_ char *words = mount_flags_to_words(rows[i].wire);

		assert_string_equal(words, rows[i].words);
	}
}

/* R069: what is written is a set, or a change of one. */
static void flags_parse(void **state)
{
	static const struct {
		const char *value;
		int ret;
		bool absolute;
		const char *add, *del;
	} rows[] = {
		{ "", 0, true, "", "" },
		{ " \n", 0, true, "", "" },
		{ "Seen Flagged $Work", 0, true, "$Work \\Flagged \\Seen", "" },
		{ "Seen seen SEEN", 0, true, "\\Seen", "" },
		{ "+Flagged -Seen", 0, false, "\\Flagged", "\\Seen" },
		{ "-Seen\t-$Work\n", 0, false, "", "$Work \\Seen" },
		{ "+Seen Flagged", ERR_INVAL },
		{ "Flagged -Seen", ERR_INVAL },
		{ "+", ERR_INVAL },
		{ "++Seen", 0, false, "+Seen", "" },
		{ "a(b", ERR_INVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].value);
		_cleanup_free_ char *value = exact(rows[i].value, len);
		_cleanup_free_ char *add = NULL, *del = NULL;
		bool absolute = !rows[i].absolute;

		assert_int_equal(mount_flags_parse(value, len, &absolute, &add, &del), rows[i].ret);
		if (rows[i].ret < 0) {
			assert_null(add);
			assert_null(del);
			continue;
		}
		assert_int_equal(absolute, rows[i].absolute);
		assert_string_equal(add, rows[i].add);
		assert_string_equal(del, rows[i].del);
	}
}

static void flags_round_trip(void **state)
{
	static const char wire[] = "$Work NonJunk \\Answered \\Deleted \\Draft \\Flagged \\Seen";
	_cleanup_free_ char *words = mount_flags_to_words(wire);
	_cleanup_free_ char *add = NULL, *del = NULL;
	bool absolute;

	(void)state;
	assert_int_equal(mount_flags_parse(words, strlen(words), &absolute, &add, &del), 0);
	assert_true(wordset_equal(add, wire));
	assert_int_equal(mount_flags_parse("a\0b", 3, &absolute, &add, &del), ERR_INVAL);
}

static const struct {
	const char *text;
	enum mount_sniff what;
} sniff_rows[] = {
	{ "", MOUNT_SNIFF_EMPTY },
	{ "\n", MOUNT_SNIFF_NO_HEADER },
	{ "\r\nSubject: x\r\n", MOUNT_SNIFF_NO_HEADER },
	{ "Subject: x\r\n\r\nbody", MOUNT_SNIFF_MESSAGE },
	{ "Subject: x\n\nbody", MOUNT_SNIFF_MESSAGE },
	{ "Subject: x\n", MOUNT_SNIFF_INCOMPLETE },
	{ "Subject: x", MOUNT_SNIFF_INCOMPLETE },
	{ "Subj", MOUNT_SNIFF_INCOMPLETE },
	{ "Received: a\r\n\tby b\r\n c\r\nTo: x\r\n\r\n", MOUNT_SNIFF_MESSAGE },
	{ "Subject : old form\n\n", MOUNT_SNIFF_MESSAGE },
	{ "Subject:x\n>From someone\n\n", MOUNT_SNIFF_MESSAGE },
	{ "From a Thu Jan 1\nSubject: x\n\n", MOUNT_SNIFF_MBOX },
	{ "From: a\n\n", MOUNT_SNIFF_MESSAGE },
	{ " Subject: x\n\n", MOUNT_SNIFF_NO_HEADER },
	{ "two words: x\n\n", MOUNT_SNIFF_NO_HEADER },
	{ "Subject: x\nno field\n\n", MOUNT_SNIFF_NO_HEADER },
	{ "just text\n", MOUNT_SNIFF_NO_HEADER },
	{ ": x\n\n", MOUNT_SNIFF_NO_HEADER },
	{ "\x89PNG\r\n\x1a\n", MOUNT_SNIFF_NO_HEADER },
};

static void sniff(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sniff_rows) / sizeof(*sniff_rows); i++) {
		size_t len = strlen(sniff_rows[i].text);
		_cleanup_free_ char *text = exact(sniff_rows[i].text, len);
		enum mount_sniff what = mount_sniff(text, len);
		bool fine = what == MOUNT_SNIFF_MESSAGE || what == MOUNT_SNIFF_INCOMPLETE;

		assert_int_equal(what, sniff_rows[i].what);
		assert_int_equal(mount_sniff_reason(what) == NULL, fine);
	}
}

/* While a message is being written it is at no moment surely none. */
static void sniff_grows(void **state)
{
	static const char text[] =
		"Received: from a\r\n\tby b\r\nFrom: x\r\nSubject : y\r\n\r\nbody\n";

	(void)state;
	for (size_t len = 1; len < sizeof(text); len++) {
		_cleanup_free_ char *part = exact(text, len);

		assert_null(mount_sniff_reason(mount_sniff(part, len)));
		free(mount_sniff_message_id(part, len));
	}
}

/* R044: what an upload is found by. */
static void message_id(void **state)
{
	static const struct {
		const char *text, *id;
	} rows[] = {
		{ "Message-ID: <a@b>\n\n", "<a@b>" },
		{ "Subject: x\r\nMESSAGE-id:<a@b>\r\n\r\n", "<a@b>" },
		{ "Message-ID:\r\n <folded@b>\r\n\r\n", "<folded@b>" },
		{ "Message-Id : <a@b> (comment)\n\n", "<a@b>" },
		{ "Subject: x\n\nMessage-ID: <in@body>\n", NULL },
		{ "X-Message-ID: <other@x>\n\n", NULL },
		{ "Message-ID: none\n\n", NULL },
		{ "Message-ID: <open\nTo: <c@d>\n\n", NULL },
		{ "Message-ID: <with blank@x>\n\n", NULL },
		{ "Message-ID: <cut", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].text);
		_cleanup_free_ char *text = exact(rows[i].text, len);
		_cleanup_free_ char *id = mount_sniff_message_id(text, len);

		if (rows[i].id)
			assert_string_equal(id, rows[i].id);
		else
			assert_null(id);
	}
}

/* Line ends come out the same wherever the stream is cut. */
static void crlf(void **state)
{
	static const char in[] = "\na\r\nb\nc\r\r\n\n\r";
	static const char want[] = "\r\na\r\nb\r\nc\r\r\n\r\n\r";
	size_t len = sizeof(in) - 1;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		_cleanup_free_ char *first = exact(in, cut), *second = exact(in + cut, len - cut);
		_cleanup_free_ char *out = malloc(2 * len);
		char last = 0;
		size_t n;

		assert_non_null(out);
		n = mount_crlf(first, cut, &last, out);
		n += mount_crlf(second, len - cut, &last, out + n);
		assert_int_equal(n, sizeof(want) - 1);
		assert_memory_equal(out, want, n);
	}
}

static void errnos(void **state)
{
	static const struct {
		int err, code;
	} rows[] = {
		{ ERR_OK, 0 },
		{ 1, 0 },
		{ ERR_OFFLINE, ENETUNREACH },
		{ ERR_TIMEOUT, ETIMEDOUT },
		{ ERR_CANCELED, EINTR },
		{ ERR_IO, EIO },
		{ ERR_QUOTA, EDQUOT },
		{ ERR_PERM, EPERM },
		{ ERR_READONLY, EROFS },
		{ ERR_NOTEMPTY, ENOTEMPTY },
		{ ERR_INVAL, EINVAL },
		{ ERR_TOOBIG, EFBIG },
		{ ERR_NOSPACE, ENOSPC },
		{ ERR_NOTFOUND, ENOENT },
		{ ERR_EXISTS, EEXIST },
		{ -9999, EIO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(mount_errno(rows[i].err), rows[i].code);
	for (int err = ERR_ACCESS; err < 0; err++) {
		assert_true(mount_errno(err) > 0);
		assert_int_not_equal(mount_errno(err), ENOSYS);
	}
}

static void dates(void **state)
{
	static const struct {
		int64_t seconds;
		int zone;
		const char *text;
	} rows[] = {
		{ 0, 0, "1970-01-01T00:00:00+00:00" },
		{ 1700000000, 60, "2023-11-14T23:13:20+01:00" },
		{ 1700000000, -570, "2023-11-14T12:43:20-09:30" },
		{ -1, 0, "1969-12-31T23:59:59+00:00" },
	};
	char text[MOUNT_DATE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		mount_date_text(rows[i].seconds, rows[i].zone, text);
		assert_string_equal(text, rows[i].text);
	}
}

/* R006, R288 */
static void mailbox_words(void **state)
{
	_cleanup_free_ char *use = mount_special_use("\\HasNoChildren \\Trash \\Junk");
	_cleanup_free_ char *none = mount_special_use(NULL);
	enum store_profile p = STORE_PROFILE_NONE;
	bool on = false;

	(void)state;
	assert_string_equal(use, "Junk Trash");
	assert_string_equal(none, "");
	for (int i = STORE_PROFILE_DEFAULT; i <= STORE_PROFILE_NONE; i++) {
		const char *name = mount_profile_name((enum store_profile)i);

		assert_int_equal(mount_profile_parse(name, strlen(name), &p), 0);
		assert_int_equal(p, i);
	}
	assert_int_equal(mount_profile_parse("full\n", 5, &p), 0);
	assert_int_equal(p, STORE_PROFILE_FULL);
	assert_int_equal(mount_profile_parse("ful", 3, &p), ERR_INVAL);
	assert_int_equal(p, STORE_PROFILE_FULL);
	assert_int_equal(mount_bool_parse("Yes\n", 4, &on), 0);
	assert_true(on);
	assert_int_equal(mount_bool_parse("0", 1, &on), 0);
	assert_false(on);
	assert_int_equal(mount_bool_parse("2", 1, &on), ERR_INVAL);
}

/* A reader in order is noticed after a few steps, and again at the end of what was pushed. */
static void sequence(void **state)
{
	struct ahead_seq q = { 0 };

	(void)state;
	assert_int_equal(ahead_seq_saw(&q, 1, 10, 0), -1);
	assert_int_equal(ahead_seq_saw(&q, 1, 10, 0), -1);
	for (int i = 1; i < AHEAD_RUN; i++)
		assert_int_equal(ahead_seq_saw(&q, 1, 10 + i, 1), -1);
	assert_int_equal(ahead_seq_saw(&q, 1, 20, 3), 20);
	q.until = 148;
	q.mark = 100;
	assert_int_equal(ahead_seq_saw(&q, 1, 30, 9), -1);
	assert_int_equal(ahead_seq_saw(&q, 1, 100, 0), 148);
	q.mark = 200;
	assert_int_equal(ahead_seq_saw(&q, 1, 149, 1), 149);
}

static void no_sequence(void **state)
{
	struct ahead_seq q = { 0 };

	(void)state;
	for (int i = 0; i < 50; i++) /* here and there */
		assert_int_equal(ahead_seq_saw(&q, 1, 1000 - 7 * i, 0), -1);
	for (int i = 0; i < 50; i++) /* two directories in turn */
		assert_int_equal(ahead_seq_saw(&q, 1 + i % 2, 5000 + i, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_to_wire), cmocka_unit_test(flags_to_words),
		cmocka_unit_test(flags_parse),   cmocka_unit_test(flags_round_trip),
		cmocka_unit_test(sniff),         cmocka_unit_test(sniff_grows),
		cmocka_unit_test(message_id),    cmocka_unit_test(crlf),
		cmocka_unit_test(errnos),        cmocka_unit_test(dates),
		cmocka_unit_test(mailbox_words), cmocka_unit_test(sequence),
		cmocka_unit_test(no_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
