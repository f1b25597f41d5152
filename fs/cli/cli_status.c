/* SPDX-License-Identifier: MIT */
#include "cli_status.h"
#include "json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define KINDS 13 /* numbers of enum store_op_kind and 0 */
#define FAILED_SHOWN 20

void cli_status_release(struct cli_status *st)
{
	cli_action_list_free(st->actions, st->action_count);
	st->actions = NULL;
	st->action_count = 0;
}

const char *cli_sync_word(enum sync_state state)
{
	switch (state) {
	case SYNC_OFFLINE:
		return "offline";
	case SYNC_PAUSED:
		return "paused";
	case SYNC_CONNECTING:
		return "connecting";
	case SYNC_REPLAYING:
		return "replaying";
	case SYNC_PULLING:
		return "pulling";
	case SYNC_IN_STEP:
		return "in-step";
	}
	return "unknown";
}

const char *cli_sync_phrase(enum sync_state state)
{
	switch (state) {
	case SYNC_OFFLINE:
		return "offline";
	case SYNC_PAUSED:
		return "offline on purpose";
	case SYNC_CONNECTING:
		return "connecting";
	case SYNC_REPLAYING:
		return "sending what changed here";
	case SYNC_PULLING:
		return "fetching what changed on the server";
	case SYNC_IN_STEP:
		return "in step with the server";
	}
	return "unknown";
}

static size_t count_state(const struct cli_status *st, enum store_op_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < st->action_count; i++)
		n += st->actions[i].state == state;
	return n;
}

/* Connected, and everything the server had at some time after the start is here. */
static bool is_connected(const struct sync_status *sync)
{
	switch (sync->state) {
	case SYNC_IN_STEP:
		return true;
	case SYNC_REPLAYING:
	case SYNC_PULLING:
		return sync->last_pass_ms != 0;
	case SYNC_OFFLINE:
	case SYNC_PAUSED:
	case SYNC_CONNECTING:
		return false;
	}
	return false;
}

enum cli_step cli_status_step(const struct cli_status *st)
{
	if (count_state(st, STORE_OP_PARKED) > 0)
		return CLI_FAILED;
	if (st->action_count > 0 || st->open_files > 0 || !is_connected(&st->sync))
		return CLI_PENDING;
	return CLI_IN_STEP;
}

/* ---- For people ---- */

static void time_text(int64_t ms, char *out, size_t cap)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(out, cap, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(out, cap, "?");
}

static void put_state(const struct cli_status *st, struct buf *out)
{
	const struct sync_status *sync = &st->sync;
	char when[40], age[32];

	(void)buf_puts(out, cli_sync_phrase(sync->state));
	if (sync->reason[0] != '\0' && sync->state != SYNC_IN_STEP && sync->state != SYNC_PAUSED)
		(void)buf_printf(out, ": %s", sync->reason);
	(void)buf_putc(out, '\n');
	if (sync->since_ms != 0) {
		time_text(sync->since_ms, when, sizeof(when));
		cli_age_text(st->now_ms - sync->since_ms, age, sizeof(age));
		(void)buf_printf(out, "since:       %s (%s)\n", when, age);
	}
	if (sync->next_try_ms > st->now_ms) {
		cli_age_text(sync->next_try_ms - st->now_ms, age, sizeof(age));
		(void)buf_printf(out, "next try:    in %s\n", age);
	}
	if (sync->state == SYNC_PAUSED)
		(void)buf_printf(out, "to go on:    imapfs resume %s\n", st->mountpoint);
	if (sync->last_pass_ms != 0) {
		time_text(sync->last_pass_ms, when, sizeof(when));
		(void)buf_printf(out, "last synced: %s\n", when);
	} else {
		(void)buf_puts(out, "last synced: not since the start\n");
	}
	if (sync->bodies_done < sync->bodies_total)
		(void)buf_printf(out, "fetching:    %lld of %lld messages\n",
		                 (long long)sync->bodies_done, (long long)sync->bodies_total);
}

static void put_pending(const struct cli_status *st, struct buf *out)
{
	size_t by_kind[KINDS] = { 0 }, waiting = 0;
	const char *before = " (";

	for (size_t i = 0; i < st->action_count; i++)
		if (st->actions[i].state != STORE_OP_PARKED) {
			by_kind[st->actions[i].kind < KINDS ? st->actions[i].kind : 0]++;
			waiting++;
		}
	(void)buf_printf(out, "to be sent:  %zu action%s", waiting, waiting == 1 ? "" : "s");
	for (int kind = 1; kind < KINDS; kind++)
		if (by_kind[kind] > 0) {
			(void)buf_printf(out, "%s%zu %s", before, by_kind[kind],
			                 cli_kind_word((enum store_op_kind)kind));
			before = ", ";
		}
	(void)buf_puts(out, waiting > 0 ? ")\n" : "\n");
	if (st->open_files > 0)
		(void)buf_printf(out, "in writing:  %lld file%s\n", (long long)st->open_files,
		                 st->open_files == 1 ? "" : "s");
}

static void put_failed(const struct cli_status *st, struct buf *out)
{
	size_t failed = count_state(st, STORE_OP_PARKED), shown = 0;

	if (failed == 0)
		return;
	(void)buf_printf(out, "failed:      %zu action%s\n", failed, failed == 1 ? "" : "s");
	for (size_t i = 0; i < st->action_count && shown < FAILED_SHOWN; i++) {
		const struct cli_action *a = &st->actions[i];

		if (a->state != STORE_OP_PARKED)
			continue;
		(void)buf_printf(out, "  %lld %s %s: %s\n", (long long)a->seq,
		                 cli_kind_word(a->kind), a->path,
		                 a->error != NULL ? a->error : err_text(a->err));
		shown++;
	}
	if (failed > shown)
		(void)buf_printf(out, "  and %zu more: imapfs queue %s\n", failed - shown,
		                 st->mountpoint);
	(void)buf_printf(out,
	                 "what to do:  imapfs queue %s retry N      once the cause is gone\n"
	                 "             imapfs queue %s drop N       takes the change back\n"
	                 "             imapfs queue %s recreate N   makes its mailbox again\n"
	                 "             imapfs queue %s retarget N MAILBOX\n"
	                 "             imapfs queue %s abort        sends nothing more for now\n",
	                 st->mountpoint, st->mountpoint, st->mountpoint, st->mountpoint,
	                 st->mountpoint);
}

static void put_kept(const struct cli_status *st, struct buf *out)
{
	if (st->stopped)
		(void)buf_printf(out,
		                 "stopped:     nothing is sent; to go on: imapfs queue %s go\n",
		                 st->mountpoint);
	if (st->lost > 0)
		(void)buf_printf(out, "not sent:    %zu file%s in %s/.imapfs/lost+found\n",
		                 st->lost, st->lost == 1 ? "" : "s", st->mountpoint);
}

void cli_status_text(const struct cli_status *st, struct buf *out)
{
	(void)buf_printf(out, "%s on %s\n", st->account, st->mountpoint);
	put_state(st, out);
	put_pending(st, out);
	put_failed(st, out);
	put_kept(st, out);
	(void)buf_printf(out, "traffic:     %llu bytes sent, %llu received, %llu turnarounds\n",
	                 (unsigned long long)st->sync.sent_bytes,
	                 (unsigned long long)st->sync.received_bytes,
	                 (unsigned long long)st->sync.turnarounds);
}

/* ---- For programs ---- */

static void json_field(struct buf *out, const char *name, const char *text)
{
	(void)buf_printf(out, "  \"%s\": ", name);
	(void)json_string(out, text);
	(void)buf_puts(out, ",\n");
}

static void json_pending(const struct cli_status *st, struct buf *out)
{
	size_t by_kind[KINDS] = { 0 };
	size_t parked = count_state(st, STORE_OP_PARKED);

	for (size_t i = 0; i < st->action_count; i++)
		if (st->actions[i].state != STORE_OP_PARKED)
			by_kind[st->actions[i].kind < KINDS ? st->actions[i].kind : 0]++;
	(void)buf_printf(out, "  \"pending\": {\"total\": %zu", st->action_count - parked);
	for (int kind = 1; kind < KINDS; kind++)
		(void)buf_printf(out, ", \"%s\": %zu", cli_kind_word((enum store_op_kind)kind),
		                 by_kind[kind]);
	(void)buf_printf(out, "},\n  \"open_files\": %lld,\n", (long long)st->open_files);
	(void)buf_printf(out, "  \"stopped\": %s,\n  \"lost_found\": %zu,\n",
	                 st->stopped ? "true" : "false", st->lost);
}

static void json_failed(const struct cli_status *st, struct buf *out)
{
	const char *before = "\n";

	(void)buf_puts(out, "  \"failed\": [");
	for (size_t i = 0; i < st->action_count; i++) {
		const struct cli_action *a = &st->actions[i];

		if (a->state != STORE_OP_PARKED)
			continue;
		(void)buf_printf(out, "%s    {\"seq\": %lld, \"kind\": \"%s\", \"path\": ", before,
		                 (long long)a->seq, cli_kind_word(a->kind));
		(void)json_string(out, a->path);
		(void)buf_printf(out, ", \"tries\": %d, \"error\": ", a->tries);
		(void)json_string(out, a->error != NULL ? a->error : err_text(a->err));
		(void)buf_puts(out, "}");
		before = ",\n";
	}
	(void)buf_puts(out, before[0] == ',' ? "\n  ],\n" : "],\n");
}

void cli_status_json(const struct cli_status *st, struct buf *out)
{
	const struct sync_status *sync = &st->sync;

	(void)buf_puts(out, "{\n");
	json_field(out, "account", st->account);
	json_field(out, "mountpoint", st->mountpoint);
	(void)buf_printf(out, "  \"pid\": %lld,\n", (long long)st->pid);
	json_field(out, "state", cli_sync_word(sync->state));
	json_field(out, "reason", sync->reason[0] != '\0' ? sync->reason : NULL);
	(void)buf_printf(out,
	                 "  \"since_ms\": %lld,\n  \"next_try_ms\": %lld,\n"
	                 "  \"last_pass_ms\": %lld,\n",
	                 (long long)sync->since_ms, (long long)sync->next_try_ms,
	                 (long long)sync->last_pass_ms);
	(void)buf_printf(out, "  \"bodies\": {\"done\": %lld, \"total\": %lld},\n",
	                 (long long)sync->bodies_done, (long long)sync->bodies_total);
	json_pending(st, out);
	json_failed(st, out);
	(void)buf_printf(
		out,
		"  \"traffic\": {\"sent\": %llu, \"received\": %llu, \"turnarounds\": %llu},\n",
		(unsigned long long)sync->sent_bytes, (unsigned long long)sync->received_bytes,
		(unsigned long long)sync->turnarounds);
	(void)buf_printf(out, "  \"exit_status\": %d\n}\n", (int)cli_status_step(st));
}
