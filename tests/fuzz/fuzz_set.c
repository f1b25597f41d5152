/* SPDX-License-Identifier: MIT */
/*
 * Sequence sets and dates.  A set that was understood has its members within bounds, and each is
 * found by place and by value; numbers that we put into a command are read back as they were.
 */
#include <stdio.h>

#include "buf.h"
#include "fuzz.h"
#include "imap_cmd_priv.h"
#include "imap_resp.h"
#include "imap_text.h"
#include "mem.h"

static void check_set(const struct imap_set *set)
{
	uint64_t size = imap_set_size(set, 1000000), full = 0;

	for (size_t i = 0; i < set->count; i++) {
		must(set->ranges[i].first > 0 && set->ranges[i].first <= set->ranges[i].last);
		full += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	}
	must(size == (full > 1000000 ? 1000001 : full));
	for (uint64_t i = 0; i < full; i += full / 50 + 1)
		must(imap_set_has(set, imap_set_nth(set, i)));
	must(imap_set_nth(set, full) == 0 && !imap_set_has(set, 0));
}

static void check_response(const char *head, const char *s, size_t len, const char *tail)
{
	struct buf text = BUF_INIT(1 << 20);
	struct imap_resp r = { 0 };
	char *block;

	must(buf_puts(&text, head) == 0 && buf_append(&text, s, len) == 0 &&
	     buf_puts(&text, tail) == 0);
	block = fuzz_string((const uint8_t *)text.data, text.len);
	if (imap_resp_parse(block, text.len, &imap_limits_default, &r) == 0) {
		check_set(&r.code_set);
		check_set(&r.code_set2);
		check_set(&r.vanished.uids);
		must(r.search.count == 0 || r.search.numbers != NULL);
		imap_resp_release(&r);
	}
	free(block);
	buf_release(&text);
}

/* The UIDs, ascending, as a command's set, and back. */
static void check_command(const uint32_t *uids, size_t count)
{
	struct imap_cmd *cmd = imap_cmd_new("X");
	struct buf text = BUF_INIT(1 << 20);
	struct imap_resp r = { 0 };
	const struct imap_piece *p;

	imap_cmd_uids(cmd, uids, count);
	must(imap_cmd_error(cmd) == 0);
	p = imap_cmd_piece(cmd, 0);
	must(buf_printf(&text, "* VANISHED%.*s\r\n", (int)p->bytes.len - 1, p->bytes.data + 1) ==
	     0);
	must(imap_resp_parse(text.data, text.len, &imap_limits_default, &r) == 0);
	must(imap_set_size(&r.vanished.uids, count) == count);
	for (size_t i = 0; i < count; i++)
		must(imap_set_nth(&r.vanished.uids, i) == uids[i]);
	imap_resp_release(&r);
	buf_release(&text);
	imap_cmd_free(&cmd);
}

static void check_numbers(const uint8_t *data, size_t size)
{
	uint32_t uids[64], last = 0;
	size_t count = 0;

	for (size_t i = 0; i + 1 < size && count < 64; i += 2) {
		uint32_t step = data[i] < 0x80 ? data[i]
		                               : (uint32_t)data[i + 1] << (data[i] & 0x1f);

		if (step == 0 || step > UINT32_MAX - last)
			continue;
		last += step;
		uids[count++] = last;
	}
	if (count > 0)
		check_command(uids, count);
}

static void check_date(const char *s, size_t len)
{
	char text[IMAP_DATE_MAX];
	int64_t seconds = 0, again = 0;
	int zone = 0, zone_again = 0;

	if (imap_date_parse(s, len, &seconds, &zone) < 0)
		return;
	imap_date_format(text, seconds, zone);
	must(imap_date_parse(text, strlen(text), &again, &zone_again) == 0);
	must(again == seconds && zone_again == zone);
	imap_day_format(text, seconds, zone);
	must(strlen(text) >= 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = fuzz_string(data, size);

	check_response("* VANISHED ", s, size, "\r\n");
	check_response("A1 OK [COPYUID 5 ", s, size, "] x\r\n");
	check_response("A1 OK [APPENDUID ", s, size, "] x\r\n");
	check_response("* ESEARCH (TAG \"A\") UID ALL ", s, size, "\r\n");
	check_response("* SEARCH ", s, size, "\r\n");
	check_numbers(data, size);
	check_date(s, size);
	free(s);
	return 0;
}
