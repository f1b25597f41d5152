/* SPDX-License-Identifier: MIT */
#ifndef STORE_OP_H
#define STORE_OP_H

#include "store.h"

/*
 * The replay log: one action per change that the server has not confirmed, in the order
 * in which they were made, committed with the change itself.
 *
 *      +-------------------- retry (user) --------------------+
 *      v                                                      |
 *   QUEUED --sent--> SENT --done--> (row removed)          PARKED
 *      ^               |                                      ^
 *      +-- not done ---+---- refused for good ----------------+
 *
 * QUEUED  free to be merged or cancelled by later changes.
 * SENT    frozen with its body; evidence was committed before its first byte left.  After a
 *         lost connection its outcome is unknown until looked up.
 * PARKED  failed, or depends on one that failed; waits for the user, the rest goes on.
 */
/* Numbered on disk, never renumbered; unknown kinds refuse the store */
enum store_op_kind {
	STORE_OP_APPEND = 1,
	STORE_OP_REPLACE = 2,
	STORE_OP_COPY = 3,
	STORE_OP_MOVE = 4,
	STORE_OP_DELETE = 5,
	STORE_OP_FLAGS = 6,
	STORE_OP_CREATE = 7,
	STORE_OP_REMOVE = 8, /* DELETE of a mailbox */
	STORE_OP_RENAME = 9,
	STORE_OP_SUBSCRIBE = 10,
	STORE_OP_UNSUBSCRIBE = 11,
	STORE_OP_LABELS = 12, /* of Gmail */
};

/* Numbered on disk */
enum store_op_state {
	STORE_OP_QUEUED = 1,
	STORE_OP_SENT = 2,
	STORE_OP_PARKED = 3,
};

struct store_op {
	int64_t seq;
	enum store_op_kind kind;
	enum store_op_state state;
	int64_t mailbox;    /* identity, not name: where it happens (source) */
	int64_t target;     /* COPY, MOVE, DELETE to trash: the other mailbox; CREATE, RENAME:
	                         the new parent, 0: top level */
	int64_t message;    /* node of the message, also one without a UID; 0: none */
	int64_t copy;       /* COPY: the new message's node */
	int64_t spool;      /* APPEND, REPLACE: the frozen content */
	int64_t depends_on; /* the last action that must be done first; 0: none is left */
	uint32_t uid, uidvalidity; /* the message's when known; read at the time of asking */
	char *add, *del;           /* FLAGS: delta; APPEND: `add` are the flags; LABELS: delta, as
	                              store_labels_to_words() writes them */
	char *name;                /* CREATE, RENAME: file name (store_name_unescape()) of the last
	                         component; REMOVE: the wire name it has; REPLACE: the new
	                         Message-ID, "" for none */
	int delete_mode;           /* DELETE: enum store_delete */
	int step;                  /* how far an action of several commands has come */
	char *evidence;            /* the sync layer's own record, NULL */
	int err;                   /* PARKED: enum err */
	char *error;               /* the reason, for a person */
	char *base;                /* FLAGS: the whole list was given, and the flags were these;
	                              NULL: only the delta was asked for */
	uint64_t base_modseq;      /* and this covers them; 0: unknown */
	int64_t created_ms, not_before_ms; /* wall clock */
	int tries;
};
void store_op_release(struct store_op *op);

/* The first runnable action with seq > `after`: QUEUED or SENT, not_before has passed (or
 * `now_ms` is 0: hold is over for all), what it depends on is done.  1 and *op, or 0. */
int store_op_next(struct store *s, int64_t after, int64_t now_ms, struct store_op *op);

/* All actions for show, by seq; caller frees with _list_free. */
int store_op_list(struct store *s, struct store_op **list, size_t *count);
void store_op_list_free(struct store_op *list, size_t count);

/* When held actions had best be sent (wall clock, ms): once no more of them come, so that many go
 * together, and at most two holds after the first may run; 0: none is held. */
int store_op_next_time(struct store *s, int64_t now_ms, int64_t *when_ms);

struct store_op_counts {
	int64_t queued, sent, parked, done_total, cancelled_total;
};
int store_op_counts(struct store *s, struct store_op_counts *c);

/* How many actions with seq <= `upto` are neither done nor parked; the last seq given so far. */
int store_op_open(struct store *s, int64_t upto, int64_t *count);
int store_op_last(struct store *s, int64_t *seq);

/* Taken out to be sent, read in the same batch (store_batch_begin()): no later change is merged into it any
 * more.  SENT with step 0: nothing has left yet, or it is of a kind of which twice is harmless. */
int store_op_freeze(struct store *s, int64_t seq);
int store_op_thaw(struct store *s, int64_t seq); /* nothing has left: QUEUED as it was */

/* Freezes it: SENT with `evidence` and `step`, durable against power loss before this returns. */
int store_op_sent(struct store *s, int64_t seq, int step, const char *evidence);

/* Certainly not executed: QUEUED again, to be tried not before `not_before_ms`. */
int store_op_requeue(struct store *s, int64_t seq, int64_t not_before_ms, int err,
                     const char *reason);

/* Still SENT, its outcome cannot be looked up now: not before then.  Nothing else changes. */
int store_op_hold(struct store *s, int64_t seq, int64_t not_before_ms);

/* Proven executed: applies its effect to the server's columns and removes the row. */
struct store_op_done {
	uint32_t uidvalidity, uid; /* APPEND, REPLACE, COPY, MOVE, DELETE to trash: what the target
	                              gave; 0: unknown */
	const char *wire_name; /* CREATE, RENAME: the name on the wire; NULL: as op.name, ASCII */
};
int store_op_done(struct store *s, int64_t seq, const struct store_op_done *result);

/* Refused for good: PARKED, and with it all that depends on it (ERR_BLOCKED). */
int store_op_park(struct store *s, int64_t seq, int err, const char *reason);

/*
 * The user's choices for a parked action.  ERR_NOTFOUND: it is not parked; ERR_BLOCKED: it waits
 * for another that is, about which there is to be decided.  Of _retry ERR_CONFLICT: its message is
 * gone from the server, and the content is not here to be uploaded instead.  A list of flags is
 * tried again on top of whatever others have done.
 */
int store_op_retry(struct store *s, int64_t seq); /* and what it blocks */
int store_op_drop(struct store *s, int64_t seq);  /* takes the change back; an upload's
                                                                        bytes go to lost+found */
int store_op_retarget(struct store *s, int64_t seq, int64_t mailbox); /* another mailbox */

/* Makes the mailbox that it missed again; all that is parked for want of it goes on after that.
 * ERR_INVAL: it needs none; ERR_NOTFOUND also when the mailbox is out of the tree. */
int store_op_recreate(struct store *s, int64_t seq);

/* Nothing is sent until the user says go; what is queued stays.  1: so it is. */
int store_op_stop(struct store *s, bool stop);
int store_op_stopped(struct store *s);

/* The first action parked by itself about which no policy has decided yet: 1 and *op, or 0.
 * _decided marks it until a choice of the user's makes it undecided again. */
int store_op_undecided(struct store *s, struct store_op *op);
int store_op_decided(struct store *s, int64_t seq);

/* Every action that waits for `seq`, directly or not, ascending; caller frees *seqs. */
int store_op_dependents(struct store *s, int64_t seq, int64_t **seqs, size_t *count);

/* Time after its last change before an action may be sent; set once per handle. */
void store_op_set_hold(struct store *s, int hold_ms);

#endif
