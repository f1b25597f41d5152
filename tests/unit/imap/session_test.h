/* SPDX-License-Identifier: MIT */
#ifndef TEST_SESSION_TEST_H
#define TEST_SESSION_TEST_H

#include "imap_session.h"
#include "scripted.h"

/* What the tests of a session share: user "u", password "p". */

#define CAPS "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ IDLE UNSELECT"
#define PLAIN_UP "AHUAcA==" /* NUL u NUL p in base64 */

/* Greeting and sign-in of a server that offers `caps`; the next tag is A2. */
#define SIGN_IN(caps)                                                              \
	"S * OK [CAPABILITY " caps "] ready", "C A1 AUTHENTICATE PLAIN " PLAIN_UP, \
		"S A1 OK [CAPABILITY " caps "] signed in"

struct imap_options session_options(const struct scripted *server);

/* Opens a session, which has to succeed. */
struct imap_session *session_open(const struct scripted *server);

/* Runs `body` on a session with a server that follows `steps`: all at once, then again with
 * each byte by itself. */
void session_both_ways(const char *const *steps, void (*body)(struct imap_session *s));

/* Sends `verb`, waits for its end. */
int session_do(struct imap_session *s, const char *verb);
int session_select(struct imap_session *s, const char *name);

/* How commands ended, in their order. */
struct ended {
	int err;
	bool answered, unsent;
	int rank; /* the how-manieth to end, from 1; 0: it has not */
};
void session_send(struct imap_session *s, const char *verb, struct ended *e);
void session_send_cmd(struct imap_session *s, struct imap_cmd *cmd, struct ended *e);

#endif
