/* SPDX-License-Identifier: MIT */
#include "sync_evidence_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "mem.h"

enum {
	EVIDENCE_MAX = 64 * 1024,
	CHUNK_BYTES = 64 * 1024,
};

char *sync_evidence_format(const struct sync_evidence *e)
{
	struct buf b = BUF_INIT(EVIDENCE_MAX);

	(void)buf_printf(&b,
	                 "validity=%" PRIu32 " uidnext=%" PRIu32 " size=%" PRIu64 " date=%" PRId64
	                 " found=%" PRIu32,
	                 e->uidvalidity, e->uidnext, e->size, e->date, e->found);
	if (e->digest[0])
		(void)buf_printf(&b, " digest=%s", e->digest);
	if (e->foreign)
		(void)buf_printf(&b, " foreign=%s", e->foreign);
	if (e->message_id) /* last: it may hold blanks */
		(void)buf_printf(&b, " id=%s", e->message_id);
	return buf_detach(&b);
}

static void parse_word(const char *word, size_t len, struct sync_evidence *e)
{
	if (strncmp(word, "validity=", 9) == 0)
		e->uidvalidity = (uint32_t)strtoul(word + 9, NULL, 10);
	else if (strncmp(word, "uidnext=", 8) == 0)
		e->uidnext = (uint32_t)strtoul(word + 8, NULL, 10);
	else if (strncmp(word, "size=", 5) == 0)
		e->size = strtoull(word + 5, NULL, 10);
	else if (strncmp(word, "date=", 5) == 0)
		e->date = strtoll(word + 5, NULL, 10);
	else if (strncmp(word, "found=", 6) == 0)
		e->found = (uint32_t)strtoul(word + 6, NULL, 10);
	else if (strncmp(word, "digest=", 7) == 0 && len - 7 < sizeof(e->digest))
		(void)snprintf(e->digest, sizeof(e->digest), "%.*s", (int)(len - 7), word + 7);
	else if (strncmp(word, "foreign=", 8) == 0 && !e->foreign)
		e->foreign = mem_strndup(word + 8, len - 8);
}

void sync_evidence_parse(const char *text, struct sync_evidence *out)
{
	*out = (struct sync_evidence){ 0 };
	for (const char *p = text ? text : ""; *p;) {
		size_t len = strcspn(p, " ");

		if (strncmp(p, "id=", 3) == 0) {
			out->message_id = mem_strdup(p + 3);
			return;
		}
		parse_word(p, len, out);
		p += len;
		p += strspn(p, " ");
	}
}

void sync_evidence_release(struct sync_evidence *e)
{
	free(e->message_id);
	free(e->foreign);
	e->message_id = e->foreign = NULL;
}

/* ---- Digest ---- */

/* Feeds `data` with every CR before LF left out; line ends are held back until something follows. */
struct normal {
	struct imap_digest *digest;
	uint64_t newlines; /* held back */
	bool cr;           /* a CR was seen and may belong to a line end */
};

static void normal_flush(struct normal *n)
{
	for (; n->newlines > 0; n->newlines--)
		imap_digest_add(n->digest, "\n", 1);
	if (n->cr)
		imap_digest_add(n->digest, "\r", 1);
	n->cr = false;
}

static void normal_add(struct normal *n, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		size_t plain = 0;

		while (p + plain < end && p[plain] != '\r' && p[plain] != '\n')
			plain++;
		if (plain > 0) {
			normal_flush(n);
			imap_digest_add(n->digest, p, plain);
			p += plain;
			continue;
		}
		if (*p == '\n') {
			n->cr = false;
			n->newlines++;
		} else {
			if (n->cr)
				normal_flush(n);
			n->cr = true;
		}
		p++;
	}
}

int sync_evidence_digest(imap_literal_fn read, void *ctx, uint64_t len, char out[IMAP_DIGEST_MAX])
{
	_cleanup_free_ char *chunk = mem_alloc(CHUNK_BYTES);
	struct normal n = { .digest = imap_digest_new() };
	int64_t got = 0;

	for (uint64_t at = 0; at < len; at += (uint64_t)got) {
		got = read(ctx, at, chunk, CHUNK_BYTES);
		if (got <= 0)
			break;
		normal_add(&n, chunk, (size_t)got);
	}
	imap_digest_finish(&n.digest, out);
	return got < 0 || (len > 0 && got == 0) ? ERR_IO : 0;
}

void sync_evidence_digest_mem(const void *data, size_t len, char out[IMAP_DIGEST_MAX])
{
	struct normal n = { .digest = imap_digest_new() };

	normal_add(&n, data, len);
	imap_digest_finish(&n.digest, out);
}

/* ---- The target before ---- */

struct status_seen {
	bool came;
	struct sync_target target;
};

static void status_data(void *ctx, const struct imap_resp *r)
{
	struct status_seen *seen = ctx;

	if (r->kind != IMAP_RESP_STATUS || !r->status.has_uidvalidity)
		return;
	seen->came = true;
	seen->target.uidvalidity = r->status.uidvalidity;
	seen->target.uidnext = r->status.has_uidnext ? r->status.uidnext : 0;
	if (r->status.has_appendlimit) {
		seen->target.has_limit = true;
		seen->target.limit = r->status.appendlimit;
	}
}

int sync_ask(struct sync_link *l, struct imap_cmd **cmd,
             void (*data)(void *ctx, const struct imap_resp *r), void *ctx,
             struct sync_reply *reply)
{
	void (*old_data)(void *, const struct imap_resp *) = l->data;
	void *old_ctx = l->ctx;
	int r;

	l->data = data;
	l->ctx = ctx;
	r = sync_link_exec(l, cmd, NULL, reply);
	l->data = old_data;
	l->ctx = old_ctx;
	return r;
}

int sync_target_status(struct sync_link *l, const char *wire_name, struct sync_target *out,
                       struct sync_reply *reply)
{
	struct imap_cmd *cmd = imap_cmd_new("STATUS");
	struct status_seen seen = { 0 };
	bool one_each = sync_link_has(l, "APPENDLIMIT");
	int r;

	seen.target.has_limit = l->session &&
	                        imap_session_number(l->session, "APPENDLIMIT", &seen.target.limit);
	imap_cmd_mailbox(cmd, wire_name);
	imap_cmd_rawf(cmd, "(UIDVALIDITY UIDNEXT%s)", one_each ? " APPENDLIMIT" : "");
	r = sync_ask(l, &cmd, status_data, &seen, reply);
	if (r == 0 && !seen.came)
		r = ERR_REFUSED;
	if (r == 0)
		*out = seen.target;
	return r;
}

/* ---- The target after ---- */

struct gather {
	struct sync_candidates *out;
	uint32_t first_uid;
};

char *sync_header_message_id(const char *data, size_t len)
{
	const char *colon = memchr(data, ':', len);
	const char *p, *end = data + len, *open, *close;

	if (!colon)
		return NULL;
	for (p = colon + 1; p < end && strchr(" \t\r\n", *p); p++)
		;
	while (end > p && strchr(" \t\r\n", end[-1]))
		end--;
	open = memchr(p, '<', (size_t)(end - p));
	close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;
	if (close) { /* without the comments around it */
		p = open;
		end = close + 1;
	}
	return end > p ? mem_strndup(p, (size_t)(end - p)) : NULL;
}

static const struct imap_body *find_body(const struct imap_fetch *f)
{
	for (size_t i = 0; i < f->body_count; i++)
		if (!f->bodies[i].nil && !f->bodies[i].truncated)
			return &f->bodies[i];
	return NULL;
}

static struct sync_candidate *candidate_of(struct sync_candidates *c, uint32_t uid)
{
	for (size_t i = c->count; i > 0; i--)
		if (c->items[i - 1].uid == uid)
			return &c->items[i - 1];
	if (c->count == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->items = mem_realloc(c->items, c->cap, sizeof(*c->items));
	}
	c->items[c->count] = (struct sync_candidate){ .uid = uid };
	return &c->items[c->count++];
}

static void gather_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct gather *g = ctx;
	const struct imap_body *body;
	struct sync_candidate *c;
	uint32_t uid;

	if (r->kind != IMAP_RESP_FETCH)
		return;
	uid = sync_box_uid(box, r);
	body = find_body(r->fetch);
	if (uid < g->first_uid || uid == 0 || !r->fetch->has_size)
		return; /* n:* names the last message also when it is older */
	c = candidate_of(g->out, uid);
	c->size = r->fetch->size;
	c->date = r->fetch->date;
	if (body && !c->message_id)
		c->message_id = sync_header_message_id(body->data, body->len);
}

int sync_candidates_fetch(struct sync_link *l, struct sync_box *box, uint32_t first_uid,
                          struct sync_candidates *out)
{
	struct gather g = { out, first_uid ? first_uid : 1 };
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
	int r;

	imap_cmd_rawf(cmd, "%" PRIu32 ":*", g.first_uid);
	imap_cmd_raw(cmd, "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])");
	box->data = gather_data;
	box->ctx = &g;
	r = sync_link_exec(l, &cmd, box, NULL);
	box->data = NULL;
	return r;
}

void sync_candidates_release(struct sync_candidates *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].message_id);
	free(c->items);
	*c = (struct sync_candidates){ 0 };
}

struct body_seen {
	uint32_t uid;
	bool came;
	char digest[IMAP_DIGEST_MAX];
};

static void body_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct body_seen *seen = ctx;
	const struct imap_body *body;

	if (r->kind != IMAP_RESP_FETCH || sync_box_uid(box, r) != seen->uid)
		return;
	body = find_body(r->fetch);
	if (!body)
		return;
	sync_evidence_digest_mem(body->data, body->len, seen->digest);
	seen->came = true;
}

/* 1: its bytes are those of the evidence. */
static int same_body(struct sync_link *l, struct sync_box *box, uint32_t uid,
                     const struct sync_evidence *e)
{
	struct body_seen seen = { .uid = uid };
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
	int r;

	imap_cmd_rawf(cmd, "%" PRIu32, uid);
	imap_cmd_raw(cmd, "(UID BODY.PEEK[])");
	box->data = body_data;
	box->ctx = &seen;
	r = sync_link_exec(l, &cmd, box, NULL);
	box->data = NULL;
	if (r < 0)
		return r;
	return seen.came && strcmp(seen.digest, e->digest) == 0;
}

/* Servers add a last line end or turn bare LF into CRLF: bytes may differ by little. */
static bool size_alike(uint64_t a, uint64_t b)
{
	return a == b || (a < b ? b - a : a - b) <= 2;
}

static bool alike(const struct sync_candidate *c, const struct sync_evidence *e)
{
	if (c->taken || !size_alike(c->size, e->size))
		return false;
	if (e->message_id && c->message_id)
		return strcmp(e->message_id, c->message_id) == 0;
	return !e->message_id || e->digest[0];
}

/* Without a look at its bytes.  Only of messages that were not there before: an older version may
 * be the same in all but its bytes.  Servers may give a copy another date. */
static bool certain(const struct sync_candidate *c, const struct sync_evidence *e, bool newer)
{
	bool same = c->date == e->date && c->size == e->size;
	bool named = e->message_id && c->message_id;

	if (e->digest[0])
		return newer && same && named;
	return named ? newer || same : newer && same;
}

int sync_candidates_match(struct sync_link *l, struct sync_box *box, struct sync_candidates *c,
                          const struct sync_evidence *e, uint32_t *uid)
{
	bool newer = e->uidnext != 0 && e->uidvalidity == box->uidvalidity;

	for (size_t i = 0; i < c->count; i++) {
		int r = 1;

		if (!alike(&c->items[i], e))
			continue;
		if (!certain(&c->items[i], e, newer))
			r = e->digest[0] ? same_body(l, box, c->items[i].uid, e) : 0;
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		c->items[i].taken = true;
		*uid = c->items[i].uid;
		return 1;
	}
	return 0;
}
