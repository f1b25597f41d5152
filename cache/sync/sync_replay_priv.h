/* SPDX-License-Identifier: MIT */
#ifndef SYNC_REPLAY_PRIV_H
#define SYNC_REPLAY_PRIV_H

#include "sync_evidence_priv.h"
#include "sync_link_priv.h"
#include "sync_uids_priv.h"

/*
 * Carries the log out, client to server (RFC 4549 3 and 4.2).  Each kind of action stands in one
 * table in sync_replay.c: what runs it, whether twice is harmless, how many go together.
 *
 * An action is done when a reply proves it or a look at the mailbox does; OK alone is no proof.
 * What may not run twice is first committed as SENT with its evidence; after a lost connection it
 * is looked up before anything is sent again.
 */

/* One action of a batch. */
struct sync_act {
	struct store_op op;
	struct sync_evidence ev;
	bool settled;            /* done, parked or put back: nothing more to do in this pass */
	bool seen;               /* the mailbox still has it */
	bool gone;               /* REPLACE: the server said that the old one is */
	bool right;              /* FLAGS, LABELS: they are as wanted */
	uint32_t new_uid;        /* what the target gave it; 0: not known */
	struct sync_reply reply; /* of the command that it led */
	const struct sync_reply *shared; /* of the command that it was part of */
};

/* Actions of one kind, mailbox and target that go together. */
struct sync_batch {
	struct sync_link *link;
	struct sync_act *acts;
	size_t count;
	int refusal; /* of an expunge: the error of the first command that was refused; 0: none */
	struct err_reason words; /* what the server said to it */
};

/* ---- For the kinds ---- */

/* Proven: the store takes it over.  ERR_IO. */
int sync_act_done(struct sync_batch *b, struct sync_act *a, uint32_t uidvalidity);

/* The server refused, or did not do what it said: parked when that is final (a refusal without a
 * known code after three tries), else put back with back-off. */
int sync_act_refused(struct sync_batch *b, struct sync_act *a, int err, const char *text);

/* Not executed and not its fault: put back for `delay_ms`. */
int sync_act_later(struct sync_batch *b, struct sync_act *a, int64_t delay_ms, int err,
                   const char *text);

/* Sent, the link lost, and certainly not executed: may be sent once more at once; after that it is
 * put back with back-off and goes alone, so that a message on which the server hangs up
 * does not hold up the others. */
int sync_act_again(struct sync_batch *b, struct sync_act *a);

/* Refused, or later: all that are not settled. */
int sync_batch_refused(struct sync_batch *b, int err, const char *text);
int sync_batch_later(struct sync_batch *b, int64_t delay_ms, int err, const char *text);

/* Commits all unsettled ones as SENT with their evidence, durable before it returns. */
int sync_batch_sent(struct sync_batch *b, int step);

/* After a lost link: those of which certainly nothing left go back to the queue, the rest stays SENT
 * and is looked up at the next connection.  Returns `err`. */
int sync_batch_lost(struct sync_batch *b, int err);

/* Waits about two seconds, less when the program stops: a server may still be busy with what a lost
 * connection asked for. */
void sync_replay_pause(struct sync_batch *b);

/* Looks for the unsettled acts in the target mailbox, twice when `patient`, and sets new_uid of those
 * it finds.  `uidvalidity` is the mailbox's.  1: it cannot be opened now; the link's error. */
int sync_batch_look(struct sync_batch *b, int64_t mailbox, bool patient, uint32_t *uidvalidity);

/* Selects the mailbox for the batch; on failure settles the batch and gives 1 (the caller returns
 * 0), or the link's error. */
int sync_batch_open(struct sync_batch *b, int64_t mailbox, struct sync_box **out);

/* UIDs of the unsettled acts, ascending, unique. */
void sync_batch_uids(const struct sync_batch *b, struct sync_uids *out);

/* How many of these ascending UIDs, folded into ranges, fit into one command. */
size_t sync_uids_fit(const uint32_t *uids, size_t count);

/* Queues `UID SEARCH criteria [UID set]`; what it finds reaches box->data.  A set alone asks which of
 * them are there, and servers so old that they have no UIDPLUS are asked for ALL instead: some of
 * them take the UIDs in a SEARCH for message numbers. */
void sync_search_send(struct sync_link *l, struct sync_box *box, const char *criteria,
                      const struct sync_uids *uids, struct sync_reply *reply);

/* A box->data function: collects SEARCH numbers into the struct sync_uids at `ctx`. */
void sync_search_data(void *ctx, struct sync_box *box, const struct imap_resp *r);

/* A batch of messages leaves the selected mailbox for good: \Deleted and UID EXPUNGE, or its
 * emulation (RFC 4549 4.2.4), proven by a search.  Sets `seen` on those that are still there. */
int sync_expunge(struct sync_batch *b, struct sync_box *box, int step);

/* Queues UID STORE +-FLAGS.SILENT of these UIDs.  `reply` keeps the first refusal, or the last OK:
 * init it with zeros, release it. */
void sync_store_send(struct sync_link *l, struct sync_box *box, const struct sync_uids *uids,
                     char sign, const char *flags, struct sync_reply *reply);

/* The same of another data item, whose list `put` writes. */
void sync_store_words(struct sync_link *l, struct sync_box *box, const struct sync_uids *uids,
                      char sign, const char *item,
                      void (*put)(struct imap_cmd *cmd, const char *words), const char *words,
                      struct sync_reply *reply);

/* ---- sync_policy.c ---- */

/* Decides about what is parked since the last call; *changed is set when that made a difference.
 * ERR_IO. */
int sync_policy_run(struct sync_link *l, bool *changed);
/* A done function for several commands with one struct sync_reply: keeps the first refusal, or the
 * last OK; what was MODIFIED of any of them. */
void sync_store_done(void *ctx, const struct imap_result *res);

/* Queues UID FETCH of these items for all that are not settled. */
void sync_batch_fetch(struct sync_batch *b, struct sync_box *box, const char *items,
                      struct sync_reply *reply);

/* Settles those flag changes that were written as a whole list, as -o conflict= says. */
int sync_run_guarded(struct sync_batch *b, struct sync_box *box);

/* ---- The kinds ---- */
int sync_run_flags(struct sync_batch *b); /* LABELS, too */
int sync_run_delete(struct sync_batch *b);
int sync_run_append(struct sync_batch *b);
int sync_run_transfer(struct sync_batch *b); /* COPY, MOVE, DELETE to the trash */
int sync_run_mailbox(struct sync_batch *b);  /* CREATE REMOVE RENAME SUBSCRIBE UNSUBSCRIBE */

#endif
