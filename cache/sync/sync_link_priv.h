/* SPDX-License-Identifier: MIT */
#ifndef SYNC_LINK_PRIV_H
#define SYNC_LINK_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "imap_cmd.h"
#include "imap_msgmap.h"
#include "imap_resp.h"
#include "imap_session.h"
#include "store.h"
#include "store_mailbox.h"
#include "store_op.h"
#include "store_pull.h"

/*
 * One connection with a store handle, both used by one thread.
 *
 * Commands are pipelined over mailbox borders: SELECT A, UID FETCH ..., SELECT B, UID FETCH ...
 * A server does not begin a SELECT before what stands in front of it has ended, so untagged data
 * belong to the mailbox of the oldest command that has not ended.  Each SELECT makes a struct
 * sync_box, which all commands behind it refer to.
 */
struct sync;
struct sync_link;

/* One selection of a mailbox. */
struct sync_box {
	int refs;
	int64_t mailbox;   /* its identity in the store */
	uint32_t expected; /* UIDVALIDITY as known when selecting; 0: none */
	bool done, ok;     /* SELECT ended; well, and with the expected UIDVALIDITY */
	int err;           /* why not: ERR_CONFLICT: UIDVALIDITY is another */
	uint32_t uidvalidity, uidnext, exists;
	uint64_t highestmodseq; /* as SELECT said, moved on by box_note_tagged() */
	uint64_t seen_modseq;   /* the greatest of a FETCH since the last tagged reply */
	bool modseq_told;       /* the server said HIGHESTMODSEQ since then */
	bool read_only, uidnotsticky, keywords_ok, nomodseq;
	int64_t looked_ms;     /* when a scan of it began last; 0: none since it was selected */
	bool told;             /* something of it was told since then that nobody had asked for */
	uint64_t known_modseq; /* what the store had when selecting; 0: none */
	bool resync;           /* SELECT asks what has changed since (QRESYNC) */
	bool alone;            /* no data of a mailbox before it can come any more */
	char *permanent_flags, *mailboxid; /* NULL: not sent */
	char *wire_name;
	struct imap_msgmap *map; /* message numbers to UIDs */
	void (*data)(void *ctx, struct sync_box *box, const struct imap_resp *r); /* or NULL */
	void *ctx;
};

typedef void (*sync_done_fn)(void *ctx, const struct imap_result *res);

struct sync_call;

struct sync_link {
	struct sync *sync;
	const char *name;             /* for the log */
	struct imap_session *session; /* changed under sync->lock; others may only interrupt it */
	int cancel_fd;                /* readable: stop connecting */
	uint64_t since;               /* sync->drop_links when it was opened */
	bool rights_known;            /* all mailboxes were asked for MYRIGHTS */
	bool sizes_known;             /* and for their SIZE */
	bool progressed;              /* an action is done since: the link was worth having */
	struct store *store;
	struct sync_call *first, *last; /* outstanding, in order of sending */
	struct sync_box *box;           /* the last one selected or being selected */
	bool selected;                  /* a mailbox may be selected: what was sent last said so */
	bool qresync;                   /* "* ENABLED QRESYNC" came */
	bool plain;                     /* mod-sequences were refused: not asked for any more */
	bool unpaged;                   /* PARTIAL was */
	bool unfinished, busy;          /* the last pass: something was refused, for now only */
	enum { SYNC_NOTIFY_UNASKED, SYNC_NOTIFY_ASKED, SYNC_NOTIFY_ON } notify;
	bool news;            /* something changed where this link does not look */
	int64_t passed_on_ms; /* when the worker was told so; 0: never */
	void (*data)(void *ctx, const struct imap_resp *r); /* data of commands without a mailbox */
	void *ctx;
	struct err_reason why;       /* how the last connection ended */
	struct imap_traffic counted; /* of this connection, in the status already */
};

/* Opens the store handle; the connection comes with _connect. */
struct sync_config;
void sync_link_options(const struct sync_config *cfg, struct imap_options *opt);

int sync_link_init(struct sync_link *l, struct sync *s, const char *name, struct err_reason *why);
void sync_link_release(struct sync_link *l);

int sync_link_connect(struct sync_link *l, struct err_reason *why);
void sync_link_disconnect(struct sync_link *l);

/* From any thread that holds sync->lock: ends IDLE; the second one also an attempt to connect. */
void sync_link_wake(struct sync_link *l);
void sync_link_interrupt(struct sync_link *l);

bool sync_link_up(const struct sync_link *l);
bool sync_link_has(const struct sync_link *l,
                   const char *word); /* a capability; false without a link */

/* Queues a command in the mailbox of `box` (NULL: none).  `done` is always called, also
 * when the command could not be queued. */
void sync_link_send(struct sync_link *l, struct imap_cmd **cmd, struct sync_box *box,
                    sync_done_fn done, void *ctx);

/* Runs until at most `leave` commands are outstanding.  On an error (ERR_CANCELED: the program
 * stops or pauses) the link is disconnected and all commands have ended when it returns. */
int sync_link_run(struct sync_link *l, size_t leave);

/* IDLE: 1 something came, 0 the time is over or another thread called; errors as _run. */
int sync_link_idle(struct sync_link *l, int max_ms);

/* One command to its end.  0 or its error; `resp`, when wanted, is a copy of the reply's condition. */
struct sync_reply {
	int err; /* of the command: 0 is OK */
	bool answered, unsent;
	enum imap_cond cond;
	enum imap_code code;
	uint64_t code_number;
	struct imap_set code_set, code_set2; /* owned: sync_reply_release() */
	char text[ERR_REASON_MAX];
};
void sync_reply_fill(struct sync_reply *out, const struct imap_result *res);
void sync_reply_release(struct sync_reply *r);
void sync_set_append(struct imap_set *set, const struct imap_set *more);
void sync_set_copy(struct imap_set *out, const struct imap_set *from);
int sync_link_exec(struct sync_link *l, struct imap_cmd **cmd, struct sync_box *box,
                   struct sync_reply *out);

/* A done function that fills the struct sync_reply at `ctx`. */
void sync_reply_done(void *ctx, const struct imap_result *res);

/* Queues a SELECT of the mailbox and returns its box with a reference for the caller. */
struct sync_box *sync_link_select(struct sync_link *l, const struct store_mailbox *m);
/* The same, with the question what has changed since the store's HIGHESTMODSEQ. */
struct sync_box *sync_link_resync(struct sync_link *l, const struct store_mailbox *m);
struct sync_box *sync_box_ref(struct sync_box *b);
void sync_box_unref(struct sync_box **b);

/* Selects and waits; records what the server said in the store.  ERR_CONFLICT: UIDVALIDITY moved.
 * ERR_NOTFOUND when refused so.  The one that is selected already is not selected again. */
int sync_link_open_box(struct sync_link *l, int64_t mailbox, struct sync_box **out,
                       struct err_reason *why);

/* Leaves the selected mailbox (UNSELECT) where that is offered; queued, not waited for. */
void sync_link_unselect(struct sync_link *l);

/* The same for sure, before the mailbox goes or gets another name: by EXAMINE of the INBOX where
 * there is no UNSELECT (RFC 4549 4.2.5).  CLOSE would expunge. */
void sync_link_leave(struct sync_link *l);

/* ---- sync_modseq.c ---- */
bool sync_modseq_offered(const struct sync_link *l); /* and not disabled, nor refused */
void sync_modseq_enable(struct sync_link *l);        /* queues ENABLE */
void sync_modseq_note(struct sync_link *l, const struct imap_resp *r);

/* ---- sync_notify.c: changes in mailboxes that are not selected ---- */
void sync_notify_ask(struct sync_link *l); /* queues NOTIFY, once, where it is offered */
void sync_notify_note(struct sync_link *l, const struct imap_resp *r);
/* Tells the worker of news.  How long to IDLE at most: less than `max_ms` when they have to wait. */
int sync_notify_pass_on(struct sync_link *l, int max_ms);

/* The UID a FETCH is about: as sent, else by its number; 0: unknown. */
uint32_t sync_box_uid(const struct sync_box *b, const struct imap_resp *r);

#endif
