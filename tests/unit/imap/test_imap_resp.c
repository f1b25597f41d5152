/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "mem.h"
#include "resp_dump.h"

struct row {
	const char *in, *out;
};

/* Feeds a row at every length from a block of exactly that size: whatever a cut gives, it is
 * decided without a look behind its end.  Whole it gives what the row says. */
static void check_row(const struct row *row)
{
	size_t len = strlen(row->in);
	_cleanup_free_ char *got = resp_parse_dump(row->in, len, &imap_limits_default);

	if (strcmp(got, row->out) != 0)
		fail_msg("%s\n got: %s\nwant: %s", row->in, got, row->out);
	for (size_t n = 0; n < len; n++) {
		_cleanup_free_ char *cut = resp_parse_dump(row->in, n, &imap_limits_default);

		if (n == 0 || row->in[n - 1] != '\n')
			assert_string_equal(cut, "PROTO");
	}
}

/* The framer finds the row's end, and not before it, when its bytes come one by one. */
static void check_framed(const struct row *row)
{
	size_t len = strlen(row->in);
	struct imap_framer f;

	imap_framer_init(&f, &imap_limits_default);
	for (size_t n = 1; n <= len; n++) {
		size_t found = 77;
		char *block = malloc(n);
		int r;

		memcpy(block, row->in, n);
		r = imap_framer_scan(&f, block, n, &found);
		free(block);
		if (r != (n == len))
			fail_msg("%s\nframer gives %d at %zu of %zu", row->in, r, n, len);
		assert_int_equal(found, n == len ? len : 77);
	}
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_row(&rows[i]);
		check_framed(&rows[i]);
	}
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

/* R219: in any letter case.  R302: names are bytes. */
static void test_list(void **state)
{
	static const struct row rows[] = {
		{ "* LIST (\\HasNoChildren \\Trash) \"/\" Trash\r\n",
		  "LIST <\\HasNoChildren \\Trash> / 5<Trash>" },
		{ "* list () \".\" \"INBOX.a b\"\r\n", "LIST <> . 9<INBOX.a b>" },
		{ "* LIST () NIL inbox\n", "LIST <> 0 5<inbox>" },
		{ "* LIST () \"\" flat\r\n", "LIST <> 0 4<flat>" },
		{ "* LIST (\\Noselect \\noselect) \"\\\\\" \"a\\\\b\\\"c\"\r\n",
		  "LIST <\\Noselect> \\ 5<a\\b\"c>" },
		{ "* LIST () \"/\" \"a\\b\"\r\n", "LIST <> / 3<a\\b>" },
		{ "* LIST () \"/\" {5}\r\na\r\nb)\r\n", "LIST <> / 5<a\r\nb)>" },
		{ "* LIST () \"/\" {0}\r\n\r\n", "LIST <> / 0<>" },
		{ "* LIST () / bare\r\n", "LIST <> / 4<bare>" },
		{ "* LIST () \"/\" Deleted Items\r\n", "LIST <> / 13<Deleted Items>" },
		{ "* LIST () \"/\" a\tb  \r\n", "LIST <> / 3<a\tb>" },
		{ "* LIST () \"/\" a(b)\r\n", "LIST <> / 4<a(b)>" },
		{ "* LIST () \"/\" a b (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n", "LIST <> / 3<a b>" },
		{ "* LIST (\\Subscribed) \"/\" \"x\" (\"OLDNAME\" (\"y\"))\r\n",
		  "LIST <\\Subscribed> / 1<x>" },
		{ "* LIST () \"/\" &U,BTFw-\r\n", "LIST <> / 8<&U,BTFw->" },
		{ "* LIST () \"/\" \"\xc3\xa9\"\r\n", "LIST <> / 2<\xc3\xa9>" },
		{ "* LIST () \"/\" \"..\"\r\n", "LIST <> / 2<..>" },
		{ "* LIST NIL \"/\" x\r\n", "LIST <> / 1<x>" },
		{ "* LSUB (\\Noselect) \"/\" x\r\n", "LIST lsub <\\Noselect> / 1<x>" },
		{ "* LIST () \"/\"\r\n", "PROTO" },
		{ "* LIST (\r\n", "PROTO" },
		{ "* LIST () \"/\" \"open\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

/* R215: HIGHESTMODSEQ 0 is told from one that is missing.  R306: sizes over 32 bits.
 * R284: APPENDLIMIT, and NIL for none. */
static void test_status(void **state)
{
	static const struct row rows[] = {
		{ "* STATUS INBOX (MESSAGES 3 UIDNEXT 4294967295 UIDVALIDITY 1 UNSEEN 0)\r\n",
		  "STATUS 5<INBOX> messages=3 uidnext=4294967295 uidvalidity=1 unseen=0" },
		{ "* STATUS \"a b\" (highestmodseq 0 size 5000000000)\r\n",
		  "STATUS 3<a b> highestmodseq=0 size=5000000000" },
		{ "* STATUS {3}\r\na\"b (HIGHESTMODSEQ 18446744073709551615)\r\n",
		  "STATUS 3<a\"b> highestmodseq=18446744073709551615" },
		{ "* STATUS x (APPENDLIMIT 1000 MESSAGES 1)\r\n",
		  "STATUS 1<x> messages=1 appendlimit=1000" },
		{ "* STATUS x (APPENDLIMIT NIL MESSAGES 1)\r\n", "STATUS 1<x> messages=1" },
		{ "* STATUS x ()\r\n", "STATUS 1<x>" },
		{ "* STATUS x () \r\n", "STATUS 1<x>" },
		{ "* STATUS Deleted Items (MESSAGES 1)\r\n",
		  "STATUS 13<Deleted Items> messages=1" },
		{ "* STATUS x (MAILBOXID (H\xa5\"V) MESSAGES 2)\r\n", "STATUS 1<x> messages=2" },
		{ "* STATUS x (MESSAGES 2 MAILBOXID (\"H\xa5) UNSEEN 3)\r\n",
		  "STATUS 1<x> messages=2" },
		{ "* STATUS x (MESSAGES 2 MAILBOXID ((H\xa5) UNSEEN 3)\r\n",
		  "STATUS 1<x> messages=2" },
		{ "* STATUS x (MAILBOXID (F2212ea87-6097_x) MESSAGES 2)\r\n",
		  "STATUS 1<x> messages=2 mailboxid=<F2212ea87-6097_x>" },
		{ "* STATUS x (MAILBOXID NIL MESSAGES 2)\r\n", "STATUS 1<x> messages=2" },
		{ "* STATUS x (MAILBOXID (\"a b\") MESSAGES 2)\r\n", "STATUS 1<x> messages=2" },
		{ "* STATUS x (APPENDLIMIT NIL MESSAGES 2 FOO (a (b) c) UNSEEN 1)\r\n",
		  "STATUS 1<x> messages=2 unseen=1" },
		{ "* STATUS x (MESSAGES -1 UNSEEN 99999999999 UIDNEXT 7)\r\n",
		  "STATUS 1<x> uidnext=7" },
		{ "* STATUS\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

/* R214: (MODSEQ n) may end a SEARCH.  R103: numbers come as sent.  R294: ESEARCH answers, too. */
static void test_search(void **state)
{
	static const struct row rows[] = {
		{ "* SEARCH\r\n", "SEARCH" },
		{ "* SEARCH \r\n", "SEARCH" },
		{ "* SEARCH 5 2 4294967295 2\r\n", "SEARCH 5 2 4294967295 2" },
		{ "* SEARCH 2 5 (MODSEQ 9)\r\n", "SEARCH 2 5 modseq=9" },
		{ "* search 1 (modseq 9223372036854775807)\r\n",
		  "SEARCH 1 modseq=9223372036854775807" },
		{ "* SEARCH 4294967296\r\n", "PROTO" },
		{ "* SEARCH 1 x\r\n", "PROTO" },
		{ "* SEARCH -1\r\n", "PROTO" },
		{ "* SEARCH 1 (MODSEQ -1)\r\n", "SEARCH 1" },
		{ "* ESEARCH (TAG \"A1\") UID ALL 7,2:4 MODSEQ 12\r\n",
		  "SEARCH uid 7 2 3 4 modseq=12" },
		{ "* ESEARCH (TAG \"A1\")\r\n", "SEARCH" },
		{ "* ESEARCH UID COUNT 3 MIN 1 MAX 9\r\n", "SEARCH uid" },
		{ "* ESEARCH (TAG \"A\") UID PARTIAL (1:100 4:5)\r\n", "SEARCH uid 4 5" },
		{ "* ESEARCH (TAG \"A\") UID PARTIAL (1:100 NIL)\r\n", "SEARCH uid" },
		{ "* ESEARCH (TAG \"A\") ALL 4294967294:4294967295\r\n",
		  "SEARCH 4294967294 4294967295" },
		{ "* ESEARCH ALL 1:4294967295\r\n", "LIMIT" },
		{ "* ESEARCH ALL x\r\n", "PROTO" },
		{ "* ESEARCH ALL\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

/* R251: a huge range is one range.  R129: UID 0 is none. */
static void test_vanished(void **state)
{
	static const struct row rows[] = {
		{ "* VANISHED 300,303\r\n", "VANISHED now=300:300,303:303" },
		{ "* VANISHED (EARLIER) 1:4294967295\r\n", "VANISHED earlier=1:4294967295" },
		{ "* vanished (earlier) 9:4\r\n", "VANISHED earlier=4:9" },
		{ "* VANISHED\r\n", "VANISHED" },
		{ "* VANISHED (EARLIER)\r\n", "VANISHED" },
		{ "* VANISHED 0\r\n", "PROTO" },
		{ "* VANISHED 1:*\r\n", "PROTO" },
		{ "* VANISHED 1,\r\n", "PROTO" },
		{ "* VANISHED 1 2\r\n", "PROTO" },
		{ "* VANISHED -1\r\n", "PROTO" },
		{ "* VANISHED (EARLIER 1:2\r\n", "PROTO" },
		{ "* VANISHED (FOO) 1:2\r\n", "PROTO" },
		{ "* VANISHED 4294967296\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

/* R309: any of these at any time; R295: what is odd or unknown harms nothing. */
static void test_plain(void **state)
{
	static const struct row rows[] = {
		{ "* 23 EXISTS\r\n", "EXISTS 23" },
		{ "* 0 EXISTS\r\n", "EXISTS 0" },
		{ "* 5 RECENT\r\n", "RECENT 5" },
		{ "* 44 expunge\r\n", "EXPUNGE 44" },
		{ "* 0 EXPUNGE\r\n", "UNKNOWN" },
		{ "* 0 FETCH (FLAGS ())\r\n", "UNKNOWN" },
		{ "* 1 EXPUNGED\r\n", "UNKNOWN" },
		{ "* 4294967296 EXPUNGE\r\n", "UNKNOWN" },
		{ "* FLAGS (\\Seen \\Foo $Work bad]flag \\*)\r\n",
		  "FLAGS flags=<$Work \\* \\Foo \\Seen bad]flag>" },
		{ "* FLAGS ()\r\n", "FLAGS flags=<>" },
		{ "* FLAGS (a\r\n", "PROTO" },
		{ "* CAPABILITY imap4rev1 IDLE AUTH=PLAIN\r\n",
		  "CAPABILITY caps=<AUTH=PLAIN IDLE IMAP4REV1>" },
		{ "* CAPABILITY IMAP4rev1 LITERAL + IDLE\r\n",
		  "CAPABILITY caps=<IDLE IMAP4REV1 LITERAL+>" },
		{ "* CAPABILITY APPENDLIMIT APPENDLIMIT=5\r\n",
		  "CAPABILITY caps=<APPENDLIMIT APPENDLIMIT=5>" },
		{ "* ENABLED CONDSTORE\r\n", "ENABLED caps=<CONDSTORE>" },
		{ "* ENABLED\r\n", "ENABLED caps=<>" },
		{ "* ID (\"name\" \"Dovecot\")\r\n", "ID" },
		{ "* ID NIL\r\n", "ID" },
		{ "* METADATA \"\" (/shared/comment {5}\r\na)\r\nb)\r\n", "UNKNOWN" },
		{ "* X-FOO\r\n", "UNKNOWN" },
		{ "* \r\n", "UNKNOWN" },
		{ "\r\n", "UNKNOWN" },
		{ "+ go ahead {5}\r\n", "CONT text=<go ahead {5}>" },
		{ "+\r\n", "CONT text=<>" },
		{ "+ \r\n", "CONT text=<>" },
		{ "+ cGFzcw==\n", "CONT text=<cGFzcw==>" },
		{ "foo\r\n", "PROTO" },
		{ "foo bar\r\n", "PROTO" },
		{ "*\r\n", "PROTO" },
		{ " OK x\r\n", "PROTO" },
		{ "A1 OKAY\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

static void test_namespace_quota(void **state)
{
	static const struct row rows[] = {
		{ "* NAMESPACE ((\"\" \"/\")) ((\"~\" \"/\")) ((\"#shared/\" \"/\")(\"#p/\" "
		  "NIL))\r\n",
		  "NAMESPACE personal=<>/ other=<~>/ shared=<#shared/>/ shared=<#p/>0" },
		{ "* NAMESPACE NIL NIL ((\"\" \".\" \"X-PARAM\" (\"a\" \"b\")))\r\n",
		  "NAMESPACE shared=<>." },
		{ "* NAMESPACE NIL NIL\r\n", "PROTO" },
		{ "* NAMESPACE ((\"\" \"/\") NIL NIL\r\n", "PROTO" },
		{ "* QUOTA \"\" (STORAGE 10 9223372036854775807 MESSAGE 3 100)\r\n",
		  "QUOTA root=<> storage=10/9223372036854775807 messages=3/100" },
		{ "* QUOTA \"User quota\" (FOO 1 2 STORAGE 4 5)\r\n",
		  "QUOTA root=<User quota> storage=4/5" },
		{ "* QUOTA \"ROOT\"\r\n", "QUOTA root=<ROOT>" },
		{ "* QUOTA \"\" ()\r\n", "QUOTA root=<>" },
		{ "* QUOTA x (STORAGE NIL)\r\n", "QUOTA root=<x>" },
		{ "* QUOTA\r\n", "PROTO" },
		{ "* QUOTAROOT INBOX \"\"\r\n", "UNKNOWN" },
		{ "* MYRIGHTS INBOX rwiptsldaex\r\n", "MYRIGHTS 5<INBOX> rights=<rwiptsldaex>" },
		{ "* MYRIGHTS \"a b\" \"\"\r\n", "MYRIGHTS 3<a b> rights=<>" },
		{ "* MYRIGHTS x\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

static char *coded(enum imap_code code, const char *head, const char *tail)
{
	return mem_printf("%s code=%d %s", head, (int)code, tail);
}

struct code_row {
	const char *in, *head;
	enum imap_code code;
	const char *tail;
};

static void check_codes(const struct code_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *want = coded(rows[i].code, rows[i].head, rows[i].tail);
		struct row row = { rows[i].in, want };

		check_row(&row);
		check_framed(&row);
	}
}

/* R219 letter case, R221 MODIFIED, R199 its ranges, R304 unknown codes, R184 R236 large
 * mod-sequences, R257 CLOSED. */
static void test_codes(void **state)
{
	static const struct code_row rows[] = {
		{ "A1 NO [TryCreate] no such\r\n", "TAGGED A1 NO", IMAP_CODE_TRYCREATE,
		  "n=0 ctext=<> text=<no such>" },
		{ "* OK [UIDNEXT 4392] next\r\n", "COND OK", IMAP_CODE_UIDNEXT,
		  "n=4392 ctext=<4392> text=<next>" },
		{ "* OK [HIGHESTMODSEQ 9223372036854775807]\r\n", "COND OK",
		  IMAP_CODE_HIGHESTMODSEQ,
		  "n=9223372036854775807 ctext=<9223372036854775807> text=<>" },
		{ "* OK [UIDVALIDITY 18446744073709551615] x\r\n", "COND OK", IMAP_CODE_UIDVALIDITY,
		  "n=18446744073709551615 ctext=<18446744073709551615> text=<x>" },
		{ "* OK [CLOSED]\r\n", "COND OK", IMAP_CODE_CLOSED, "n=0 ctext=<> text=<>" },
		{ "A OK [MODIFIED 7,9:12] x\r\n", "TAGGED A OK", IMAP_CODE_MODIFIED,
		  "n=0 set=7:7,9:12 ctext=<7,9:12> text=<x>" },
		{ "* OK [PERMANENTFLAGS (\\Seen bad]flag \\*)] ok]\r\n", "COND OK",
		  IMAP_CODE_PERMANENTFLAGS,
		  "n=0 cflags=<\\* \\Seen bad]flag> ctext=<(\\Seen bad]flag \\*)> text=<ok]>" },
		{ "* OK [PERMANENTFLAGS ()] none\r\n", "COND OK", IMAP_CODE_PERMANENTFLAGS,
		  "n=0 cflags=<> ctext=<()> text=<none>" },
		{ "* PREAUTH [CAPABILITY IMAP4rev1 LITERAL +] hi\r\n", "COND PREAUTH",
		  IMAP_CODE_CAPABILITY,
		  "n=0 ctext=<IMAP4rev1 LITERAL +> caps=<IMAP4REV1 LITERAL+> text=<hi>" },
		{ "* OK [MAILBOXID (F2212ea87)] x\r\n", "COND OK", IMAP_CODE_MAILBOXID,
		  "n=0 ctext=<F2212ea87> text=<x>" },
		{ "* NO [BADCHARSET (UTF-8 \"a]\")] x\r\n", "COND NO", IMAP_CODE_BADCHARSET,
		  "n=0 ctext=<(UTF-8 \"a]\")> text=<x>" },
		{ "* OK [THROTTLED] Success\r\n", "COND OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<THROTTLED> text=<Success>" },
		{ "* OK [X-ODD (\"] text\r\n", "COND OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<X-ODD> text=<text>" },
		{ "* OK [] text\r\n", "COND OK", IMAP_CODE_UNKNOWN, "n=0 ctext=<> text=<text>" },
		{ "* OK [UIDNEXT -1] x\r\n", "COND OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<UIDNEXT> text=<x>" },
		{ "* OK [MODIFIED 1:*] x\r\n", "COND OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<MODIFIED> text=<x>" },
		{ "* BAD [LIMIT]x {3}\r\n", "COND BAD", IMAP_CODE_LIMIT,
		  "n=0 ctext=<> text=<x {3}>" },
		{ "* BYE [UNAVAILABLE] bye\r\n", "COND BYE", IMAP_CODE_UNAVAILABLE,
		  "n=0 ctext=<> text=<bye>" },
	};
	static const struct row plain[] = {
		{ "A1 OK\r\n", "TAGGED A1 OK text=<>" },
		{ "A1 ok done\r\n", "TAGGED A1 OK text=<done>" },
		{ "* OK\r\n", "COND OK text=<>" },
		{ "* OK [UNCLOSED text\r\n", "COND OK text=<[UNCLOSED text>" },
		{ "* BAD Invalid tag\r\n", "COND BAD text=<Invalid tag>" },
	};

	(void)state;
	check_codes(rows, sizeof(rows) / sizeof(rows[0]));
	CHECK(plain);
}

/* R065, R047, R269: the order of a set is the order of the messages, ranges may be reversed,
 * "*" is none.  R275: in an untagged OK, too.  R316: only in its place is it a code. */
static void test_uidplus_codes(void **state)
{
	static const struct code_row rows[] = {
		{ "A OK [APPENDUID 1 77712,77713] x\r\n", "TAGGED A OK", IMAP_CODE_APPENDUID,
		  "n=1 set=77712:77712,77713:77713 ctext=<1 77712,77713> text=<x>" },
		{ "A OK [APPENDUID 1 1:2] x\r\n", "TAGGED A OK", IMAP_CODE_APPENDUID,
		  "n=1 set=1:2 ctext=<1 1:2> text=<x>" },
		{ "A OK [APPENDUID 4294967295 2147483648] x\r\n", "TAGGED A OK",
		  IMAP_CODE_APPENDUID,
		  "n=4294967295 set=2147483648:2147483648 ctext=<4294967295 2147483648> text=<x>" },
		{ "A OK [COPYUID 38505 414,567 5:6] x\r\n", "TAGGED A OK", IMAP_CODE_COPYUID,
		  "n=38505 set=414:414,567:567 set2=5:6 ctext=<38505 414,567 5:6> text=<x>" },
		{ "* OK [COPYUID 1 12:10 3,9,4] x\r\n", "COND OK", IMAP_CODE_COPYUID,
		  "n=1 set=10:12 set2=3:3,9:9,4:4 ctext=<1 12:10 3,9,4> text=<x>" },
		{ "* [COPYUID 55 31 6]\r\n", "COND OK", IMAP_CODE_COPYUID,
		  "n=55 set=31:31 set2=6:6 ctext=<55 31 6> text=<>" },
		{ "[COPYUID 55 31 6] x\r\n", "COND OK", IMAP_CODE_COPYUID,
		  "n=55 set=31:31 set2=6:6 ctext=<55 31 6> text=<x>" },
		{ "A OK [COPYUID 1 1:* 1:2] x\r\n", "TAGGED A OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<COPYUID> text=<x>" },
		{ "A OK [COPYUID 1 3] x\r\n", "TAGGED A OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<COPYUID> text=<x>" },
		{ "A OK [APPENDUID 1 0] x\r\n", "TAGGED A OK", IMAP_CODE_UNKNOWN,
		  "n=0 ctext=<APPENDUID> text=<x>" },
	};
	static const struct row plain[] = {
		{ "A OK APPEND [APPENDUID 1 2] x\r\n",
		  "TAGGED A OK text=<APPEND [APPENDUID 1 2] x>" },
	};

	(void)state;
	check_codes(rows, sizeof(rows) / sizeof(rows[0]));
	CHECK(plain);
}

/* R220 unknown flags, R187 R196 MODSEQ without FLAGS, R303 no UID, R306 sizes, R129 UIDs. */
static void test_fetch(void **state)
{
	static const struct row rows[] = {
		{ "* 12 FETCH (FLAGS (\\Seen \\Recent $Work \\Foo) UID 4294967295)\r\n",
		  "FETCH 12 uid=4294967295 flags=<$Work \\Foo \\Seen>" },
		{ "* 1 FETCH (RFC822.SIZE 5000000000 UID 2147483648)\r\n",
		  "FETCH 1 uid=2147483648 size=5000000000" },
		{ "* 1 fetch (uid 5 modseq (20010715194045007))\r\n",
		  "FETCH 1 uid=5 modseq=20010715194045007" },
		{ "* 1 FETCH (FLAGS ())\r\n", "FETCH 1 uid=0 flags=<>" },
		{ "* 1 FETCH (MODSEQ (0) UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (MODSEQ (-1) UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (MODSEQ 5 UID 1)\r\n", "FETCH 1 uid=1 modseq=5" },
		{ "* 1 FETCH (RFC822.SIZE 9.3736e+06 UID 1)\r\n", "FETCH 1 uid=1 size=9373600" },
		{ "* 1 FETCH (RFC822.SIZE -1 UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (RFC822.SIZE 18446744073709551615 UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (RFC822.SIZE nan UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
		  "FETCH 1 uid=0 date=837596665-420" },
		{ "* 1 FETCH (INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" UID 2)\r\n",
		  "FETCH 1 uid=2 date=0+0" },
		{ "* 1 FETCH (INTERNALDATE \"soon\" UID 2)\r\n", "FETCH 1 uid=2" },
		{ "* 1 FETCH (INTERNALDATE NIL UID 2)\r\n", "FETCH 1 uid=2" },
		{ "* 1 FETCH (EMAILID (M6d99) THREADID NIL)\r\n", "FETCH 1 uid=0 emailid=<M6d99>" },
		{ "* 1 FETCH (EMAILID (M6d99) THREADID (T64))\r\n",
		  "FETCH 1 uid=0 emailid=<M6d99> threadid=<T64>" },
		{ "* 1 FETCH (X-GM-THRID 12 X-GM-MSGID 34 X-GM-LABELS (\"\\\\Inbox\" a \"b c\" "
		  "NIL))\r\n",
		  "FETCH 1 uid=0 emailid=<34> threadid=<12> labels=<\\Inbox\na\nb c>" },
		{ "* 1 FETCH (X-GM-LABELS () UID 1)\r\n", "FETCH 1 uid=1 labels=<>" },
		{ "* 1 FETCH (FOO (a (b \")\") {2}\r\n)() BAR \"x\" UID 3)\r\n", "FETCH 1 uid=3" },
		{ "* 1 FETCH ((UID 3))\r\n", "FETCH 1 uid=3" },
		{ "* 1 FETCH (UID 0)\r\n", "FETCH 1 uid=0" },
		{ "* 1 FETCH (UID -1)\r\n", "PROTO" },
		{ "* 1 FETCH (UID 1\r\n", "PROTO" },
		{ "* 1 FETCH (UID 1))\r\n", "PROTO" },
		{ "* 1 FETCH UID 1\r\n", "PROTO" },
		{ "* 1 FETCH (FLAGS (\\Seen UID 1)\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

static void test_fetch_body(void **state)
{
	static const struct row rows[] = {
		{ "* 1 FETCH (UID 3 BODY[] {7}\r\na)\r\nb\r\n)\r\n",
		  "FETCH 1 uid=3 body[]=7<a)\r\nb\r\n>" },
		{ "* 1 FETCH (BODY[] {3}\r\nabc UID 3)\r\n", "FETCH 1 uid=3 body[]=3<abc>" },
		{ "* 1 FETCH (BODY[]<1024>{3}\r\nabcUID 3)\r\n",
		  "FETCH 1 uid=3 body[]<1024>=3<abc>" },
		{ "* 1 FETCH (BODY[] {0}\r\n)\r\n", "FETCH 1 uid=0 body[]=0<>" },
		{ "* 1 FETCH (BODY[] \"a\\\"b\")\r\n", "FETCH 1 uid=0 body[]=3<a\"b>" },
		{ "* 1 FETCH (BODY[] NIL UID 3)\r\n", "FETCH 1 uid=3 body[]=NIL" },
		{ "* 1 FETCH (UID 3 BODY[2] )\r\n", "FETCH 1 uid=3 body[2]=NIL" },
		{ "* 1 FETCH (UID 3 BODY[2])\r\n", "FETCH 1 uid=3 body[2]=NIL" },
		{ "* 1 FETCH (BODY[HEADER.FIELDS (FROM TO)] {2}\r\n\r\n UID 4)\r\n",
		  "FETCH 1 uid=4 body[HEADER.FIELDS (FROM TO)]=2<\r\n>" },
		{ "* 1 FETCH (BODY[HEADER.FIELDS (\"A]\")] \"x\")\r\n",
		  "FETCH 1 uid=0 body[HEADER.FIELDS (\"A]\")]=1<x>" },
		{ "* 1 FETCH (BODY[1.2.MIME] \"x\" BODY[3] {1}\r\ny)\r\n",
		  "FETCH 1 uid=0 body[1.2.MIME]=1<x> body[3]=1<y>" },
		{ "* 1 FETCH (BINARY[1] ~{3}\r\na\xff"
		  "b BINARY.SIZE[1] 3)\r\n",
		  "FETCH 1 uid=0 body[1]=3<a\xff"
		  "b>" },
		{ "* 1 FETCH (RFC822 {1}\r\na RFC822.HEADER \"b\" RFC822.TEXT NIL)\r\n",
		  "FETCH 1 uid=0 body[]=1<a> body[HEADER]=1<b> body[TEXT]=NIL" },
		{ "* 1 FETCH (BODY[HEADER.FIELDS (a) UID 3)\r\n", "PROTO" },
		{ "* 1 FETCH (BODY[]<x> \"a\")\r\n", "PROTO" },
		{ "* 1 FETCH (BODY[] (a))\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

/* A literal may hold NUL, and "}" before its line's end does not end it. */
static void test_fetch_nul(void **state)
{
	static const char text[] = "* 1 FETCH (BODY[] {5}\r\na\0{2}\r\n)\r\n";
	static const char body[] = "* 1 FETCH (BODY[] {7}\r\na\0{2}\r\n)\r\n";
	struct imap_resp r;

	(void)state;
	assert_int_equal(imap_resp_parse(text, sizeof(text) - 1, &imap_limits_default, &r),
	                 ERR_PROTO);
	assert_int_equal(imap_resp_parse(body, sizeof(body) - 1, &imap_limits_default, &r), 0);
	assert_int_equal(r.fetch->bodies[0].len, 7);
	assert_memory_equal(r.fetch->bodies[0].data, "a\0{2}\r\n", 8);
	imap_resp_release(&r);
	assert_null(r.arena);
	imap_resp_release(&r);
}

static void test_envelope(void **state)
{
	static const struct row rows[] = {
		{ "* 1 FETCH (ENVELOPE (\"d\" \"s\" ((\"n\" NIL \"m\" \"h\")) NIL NIL "
		  "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL \"<i>\") UID 2)\r\n",
		  "FETCH 1 uid=2 env{ date=<d> subject=<s> from=<n|-|m|h> to=<-|-|a|b>"
		  " to=<-|-|c|d> mid=<<i>> }" },
		{ "* 1 FETCH (ENVELOPE (NIL {3}\r\na\r\n NIL NIL NIL NIL NIL NIL \"r\" \"i\"))\r\n",
		  "FETCH 1 uid=0 env{ subject=<a\r\n> irt=<r> mid=<i> }" },
		{ "* 1 FETCH (ENVELOPE (NIL NIL (NIL (NIL NIL \"a\" \"b\")) \"\" () NIL NIL NIL "
		  "NIL NIL))\r\n",
		  "FETCH 1 uid=0 env{ from=<-|-|a|b> }" },
		{ "* 1 FETCH (ENVELOPE (NIL NIL) UID 2)\r\n", "FETCH 1 uid=2" },
		{ "* 1 FETCH (ENVELOPE NIL UID 2)\r\n", "FETCH 1 uid=2" },
		{ "* 1 FETCH (ENVELOPE (NIL \"a \"b\" c\" NIL NIL NIL NIL NIL NIL NIL \"x\") UID "
		  "2)\r\n",
		  "FETCH 1 uid=2" },
		{ "* 1 FETCH (ENVELOPE (NIL \"a\" NIL NIL NIL NIL NIL NIL NIL \"<x\"y>\") UID "
		  "2)\r\n",
		  "FETCH 1 uid=2" },
		{ "* 1 FETCH (ENVELOPE (NIL \"a\" NIL NIL NIL NIL NIL NIL NIL \"<x\" \") UID "
		  "2)\r\n",
		  "FETCH 1 uid=2" },
	};

	(void)state;
	CHECK(rows);
}

static void test_structure(void **state)
{
	static const struct row rows[] = {
		{ "* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" "
		  "30 2))\r\n",
		  "FETCH 1 uid=0 part{TEXT/PLAIN 30 2 params=<CHARSET=US-ASCII> enc=<7BIT> }" },
		{ "* 1 FETCH (BODYSTRUCTURE ((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 NIL NIL "
		  "NIL NIL)"
		  "(\"application\" \"pdf\" (\"name\" \"a\" \"x\" NIL) \"<i>\" \"d\" \"base64\" 9 "
		  "NIL "
		  "(\"attachment\" (\"filename\" \"f\")) NIL) \"mixed\" (\"boundary\" \"b\") NIL "
		  "NIL) UID 5)\r\n",
		  "FETCH 1 uid=5 part{multipart/mixed 0 0 params=<boundary=b>"
		  " part{text/plain 1 1 enc=<7bit> }"
		  " part{application/pdf 9 0 params=<name=a> id=<<i>> desc=<d> enc=<base64>"
		  " disp=<attachment> dispparams=<filename=f> } }" },
		{ "* 1 FETCH (BODYSTRUCTURE (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 "
		  "(NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL "
		  "\"7bit\" 3 1) 7))\r\n",
		  "FETCH 1 uid=0 part{message/rfc822 99 7 enc=<7bit> env{ subject=<s> }"
		  " part{text/plain 3 1 enc=<7bit> } }" },
		{ "* 1 FETCH (BODYSTRUCTURE (\"message\" \"rfc822\" NIL NIL NIL \"base64\" 99 NIL "
		  "(\"inline\" NIL) NIL))\r\n",
		  "FETCH 1 uid=0 part{message/rfc822 99 0 enc=<base64> disp=<inline> }" },
		{ "* 1 FETCH (BODYSTRUCTURE (\"ALTERNATIVE\") UID 1)\r\n",
		  "FETCH 1 uid=1 part{multipart/ALTERNATIVE 0 0 }" },
		{ "* 1 FETCH (BODYSTRUCTURE (NIL \"alternative\" (\"boundary\" NIL) NIL NIL) UID "
		  "1)\r\n",
		  "FETCH 1 uid=1 part{multipart/alternative 0 0 }" },
		{ "* 1 FETCH (BODYSTRUCTURE (NIL NIL NIL NIL NIL \"7BIT\" 0 NIL) UID 1)\r\n",
		  "FETCH 1 uid=1" },
		{ "* 1 FETCH (BODYSTRUCTURE (\"a\" \"b\" NIL NIL NIL NIL 5 NIL \"inline\" NIL) UID "
		  "1)\r\n",
		  "FETCH 1 uid=1 part{a/b 5 0 disp=<inline> }" },
		{ "* 1 FETCH (BODYSTRUCTURE NIL UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (BODYSTRUCTURE () UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (BODYSTRUCTURE ((() \"x\")) UID 1)\r\n", "FETCH 1 uid=1" },
		{ "* 1 FETCH (BODYSTRUCTURE (\"a\" \"b UID 1)\r\n", "PROTO" },
	};

	(void)state;
	CHECK(rows);
}

static void expect_limit(const char *text, const struct imap_limits *lim, const char *want)
{
	_cleanup_free_ char *got = resp_parse_dump(text, strlen(text), lim);

	assert_string_equal(got, want);
}

static void test_limits(void **state)
{
	struct imap_limits lim = imap_limits_default;

	(void)state;
	lim.items = 3;
	expect_limit("* SEARCH 1 2 3\r\n", &lim, "SEARCH 1 2 3");
	expect_limit("* SEARCH 1 2 3 4\r\n", &lim, "LIMIT");
	expect_limit("* VANISHED 1,3,5,7\r\n", &lim, "LIMIT");
	expect_limit("A OK [COPYUID 1 1,3 1,3] x\r\n", &lim, "LIMIT");
	expect_limit("* ESEARCH ALL 1:3\r\n", &lim, "SEARCH 1 2 3");
	expect_limit("* ESEARCH ALL 1:4\r\n", &lim, "LIMIT");
	expect_limit("* 1 FETCH (BODY[1] NIL BODY[2] NIL BODY[3] NIL BODY[4] NIL)\r\n", &lim,
	             "LIMIT");
	lim.items = imap_limits_default.items;
	lim.depth = 2;
	expect_limit("* 1 FETCH (FOO (((a))) UID 1)\r\n", &lim, "FETCH 1 uid=1");
	expect_limit("* 1 FETCH (BODY (((\"A\"))) UID 1)\r\n", &lim,
	             "FETCH 1 uid=1 part{multipart/- 0 0 part{multipart/- 0 0 part{multipart/A 0 0 "
	             "} } }");
	expect_limit("* 1 FETCH (BODY ((((\"A\")))) UID 1)\r\n", &lim, "FETCH 1 uid=1");
}

/* A mail of any depth costs its BODY item and no more: no stack, no response. */
static void test_deep_structure(void **state)
{
	struct buf deep = BUF_INIT(1 << 20);

	(void)state;
	buf_puts(&deep, "* 1 FETCH (BODY ");
	for (int i = 0; i < 100000; i++)
		buf_putc(&deep, '(');
	for (int i = 0; i < 100000; i++)
		buf_putc(&deep, ')');
	buf_puts(&deep, " UID 7)\r\n");
	expect_limit(deep.data, &imap_limits_default, "FETCH 1 uid=7");
	deep.len -= 30;
	buf_puts(&deep, "\r\n");
	expect_limit(deep.data, &imap_limits_default, "PROTO");
	buf_release(&deep);
}

/* A literal over the ceiling is missing from the text; one over the ceiling of all, too. */
static void test_skipped_literals(void **state)
{
	struct imap_limits lim = imap_limits_default;

	(void)state;
	lim.literal_bytes = 4;
	lim.response_bytes = 6;
	expect_limit("* 1 FETCH (BODY[] {5}\r\n UID 3)\r\n", &lim,
	             "FETCH 1 uid=3 body[]=TRUNCATED");
	expect_limit("* 1 FETCH (BODY[1] {4}\r\nabcd BODY[2] {3}\r\n BODY[3] {2}\r\nab UID 3)\r\n",
	             &lim, "FETCH 1 uid=3 body[1]=4<abcd> body[2]=TRUNCATED body[3]=2<ab>");
	expect_limit("* LIST () \"/\" {5}\r\n\r\n", &lim, "LIMIT");
	expect_limit("* 1 FETCH (ENVELOPE (NIL {9}\r\n NIL NIL NIL NIL NIL NIL NIL \"i\"))\r\n",
	             &lim, "FETCH 1 uid=0 env{ mid=<i> }");
}

/* What looks like a literal's mark and is none: too many digits, no digits, inside a word. */
static void test_no_literal(void **state)
{
	static const struct row rows[] = {
		{ "* X {99999999999999999999}\r\n", "UNKNOWN" },
		{ "* X {}\r\n", "UNKNOWN" },
		{ "* X {a}\r\n", "UNKNOWN" },
		{ "* X a{3}\r\n", "UNKNOWN" },
		{ "* X {3} \r\n", "UNKNOWN" },
		{ "A OK {3}\r\n", "TAGGED A OK text=<{3}>" },
		{ "* NO {3}\r\n", "COND NO text=<{3}>" },
		{ "* 1 FETCH (BODY[] {3+}\r\nabc)\r\n", "FETCH 1 uid=0 body[]=3<abc>" },
		{ "* 1 FETCH (BODY[] {3}\nabc)\n", "FETCH 1 uid=0 body[]=3<abc>" },
	};

	(void)state;
	CHECK(rows);
}

static void test_sets(void **state)
{
	struct imap_range ranges[] = { { 10, 12 }, { 3, 3 }, { 1, UINT32_MAX } };
	struct imap_set set = { ranges, 2 }, all = { ranges + 2, 1 };

	(void)state;
	assert_true(imap_set_has(&set, 11));
	assert_true(imap_set_has(&set, 3));
	assert_false(imap_set_has(&set, 4));
	assert_false(imap_set_has(&set, 0));
	assert_int_equal(imap_set_size(&set, 100), 4);
	assert_int_equal(imap_set_size(&set, 4), 4);
	assert_int_equal(imap_set_size(&set, 3), 4);
	assert_int_equal(imap_set_size(&set, 0), 1);
	assert_int_equal(imap_set_size(&all, UINT64_MAX - 1), UINT32_MAX);
	assert_int_equal(imap_set_nth(&set, 0), 10);
	assert_int_equal(imap_set_nth(&set, 2), 12);
	assert_int_equal(imap_set_nth(&set, 3), 3);
	assert_int_equal(imap_set_nth(&set, 4), 0);
	assert_int_equal(imap_set_nth(&all, UINT32_MAX - 1), UINT32_MAX);
}

/* Many of each: the arrays grow and keep what they hold. */
static void test_many(void **state)
{
	struct buf text = BUF_INIT(1 << 22);
	struct imap_resp r;

	(void)state;
	buf_puts(&text, "* SEARCH");
	for (uint32_t i = 1; i <= 100000; i++)
		buf_printf(&text, " %u", i * 7);
	buf_puts(&text, "\r\n");
	assert_int_equal(imap_resp_parse(text.data, text.len, &imap_limits_default, &r), 0);
	assert_int_equal(r.search.count, 100000);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(r.search.numbers[i], (i + 1) * 7);
	imap_resp_release(&r);
	buf_clear(&text);
	buf_puts(&text, "* 1 FETCH (");
	for (int i = 0; i < 100; i++)
		buf_printf(&text, "BODY[%d] {5}\r\n%05d ", i, i);
	buf_puts(&text, ")\r\n");
	assert_int_equal(imap_resp_parse(text.data, text.len, &imap_limits_default, &r), 0);
	assert_int_equal(r.fetch->body_count, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(atoi(r.fetch->bodies[i].data), i);
	imap_resp_release(&r);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),           cmocka_unit_test(test_status),
		cmocka_unit_test(test_search),         cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_plain),          cmocka_unit_test(test_namespace_quota),
		cmocka_unit_test(test_codes),          cmocka_unit_test(test_uidplus_codes),
		cmocka_unit_test(test_fetch),          cmocka_unit_test(test_fetch_body),
		cmocka_unit_test(test_fetch_nul),      cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_structure),      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_deep_structure), cmocka_unit_test(test_skipped_literals),
		cmocka_unit_test(test_no_literal),     cmocka_unit_test(test_sets),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
