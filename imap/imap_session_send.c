/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "imap_session_priv.h"
#include "log.h"
#include "mem.h"
#include "wordset.h"

#define OUT_ENOUGH_BYTES (64 << 10)          /* more is not staged ahead of the peer */
#define LITERAL_MINUS_MAX 4096               /* RFC 7888 section 5 */
#define LITERAL_PLUS_MAX (UINT64_C(1) << 20) /* above it the server shall be able to refuse */

/* How mailboxes are named behind it depends on the answer. */
static bool changes_names(const struct imap_cmd *cmd)
{
	_cleanup_free_ char *text = imap_cmd_show(cmd);

	return wordset_has(text, "IMAP4rev2") || wordset_has(text, "UTF8=ACCEPT");
}

enum imap_entry_kind imap_entry_kind_of(const struct imap_cmd *cmd)
{
	if (imap_cmd_is(cmd, "SELECT") || imap_cmd_is(cmd, "EXAMINE"))
		return IMAP_ENTRY_SELECT;
	if (imap_cmd_is(cmd, "ENABLE") && changes_names(cmd))
		return IMAP_ENTRY_ALONE;
	if (imap_cmd_is(cmd, "CLOSE") || imap_cmd_is(cmd, "UNSELECT"))
		return IMAP_ENTRY_UNSELECT;
	return IMAP_ENTRY_PLAIN;
}

struct imap_entry *imap_entry_queue(struct imap_session *s, struct imap_cmd **cmd,
                                    enum imap_entry_kind kind, imap_done_fn done, void *ctx)
{
	struct imap_entry *e = mem_alloc(sizeof(*e));

	e->cmd = mem_steal(*cmd);
	e->kind = kind;
	e->done = done;
	e->ctx = ctx;
	snprintf(e->tag, sizeof(e->tag), "A%" PRIu64, ++s->tags % UINT32_MAX);
	if (s->tail != NULL)
		s->tail->next = e;
	else
		s->head = e;
	s->tail = e;
	if (s->sending == NULL)
		s->sending = e;
	if (s->count++ == 0) {
		s->active_ms = clock_mono_ms();
		imap_session_begin_span(s);
	}
	return e;
}

void imap_entry_queue_own(struct imap_session *s, struct imap_cmd **cmd, enum imap_entry_kind kind,
                          imap_done_fn done, void *ctx)
{
	imap_entry_queue(s, cmd, kind, done, ctx)->own = true;
	s->own++;
}

int imap_entry_refuse(const struct imap_session *s, struct imap_cmd **cmd)
{
	int r = imap_cmd_error(*cmd) < 0 ? ERR_INVAL : 0;

	if (r == 0 && s->state == IMAP_STATE_CLOSED)
		r = ERR_OFFLINE;
	if (r < 0)
		imap_cmd_free(cmd);
	return r;
}

int imap_session_send(struct imap_session *s, struct imap_cmd **cmd, imap_done_fn done, void *ctx)
{
	int r = imap_entry_refuse(s, cmd);

	if (r < 0)
		return r;
	(void)imap_entry_queue(s, cmd, imap_entry_kind_of(*cmd), done, ctx);
	return 0;
}

size_t imap_session_outstanding(const struct imap_session *s)
{
	return s->count - s->own;
}

struct imap_entry *imap_entry_find(struct imap_session *s, const char *tag)
{
	for (struct imap_entry *e = s->head; e != NULL && e->started; e = e->next)
		if (strcmp(e->tag, tag) == 0)
			return e;
	return NULL;
}

static void next_to_send(struct imap_session *s)
{
	s->sending = s->sending->next;
	s->piece = 0;
	s->offset = 0;
	s->announced = false;
	s->awaits_plus = false;
}

static void unlink_entry(struct imap_session *s, struct imap_entry *e)
{
	struct imap_entry **p = &s->head, *before = NULL;

	for (; *p != e; p = &(*p)->next)
		before = *p;
	if (s->sending == e)
		next_to_send(s);
	if (s->alone == e)
		s->alone = NULL;
	*p = e->next;
	if (s->tail == e)
		s->tail = before;
	s->count--;
	s->own -= e->own;
}

static void free_entry(struct imap_entry *e)
{
	imap_cmd_free(&e->cmd);
	if (e->replied)
		imap_resp_release(&e->reply);
	free(e);
}

void imap_entry_finish(struct imap_session *s, struct imap_entry *e, int err,
                       struct imap_resp *resp)
{
	struct imap_result res = { .err = err, .answered = resp != NULL, .resp = resp };
	bool nested = s->in_callback;

	res.unsent = resp == NULL && (!e->started || e->start >= s->traffic.sent_bytes);
	unlink_entry(s, e);
	imap_session_begin_span(s);
	s->in_callback = true;
	if (e->done != NULL)
		e->done(e->ctx, &res);
	s->in_callback = nested;
	if (e->keep != NULL && resp != NULL) {
		*e->keep = *resp;
		*resp = (struct imap_resp){ 0 };
	}
	free_entry(e);
}

void imap_entry_finish_all(struct imap_session *s, int err)
{
	while (s->head != NULL) {
		struct imap_entry *e = s->head;

		if (e->replied)
			imap_entry_finish(s, e, imap_err_from_resp(&e->reply, ERR_REFUSED),
			                  &e->reply);
		else
			imap_entry_finish(s, e, err, NULL);
	}
}

bool imap_entry_abandon(struct imap_session *s, struct imap_entry *e)
{
	e->done = NULL;
	e->keep = NULL;
	e->sasl = NULL;
	if (!e->started) {
		unlink_entry(s, e);
		free_entry(e);
		return true;
	}
	for (size_t i = s->piece; s->sending == e && i < imap_cmd_piece_count(e->cmd); i++)
		if (imap_cmd_piece(e->cmd, i)->read != NULL)
			return false;
	return true;
}

void imap_session_plus(struct imap_session *s)
{
	s->awaits_plus = false;
}

void imap_session_early_reply(struct imap_session *s, struct imap_entry *e, struct imap_resp *resp)
{
	if (s->sending == e && s->awaits_plus) {
		/* RFC 3501 section 7: instead of asking for the literal, it ended the command */
		imap_entry_finish(s, e, imap_err_from_resp(resp, ERR_REFUSED), resp);
		return;
	}
	/* the server still counts on the bytes that were announced */
	e->reply = *resp;
	e->replied = true;
	*resp = (struct imap_resp){ 0 };
}

static bool waits_for_plus(const struct imap_session *s, uint64_t length)
{
	if (imap_session_has(s, "LITERAL+"))
		return length > LITERAL_PLUS_MAX;
	if (imap_session_has(s, "LITERAL-"))
		return length > LITERAL_MINUS_MAX;
	return true;
}

static int announce(struct imap_session *s, const struct imap_piece *p)
{
	s->announced = true;
	s->awaits_plus = waits_for_plus(s, p->length);
	return buf_printf(&s->out, "%s{%" PRIu64 "%s}\r\n", p->binary ? "~" : "", p->length,
	                  s->awaits_plus ? "" : "+");
}

/* A part of a literal that its owner gives while it is being sent. */
static int stage_read(struct imap_session *s, const struct imap_piece *p)
{
	uint64_t left = p->length - s->offset;
	size_t want = left < OUT_ENOUGH_BYTES ? (size_t)left : OUT_ENOUGH_BYTES;
	char *dst = buf_reserve(&s->out, want);
	int64_t n = dst != NULL ? p->read(p->ctx, s->offset, dst, want) : ERR_LIMIT;

	if (n <= 0 || (uint64_t)n > want)
		return n < 0 ? (int)n : ERR_IO;
	s->out.len += (size_t)n;
	s->offset += (uint64_t)n;
	return 0;
}

static int stage_literal(struct imap_session *s, const struct imap_piece *p)
{
	int r = 0;

	if (!s->announced)
		return announce(s, p);
	if (p->read != NULL && s->offset < p->length)
		r = stage_read(s, p);
	else if (p->read == NULL)
		r = buf_append(&s->out, p->bytes.data, p->bytes.len);
	if (r < 0 || (p->read != NULL && s->offset < p->length))
		return r;
	s->piece++;
	s->offset = 0;
	s->announced = false;
	return 0;
}

static int begin(struct imap_session *s, struct imap_entry *e)
{
	if (imap_session_names_utf8(s))
		imap_cmd_names_utf8(e->cmd);
	if (log_enabled(LOG_LEVEL_DEBUG)) {
		_cleanup_free_ char *text = imap_cmd_show(e->cmd);

		log_debug("imap: > %s %s", e->tag, text);
	}
	e->started = true;
	e->start = s->traffic.sent_bytes + (s->out.len - s->out_pos);
	s->traffic.commands++;
	return buf_printf(&s->out, "%s ", e->tag);
}

static int end_command(struct imap_session *s, struct imap_entry *e)
{
	int r = buf_puts(&s->out, "\r\n");

	if (e->kind >= IMAP_ENTRY_ALONE)
		s->alone = e;
	next_to_send(s);
	if (r == 0 && e->replied)
		imap_entry_finish(s, e, imap_err_from_resp(&e->reply, ERR_REFUSED), &e->reply);
	return r;
}

/* The next piece of the command in hand. */
static int stage_piece(struct imap_session *s)
{
	struct imap_entry *e = s->sending;
	const struct imap_piece *p = imap_cmd_piece(e->cmd, s->piece);

	if (!e->started)
		return begin(s, e);
	if (p == NULL)
		return end_command(s, e);
	if (p->kind == IMAP_PIECE_SECRET || p->secret)
		s->out_secret = true;
	if (p->kind == IMAP_PIECE_LITERAL)
		return stage_literal(s, p);
	s->piece++;
	return buf_append(&s->out, p->bytes.data, p->bytes.len);
}

/* A command that has the connection for itself starts when all before it have ended. */
static bool may_stage(const struct imap_session *s)
{
	const struct imap_entry *e = s->sending;

	return e != NULL && s->alone == NULL && !s->awaits_plus &&
	       s->out.len - s->out_pos < OUT_ENOUGH_BYTES &&
	       (e->started || e->kind < IMAP_ENTRY_ALONE || e == s->head);
}

static int stage(struct imap_session *s)
{
	while (may_stage(s)) {
		int r = stage_piece(s);

		if (r < 0)
			return imap_session_fail(s, r, "a command's data could not be read");
	}
	return 0;
}

/* Gives the room of what has been sent back, moving no more than was sent. */
static void tidy(struct imap_session *s)
{
	if (s->out_pos == s->out.len) {
		if (s->out_secret)
			mem_wipe(s->out.data, s->out.len);
		s->out_secret = false;
		buf_clear(&s->out);
		s->out_pos = 0;
	} else if (s->out_pos >= s->out.len - s->out_pos) {
		buf_consume(&s->out, s->out_pos);
		s->out_pos = 0;
	}
}

bool imap_session_has_output(const struct imap_session *s)
{
	return s->out.len > s->out_pos;
}

int imap_session_write(struct imap_session *s)
{
	int64_t n;
	int r = stage(s);

	if (r < 0)
		return r;
	if (!imap_session_has_output(s))
		return 0;
	n = imap_conn_write(s->conn, s->out.data + s->out_pos, s->out.len - s->out_pos);
	if (n == 0)
		return 0;
	if (n < 0)
		return imap_session_fail(s, (int)n, "%s", imap_conn_problem(s->conn));
	if (s->input_since_send)
		s->traffic.turnarounds++;
	s->input_since_send = false;
	s->traffic.sent_bytes += (uint64_t)n;
	s->out_pos += (size_t)n;
	s->active_ms = clock_mono_ms();
	tidy(s);
	return 1;
}
