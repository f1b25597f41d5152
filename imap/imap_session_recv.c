/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "clock.h"
#include "imap_session_priv.h"
#include "log.h"
#include "mem.h"
#include "wordset.h"

#define READ_BYTES (256 << 10)
#define STRAYS_MAX 1000
#define SAID_MAX (8 << 20)          /* responses between two tagged replies */
#define IDLE_MEMORY_BYTES (4 << 20) /* a buffer that has grown over it is given back */

/* From here on what the server says untagged is about the mailbox that `e` selects. */
static void start_selecting(struct imap_session *s, struct imap_entry *e)
{
	e->selecting = true;
	if (s->state == IMAP_STATE_SELECTED)
		imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	imap_session_set_mailbox(s, imap_cmd_mailbox_name(e->cmd));
}

/* RFC 7162 section 3.2.11: what follows belongs to the next mailbox. */
static void on_closed(struct imap_session *s)
{
	s->expects_closed = true;
	for (struct imap_entry *e = s->head; e != NULL && e->started; e = e->next) {
		if (e->kind != IMAP_ENTRY_SELECT)
			continue;
		if (!e->selecting)
			start_selecting(s, e);
		return;
	}
	if (s->state == IMAP_STATE_SELECTED)
		imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	imap_session_set_mailbox(s, NULL);
}

/* Where no [CLOSED] is to come, a SELECT that is next in turn is what the server is at. */
static void watch_select(struct imap_session *s)
{
	struct imap_entry *e = s->head;

	if (e == NULL || e->kind != IMAP_ENTRY_SELECT || !e->started || e->selecting)
		return;
	if (s->state != IMAP_STATE_SELECTED || !s->expects_closed)
		start_selecting(s, e);
}

static void on_select_reply(struct imap_session *s, const struct imap_entry *e, enum imap_cond cond)
{
	if (cond == IMAP_COND_OK) {
		imap_session_set_mailbox(s, imap_cmd_mailbox_name(e->cmd));
		imap_session_set_state(s, IMAP_STATE_SELECTED);
	} else if (e->selecting || cond == IMAP_COND_NO) {
		imap_session_set_mailbox(s, NULL);
		imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	}
}

static void on_reply_state(struct imap_session *s, const struct imap_entry *e, enum imap_cond cond)
{
	if (e->kind == IMAP_ENTRY_SELECT) {
		on_select_reply(s, e, cond);
	} else if (e->kind == IMAP_ENTRY_UNSELECT && cond == IMAP_COND_OK) {
		imap_session_set_mailbox(s, NULL);
		imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	} else if (e->kind == IMAP_ENTRY_IDLE && s->state == IMAP_STATE_IDLE) {
		imap_session_set_state(s, s->mailbox != NULL ? IMAP_STATE_SELECTED
		                                             : IMAP_STATE_AUTHENTICATED);
	} else if (e->kind == IMAP_ENTRY_STARTTLS && cond == IMAP_COND_OK) {
		s->drop_rest = true;
	}
}

/* A few are borne: some servers answer twice, or add an empty line. */
static void note_stray(struct imap_session *s)
{
	if (++s->strays > STRAYS_MAX)
		(void)imap_session_fail(s, ERR_PROTO, "replies to commands that were not sent");
}

static void on_tagged(struct imap_session *s, struct imap_resp *resp)
{
	struct imap_entry *e = imap_entry_find(s, resp->tag);

	log_debug("imap: < %s %s %s", resp->tag, resp->cond == IMAP_COND_OK ? "OK" : "NO/BAD",
	          resp->text);
	if (e == NULL || e->replied) {
		log_debug("imap: reply to no command (tag %s) ignored", resp->tag);
		note_stray(s);
		return;
	}
	on_reply_state(s, e, resp->cond);
	if (s->sending == e)
		imap_session_early_reply(s, e, resp);
	else
		imap_entry_finish(s, e, imap_err_from_resp(resp, ERR_REFUSED), resp);
}

/* The next line of an authentication, or the word that breaks it off. */
static void answer_auth(struct imap_session *s, struct imap_entry *e, const char *challenge)
{
	struct buf line = BUF_INIT(2 * IMAP_SASL_LINE_MAX);

	if (e->sasl == NULL || imap_sasl_answer(e->sasl, challenge, &line) < 0) {
		buf_puts(&s->out, "*\r\n");
	} else {
		s->out_secret = true;
		buf_append(&s->out, line.data, line.len);
		buf_puts(&s->out, "\r\n");
	}
	imap_sasl_wipe(&line);
}

static void on_plus(struct imap_session *s, const char *text)
{
	if (s->awaits_plus)
		imap_session_plus(s);
	else if (s->alone != NULL && s->alone->kind == IMAP_ENTRY_AUTH)
		answer_auth(s, s->alone, text);
	else if (s->alone != NULL && s->alone->kind == IMAP_ENTRY_IDLE &&
	         s->state != IMAP_STATE_IDLE)
		imap_session_set_state(s, IMAP_STATE_IDLE);
}

static void on_greeting(struct imap_session *s, const struct imap_resp *resp)
{
	if (resp->kind != IMAP_RESP_COND || resp->cond == IMAP_COND_NO ||
	    resp->cond == IMAP_COND_BAD)
		(void)imap_session_fail(s, ERR_PROTO, "this is no IMAP server's greeting");
	else if (resp->cond == IMAP_COND_PREAUTH)
		imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	else if (resp->cond == IMAP_COND_OK)
		imap_session_set_state(s, IMAP_STATE_NOT_AUTHENTICATED);
}

static void tell_handler(struct imap_session *s, const struct imap_resp *resp)
{
	bool nested = s->in_callback;

	/* "OK still here" is no news */
	if (resp->kind != IMAP_RESP_COND || resp->code != IMAP_CODE_NONE)
		s->data_seen = true;
	s->in_callback = true;
	if (s->handler.data != NULL)
		s->handler.data(s->handler.ctx, resp);
	s->in_callback = nested;
}

static void note_enabled(struct imap_session *s, const struct imap_resp *resp)
{
	if (wordset_has(resp->caps, "QRESYNC"))
		s->expects_closed = true;
	if (wordset_has(resp->caps, "IMAP4rev2"))
		s->rev2 = true;
	if (wordset_has(resp->caps, "UTF8=ACCEPT"))
		s->utf8 = true;
}

static void on_bye(struct imap_session *s, const struct imap_resp *resp)
{
	int err = imap_err_from_resp(resp, ERR_BUSY);

	(void)imap_session_fail(s, err_is_final(err) ? ERR_BUSY : err,
	                        "server ended the session: %s", resp->text);
}

static void on_untagged(struct imap_session *s, struct imap_resp *resp)
{
	if (s->state == IMAP_STATE_GREETING)
		on_greeting(s, resp);
	if (s->state == IMAP_STATE_CLOSED)
		return;
	if (resp->kind == IMAP_RESP_ENABLED)
		note_enabled(s, resp);
	if (resp->kind == IMAP_RESP_COND && resp->code == IMAP_CODE_CLOSED)
		on_closed(s);
	else
		watch_select(s);
	if (imap_session_names_utf8(s))
		imap_resp_names_utf7(resp);
	tell_handler(s, resp);
	if (resp->kind == IMAP_RESP_COND && resp->cond == IMAP_COND_BYE && !s->leaving)
		on_bye(s, resp);
}

static void dispatch(struct imap_session *s, struct imap_resp *resp)
{
	if (resp->kind == IMAP_RESP_SEARCH)
		s->found += resp->search.count;
	if (s->said++ > SAID_MAX || s->found > s->limits.items) {
		(void)imap_session_fail(s, ERR_LIMIT, "server says too much and answers nothing");
		return;
	}
	if (resp->caps != NULL &&
	    (resp->kind == IMAP_RESP_CAPABILITY || resp->code == IMAP_CODE_CAPABILITY))
		imap_session_set_caps(s, resp->caps);
	if (resp->kind == IMAP_RESP_CONT && s->state != IMAP_STATE_GREETING)
		on_plus(s, resp->text);
	else if (resp->kind == IMAP_RESP_TAGGED && s->state != IMAP_STATE_GREETING)
		on_tagged(s, resp);
	else
		on_untagged(s, resp);
}

void imap_session_drop_input(struct imap_session *s)
{
	buf_clear(&s->in);
	s->in_pos = 0;
	imap_framer_init(&s->framer, &s->limits);
	s->drop_rest = false;
}

/* Drops what the framer skips; then finds the first whole response, as it does. */
static int next_response(struct imap_session *s, size_t *len)
{
	for (;;) {
		char *data = s->in.data + s->in_pos;
		size_t have = s->in.len - s->in_pos;
		int r = imap_framer_scan(&s->framer, data, have, len);

		if (r != 0 || s->framer.skip == 0 || have == s->framer.scanned)
			return r;
		s->in.len = s->in_pos + imap_framer_drop(&s->framer, data, have);
	}
}

static int handle_one(struct imap_session *s, size_t len)
{
	struct imap_resp resp = { 0 };
	int r = imap_resp_parse(s->in.data + s->in_pos, len, &s->limits, &resp);

	s->in_pos += len;
	if (r < 0)
		return imap_session_fail(s, r,
		                         r == ERR_LIMIT ? "a reply is over a limit"
		                                        : "a reply cannot be understood");
	dispatch(s, &resp);
	imap_resp_release(&resp);
	return s->error;
}

static int handle_input(struct imap_session *s)
{
	size_t len = 0;
	int r;

	while ((r = next_response(s, &len)) > 0) {
		r = handle_one(s, len);
		if (r < 0)
			return r;
		if (s->drop_rest) {
			imap_session_drop_input(s);
			return 0;
		}
		if (s->compress_rest)
			return imap_session_start_compress(s);
	}
	if (r < 0)
		return imap_session_fail(s, r,
		                         r == ERR_LIMIT ? "a reply is over a limit"
		                                        : "a reply cannot be understood");
	return 0;
}

/* Makes room behind what is not consumed, moving no more than was consumed. */
static char *make_room(struct imap_session *s)
{
	if (s->in_pos == s->in.len) {
		buf_clear(&s->in);
		s->in_pos = 0;
		if (s->in.cap > IDLE_MEMORY_BYTES)
			buf_release(&s->in);
	} else if (s->in_pos >= s->in.len - s->in_pos) {
		buf_consume(&s->in, s->in_pos);
		s->in_pos = 0;
	}
	return buf_reserve(&s->in, READ_BYTES);
}

int imap_session_read(struct imap_session *s)
{
	int r = s->compress_rest ? imap_session_start_compress(s) : 0;
	char *dst = r == 0 ? make_room(s) : NULL;
	int64_t n;

	if (r < 0)
		return r;
	if (dst == NULL)
		return imap_session_fail(s, ERR_LIMIT, "a reply is over a limit");
	n = imap_conn_read(s->conn, dst, READ_BYTES);
	if (n == 0)
		return 0;
	if (n < 0)
		return imap_session_fail(s, (int)n, "%s", imap_conn_problem(s->conn));
	s->in.len += (size_t)n;
	s->traffic.received_bytes += (uint64_t)n;
	s->input_since_send = true;
	s->active_ms = clock_mono_ms();
	imap_session_weigh(s, (size_t)n);
	r = handle_input(s);
	return r < 0 ? r : 1;
}
