/* SPDX-License-Identifier: MIT */
#ifndef CLI_QUEUE_H
#define CLI_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "store_op.h"

/* One action of the replay log, as a person reads it. */
struct cli_action {
	int64_t seq;
	enum store_op_kind kind;
	enum store_op_state state;
	char *path;                        /* "INBOX/12.eml" */
	int64_t created_ms, not_before_ms; /* wall clock */
	int tries;
	int err;
	char *error; /* NULL: none */
};

/* All actions in order; *list is the caller's, freed by cli_action_list_free(). */
int cli_action_list(struct store *s, struct cli_action **list, size_t *count);
void cli_action_list_free(struct cli_action *list, size_t count);

/* "upload"; "queued"; never NULL. */
const char *cli_kind_word(enum store_op_kind kind);
const char *cli_state_word(enum store_op_state state);

/* A line per action: seq, kind, path, age, tries, state, error, separated by tabs.
 * ERR_LIMIT when the buffer's ceiling cut it short. */
int cli_queue_text(const struct cli_action *list, size_t count, int64_t now_ms, struct buf *out);

/* `retry N`, `drop N` or `skip N`, `recreate N`, `retarget N MAILBOX`, `show N`: puts the lines of
 * that action and of all that wait for it into `out`, as they were before.  `abort` stops all
 * sending, `go` ends that.  ERR_INVAL: not such a request. */
int cli_queue_change(struct store *s, const char *request, struct buf *out, struct err_reason *why);

/* "3s", "5m", "2h", "12d": about how long; for negative spans "0s". */
void cli_age_text(int64_t ms, char *out, size_t cap);

#endif
