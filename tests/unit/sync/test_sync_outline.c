/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "sync_outline_priv.h"

/* Which parts of a large message are asked for, and what is made of them: by what servers say. */

#define LEAF(t, s, n)                                                    \
	{                                                                \
		.type = (char *)(t), .subtype = (char *)(s), .size = (n) \
	}

static void take(struct sync_outline *o, const char *section, const char *text)
{
	size_t len = strlen(text);
	char *exact = mem_realloc(NULL, len + 1, 1); /* a copy of exact size: over-reads are seen */
	struct imap_body body = { .section = (char *)section, .data = exact, .len = len };

	memcpy(exact, text, len);
	exact = mem_realloc(exact, len ? len : 1, 1);
	body.data = exact;
	sync_outline_take(o, &body);
	free(exact);
}

/* R110, R117: texts and the MIME headers around them, in one command; nothing of the rest. */
static void test_choice(void **state)
{
	struct imap_part inner[] = { LEAF("TEXT", "plain", 100), LEAF("text", "html", 200) };
	struct imap_part parts[] = {
		LEAF("VIDEO", "mp4", 5000000000),
		{ .type = (char *)"multipart",
		  .subtype = (char *)"alternative",
		  .params = (char *)"boundary=in",
		  .children = inner,
		  .child_count = 2 },
		{ .type = (char *)"text",
		  .subtype = (char *)"csv",
		  .size = 10,
		  .disposition = (char *)"ATTACHMENT" },
		{ .type = (char *)"message", .subtype = (char *)"rfc822", .size = 300 },
	};
	struct imap_part whole = { .type = (char *)"multipart",
		                   .subtype = (char *)"mixed",
		                   .params = (char *)"charset=x\nBoundary=out",
		                   .children = parts,
		                   .child_count = 4 };
	struct sync_outline *o = sync_outline_new(&whole);
	struct buf out = BUF_INIT(65536);
	char *items;

	(void)state;
	assert_non_null(o);
	items = sync_outline_items(o);
	assert_string_equal(items, "(UID BODY.PEEK[HEADER] BODY.PEEK[2.MIME] BODY.PEEK[2.1.MIME]"
	                           " BODY.PEEK[2.1] BODY.PEEK[2.2.MIME] BODY.PEEK[2.2])");
	free(items);
	assert_false(sync_outline_write(o, 1, &out)); /* nothing came */
	take(o, "header", "Subject: x\r\n\r\n");
	assert_false(sync_outline_write(o, 1, &out)); /* not a part of it */
	take(o, "2.MIME", "Content-Type: multipart/alternative; boundary=in\r\n\r\n");
	take(o, "2.1.mime", "Content-Type: text/plain\r\n\r\n");
	take(o, "2.1", "hello");
	take(o, "2.1", "a second answer");
	take(o, "3", "not asked for");
	take(o, "2.1.1", "no such part");
	assert_true(sync_outline_write(o, 5000001000, &out));
	assert_string_equal(
		out.data,
		"Subject: x\r\n"
		"X-Imapfs-Partial: 1 of 5 parts are here; the message has 5000001000 bytes\r\n\r\n"
		"--out\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Disposition: attachment; filename=\"not-here.txt\"\r\n\r\n"
		"[imapfs: video/mp4, 5000000000 bytes, not here]\r\n"
		"--out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
		"--in\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
		"--in\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Disposition: attachment; filename=\"not-here.txt\"\r\n\r\n"
		"[imapfs: text/html, 200 bytes, not here]\r\n--in--\r\n"
		"--out\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Disposition: attachment; filename=\"not-here.txt\"\r\n\r\n"
		"[imapfs: text/csv, 10 bytes, not here]\r\n"
		"--out\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Disposition: attachment; filename=\"not-here.txt\"\r\n\r\n"
		"[imapfs: message/rfc822, 300 bytes, not here]\r\n--out--\r\n");
	buf_release(&out);
	sync_outline_free(&o);
	assert_null(o);
}

/* Of one long text the beginning, where its end can be marked; sizes are only what is said. */
static void test_long(void **state)
{
	struct imap_part text = LEAF("text", "plain", UINT64_MAX);
	struct sync_outline *o = sync_outline_new(&text);
	struct buf out = BUF_INIT(65536);
	char *items, *much;

	(void)state;
	assert_non_null(o);
	items = sync_outline_items(o);
	assert_string_equal(items, "(UID BODY.PEEK[HEADER] BODY.PEEK[1]<0.131072>)");
	free(items);
	much = mem_alloc(SYNC_PART_MAX + 2);
	memset(much, 'x', SYNC_PART_MAX + 1);
	take(o, "1", much); /* more than was asked for */
	take(o, "HEADER", "Subject: x\r\n\r\n");
	assert_false(sync_outline_write(o, 1, &out));
	take(o, "1", "beginning");
	assert_true(sync_outline_write(o, 1, &out));
	assert_non_null(strstr(out.data, "\r\n\r\nbeginning\r\n[imapfs: "));
	free(much);
	buf_release(&out);
	sync_outline_free(&o);
	text.encoding = (char *)"BASE64";
	assert_null(sync_outline_new(&text));
}

/* What a hostile server says of its parts neither ends a line nor goes on for ever. */
static void test_hostile(void **state)
{
	struct imap_part many[100], deep[40], odd = LEAF("te\r\nxt", "pl\nain", 1);
	struct imap_part text = LEAF("text", "plain", 1), pair[2];
	struct imap_part whole = { .type = (char *)"multipart",
		                   .params = (char *)"boundary=b",
		                   .children = many,
		                   .child_count = 100 };
	struct sync_outline *o;
	struct buf out = BUF_INIT(65536);

	(void)state;
	for (size_t i = 0; i < 100; i++)
		many[i] = text;
	assert_null(sync_outline_new(&whole));
	for (size_t i = 0; i < 40; i++)
		deep[i] = (struct imap_part){ .type = (char *)"multipart",
			                      .params = (char *)"boundary=b",
			                      .children = i < 39 ? &deep[i + 1] : &text,
			                      .child_count = 1 };
	assert_null(sync_outline_new(&deep[0]));
	assert_null(sync_outline_new(&odd));
	assert_null(sync_outline_new(&(struct imap_part){ 0 }));
	pair[0] = text;
	pair[1] = odd;
	pair[1].params = (char *)"name=a\rb\x01";
	whole = (struct imap_part){ .type = (char *)"multipart",
		                    .params = (char *)"boundary=b\rX: y",
		                    .children = pair,
		                    .child_count = 2 };
	o = sync_outline_new(&whole);
	assert_non_null(o);
	take(o, "HEADER", "");
	take(o, "1", "t");
	assert_true(sync_outline_write(o, 1, &out));
	assert_null(strstr(out.data, "\rX"));
	assert_non_null(strstr(out.data, "[imapfs: te??xt/pl?ain \"a?b?\", 1 bytes, not here]"));
	buf_release(&out);
	sync_outline_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
