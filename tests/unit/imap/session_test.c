/* SPDX-License-Identifier: MIT */
#include "session_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int ranks;

static int give_password(void *ctx, char *out, size_t cap, struct err_reason *why)
{
	(void)ctx;
	(void)why;
	snprintf(out, cap, "p");
	return 0;
}

struct imap_options session_options(const struct scripted *server)
{
	return (struct imap_options){
		.host = "127.0.0.1",
		.port = scripted_port(server),
		.tls = IMAP_TLS_NONE,
		.user = "u",
		.password = give_password,
		.connect_ms = 5000,
		.timeout_ms = 5000,
	};
}

struct imap_session *session_open(const struct scripted *server)
{
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };
	int r = imap_session_open(&opt, &s, &why);

	if (r != 0)
		fail_msg("open: %d %s", r, why.text);
	return s;
}

void session_both_ways(const char *const *steps, void (*body)(struct imap_session *s))
{
	for (unsigned flags = 0; flags <= SCRIPTED_BYTEWISE; flags++) {
		struct scripted *server = scripted_start(steps, flags, NULL);
		struct imap_session *s = session_open(server);

		ranks = 0;
		body(s);
		imap_session_close(&s);
		scripted_finish(&server);
	}
}

int session_do(struct imap_session *s, const char *verb)
{
	struct imap_cmd *cmd = imap_cmd_new(verb);

	return imap_session_exec(s, &cmd, NULL, NULL);
}

int session_select(struct imap_session *s, const char *name)
{
	struct imap_cmd *cmd = imap_cmd_new("SELECT");

	imap_cmd_mailbox(cmd, name);
	return imap_session_exec(s, &cmd, NULL, NULL);
}

static void note_end(void *ctx, const struct imap_result *res)
{
	struct ended *e = ctx;

	assert_int_equal(e->rank, 0);
	*e = (struct ended){ res->err, res->answered, res->unsent, ++ranks };
	assert_int_equal(res->answered, res->resp != NULL);
}

void session_send_cmd(struct imap_session *s, struct imap_cmd *cmd, struct ended *e)
{
	*e = (struct ended){ 0 };
	assert_int_equal(imap_session_send(s, &cmd, note_end, e), 0);
	assert_null(cmd);
}

void session_send(struct imap_session *s, const char *verb, struct ended *e)
{
	session_send_cmd(s, imap_cmd_new(verb), e);
}
