/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <string.h>

#include "clock.h"
#include "imap_session_priv.h"
#include "mem.h"

static int woken(struct imap_session *s)
{
	if (atomic_load(&s->aborted))
		return imap_session_fail(s, ERR_CANCELED, "given up");
	return ERR_CANCELED;
}

int imap_session_pump(struct imap_session *s, int64_t deadline_ms)
{
	int64_t begun_us;
	int got, put, r;

	if (s->state == IMAP_STATE_CLOSED)
		return s->error;
	if (imap_conn_woken(s->conn))
		return woken(s);
	/* what has come goes first: a peer that does not read while it writes gets room */
	got = imap_session_read(s);
	if (got < 0)
		return got;
	put = imap_session_write(s);
	if (put < 0)
		return put;
	if (got > 0 || put > 0)
		return 1;
	begun_us = clock_mono_us();
	r = imap_conn_wait(s->conn, imap_session_has_output(s), deadline_ms);
	imap_session_measure(s, clock_mono_us() - begun_us);
	return r == ERR_CANCELED ? woken(s) : r;
}

/* A server that keeps talking is borne for so many times timeout_ms, unless a command ends or bytes
 * move in earnest. */
#define SPAN_TIMEOUTS 20
#define SPAN_BYTES (20 << 10)

void imap_session_begin_span(struct imap_session *s)
{
	s->span_ms = clock_mono_ms();
	s->span_bytes = s->traffic.sent_bytes + s->traffic.received_bytes;
	s->said = s->found = 0;
}

static bool is_stalled(struct imap_session *s)
{
	uint64_t moved = s->traffic.sent_bytes + s->traffic.received_bytes - s->span_bytes;
	size_t said = s->said, found = s->found;

	if (clock_left_ms(s->span_ms + SPAN_TIMEOUTS * (int64_t)s->timeout_ms) > 0)
		return false;
	imap_session_begin_span(s);
	s->said = said;
	s->found = found;
	return moved < SPAN_BYTES;
}

static int64_t silence_ends(const struct imap_session *s)
{
	int64_t until = s->active_ms + s->timeout_ms;

	return s->limit_ms != 0 && s->limit_ms < until ? s->limit_ms : until;
}

int imap_session_pump_until(struct imap_session *s, bool (*enough)(const void *ctx),
                            const void *ctx, int64_t deadline_ms)
{
	for (;;) {
		bool have = enough(ctx);
		bool silence = deadline_ms == IMAP_SILENCE;
		int64_t until = silence ? silence_ends(s) : deadline_ms;
		int r = imap_session_pump(s, have ? 0 : until);

		if (r < 0)
			return r;
		if (have || enough(ctx))
			return 0;
		if (silence && is_stalled(s))
			return imap_session_fail(s, ERR_TIMEOUT,
			                         "server talks and does not answer");
		if (clock_left_ms(silence ? silence_ends(s) : until) > 0)
			continue;
		if (!silence)
			return ERR_TIMEOUT;
		return imap_session_fail(s, ERR_TIMEOUT, "server took longer than %d s to answer",
		                         (s->timeout_ms + 999) / 1000);
	}
}

struct few {
	const struct imap_session *s;
	size_t leave;
};

static bool few_outstanding(const void *ctx)
{
	const struct few *f = ctx;

	return imap_session_outstanding(f->s) <= f->leave;
}

int imap_session_run(struct imap_session *s, size_t leave)
{
	struct few few = { .s = s, .leave = leave };

	if (s->in_callback)
		return ERR_INVAL;
	return imap_session_pump_until(s, few_outstanding, &few, IMAP_SILENCE);
}

/* How the command ended that a caller waits for. */
struct outcome {
	bool ended;
	int err;
	struct err_reason why;
	const struct imap_session *s;
};

static void note_outcome(void *ctx, const struct imap_result *res)
{
	struct outcome *o = ctx;

	o->ended = true;
	o->err = res->err;
	if (res->err != 0 && res->resp != NULL)
		(void)err_set(&o->why, res->err, "%s", res->resp->text);
	else if (res->err != 0)
		o->why = o->s->reason;
}

static bool has_ended(const void *ctx)
{
	return ((const struct outcome *)ctx)->ended;
}

static int interrupted(struct imap_session *s, struct imap_entry *e, struct err_reason *why)
{
	if (!imap_entry_abandon(s, e))
		(void)imap_session_fail(s, ERR_CANCELED, "interrupted in the middle of a command");
	return err_set(why, ERR_CANCELED, "interrupted");
}

int imap_session_transact(struct imap_session *s, struct imap_cmd **cmd, enum imap_entry_kind kind,
                          struct imap_sasl *sasl, struct imap_resp *resp, struct err_reason *why)
{
	struct outcome o = { .s = s };
	struct imap_resp reply = { 0 };
	struct imap_entry *e;
	int r = s->in_callback ? ERR_INVAL : imap_entry_refuse(s, cmd);

	if (resp != NULL)
		*resp = reply;
	if (r == ERR_OFFLINE)
		return err_set(why, r, "%s", s->reason.text);
	if (r < 0)
		return err_set(why, r, "a command's argument cannot be sent");
	e = imap_entry_queue(s, cmd, kind, note_outcome, &o);
	e->keep = &reply;
	e->sasl = sasl;
	/* a link that breaks is what the command ends with */
	(void)imap_session_pump_until(s, has_ended, &o, IMAP_SILENCE);
	if (!o.ended)
		return interrupted(s, e, why);
	if (o.err != 0)
		(void)err_set(why, o.err, "%s", o.why.text);
	if (resp != NULL)
		*resp = reply;
	else
		imap_resp_release(&reply);
	return o.err;
}

int imap_session_exec(struct imap_session *s, struct imap_cmd **cmd, struct imap_resp *resp,
                      struct err_reason *why)
{
	return imap_session_transact(s, cmd, imap_entry_kind_of(*cmd), NULL, resp, why);
}

static bool idle_accepted(const void *ctx)
{
	const struct imap_session *s = ctx;

	return s->count == 0 || s->state == IMAP_STATE_IDLE;
}

static bool idle_has_data(const void *ctx)
{
	const struct imap_session *s = ctx;

	return s->data_seen || s->state != IMAP_STATE_IDLE;
}

/* An interruption has to wait until the server has said what is due, within bounds. */
static void pump_on(struct imap_session *s, bool (*enough)(const void *), const void *ctx,
                    bool *canceled)
{
	while (imap_session_pump_until(s, enough, ctx, IMAP_SILENCE) == ERR_CANCELED &&
	       s->state != IMAP_STATE_CLOSED)
		*canceled = true;
}

/* From the server's "+" to our DONE. */
static void sit_idle(struct imap_session *s, int64_t until_ms, bool *canceled)
{
	if (!*canceled && !s->data_seen &&
	    imap_session_pump_until(s, idle_has_data, s, until_ms) == ERR_CANCELED)
		*canceled = true;
	if (s->state != IMAP_STATE_IDLE)
		return;
	(void)buf_puts(&s->out, "DONE\r\n");
	s->active_ms = clock_mono_ms();
}

int imap_session_idle(struct imap_session *s, int max_ms)
{
	struct outcome o = { .s = s };
	struct imap_cmd *cmd;
	int64_t until_ms = clock_mono_ms() + max_ms;
	bool canceled = false;

	if (s->state == IMAP_STATE_CLOSED)
		return s->error;
	if (s->in_callback || imap_session_outstanding(s) > 0 || !imap_session_has(s, "IDLE") ||
	    s->state < IMAP_STATE_AUTHENTICATED)
		return ERR_INVAL;
	if (imap_conn_woken(s->conn))
		return woken(s);
	cmd = imap_cmd_new("IDLE");
	s->data_seen = false;
	(void)imap_entry_queue(s, &cmd, IMAP_ENTRY_IDLE, note_outcome, &o);
	pump_on(s, idle_accepted, s, &canceled);
	sit_idle(s, until_ms, &canceled);
	pump_on(s, has_ended, &o, &canceled);
	if (o.err != 0)
		return o.err;
	return canceled ? ERR_CANCELED : s->data_seen;
}
