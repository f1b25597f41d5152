/* SPDX-License-Identifier: MIT */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "err.h"
#include "store.h"
#include "sync.h"

/* What came of fetching: messages that were not here before. */
struct cli_fetched {
	int64_t wanted, fetched;
	int err; /* of the last one that did not come; 0 */
};

/*
 * Fetches the contents of message `node`, or of all messages in mailbox `node` and below it, that are
 * not here; of the flagged ones only when `flagged`.  Waits until the deadline at most (monotonic).
 * ERR_NOTFOUND: no such node; ERR_INVAL: neither of the two.
 */
int cli_fetch(struct store *s, struct sync *sync, int64_t node, bool flagged, int64_t deadline_ms,
              struct cli_fetched *out);

#endif
