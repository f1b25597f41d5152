/* SPDX-License-Identifier: MIT */
#ifndef IMAP_SESSION_H
#define IMAP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "imap_cmd.h"
#include "imap_resp.h"

/*
 * One connection to an IMAP server and its state machine.  A session belongs to
 * one thread; only imap_session_interrupt() and _abort() may be called from another.
 *
 *   DISCONNECTED -> GREETING -> [STARTTLS] -> NOT_AUTHENTICATED -> AUTHENTICATED
 *        <-> SELECTED (<-> IDLE);  any -> CLOSED, which is final.
 */
enum imap_state {
	IMAP_STATE_DISCONNECTED,
	IMAP_STATE_GREETING,
	IMAP_STATE_NOT_AUTHENTICATED,
	IMAP_STATE_AUTHENTICATED,
	IMAP_STATE_SELECTED,
	IMAP_STATE_IDLE,
	IMAP_STATE_CLOSED,
};

enum imap_tls { IMAP_TLS_IMPLICIT, IMAP_TLS_STARTTLS, IMAP_TLS_NONE };

/* Writes the NUL-terminated password into `out` (`cap` bytes).  Called at each
 * sign-in, from the session's thread; must come back in bounded time.  0, or
 * ERR_AUTH with a reason. */
typedef int (*imap_password_fn)(void *ctx, char *out, size_t cap, struct err_reason *why);

/* Writes an access token (RFC 6750) into `out`; `refused`: the one in `out` was not
 * accepted.  As the password otherwise. */
typedef int (*imap_token_fn)(void *ctx, bool refused, char *out, size_t cap,
                             struct err_reason *why);

/* By what the account has signed in before, a mechanism and perhaps a word on it: recalled before,
 * noted after each sign-in, from the session's thread. */
#define IMAP_MECHANISM_MAX 32
struct imap_memory {
	void (*recall)(void *ctx, char out[IMAP_MECHANISM_MAX]);
	void (*note)(void *ctx, const char *mechanism);
	void *ctx;
};

struct imap_options {
	const char *host;
	uint16_t port;
	enum imap_tls tls;
	bool insecure;          /* TLS_NONE to a host that is not loopback is allowed */
	const char *cafile;     /* NULL: the system's */
	const char *cert, *key; /* files of the client's certificate and its key, or NULL */
	const char *pin;        /* of the server's key: "sha256:BASE64;sha256:..."; or NULL */
	const char *tunnel;     /* a command in place of the network, or NULL */
	const char *user;
	const char *auth; /* the only mechanism that is to be used, or NULL */
	imap_password_fn password;
	imap_token_fn token;       /* NULL: no mechanism with tokens */
	void *password_ctx;        /* of both */
	struct imap_memory memory; /* functions may be NULL */
	const char *disable;       /* wordset of capability words not to use, or NULL */
	int connect_ms;            /* 0: 30,000.  To name, TCP, TLS and greeting together */
	int timeout_ms;            /* 0: 30,000.  Longest silence while an answer is due */
	struct imap_limits limits; /* all zero: the defaults */
};

/* What untagged data reaches: called in order of arrival, from within
 * imap_session_run() and friends.  May look at the session, may send, must not run it. */
struct imap_handler {
	void (*data)(void *ctx, const struct imap_resp *resp);
	void *ctx;
};

/* How a command ended. */
struct imap_result {
	int err;       /* 0: tagged OK.  Else by imap_err_from_resp(), or the link's error */
	bool answered; /* a tagged reply came; false: outcome unknown unless `unsent` */
	bool unsent;   /* not one byte of it left: certainly not executed */
	const struct imap_resp *resp; /* the tagged reply, or NULL; valid during the call */
};

typedef void (*imap_done_fn)(void *ctx, const struct imap_result *res);

struct imap_session;

/* ERR_INVAL with the reason where `pin` or `auth` is not to be understood, or `key`, `cert` or
 * `pin` have nothing to go with. */
int imap_options_check(const struct imap_options *opt, struct err_reason *why);

/* What came of opening, for people; empty where it does not apply. */
struct imap_facts {
	char tls[80];                       /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	char pin[80];                       /* of the server's key */
	char mechanism[IMAP_MECHANISM_MAX]; /* "SCRAM-SHA-256"; "PREAUTH": no need to sign in */
	bool compressed;
};
void imap_session_facts(const struct imap_session *s, struct imap_facts *out);

/*
 * Connects, secures, greets, signs in by the strongest mechanism that is offered and for
 * which there is a secret.  Without TLS never by one that shows more of the password than
 * the one that `memory` recalls.  Verifies certificate chain and host name
 * unless tls is NONE; TLS 1.2 at least; STARTTLS drops what was buffered and
 * forgets the capabilities; PREAUTH before TLS is refused; LOGINDISABLED is
 * obeyed.  Capabilities of the signed-in state are known afterwards with no more
 * commands than needed (R159, R160).  `*out` is the caller's.  ERR_OFFLINE (name,
 * TCP, link), ERR_TLS, ERR_AUTH, ERR_TIMEOUT, ERR_PROTO, ERR_BUSY (BYE,
 * [UNAVAILABLE]), ERR_CANCELED (interrupted), each with its reason.
 */
int imap_session_open(const struct imap_options *opt, struct imap_session **out,
                      struct err_reason *why);

/* Lets an open session under way be interrupted: `flag` becomes non-zero and `fd`
 * readable.  As imap_session_open() otherwise; fd -1: none. */
int imap_session_open_fd(const struct imap_options *opt, int cancel_fd, struct imap_session **out,
                         struct err_reason *why);

/* Sends LOGOUT when the link is idle and healthy, waits 500 ms at most, frees all.
 * Commands outstanding end with ERR_OFFLINE; the handler is not called.  Safe on NULL. */
void imap_session_close(struct imap_session **s);

enum imap_state imap_session_state(const struct imap_session *s);

/* True when the server offers `word` ("UIDPLUS", "LITERAL+") and it is not disabled; IMAP4rev2, alone or
 * enabled, offers what it absorbed. */
bool imap_session_has(const struct imap_session *s, const char *word);

/* The number in a capability "WORD=NUMBER", such as "APPENDLIMIT"; false: it is not offered with one,
 * or disabled. */
bool imap_session_number(const struct imap_session *s, const char *word, uint64_t *number);

/* True: `word` is disabled, by the options or by what is known of the server. */
bool imap_session_shuns(const struct imap_session *s, const char *word);

/* True: UTF8=ACCEPT is enabled, and a message with UTF-8 in its header goes with
 * imap_cmd_literal_utf8(). */
bool imap_session_takes_utf8(const struct imap_session *s);

/* Why the session is CLOSED; text without secrets. */
const struct err_reason *imap_session_reason(const struct imap_session *s);

/* Bytes and turnarounds so far: a turnaround is a send after having waited for input. */
struct imap_traffic {
	uint64_t sent_bytes, received_bytes, turnarounds, commands;
};
void imap_session_traffic(const struct imap_session *s, struct imap_traffic *out);

void imap_session_set_handler(struct imap_session *s, struct imap_handler h);

/*
 * Queues a command behind those already queued and takes it over (*cmd becomes
 * NULL).  `done` is called exactly once, also when the link dies.  Nothing is
 * waited for.  ERR_INVAL: unsendable argument; ERR_OFFLINE: session is CLOSED
 * (`done` is not called in either case, and the command is freed).
 */
int imap_session_send(struct imap_session *s, struct imap_cmd **cmd, imap_done_fn done, void *ctx);

/* Commands sent or queued whose `done` has not been called. */
size_t imap_session_outstanding(const struct imap_session *s);

/*
 * Sends and receives until at most `leave` commands are outstanding.  Received
 * data always goes before more is sent (R113).  0; ERR_TIMEOUT: the server was
 * silent for timeout_ms (the session is then CLOSED); ERR_OFFLINE, ERR_PROTO,
 * ERR_LIMIT, ERR_BUSY (BYE): the link is lost; ERR_CANCELED: interrupted, session
 * intact.  Handles what has come even when there is nothing to wait for.
 */
int imap_session_run(struct imap_session *s, size_t leave);

/* Sends one command and runs until it has ended.  Returns its error; the tagged
 * reply is copied to *resp if not NULL (release it; empty when none came).  ERR_CANCELED:
 * interrupted; its reply, when it comes, is dropped.  Only when its literal's reader had
 * more to give is the session CLOSED then. */
int imap_session_exec(struct imap_session *s, struct imap_cmd **cmd, struct imap_resp *resp,
                      struct err_reason *why);

/*
 * IDLE (RFC 2177) in the selected mailbox for at most `max_ms`, then DONE: returns 1
 * when untagged data came, 0 when the time is over, ERR_CANCELED when interrupted
 * (session intact), else the link's error.  Waits for "+" before DONE.  Only when
 * nothing is outstanding.  Where IDLE is not offered: ERR_INVAL.
 */
int imap_session_idle(struct imap_session *s, int max_ms);

/* Makes a run or idle in another thread return ERR_CANCELED soon; sticky until the
 * next run or idle has seen it.  Safe from any thread. */
void imap_session_interrupt(struct imap_session *s);

/* Gives the link up from another thread: what runs there ends at once with ERR_CANCELED and the
 * session is CLOSED, also where an interruption would wait for what the server owes. */
void imap_session_abort(struct imap_session *s);

/* The state setter for SELECT: the session watches its own SELECT, EXAMINE, CLOSE
 * and UNSELECT commands and keeps the name.  NULL when nothing is selected. */
const char *imap_session_mailbox(const struct imap_session *s);

/* The project's one table from RFC 5530 codes to errors; `otherwise` for a NO or BAD
 * without a code that says more. */
int imap_err_from_resp(const struct imap_resp *r, int otherwise);

#endif
