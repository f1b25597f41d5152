/* SPDX-License-Identifier: MIT */
#ifndef SYNC_PASS_PRIV_H
#define SYNC_PASS_PRIV_H

#include "sync_link_priv.h"
#include "sync_priv.h"

/* What LIST and STATUS said of one mailbox in this pass. */
struct sync_seen {
	char *wire_name, *path, *attributes;
	char delimiter;
	bool subscribed, has_status;
	struct imap_status status; /* without its name */
};

struct sync_list {
	struct sync_seen *items;
	size_t count, cap;
	bool complete; /* the command ended well */
};

struct sync_pass {
	bool full; /* every mailbox is looked into, whatever STATUS says */
};

/* ---- sync_list.c ---- */

/* Asks for all mailboxes and their numbers, and records the names.  0 or why the link is lost. */
int sync_list_pull(struct sync_link *l, struct sync_list *out);
void sync_list_release(struct sync_list *list);
const struct sync_seen *sync_list_find(const struct sync_list *list, const char *wire_name);

/* Mailboxes that LIST does not name go when a STATUS says that they do not exist. */
int sync_list_confirm_gone(struct sync_link *l, const struct sync_list *list);

/* ---- sync_pull.c ---- */

/* Everything the server has that is not here: names, descriptors, flags, bodies. */
int sync_pull_pass(struct sync_link *l, struct sync_pass *pass);

/* ---- sync_scan.c: descriptors, flags and expunges of one selected mailbox ---- */
struct sync_scan;

/* Queues what the plan for this mailbox says; `seen` are its numbers, or NULL after SELECT.
 * `box` is selected or being selected. */
struct sync_scan *sync_scan_begin(struct sync_link *l, struct sync_box *box, const struct store_mailbox *m,
                                  const struct imap_status *seen);

/* Applies what came: 1 when all is known, 0 when a second look was queued, else the
 * error of this mailbox (ERR_CONFLICT: UIDVALIDITY is another).  Run the link empty before. */
int sync_scan_settle(struct sync_scan *scan);
void sync_scan_free(struct sync_scan **scan);

/* The UIDVALIDITY of a mailbox is another, says SELECT: when STATUS agrees, the store forgets. */
int sync_scan_reset(struct sync_link *l, int64_t mailbox);

/* One mailbox from SELECT to settled, for the link's present store state. */
int sync_scan_mailbox(struct sync_link *l, int64_t mailbox);

/* ---- sync_body.c ---- */
struct sync_bodies;
struct sync_bodies *sync_bodies_new(struct sync_link *l);
void sync_bodies_free(struct sync_bodies **b);

/* Queues the FETCH of one body in the selected `box`. */
void sync_bodies_add(struct sync_bodies *b, struct sync_box *box, const struct sync_need *need);

/* Sends what is gathered. */
void sync_bodies_send(struct sync_bodies *b);

/* Bytes asked for and not come yet, by size as known. */
uint64_t sync_bodies_in_flight(const struct sync_bodies *b);

/* Writes what came to the store and runs until at most `bytes` are in flight; asks once more
 * for what did not come right.  0 or why the link is lost. */
int sync_bodies_run(struct sync_bodies *b, uint64_t bytes);
int64_t sync_bodies_stored(const struct sync_bodies *b);

/* ---- sync_serve.c ---- */

/* Fetches what people wait for in `mailbox` (0: anywhere free) now.  0 or why the link is lost. */
int sync_serve_wants(struct sync_link *l, int64_t mailbox);
bool sync_server_absent(struct sync *s); /* wants are the worker's to serve; the lock is held */

/* ---- sync_replay.c ---- */

/* Carries the log out as far as it goes.  `now`: what is held back too.  *left: actions that
 * could be sent and were not settled.  0 or why the link is lost. */
int sync_replay(struct sync_link *l, bool now, int64_t *left);

#endif
