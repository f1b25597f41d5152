/* SPDX-License-Identifier: MIT */
#ifndef STORE_PULL_H
#define STORE_PULL_H

#include "store_mailbox.h"

/* What the server said.  These log no actions and never touch a pending change. */

/* One mailbox of a LIST answer.  `path` is the decoded name split by the delimiter, each
 * component already made fit for a file name (store_name_escape()) and joined by '/'. */
struct store_list_entry {
	const char *wire_name;
	const char *path;
	char delimiter;
	const char *attributes;
	bool subscribed;
	const char *rights; /* of MYRIGHTS (RFC 4314); NULL: not known now */
	bool has_size;
	uint64_t size; /* of all messages, by STATUS (RFC 8438) */
};

/* Adds and updates mailboxes.  Those that the answer does not name are only marked missing
 * when `complete`; they go with store_pull_mailbox_gone(), after a second, different command
 * confirmed it.  An empty answer marks nothing. */
int store_pull_list(struct store *s, const struct store_list_entry *e, size_t count, bool complete);

/* The server has it no more: view and bodies go; uploads for it stay queued, other actions
 * in it fail with ERR_NOTFOUND. */
int store_pull_mailbox_gone(struct store *s, int64_t mailbox);

/* The server has renamed it to what `e` says (its MAILBOXID is there now, RFC 8474 4): it goes
 * there with all that is in it, unless the user has moved it elsewhere meanwhile.
 * ERR_EXISTS: a mailbox of that name is known; ERR_NOTFOUND. */
int store_pull_mailbox_renamed(struct store *s, int64_t mailbox, const struct store_list_entry *e);

/* Reversible escape of one hierarchy component into a file name, and back; caller frees. */
char *store_name_escape(const char *utf8, size_t len);
char *store_name_unescape(const char *name);

/* A SELECT's facts.  A changed UIDVALIDITY is not for here: ERR_CONFLICT.  With UIDNOTSTICKY the
 * mailbox is read-only: an action could not name its message. */
struct store_selected {
	uint32_t uidvalidity;
	bool read_only, uidnotsticky, keywords_ok;
	const char *permanent_flags;
	const char *mailboxid; /* NULL: not sent */
};
int store_pull_selected(struct store *s, int64_t mailbox, const struct store_selected *sel);

/* UIDVALIDITY changed: forgets UIDs and mod-sequences, takes messages out of the view,
 * fails actions on their UIDs (kept, with their reason), keeps uploads (R015 to R017, R036).
 * Bodies stay aside for store_pull_descriptor() to link again when proven equal (R321). */
int store_pull_reset(struct store *s, int64_t mailbox, uint32_t uidvalidity);

/* A message's descriptor: a new UID, or fresh facts on a known one. */
struct store_descriptor {
	uint32_t uid;
	const char *flags;
	uint64_t size;
	int64_t date;
	int date_zone_min;
	uint64_t modseq;
	const char *message_id, *emailid, *threadid; /* NULL: not sent */
};
int store_pull_descriptor(struct store *s, int64_t mailbox, const struct store_descriptor *d);

/* How many messages are known to be in the mailbox under a UID that is not known (moved, copied
 * or uploaded without an answer that named it; set aside by a reset).  While there are any,
 * descriptors with Message-ID or EMAILID let store_pull_descriptor() find them again. */
int store_pull_expects(struct store *s, int64_t mailbox);

/* 1 while one of them has not been looked for in as many complete passes as it takes to give it up, or
 * to park what is to be done with it. */
int store_pull_searches(struct store *s, int64_t mailbox);

/* New flags of a known UID; unknown UIDs are ignored. */
int store_pull_flags(struct store *s, int64_t mailbox, uint32_t uid, const char *flags,
                     uint64_t modseq);

/* Gmail's labels of a known UID, one a line; unknown UIDs are ignored. */
int store_pull_labels(struct store *s, int64_t mailbox, uint32_t uid, const char *labels);

/* These UIDs are gone, proven.  One with an action under way stays until that is settled. */
int store_pull_expunged(struct store *s, int64_t mailbox, const uint32_t *uids, size_t count);

/* An action on the message, QUEUED again, has not found it: what a pass was told of that while the
 * action was under way counts now; else the next pass compares all of the mailbox. */
int store_pull_vanished(struct store *s, int64_t id);

/* All UIDs known in the present UIDVALIDITY, ascending; caller frees. */
int store_pull_uids(struct store *s, int64_t mailbox, uint32_t **uids, size_t *count);

/* Ends a complete pass. 0 for what is unknown. */
int store_pull_complete(struct store *s, int64_t mailbox, uint32_t uidnext, uint64_t highestmodseq,
                        uint32_t messages, uint32_t unseen);

/* The newest messages without a body, UID below `below` (0: no bound), with server size at
 * most `max_size` (0: no limit) and date from `since` on: fills ids, UIDs, sizes; returns how many. */
struct store_missing {
	int64_t id;
	uint32_t uid;
	uint64_t size;
};
int store_pull_missing(struct store *s, int64_t mailbox, uint32_t below, uint64_t max_size,
                       int64_t since, struct store_missing *out, int max);

/* Account-wide facts for status and statfs. */
struct store_quota {
	bool known;
	uint64_t storage_used_kb, storage_limit_kb, messages_used, messages_limit;
};
int store_pull_quota(struct store *s, const struct store_quota *q);
int store_quota_get(struct store *s, struct store_quota *q);

struct store_totals {
	int64_t mailboxes, messages, bodies, body_bytes, missing_bodies;
};
int store_totals_get(struct store *s, struct store_totals *t);

#endif
