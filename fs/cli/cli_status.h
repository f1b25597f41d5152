/* SPDX-License-Identifier: MIT */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include "buf.h"
#include "cli.h"
#include "cli_queue.h"
#include "sync.h"

/* How an account stands at one moment. */
struct cli_status {
	const char *account, *mountpoint; /* borrowed */
	int64_t pid;
	int64_t now_ms; /* wall clock */
	struct sync_status sync;
	struct cli_action *actions;
	size_t action_count;
	int64_t open_files; /* written and not yet actions */
	bool stopped;       /* by `imapfs queue PATH abort` or a policy */
	size_t lost;        /* files in lost+found */
};

void cli_status_release(struct cli_status *st);

/* What `imapfs status` ends with. */
enum cli_step cli_status_step(const struct cli_status *st);

/* For people; for programs. */
void cli_status_text(const struct cli_status *st, struct buf *out);
void cli_status_json(const struct cli_status *st, struct buf *out);

/* "in-step"; and a phrase in words, without its reason. */
const char *cli_sync_word(enum sync_state state);
const char *cli_sync_phrase(enum sync_state state);

#endif
