/* SPDX-License-Identifier: MIT */
#include "imap_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "imap_quirk_priv.h"
#include "imap_session_priv.h"
#include "log.h"
#include "mem.h"
#include "wordset.h"

/*
 * The states of a session.  Each arrow is an imap_session_set_state().
 *
 *   DISCONNECTED --> GREETING --> NOT_AUTHENTICATED --> AUTHENTICATED <--> SELECTED
 *                       |                                ^   |    ^          |    ^
 *                       +------------- PREAUTH ----------+   +-> IDLE <------+    |
 *                                                                  +--------------+
 *   any --> CLOSED
 *
 *   DISCONNECTED       no connection yet; never seen by a caller of open
 *   GREETING           connected (TLS_IMPLICIT: secured); nothing has been sent
 *   NOT_AUTHENTICATED  greeted; STARTTLS happens here and leaves no capability behind
 *   AUTHENTICATED      signed in; `caps` are those of now.  `mailbox` is NULL, or what a
 *                      SELECT under way will select: untagged data is about that one
 *   SELECTED           `mailbox` is what the server has selected
 *   IDLE               the server said "+": nothing but DONE is sent, `alone` is the IDLE
 *   CLOSED             `error` < 0 and `reason` say why; nothing is outstanding
 *
 * Commands go from `sending` (not wholly in `out`) to waiting for their tagged reply, in
 * one list; replies come in any order.
 */

#define DEFAULT_TIMEOUT_MS 30000
#define LOGOUT_MS 500
#define SIGN_IN_WAITS 4 /* times timeout_ms: for the password, and up to three commands */
#define OUT_MAX_BYTES (4 << 20)
#define READ_SLACK_BYTES (1 << 20)

static const char *state_name(enum imap_state state)
{
	static const char *const names[] = {
		[IMAP_STATE_DISCONNECTED] = "disconnected",
		[IMAP_STATE_GREETING] = "greeting",
		[IMAP_STATE_NOT_AUTHENTICATED] = "not authenticated",
		[IMAP_STATE_AUTHENTICATED] = "authenticated",
		[IMAP_STATE_SELECTED] = "selected",
		[IMAP_STATE_IDLE] = "idle",
		[IMAP_STATE_CLOSED] = "closed",
	};

	return names[state];
}

void imap_session_set_state(struct imap_session *s, enum imap_state state)
{
	if (s->state == state)
		return;
	log_debug("imap: %s -> %s", state_name(s->state), state_name(state));
	s->state = state;
}

int imap_session_fail(struct imap_session *s, int err, const char *fmt, ...)
{
	struct err_reason reason;
	va_list ap;

	if (s->state == IMAP_STATE_CLOSED)
		return s->error;
	va_start(ap, fmt);
	vsnprintf(reason.text, sizeof(reason.text), fmt, ap);
	va_end(ap);
	s->error = err_set(&s->reason, err, "%s", reason.text);
	imap_session_set_state(s, IMAP_STATE_CLOSED);
	imap_session_set_mailbox(s, NULL);
	if (s->conn != NULL)
		imap_conn_cut(s->conn);
	/* what ends the link is no verdict on the commands that were under way */
	imap_entry_finish_all(s, err_is_final(err) ? ERR_OFFLINE : err);
	return err;
}

void imap_session_set_mailbox(struct imap_session *s, const char *name)
{
	char *copy = mem_strdup(name);

	free(s->mailbox);
	s->mailbox = copy;
}

void imap_session_set_caps(struct imap_session *s, const char *words)
{
	free(s->caps);
	s->caps = wordset_canon(words);
	s->caps_fresh = true;
}

static struct imap_session *session_new(const struct imap_options *opt)
{
	struct imap_session *s = mem_alloc(sizeof(*s));

	s->disable = wordset_canon(opt->disable);
	s->timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : DEFAULT_TIMEOUT_MS;
	s->limits = opt->limits.response_bytes > 0 ? opt->limits : imap_limits_default;
	buf_init(&s->in,
	         2 * s->limits.response_bytes + 2 * s->limits.line_bytes + READ_SLACK_BYTES);
	buf_init(&s->out, OUT_MAX_BYTES);
	imap_framer_init(&s->framer, &s->limits);
	return s;
}

static int connect_to(struct imap_session *s, const struct imap_options *opt, int cancel_fd,
                      int64_t deadline_ms, struct err_reason *why)
{
	struct imap_conn_options co = {
		.host = opt->host,
		.port = opt->port,
		.cafile = opt->cafile,
		.cert = opt->cert,
		.key = opt->key,
		.pin = opt->pin,
		.tunnel = opt->tunnel,
		.dead_ms = s->timeout_ms,
		.cancel_fd = cancel_fd,
	};
	int r = imap_conn_open(&co, deadline_ms, &s->conn, why);

	if (r < 0)
		return r;
	if (opt->tls == IMAP_TLS_NONE && !opt->insecure && !imap_conn_is_loopback(s->conn))
		return err_set(why, ERR_TLS, "unencrypted connection to %s is not allowed",
		               opt->host);
	if (opt->tls == IMAP_TLS_IMPLICIT)
		r = imap_conn_start_tls(s->conn, deadline_ms, why);
	return r;
}

static bool is_greeted(const void *ctx)
{
	return ((const struct imap_session *)ctx)->state != IMAP_STATE_GREETING;
}

static int wait_greeting(struct imap_session *s, const struct imap_options *opt,
                         int64_t deadline_ms, struct err_reason *why)
{
	int r;

	imap_session_set_state(s, IMAP_STATE_GREETING);
	r = imap_session_pump_until(s, is_greeted, s, deadline_ms);
	if (r == ERR_TIMEOUT)
		return err_set(why, r, "%s sent no greeting", opt->host);
	if (r == ERR_CANCELED)
		return err_set(why, r, "connecting was interrupted");
	return r < 0 ? err_set(why, r, "%s", s->reason.text) : 0;
}

/* RFC 3501 section 6.2.1, 9051 section 11.1: nothing that came in clear is believed. */
static int start_tls(struct imap_session *s, int64_t deadline_ms, struct err_reason *why)
{
	struct imap_cmd *cmd;
	struct err_reason said;
	int r;

	if (s->state != IMAP_STATE_NOT_AUTHENTICATED)
		return err_set(why, ERR_TLS, "server signs in before TLS (PREAUTH): not trusted");
	if (s->caps != NULL && !wordset_has(s->caps, "STARTTLS"))
		return err_set(why, ERR_TLS, "server does not offer STARTTLS");
	cmd = imap_cmd_new("STARTTLS");
	r = imap_session_transact(s, &cmd, IMAP_ENTRY_STARTTLS, NULL, NULL, &said);
	if (r < 0 && (s->state == IMAP_STATE_CLOSED || r == ERR_CANCELED || r == ERR_BUSY))
		return err_set(why, r, "%s", said.text);
	if (r < 0)
		return err_set(why, ERR_TLS, "server refuses STARTTLS: %s", said.text);
	imap_session_drop_input(s);
	free(mem_steal(s->caps));
	return imap_conn_start_tls(s->conn, deadline_ms, why);
}

/* Before sign-in nothing is known for sure, and nothing of it is needed. */
static void know_server(struct imap_session *s, const struct imap_options *opt)
{
	char *words = imap_quirk_disable(opt->host ? opt->host : "", s->caps, s->disable);

	free(s->disable);
	s->disable = words;
}

/* RFC 2971: what we are, and nothing about whose.  Some servers let nobody select a mailbox
 * without it; none is waited for. */
static void introduce(struct imap_session *s)
{
	struct imap_cmd *cmd;

	if (!imap_session_has(s, "ID"))
		return;
	cmd = imap_cmd_new("ID");
	imap_cmd_raw(cmd, "(\"name\" \"imapfs\" \"version\" \"" IMAPFS_VERSION "\")");
	imap_entry_queue_own(s, &cmd, IMAP_ENTRY_PLAIN, NULL, NULL);
}

int imap_session_open_fd(const struct imap_options *opt, int cancel_fd, struct imap_session **out,
                         struct err_reason *why)
{
	struct imap_session *s = session_new(opt);
	int connect_ms = opt->connect_ms > 0 ? opt->connect_ms : DEFAULT_TIMEOUT_MS;
	int64_t deadline_ms = clock_mono_ms() + connect_ms;
	int r = connect_to(s, opt, cancel_fd, deadline_ms, why);

	if (r == 0)
		r = wait_greeting(s, opt, deadline_ms, why);
	s->limit_ms = deadline_ms;
	if (r == 0 && opt->tls == IMAP_TLS_STARTTLS)
		r = start_tls(s, deadline_ms, why);
	s->limit_ms = clock_mono_ms() + SIGN_IN_WAITS * (int64_t)s->timeout_ms;
	if (r == 0)
		r = imap_auth_sign_in(s, opt, why);
	s->limit_ms = 0;
	know_server(s, opt);
	if (r < 0) {
		/* whoever has lost patience shall not wait for a LOGOUT, either */
		(void)imap_session_fail(s, r, "not connected");
		imap_session_close(&s);
		return r;
	}
	introduce(s);
	imap_conn_forget_cancel(s->conn);
	*out = s;
	return 0;
}

int imap_session_open(const struct imap_options *opt, struct imap_session **out,
                      struct err_reason *why)
{
	return imap_session_open_fd(opt, -1, out, why);
}

static bool all_ended(const void *ctx)
{
	return ((const struct imap_session *)ctx)->count == 0;
}

static void log_out(struct imap_session *s)
{
	struct imap_cmd *cmd = imap_cmd_new("LOGOUT");

	s->leaving = true;
	(void)imap_conn_woken(s->conn);
	(void)imap_entry_queue(s, &cmd, IMAP_ENTRY_ALONE, NULL, NULL);
	(void)imap_session_pump_until(s, all_ended, s, clock_mono_ms() + LOGOUT_MS);
}

void imap_session_close(struct imap_session **session)
{
	struct imap_session *s = *session;

	*session = NULL;
	if (s == NULL)
		return;
	s->handler.data = NULL; /* the server's good-bye is for nobody */
	if (imap_session_outstanding(s) == 0 && !atomic_load(&s->aborted) &&
	    s->state >= IMAP_STATE_NOT_AUTHENTICATED && s->state <= IMAP_STATE_SELECTED)
		log_out(s);
	(void)imap_session_fail(s, ERR_OFFLINE, "session is closed");
	imap_conn_free(&s->conn);
	if (s->out.data != NULL)
		mem_wipe(s->out.data, s->out.cap);
	buf_release(&s->out);
	buf_release(&s->in);
	free(s->caps);
	free(s->disable);
	free(s->mailbox);
	free(s);
}

enum imap_state imap_session_state(const struct imap_session *s)
{
	return s->state;
}

/* RFC 9051 appendix E: what was an extension and now goes without saying. */
static const char absorbed[] =
	"ENABLE ESEARCH IDLE LIST-EXTENDED LIST-STATUS LITERAL- MOVE NAMESPACE"
	" SASL-IR SEARCHRES STATUS=SIZE UIDPLUS UNSELECT";

static bool is_rev2_only(const struct imap_session *s)
{
	return wordset_has(s->caps, "IMAP4rev2") && !wordset_has(s->caps, "IMAP4rev1");
}

bool imap_session_names_utf8(const struct imap_session *s)
{
	return s->rev2 || s->utf8 || is_rev2_only(s);
}

bool imap_session_has(const struct imap_session *s, const char *word)
{
	if (wordset_has(s->disable, word))
		return false;
	return wordset_has(s->caps, word) ||
	       ((s->rev2 || is_rev2_only(s)) && wordset_has(absorbed, word));
}

bool imap_session_shuns(const struct imap_session *s, const char *word)
{
	return wordset_has(s->disable, word);
}

bool imap_session_takes_utf8(const struct imap_session *s)
{
	return s->utf8;
}

bool imap_session_number(const struct imap_session *s, const char *word, uint64_t *number)
{
	size_t n = strlen(word), len;
	const char *pos = s->caps, *w;

	if (wordset_has(s->disable, word))
		return false;
	while ((w = wordset_next(&pos, &len)) != NULL) {
		uint64_t value = 0;
		size_t i = n + 1;

		if (len <= i || len - i > 18 || strncmp(w, word, n) != 0 || w[n] != '=')
			continue;
		for (; i < len && w[i] >= '0' && w[i] <= '9'; i++)
			value = value * 10 + (uint64_t)(w[i] - '0');
		if (i < len)
			continue;
		*number = value;
		return true;
	}
	return false;
}

void imap_session_facts(const struct imap_session *s, struct imap_facts *out)
{
	*out = (struct imap_facts){ 0 };
	imap_conn_describe_tls(s->conn, out->tls, out->pin);
	snprintf(out->mechanism, sizeof(out->mechanism), "%s", s->mechanism);
	out->compressed = imap_conn_is_deflated(s->conn);
}

const struct err_reason *imap_session_reason(const struct imap_session *s)
{
	return &s->reason;
}

void imap_session_traffic(const struct imap_session *s, struct imap_traffic *out)
{
	*out = s->traffic;
}

void imap_session_set_handler(struct imap_session *s, struct imap_handler h)
{
	s->handler = h;
}

void imap_session_interrupt(struct imap_session *s)
{
	imap_conn_wake(s->conn);
}

void imap_session_abort(struct imap_session *s)
{
	atomic_store(&s->aborted, true);
	imap_conn_wake(s->conn);
}

const char *imap_session_mailbox(const struct imap_session *s)
{
	return s->mailbox;
}
