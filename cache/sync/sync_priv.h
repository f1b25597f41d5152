/* SPDX-License-Identifier: MIT */
#ifndef SYNC_PRIV_H
#define SYNC_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "sync.h"
#include "sync_backoff_priv.h"
#include "sync_link_priv.h"

/* Where the tables of what runs at a time end. */
enum {
	SYNC_SET_BYTES = 900,     /* of UIDs in one command: servers break over 1,000 */
	SYNC_WANTS_MAX = 4096,    /* bodies people wait for */
	SYNC_AHEAD_MAX = 256,     /* messages a reader will want */
	SYNC_CLAIM_WAIT_MS = 2000 /* for the other connection to leave a mailbox */
};

struct sync_want;

/* A body somebody waits for, as handed to the one who fetches it. */
struct sync_need {
	int64_t message, mailbox;
	uint32_t uid;
	uint64_t size;
};

/* A mailbox that one of the connections has selected (R233). */
struct sync_claim {
	int64_t mailbox;
	const struct sync_link *by;
	struct sync_claim *next;
};

/*
 * Fields below `lock` are protected by it; it is held for moments only, never during network or
 * disk waits.  `changed` is told of everything in there; all four threads and sync_wait() rest on it.
 */
struct sync {
	struct sync_config cfg; /* own copies of its strings */

	pthread_t worker, server, teller;
	bool worker_on, server_on, teller_on;
	int running; /* of worker and server; under `lock` */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping, paused;
	bool kicked;         /* the log has something new */
	bool retry_now;      /* resumed by a person: no back-off */
	bool pull_wanted;    /* the server found a mailbox made anew */
	bool check_link;     /* the other connection died: is the worker's alive? */
	bool server_up;      /* the serving connection is signed in */
	uint64_t drop_links; /* counts the reasons to leave every link: suspend, pause */
	struct sync_link *links[2];
	struct sync_claim *claims;
	int64_t claim_wanted[2]; /* mailbox that each link waits for; 0: none */

	/* What sync_wait() asks for and what came of it, by number of the asking. */
	uint64_t wait_asked, wait_done, wait_failed;
	int wait_err;
	int64_t parked; /* actions, after the last replay */
	bool stopped;   /* by the user, and there is something to be sent */

	struct sync_want *wants;
	uint64_t last_ticket;
	size_t want_count;
	int64_t ahead[SYNC_AHEAD_MAX];
	size_t ahead_count;
	bool link_down; /* no connection is known to work: waiting is in vain */

	struct sync_status status;
	int64_t down_since_ms; /* wall clock: of the first failed attempt of these */
};

/* The two connections, for struct sync.links and for the log. */
enum { SYNC_WORKER, SYNC_SERVER };

/* ---- sync.c ---- */
bool sync_should_leave(struct sync *s,
                       uint64_t since);         /* stopping, paused, or links dropped since */
void sync_wake_link(struct sync *s, int which); /* caller holds the lock */

/* Everybody leaves the present connections and makes new ones at once; the lock is held. */
void sync_drop_links_locked(struct sync *s);

/* Says under `lock` that something changed. */
void sync_tell(struct sync *s);

/* Waits on `changed` until `deadline_ms` (monotonic); the lock is held. */
void sync_rest_until(struct sync *s, int64_t deadline_ms);

/* ---- sync_status.c ---- */
void sync_set_state(struct sync *s, enum sync_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void sync_set_next_try(struct sync *s, int64_t in_ms);
void sync_note_traffic(struct sync *s, struct sync_link *l);
void sync_note_pass(struct sync *s);
void sync_note_bodies(struct sync *s, int64_t done, int64_t total); /* total -1: as before */

/* ---- sync_claim.c: one mailbox is selected by one connection at a time ---- */

/* Takes the mailbox for the link; the other connection is asked to leave it and given
 * SYNC_CLAIM_WAIT_MS for that, then it is taken all the same. */
void sync_claim_wait(struct sync *s, const struct sync_link *l, int64_t mailbox);

/* Takes it only when the other has it not and does not wait for it. */
bool sync_claim_try(struct sync *s, const struct sync_link *l, int64_t mailbox);
void sync_claim_release(struct sync *s, const struct sync_link *l, int64_t mailbox); /* 0: all */
bool sync_claim_other_locked(struct sync *s, const struct sync_link *l, int64_t mailbox);
bool sync_claim_mine(struct sync *s, const struct sync_link *l, int64_t mailbox);
bool sync_claim_asked(struct sync *s, int64_t mailbox); /* somebody waits for it */

/* ---- sync_want.c: requests for bodies ---- */
void *sync_teller_main(void *arg); /* calls everybody back; watches deadlines and suspends */

/* Fills mailbox and UID of new requests from `st`; bodies that are here are done at once. */
void sync_want_resolve(struct sync *s, struct store *st);

/* Takes up to `max` requests of one mailbox, newest asked first; `mailbox` 0: any that the
 * other link has not selected.  Taken ones come back with _finish or _untake. */
size_t sync_want_take(struct sync *s, const struct sync_link *l, int64_t mailbox,
                      struct sync_need *out, size_t max);
void sync_want_finish(struct sync *s, int64_t message, int err); /* all who want this message */
void sync_want_untake(struct sync *s, int64_t message);
bool sync_want_alive(struct sync *s, int64_t message);              /* somebody still wants it */
bool sync_want_any(struct sync *s);                                 /* untaken ones; lock held */
bool sync_want_takeable(struct sync *s, const struct sync_link *l); /* of those; lock held */
void sync_want_fail_all(struct sync *s, int err);
size_t sync_ahead_take(struct sync *s, int64_t *out, size_t max);

/* ---- the threads ---- */
void sync_worker_main(struct sync *s);
void sync_server_main(struct sync *s);

#endif
