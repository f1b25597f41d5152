/* SPDX-License-Identifier: MIT */
#ifndef SYNC_H
#define SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "store.h"
#include "store_mailbox.h"
#include "store_message.h"

/*
 * Keeps the store and the server in step, in threads of its own: the worker replays the
 * log, then pulls; the server of people fetches bodies somebody waits for and rests in IDLE.
 * All calls here are safe from any thread, take no lock that is held during network or disk
 * waits, and return at once unless they say otherwise.
 */
struct sync;

enum sync_tls { SYNC_TLS_IMPLICIT, SYNC_TLS_STARTTLS, SYNC_TLS_NONE };

/* What becomes of an action that has failed, where the configuration decides beforehand. */
enum sync_policy {
	SYNC_POLICY_ASK,        /* it waits for the user */
	SYNC_POLICY_RECREATE,   /* the missing mailbox is made again, once */
	SYNC_POLICY_LOST_FOUND, /* it is taken back; bytes written here go to lost+found */
	SYNC_POLICY_ABORT,      /* it waits, and nothing more is sent until the user says go */
};

/* Others have changed a message's flags since a whole list of them was written here. */
enum sync_conflict {
	SYNC_CONFLICT_MERGE,  /* what the list changed is changed, theirs stays too */
	SYNC_CONFLICT_MINE,   /* exactly the list */
	SYNC_CONFLICT_THEIRS, /* the list is dropped */
	SYNC_CONFLICT_ASK,    /* the action is parked */
};

#define SYNC_MECHANISM_MAX 32

struct sync_config {
	const char *state_dir, *cache_dir;
	const char *host, *user;
	uint16_t port; /* 0: 993 or 143 by `tls` */
	enum sync_tls tls;
	bool insecure;
	const char *cafile, *cert, *key, *pin, *tunnel, *auth; /* as imap_options has them */
	const char *disable; /* wordset of capability words not to use */
	int (*password)(void *ctx, char *out, size_t cap, struct err_reason *why);
	/* NULL: not by token.  `refused`: the one in `out` was not accepted */
	int (*token)(void *ctx, bool refused, char *out, size_t cap, struct err_reason *why);
	/* by which mechanism the account has signed in before; may be NULL */
	void (*recall)(void *ctx, char out[SYNC_MECHANISM_MAX]);
	void (*note)(void *ctx, const char *mechanism);
	void *password_ctx; /* of these four */
	int timeout_ms;     /* 0: 30 s */
	int poll_ms;        /* where no push is offered; 0: 5 min */
	int hold_ms;
	enum sync_conflict conflict;
	int conflict_tries; /* of a store that others keep forestalling; 0: 4 */
	int connections;    /* 0: 2 */
	bool offline;       /* start paused */
	enum store_profile profile;
	bool subscribed_only;                /* others but the INBOX are as with profile "none" */
	uint64_t max_size;                   /* bodies fetched unasked; 0: no limit */
	int max_age_days;                    /* 0: no limit */
	enum sync_policy on_missing_mailbox; /* the mailbox that an action needs does not exist */
	enum sync_policy on_conflict;        /* its message is gone, or the UIDs have changed */
	enum sync_policy on_refused;         /* anything else that is final; not RECREATE */
	store_change_fn on_change;           /* runs in sync's threads; must only take note */
	void *on_change_ctx;
};

/* Copies the configuration and starts the threads.  ERR_IO, ERR_VERSION from the store. */
int sync_start(const struct sync_config *cfg, struct sync **out, struct err_reason *why);

/* Stops within about a second, however the server behaves.  Safe on NULL. */
void sync_stop(struct sync **s);

/* ERR_INVAL with the reason where `pin`, `auth`, `cert` or `key` make no sense. */
int sync_check_config(const struct sync_config *cfg, struct err_reason *why);

/* What a connection came to, for people; "" where it does not apply. */
struct sync_probe_facts {
	char tls[80], pin[80], mechanism[SYNC_MECHANISM_MAX];
	/* Given: the INBOX as it is known here; 0: not.  Found: how many messages have changed since,
	 * and of how many of them \Seen, by mod-sequences alone; -1: not to be had */
	uint32_t uidvalidity;
	uint64_t modseq;
	int64_t changed, changed_seen;
};

/* One connection in the caller's thread, closed again: for the first mount and for
 * `imapfs doctor`.  `facts` may be NULL.  The errors of imap_session_open() with their reason. */
int sync_probe(const struct sync_config *cfg, struct sync_probe_facts *facts,
               struct err_reason *why);

/* The log has something new. */
void sync_kick(struct sync *s);

/* What is wanted of the server has changed: a pass is due. */
void sync_refresh(struct sync *s);

/* Offline on purpose, and back. */
void sync_pause(struct sync *s, bool pause);

/*
 * Somebody waits for a body.  `done` is called once, from a thread of sync, with 0 when it is in the
 * store, or ERR_OFFLINE, ERR_TIMEOUT, ERR_NOTFOUND, ERR_CANCELED, ERR_IO.  At once with
 * ERR_OFFLINE when it is known that there is no connection.  Returns a ticket for _cancel.
 */
typedef void (*sync_body_fn)(void *ctx, int64_t message, int err);
uint64_t sync_want_body(struct sync *s, int64_t message, int64_t deadline_ms, sync_body_fn done,
                        void *ctx);

/* The one who asked is gone: `done` comes soon with ERR_CANCELED unless it came already. */
void sync_cancel_body(struct sync *s, uint64_t ticket);

/* A reader goes through these in this order and will want them soon: a hint. */
void sync_read_ahead(struct sync *s, const int64_t *messages, size_t count);

/*
 * Ends the hold and waits until the log is empty of what can be sent and a pull begun after
 * the call is complete.  0; ERR_TIMEOUT; ERR_OFFLINE with the reason: no
 * connection can be made (one that is lost on the way is made anew); ERR_REFUSED when an
 * action is parked, or the user has stopped the log.  Blocks: not for a FUSE handler.
 */
int sync_wait(struct sync *s, int64_t deadline_ms, struct err_reason *why);

enum sync_state {
	SYNC_OFFLINE,
	SYNC_PAUSED,
	SYNC_CONNECTING,
	SYNC_REPLAYING,
	SYNC_PULLING,
	SYNC_IN_STEP
};

struct sync_status {
	enum sync_state state;
	char reason[ERR_REASON_MAX]; /* why offline, or what it is doing: a phrase for a person */
	int64_t since_ms;     /* wall clock: in this state since; attempts between don't count */
	int64_t next_try_ms;  /* wall clock: of the next connection; 0: none planned */
	int64_t last_pass_ms; /* wall clock: end of the last complete pass; 0: never */
	int64_t bodies_done, bodies_total; /* of the pass under way */
	uint64_t sent_bytes, received_bytes, turnarounds;
};
void sync_get_status(struct sync *s, struct sync_status *out);

#endif
