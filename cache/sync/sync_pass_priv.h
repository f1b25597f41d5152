/* SPDX-License-Identifier: MIT */
#ifndef SYNC_PASS_PRIV_H
#define SYNC_PASS_PRIV_H

#include "sync_link_priv.h"
#include "sync_priv.h"

/* What LIST and STATUS said of one mailbox in this pass. */
struct sync_seen {
	char *wire_name, *path, *attributes;
	char *mailboxid, *rights; /* NULL: not asked for */
	char delimiter;
	bool subscribed, has_status;
	struct imap_status status; /* without its name */
};

struct sync_list {
	struct sync_seen *items;
	size_t count, cap;
	bool complete;   /* the command ended well, and there was room for all */
	bool full;       /* there was not */
	size_t text;     /* bytes of all that is said of them */
	size_t left_out; /* whose names cannot be shown, or for which there was no room */
	uint32_t *slots; /* by wire name: place in items, from 1; 0: free */
	size_t slot_count;
	uint64_t seed;
	struct store_quota quota;
};

enum {
	SYNC_WIRE_MAX = 1000, /* bytes of a mailbox's name on the wire */
	SYNC_DEPTH_MAX = 32,  /* levels of mailboxes */
};

/* ---- sync_list.c ---- */

/* Asks for all mailboxes and their numbers, and records the names.  0 or why the link is lost. */
int sync_list_pull(struct sync_link *l, struct sync_list *out);

/* Mailboxes that LIST does not name go when a STATUS says that they do not exist. */
int sync_list_confirm_gone(struct sync_link *l, const struct sync_list *list);

/* ---- sync_follow.c ---- */

/* Mailboxes renamed by others go with their MAILBOXID; before the names are recorded. */
void sync_list_follow(struct sync_link *l, struct sync_list *list);

/* ---- sync_list_name.c ---- */

/* "INBOX/Sent" for a wire name; the caller frees.  NULL: it cannot be shown. */
char *sync_list_path(const char *wire, size_t len, char delimiter);

/* What a server calls its hierarchy delimiter, 0 when that cannot be one. */
char sync_list_delimiter(char c);

/* By wire name; NULL: not listed. */
struct sync_seen *sync_list_find(const struct sync_list *list, const char *wire_name);
struct sync_seen *sync_list_add(struct sync_list *list, const char *wire_name);
void sync_list_release(struct sync_list *list);

/* ---- sync_pull.c ---- */

/* Everything the server has that is not here: names, descriptors, flags, bodies.  What could not be
 * had is noted in l->unfinished and l->busy. */
int sync_pull_pass(struct sync_link *l);
void sync_pull_note(struct sync_link *l, int err);

/* Bodies that the profile of one mailbox wants, newest first, about `max_bytes` at most (0: all).
 * 0: all that can be had; 1: there is more; or why the link is lost. */
int sync_pull_bodies(struct sync_link *l, int64_t mailbox, uint64_t max_bytes);

/* ---- sync_profile.c: what is fetched unasked ---- */
bool sync_profile_scans(const struct sync *s, const struct store_mailbox *m);  /* at all */
bool sync_profile_bodies(const struct sync *s, const struct store_mailbox *m); /* bodies, too */
/* Only what is new; of what is known neither flags nor expunges. */
bool sync_profile_new_only(const struct sync *s, const struct store_mailbox *m);
/* How many bytes of the body of each new message are asked for along with its descriptor; 0: none. */
uint64_t sync_profile_blind(const struct sync *s, const struct store_mailbox *m, uint32_t uidnext);
/* Older messages' bodies are not fetched; seconds, 0: however old. */
int64_t sync_profile_since(const struct sync *s);

/* ---- sync_modseq.c ---- */

/* Changes since the store's HIGHESTMODSEQ can be asked for, by what STATUS said (or NULL). */
bool sync_modseq_follows(const struct sync_link *l, const struct store_mailbox *m,
                         const struct imap_status *seen);

/* Queues the SELECT that fits, with or without QRESYNC. */
struct sync_box *sync_modseq_select(struct sync_link *l, const struct store_mailbox *m,
                                    const struct imap_status *seen);

/* ---- sync_scan.c: descriptors, flags and expunges of one selected mailbox ---- */
struct sync_scan;

/* Queues what the plan for this mailbox says; `seen` are its numbers, or NULL after SELECT.
 * `box` is selected or being selected. */
uint32_t sync_scan_uidvalidity(const struct sync_scan *scan); /* as SELECT said */
struct sync_scan *sync_scan_begin(struct sync_link *l, struct sync_box *box,
                                  const struct store_mailbox *m, const struct imap_status *seen);

/* Applies what came: 1 when all is known, 0 when a second look was queued, else the
 * error of this mailbox (ERR_CONFLICT: UIDVALIDITY is another).  Run the link empty before. */
int sync_scan_settle(struct sync_scan *scan);
void sync_scan_free(struct sync_scan **scan);

/* SELECT said that the UIDVALIDITY is another: when STATUS agrees, the store forgets what
 * it knew by UID.  0 or why the link is lost. */
int sync_scan_reset(struct sync_link *l, int64_t mailbox, uint32_t by_select);

/* A mailbox whose UIDs hold for one selection only (RFC 4315 3): selects it, looks at all of it anew
 * and knows messages again by what is known of them; UIDs are good until it is left.  _scan fetches
 * what bodies are wanted, too, and leaves it.  0 or why the link is lost. */
int sync_unsticky_open(struct sync_link *l, int64_t mailbox);
int sync_unsticky_scan(struct sync_link *l, int64_t mailbox);

/* The other way round: STATUS said that it is another; when SELECT agrees, the store forgets, so
 * that UIDs which an upload or a copy gets belong to what the store knows (RFC 4549 4.1). */
int sync_scan_moved(struct sync_link *l, const struct store_mailbox *m, uint32_t by_status);

/* One mailbox from SELECT to settled: after a push, with the mailbox `box` selected or NULL. */
int sync_scan_mailbox(struct sync_link *l, int64_t mailbox);

/* ---- sync_parts.c ---- */

/* Of messages in `mailbox` that are too large to be fetched unasked, the parts that people read: a
 * bounded number of them, newest first.  1: there are more; 0; or why the link is lost. */
int sync_parts_pull(struct sync_link *l, int64_t mailbox);

/* ---- sync_body.c ---- */
struct sync_bodies;
struct sync_bodies *sync_bodies_new(struct sync_link *l);
void sync_bodies_free(struct sync_bodies **b);

/* Queues one body behind those queued; its mailbox is selected when its turn comes.  An
 * `urgent` one is somebody's want: it goes before them, is written at once, dropped when nobody waits
 * any more, and its outcome is told. */
void sync_bodies_add(struct sync_bodies *b, const struct sync_need *need, bool urgent);

/* People come first: queues what they want of `mailbox`; from then on also whenever a large body is
 * between two of its pieces. */
void sync_bodies_add_wants(struct sync_bodies *b, int64_t mailbox);

/* Sends and stores until nothing is queued and at most `bytes` are in flight; bodies that did not come
 * right are asked for once more.  0 or why the link is lost. */
int sync_bodies_run(struct sync_bodies *b, uint64_t bytes);

bool sync_bodies_full(const struct sync_bodies *b); /* enough is queued to be run */
int sync_bodies_top_up(struct sync_bodies *b); /* the same until half the window is in flight */
int64_t sync_bodies_stored(const struct sync_bodies *b); /* that nobody waited for */
bool sync_bodies_stuck(const struct sync_bodies *b);     /* the disk refused */

/* ---- sync_serve.c ---- */

/* Fetches what people wait for in `mailbox` (0: anywhere free) now.  0 or why the link is lost. */
int sync_serve_wants(struct sync_link *l, int64_t mailbox);
bool sync_server_absent(struct sync *s); /* wants are the worker's to serve; the lock is held */

/* ---- sync_replay.c ---- */

/* Carries the log out as far as it goes.  `now`: what is held back too.  0 or why the link is lost. */
int sync_replay(struct sync_link *l, bool now);

/* What is parked, for those who wait in sync_wait(). */
void sync_replay_note(struct sync_link *l);

#endif
