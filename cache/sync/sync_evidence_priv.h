/* SPDX-License-Identifier: MIT */
#ifndef SYNC_EVIDENCE_PRIV_H
#define SYNC_EVIDENCE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "imap_digest.h"
#include "sync_link_priv.h"

/*
 * What is written down before the first byte of an action leaves, so that its outcome can be looked
 * up later: what the target mailbox was like, and how to know the message again.
 */
struct sync_evidence {
	uint32_t uidvalidity, uidnext; /* of the target, before; 0: unknown */
	uint64_t size;                 /* bytes */
	int64_t date;                  /* INTERNALDATE, seconds */
	uint32_t found;                /* UID in the target, once known */
	char digest[IMAP_DIGEST_MAX];  /* of the bytes, line ends made alike; "": unknown */
	char *message_id;              /* NULL: none */
	char *foreign;                 /* messages of others whose \Deleted we took: "3,7,9" */
};

/* Text form for store_op.evidence, and back; unknown words are skipped. */
char *sync_evidence_format(const struct sync_evidence *e);
void sync_evidence_parse(const char *text, struct sync_evidence *out);
void sync_evidence_release(struct sync_evidence *e);

/* Digest over bytes in which CRLF, and the line end at the very end, count as LF and none: what
 * servers change in a message they store.  `read` as imap_literal_fn. */
int sync_evidence_digest(imap_literal_fn read, void *ctx, uint64_t len, char out[IMAP_DIGEST_MAX]);
void sync_evidence_digest_mem(const void *data, size_t len, char out[IMAP_DIGEST_MAX]);

/* One command without a mailbox, with what its untagged data go to; as sync_link_exec(). */
int sync_ask(struct sync_link *l, struct imap_cmd **cmd,
             void (*data)(void *ctx, const struct imap_resp *r), void *ctx,
             struct sync_reply *reply);

/* What STATUS says of a mailbox that is not selected here. */
struct sync_target {
	uint32_t uidvalidity, uidnext;
	bool has_limit; /* on the size of a message that is uploaded (RFC 7889) */
	uint64_t limit;
};
int sync_target_status(struct sync_link *l, const char *wire_name, struct sync_target *out,
                       struct sync_reply *reply);

/* One message of the target that came after the evidence was taken. */
struct sync_candidate {
	uint32_t uid;
	uint64_t size;
	int64_t date;
	char *message_id; /* NULL: it has none */
	bool taken;
};

struct sync_candidates {
	struct sync_candidate *items;
	size_t count, cap;
};

/* Fetches the candidates: all of the selected mailbox from `first_uid` on.  The link's error. */
int sync_candidates_fetch(struct sync_link *l, struct sync_box *box, uint32_t first_uid,
                          struct sync_candidates *out);
void sync_candidates_release(struct sync_candidates *c);

/* The candidate that is the message of `e`: same Message-ID and size (as servers keep it), same date;
 * where that leaves doubt its body is fetched and compared, and without a digest it is none.  1 and *uid (the candidate is taken),
 * 0: none; the link's error. */
int sync_candidates_match(struct sync_link *l, struct sync_box *box, struct sync_candidates *c,
                          const struct sync_evidence *e, uint32_t *uid);

/* The "<...>" of a header block that holds one Message-ID field, all of its value where it has no
 * such part; NULL: none.  The caller frees. */
char *sync_header_message_id(const char *data, size_t len);

#endif
