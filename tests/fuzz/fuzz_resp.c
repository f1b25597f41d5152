/* SPDX-License-Identifier: MIT */
/*
 * Framer and parser.  The first byte says in pieces of which size the rest arrives and
 * which ceilings hold.  Arriving in pieces must give the responses that arriving at once
 * gives, and no more may be held than the ceilings allow.
 */
#include "buf.h"
#include "fuzz.h"
#include "imap_resp.h"

/* What a stream gave: how many responses, a sum over their kinds and lengths, how it ended. */
struct outcome {
	size_t responses;
	uint64_t sum;
	int end;
};

static void walk_set(const struct imap_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		must(set->ranges[i].first > 0 && set->ranges[i].first <= set->ranges[i].last);
	if (set->count > 0)
		must(imap_set_has(set, imap_set_nth(set, 0)));
}

static size_t walk_part(const struct imap_part *part)
{
	size_t n = part->type != NULL ? strlen(part->type) : 0;

	for (size_t i = 0; i < part->child_count; i++)
		n += walk_part(&part->children[i]);
	return n;
}

/* Touches what a reader of the response would. */
static void walk(const struct imap_resp *r)
{
	walk_set(&r->code_set);
	walk_set(&r->code_set2);
	walk_set(&r->vanished.uids);
	if (r->kind == IMAP_RESP_TAGGED || r->kind == IMAP_RESP_COND || r->kind == IMAP_RESP_CONT)
		must(r->text != NULL);
	if (r->kind == IMAP_RESP_TAGGED)
		must(r->tag != NULL);
	if (r->kind == IMAP_RESP_LIST)
		must(r->list.name[r->list.name_len] == '\0' && r->list.attributes != NULL);
	if (r->kind == IMAP_RESP_STATUS)
		must(r->status.name[r->status.name_len] == '\0');
	if (r->kind != IMAP_RESP_FETCH)
		return;
	must(r->number > 0);
	for (size_t i = 0; i < r->fetch->body_count; i++)
		must(r->fetch->bodies[i].data[r->fetch->bodies[i].len] == '\0');
	if (r->fetch->has_structure)
		(void)walk_part(r->fetch->structure);
	must(r->fetch->has_envelope == (r->fetch->envelope != NULL));
}

/* Parses from a block of exactly the response's size. */
static void parse(const char *text, size_t len, const struct imap_limits *lim, struct outcome *out)
{
	struct imap_resp r = { 0 };
	char *block = malloc(len);
	int e;

	memcpy(block, text, len);
	e = imap_resp_parse(block, len, lim, &r);
	free(block);
	must(e <= 0);
	out->responses++;
	out->sum = out->sum * 31 + len * 7 + (e == 0 ? (uint64_t)r.kind : 99);
	if (e == 0) {
		walk(&r);
		imap_resp_release(&r);
	}
}

/* Takes off `in` what can be; false: the stream has ended by an error. */
static bool drain(struct buf *in, struct imap_framer *f, const struct imap_limits *lim,
                  struct outcome *out)
{
	for (;;) {
		size_t len = 0;
		int r;

		in->len = imap_framer_drop(f, in->data, in->len);
		r = imap_framer_scan(f, in->data, in->len, &len);
		if (r < 0) {
			out->end = r;
			return false;
		}
		if (r == 0 && (f->skip == 0 || in->len == f->scanned))
			return true;
		if (r == 0)
			continue;
		must(len > 0 && len <= in->len && in->data[len - 1] == '\n');
		must(len <= lim->line_bytes + lim->response_bytes);
		parse(in->data, len, lim, out);
		buf_consume(in, len);
	}
}

static struct outcome run(const uint8_t *data, size_t size, size_t piece,
                          const struct imap_limits *lim)
{
	struct buf in = BUF_INIT(lim->line_bytes + lim->response_bytes + piece + 1);
	struct outcome out = { 0 };
	struct imap_framer f;
	bool on = true;

	imap_framer_init(&f, lim);
	for (size_t at = 0; on && at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		must(buf_append(&in, data + at, n) == 0);
		on = drain(&in, &f, lim, &out);
	}
	buf_release(&in);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_limits lim = imap_limits_default;
	struct outcome whole, pieces;

	if (size < 1)
		return 0;
	if ((data[0] & 0x80) != 0)
		lim = (struct imap_limits){ .line_bytes = 200,
			                    .literal_bytes = 30,
			                    .response_bytes = 50,
			                    .depth = 4,
			                    .items = 20 };
	whole = run(data + 1, size - 1, size, &lim);
	pieces = run(data + 1, size - 1, 1 + (data[0] & 0x7f), &lim);
	must(whole.responses == pieces.responses && whole.sum == pieces.sum);
	must(whole.end == pieces.end);
	return 0;
}
