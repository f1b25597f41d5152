/* SPDX-License-Identifier: MIT */
#include "cli_view.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_fetch.h"
#include "clock.h"
#include "mem.h"
#include "store_lost.h"

#define TEXT_MAX (64u << 20)
#define VIEW_FILES 4
#define REST_SLICE_MS 200 /* between two tries of `imapfs sync`, growing */
#define REST_MAX_MS 5000
#define TOLD_MS 10000 /* for the kernel to be told, which a reader who waits may hold up */

static int open_store(const struct cli_view *v, struct store **s, struct err_reason *why)
{
	return store_open_again(v->state_dir, v->cache_dir, s, why);
}

static int take_status(const struct cli_view *v, struct cli_status *out, struct err_reason *why)
{
	struct cli_status st = {
		.account = v->account,
		.mountpoint = v->mountpoint,
		.pid = getpid(),
		.now_ms = clock_wall_ns() / 1000000,
	};
	struct store_lost *lost = NULL;
	struct store *s = NULL;
	int r;

	st.open_files = mount_open_files(v->mount); /* first: a file becomes an action, not back */
	r = open_store(v, &s, why);
	if (r < 0)
		return r;
	r = cli_action_list(s, &st.actions, &st.action_count);
	if (r == 0)
		r = store_lost_list(s, &lost, &st.lost);
	st.stopped = store_op_stopped(s) == 1;
	free(lost);
	store_close(&s);
	if (r < 0)
		return err_set(why, r, "%s", err_text(r));
	sync_get_status(v->sync, &st.sync);
	*out = st;
	return 0;
}

/* ---- The files below .imapfs/ ---- */

static int make_status_with(const struct cli_view *v, struct buf *text,
                            void (*put)(const struct cli_status *, struct buf *))
{
	struct err_reason why = { "" };
	struct cli_status st;
	int r = take_status(v, &st, &why);

	if (r < 0) {
		(void)buf_printf(text, "%s\n", cli_reason(r, &why));
		return r;
	}
	put(&st, text);
	cli_status_release(&st);
	return 0;
}

static int give(struct buf *text, char **out, size_t *len)
{
	*len = text->len;
	*out = buf_detach(text);
	return 0;
}

static int make_status(void *ctx, char **out, size_t *len)
{
	struct buf text = BUF_INIT(TEXT_MAX);

	(void)make_status_with(ctx, &text, cli_status_text);
	return give(&text, out, len);
}

static int make_json(void *ctx, char **out, size_t *len)
{
	struct buf text = BUF_INIT(TEXT_MAX);
	int r = make_status_with(ctx, &text, cli_status_json);

	if (r < 0) {
		buf_release(&text);
		return r;
	}
	return give(&text, out, len);
}

static int put_queue(const struct cli_view *v, struct buf *text)
{
	struct err_reason why = { "" };
	struct cli_status st;
	int r = take_status(v, &st, &why);

	if (r < 0)
		return r;
	r = cli_queue_text(st.actions, st.action_count, st.now_ms, text);
	cli_status_release(&st);
	return r;
}

static int make_queue(void *ctx, char **out, size_t *len)
{
	struct buf text = BUF_INIT(TEXT_MAX);
	int r = put_queue(ctx, &text);

	if (r < 0 && r != ERR_LIMIT) {
		buf_release(&text);
		return r;
	}
	return give(&text, out, len);
}

static int make_log(void *ctx, char **out, size_t *len)
{
	const struct cli_view *v = ctx;

	return cli_log_tail(v->log, out, len);
}

const struct mount_virtual *cli_view_files(struct cli_view *view, size_t *count)
{
	static struct mount_virtual files[VIEW_FILES]; /* a process serves one account */

	files[0] = (struct mount_virtual){ "status", make_status, view };
	files[1] = (struct mount_virtual){ "status.json", make_json, view };
	files[2] = (struct mount_virtual){ "queue", make_queue, view };
	files[3] = (struct mount_virtual){ "log", make_log, view };
	*count = VIEW_FILES;
	return files;
}

/* ---- Requests ---- */

static int answer_error(struct buf *answer, int r, const struct err_reason *why)
{
	(void)buf_printf(answer, "%s\n", cli_reason(r, why));
	return cli_exit_of(r);
}

static int request_status(struct cli_view *v, const char *args, struct buf *answer)
{
	struct err_reason why = { "" };
	struct cli_status st;
	int r = take_status(v, &st, &why);

	if (r < 0)
		return answer_error(answer, r, &why);
	if (strcmp(args, "json") == 0)
		cli_status_json(&st, answer);
	else
		cli_status_text(&st, answer);
	r = cli_status_step(&st);
	cli_status_release(&st);
	return r;
}

/* `queue`, or `queue retry 12` and its like. */
static int request_queue(struct cli_view *v, const char *args, struct buf *answer)
{
	struct err_reason why = { "" };
	struct store *s = NULL;
	int r;

	if (args[0] == '\0') {
		r = put_queue(v, answer);
		return r < 0 && r != ERR_LIMIT ? answer_error(answer, r, NULL) : CLI_OK;
	}
	r = open_store(v, &s, &why);
	if (r < 0)
		return answer_error(answer, r, &why);
	store_set_listener(s, mount_on_change, v->mount);
	r = cli_queue_change(s, args, answer, &why);
	store_close(&s);
	if (r < 0) {
		(void)answer_error(answer, r, &why);
		return CLI_USAGE;
	}
	sync_kick(v->sync);
	return CLI_OK;
}

/* What may well go better in a moment, without anybody's doing. */
static bool is_passing(struct cli_view *v, int err)
{
	struct sync_status st;

	sync_get_status(v->sync, &st);
	return (err == ERR_OFFLINE || err == ERR_BUSY || err == ERR_TIMEOUT) &&
	       st.state != SYNC_PAUSED;
}

/* False when it was cut short, as the account goes offline on purpose. */
static bool rest(struct cli_view *v, int ms)
{
	for (; ms > 0; ms -= REST_SLICE_MS) {
		if (!is_passing(v, ERR_OFFLINE))
			return false;
		(void)usleep(REST_SLICE_MS * 1000);
	}
	return true;
}

/* Whoever waits for the server's news looks at them next. */
static int64_t told_by(int64_t deadline_ms)
{
	int64_t most = clock_mono_ms() + TOLD_MS;

	return deadline_ms < most ? deadline_ms : most;
}

/* `sync LIMIT_MS once`: gives up when the server cannot be reached at the second try;
 * `sync LIMIT_MS`: tries until the time is over. */
static int request_sync(struct cli_view *v, const char *args, struct buf *answer)
{
	char *mode;
	int64_t deadline = clock_mono_ms() + strtoll(args, &mode, 10);
	int tries = strcmp(mode, " once") == 0 ? 2 : INT_MAX;
	struct err_reason why = { "" };
	int r, pause_ms = REST_SLICE_MS;

	mount_settle(v->mount);
	for (;;) {
		r = sync_wait(v->sync, deadline, &why);
		if (r == 0 || --tries == 0 || !is_passing(v, r) ||
		    clock_left_ms(deadline) <= pause_ms || !rest(v, pause_ms))
			break;
		pause_ms = pause_ms < REST_MAX_MS ? pause_ms * 2 : REST_MAX_MS;
	}
	mount_await_told(v->mount, told_by(deadline));
	if (r == 0)
		return CLI_IN_STEP;
	(void)buf_printf(answer, "%s\n", cli_reason(r, &why));
	return r == ERR_REFUSED ? CLI_FAILED : CLI_PENDING;
}

/* `fetch all NODE LIMIT_MS`, `fetch flagged NODE LIMIT_MS`. */
static int request_fetch(struct cli_view *v, const char *args, struct buf *answer)
{
	struct cli_fetched came = { 0 };
	struct err_reason why = { "" };
	struct store *s = NULL;
	long long node, limit_ms;
	char what[8];
	int r;

	if (sscanf(args, "%7s %lld %lld", what, &node, &limit_ms) != 3)
		return answer_error(answer, ERR_INVAL, NULL);
	r = open_store(v, &s, &why);
	if (r < 0)
		return answer_error(answer, r, &why);
	r = cli_fetch(s, v->sync, node, strcmp(what, "flagged") == 0, clock_mono_ms() + limit_ms,
	              &came);
	store_close(&s);
	if (r < 0) {
		(void)buf_puts(answer, "neither a message nor a mailbox\n");
		return CLI_USAGE;
	}
	(void)buf_printf(answer, "%lld of %lld message%s fetched%s%s\n", (long long)came.fetched,
	                 (long long)came.wanted, came.wanted == 1 ? "" : "s",
	                 came.err < 0 ? ": " : "", came.err < 0 ? err_text(came.err) : "");
	return came.fetched == came.wanted ? CLI_OK : CLI_PENDING;
}

static int request_pause(struct cli_view *v, const char *args, struct buf *answer)
{
	(void)args;
	(void)answer;
	sync_pause(v->sync, true);
	return CLI_OK;
}

static int request_resume(struct cli_view *v, const char *args, struct buf *answer)
{
	(void)args;
	(void)answer;
	sync_pause(v->sync, false);
	return CLI_OK;
}

static int request_log(struct cli_view *v, const char *args, struct buf *answer)
{
	char *text = NULL;
	size_t len;
	int r;

	(void)args;
	r = cli_log_tail(v->log, &text, &len);
	if (r < 0)
		return answer_error(answer, r, NULL);
	(void)buf_append(answer, text, len);
	free(text);
	return CLI_OK;
}

/* What is left to be sent, in one line, for `imapfs umount`. */
static int request_leave(struct cli_view *v, const char *args, struct buf *answer)
{
	struct err_reason why = { "" };
	struct cli_status st;
	int r;

	(void)args;
	mount_settle(v->mount);
	r = take_status(v, &st, &why);
	if (r < 0)
		return answer_error(answer, r, &why);
	(void)buf_printf(answer, "%zu action%s left\n", st.action_count,
	                 st.action_count == 1 ? "" : "s");
	cli_status_release(&st);
	return CLI_OK;
}

int cli_view_request(void *view, const char *request, struct buf *answer)
{
	static const struct {
		const char *verb;
		int (*answer)(struct cli_view *v, const char *args, struct buf *answer);
	} verbs[] = {
		{ "status", request_status }, { "queue", request_queue },
		{ "sync", request_sync },     { "pause", request_pause },
		{ "resume", request_resume }, { "log", request_log },
		{ "leave", request_leave },   { "fetch", request_fetch },
	};
	size_t len = strcspn(request, " ");
	const char *args = request[len] == ' ' ? request + len + 1 : request + len;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strlen(verbs[i].verb) == len && strncmp(verbs[i].verb, request, len) == 0)
			return verbs[i].answer(view, args, answer);
	(void)buf_printf(answer, "unknown request %.32s\n", request);
	return CLI_USAGE;
}
