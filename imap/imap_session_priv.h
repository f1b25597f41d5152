/* SPDX-License-Identifier: MIT */
#ifndef IMAP_SESSION_PRIV_H
#define IMAP_SESSION_PRIV_H

#include <stdatomic.h>

#include "buf.h"
#include "imap_cmd_priv.h"
#include "imap_conn.h"
#include "imap_sasl_priv.h"
#include "imap_session.h"

/* What the session does with a command beside sending it and waiting for its reply. */
enum imap_entry_kind {
	IMAP_ENTRY_PLAIN,
	IMAP_ENTRY_SELECT,   /* SELECT, EXAMINE: OK selects */
	IMAP_ENTRY_UNSELECT, /* CLOSE, UNSELECT: OK deselects */
	/* those below have the connection for themselves until their reply */
	IMAP_ENTRY_ALONE,
	IMAP_ENTRY_STARTTLS, /* bytes behind the OK are dropped */
	IMAP_ENTRY_AUTH,     /* "+" is answered by `sasl`, or with "*" */
	IMAP_ENTRY_IDLE,     /* "+" makes the session IDLE */
};

/* A command from imap_session_send() to its end. */
struct imap_entry {
	struct imap_entry *next;
	struct imap_cmd *cmd;
	enum imap_entry_kind kind;
	char tag[16];
	imap_done_fn done;
	void *ctx;
	struct imap_resp *keep; /* where the tagged reply goes instead of being freed */
	uint64_t start;         /* where in the stream its first byte is */
	bool started;           /* its first bytes are in `out`: `start` holds */
	bool selecting;         /* untagged data is about the mailbox it selects */
	bool own;               /* of the session itself: nobody waits for it */
	bool replied;           /* the reply came before all was sent: it is in `reply` */
	struct imap_resp reply;
	struct imap_sasl *sasl; /* its caller's; NULL when that has gone away */
};

struct imap_session {
	struct imap_conn *conn;
	atomic_bool aborted; /* by another thread */
	enum imap_state state;
	int error; /* why it is CLOSED */
	struct err_reason reason;
	char *caps, *disable, *mailbox;
	bool rev2, utf8;     /* enabled: IMAP4rev2, UTF8=ACCEPT */
	bool caps_fresh;     /* `caps` came since this was last cleared */
	bool expects_closed; /* the server says [CLOSED] when a SELECT ends a mailbox */
	bool leaving;        /* LOGOUT is sent: BYE is no news */
	bool in_callback;
	int timeout_ms;
	struct imap_handler handler;
	struct imap_limits limits;

	/* receiving: in.data[in_pos..] is not consumed */
	struct buf in;
	size_t in_pos;
	struct imap_framer framer;
	bool compress_rest; /* what is buffered is compressed */
	bool drop_rest;     /* what is buffered must not be looked at */
	bool data_seen;     /* untagged data came since this was last cleared */

	/* sending: out.data[out_pos..] is not handed to the connection */
	struct buf out;
	size_t out_pos;
	bool out_secret;
	uint64_t tags;
	struct imap_entry *head, *tail; /* in the order of sending */
	struct imap_entry *sending;     /* the first that is not wholly in `out` */
	struct imap_entry *alone;       /* nothing else is sent until it has ended */
	size_t count, own;              /* all of them; those of the session itself */
	size_t piece;                   /* of `sending`: the next to go out */
	uint64_t offset;                /* in a literal: how much of it has gone out */
	bool announced;                 /* the literal's "{n}" has gone out */
	bool awaits_plus;               /* and the server has not asked for its bytes yet */

	int64_t limit_ms;  /* while opening: when even a talkative server has to be done; else 0 */
	int64_t active_ms; /* when bytes last moved, or waiting began */
	int64_t span_ms;   /* when the server's patience with us began to be measured, and ours */
	uint64_t span_bytes; /* moved until then */
	size_t found;        /* numbers that SEARCH gave since then */
	size_t said;         /* untagged responses since a command ended */
	unsigned strays;     /* tagged replies to no command, and empty lines */
	bool input_since_send;
	struct imap_traffic traffic;
	bool compress_asked;
	int slow_samples;
	uint64_t measured, waited_us;       /* bytes received, and the time waited for them */
	char mechanism[IMAP_MECHANISM_MAX]; /* by which it signed in */
};

/* A command has ended, or the first one was queued: what the server says from now on is measured. */
void imap_session_begin_span(struct imap_session *s);

/* imap_session.c: the only place that changes the state; what every failure comes to. */
void imap_session_set_state(struct imap_session *s, enum imap_state state);
int imap_session_fail(struct imap_session *s, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void imap_session_set_mailbox(struct imap_session *s, const char *name);
/* Mailbox names are UTF-8 on the wire: callers see modified UTF-7 all the same. */
bool imap_session_names_utf8(const struct imap_session *s);
void imap_session_set_caps(struct imap_session *s, const char *words);

/* imap_session_send.c */
enum imap_entry_kind imap_entry_kind_of(const struct imap_cmd *cmd);
/* 0; ERR_INVAL or ERR_OFFLINE when it cannot be sent, which frees it. */
int imap_entry_refuse(const struct imap_session *s, struct imap_cmd **cmd);
struct imap_entry *imap_entry_queue(struct imap_session *s, struct imap_cmd **cmd,
                                    enum imap_entry_kind kind, imap_done_fn done, void *ctx);
/* The same for what nobody but the session cares about: it is not outstanding to others. */
void imap_entry_queue_own(struct imap_session *s, struct imap_cmd **cmd, enum imap_entry_kind kind,
                          imap_done_fn done, void *ctx);
/* Takes it off the list, tells its `done`, frees it.  `resp` may be NULL. */
void imap_entry_finish(struct imap_session *s, struct imap_entry *e, int err,
                       struct imap_resp *resp);
/* Ends all that is outstanding with `err`. */
void imap_entry_finish_all(struct imap_session *s, int err);
struct imap_entry *imap_entry_find(struct imap_session *s, const char *tag);
/* The one who waits for it goes away: nobody will be told.  False: the command is half
 * sent and the rest was to come from its caller. */
bool imap_entry_abandon(struct imap_session *s, struct imap_entry *e);
/* "+" for the literal that is being sent. */
void imap_session_plus(struct imap_session *s);
/* Writes what the peer takes.  1: bytes moved; 0; or the link's error. */
int imap_session_write(struct imap_session *s);
bool imap_session_has_output(const struct imap_session *s);
/* A tagged reply to a command whose bytes have not all gone out. */
void imap_session_early_reply(struct imap_session *s, struct imap_entry *e, struct imap_resp *resp);

/* imap_session_recv.c: reads and handles what has come, 256 KB at most.  1: bytes moved;
 * 0; or the link's error. */
int imap_session_read(struct imap_session *s);
void imap_session_drop_input(struct imap_session *s);

/* imap_session_compress.c: a wait of so long has ended; so much has come; the server has
 * begun to compress. */
void imap_session_measure(struct imap_session *s, int64_t waited_us);
void imap_session_weigh(struct imap_session *s, size_t received);
int imap_session_start_compress(struct imap_session *s);

/* imap_session_run.c */
/* One turn of read, write, wait.  1: bytes moved; 0: the deadline passed; <0. */
int imap_session_pump(struct imap_session *s, int64_t deadline_ms);
/* Turns until `enough` says so.  0; ERR_TIMEOUT when `deadline_ms` has passed, the session
 * being as it was; with SILENCE as deadline: when the server was silent too long, the
 * session being closed. */
#define IMAP_SILENCE INT64_MAX
int imap_session_pump_until(struct imap_session *s, bool (*enough)(const void *ctx),
                            const void *ctx, int64_t deadline_ms);
/* imap_session_exec() for a command of any kind.  `sasl`: for AUTH, which speaks for us. */
int imap_session_transact(struct imap_session *s, struct imap_cmd **cmd, enum imap_entry_kind kind,
                          struct imap_sasl *sasl, struct imap_resp *resp, struct err_reason *why);

/* imap_auth.c: from greeting to signed in, capabilities known. */
int imap_auth_sign_in(struct imap_session *s, const struct imap_options *opt,
                      struct err_reason *why);

#endif
