/* SPDX-License-Identifier: MIT */
#include "cli_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "mem.h"
#include "store_mailbox.h"

const char *cli_kind_word(enum store_op_kind kind)
{
	switch (kind) {
	case STORE_OP_APPEND:
		return "upload";
	case STORE_OP_REPLACE:
		return "replace";
	case STORE_OP_COPY:
		return "copy";
	case STORE_OP_MOVE:
		return "move";
	case STORE_OP_DELETE:
		return "delete";
	case STORE_OP_FLAGS:
		return "flags";
	case STORE_OP_CREATE:
		return "mkdir";
	case STORE_OP_REMOVE:
		return "rmdir";
	case STORE_OP_RENAME:
		return "rename";
	case STORE_OP_SUBSCRIBE:
		return "subscribe";
	case STORE_OP_UNSUBSCRIBE:
		return "unsubscribe";
	case STORE_OP_LABELS:
		return "labels";
	}
	return "?";
}

const char *cli_state_word(enum store_op_state state)
{
	switch (state) {
	case STORE_OP_QUEUED:
		return "queued";
	case STORE_OP_SENT:
		return "sent";
	case STORE_OP_PARKED:
		return "parked";
	}
	return "?";
}

/* What the action is about: the message's path, else where it was, else a name. */
static char *path_of(struct store *s, const struct store_op *op)
{
	_cleanup_free_ char *mailbox = NULL;
	struct store_node node;
	char *path = NULL;

	if (op->message != 0 && store_node_get(s, op->message, &node) == 0 && node.parent != 0 &&
	    store_node_path(s, op->message, &path) == 0)
		return path;
	if (op->mailbox != 0 && store_node_path(s, op->mailbox, &mailbox) < 0)
		mailbox = NULL;
	if (op->message != 0 && op->uid != 0)
		return mem_printf("%s/%u.eml", mailbox != NULL ? mailbox : "?", op->uid);
	if (mailbox != NULL && mailbox[0] != '\0')
		return mem_steal(mailbox);
	return mem_strdup(op->name != NULL ? op->name : "?");
}

/* What a blocked action waits for says more than that it does. */
static char *error_of(const struct store_op *op)
{
	if (op->state != STORE_OP_PARKED || op->err != ERR_BLOCKED)
		return mem_strdup(op->error);
	return mem_printf("waits for %lld%s%s", (long long)op->depends_on,
	                  op->error != NULL ? ": " : "", op->error != NULL ? op->error : "");
}

static struct cli_action action_of(struct store *s, const struct store_op *op)
{
	return (struct cli_action){
		.seq = op->seq,
		.kind = op->kind,
		.state = op->state,
		.path = path_of(s, op),
		.created_ms = op->created_ms,
		.not_before_ms = op->not_before_ms,
		.tries = op->tries,
		.err = op->err,
		.error = error_of(op),
	};
}

int cli_action_list(struct store *s, struct cli_action **list, size_t *count)
{
	struct store_op *ops = NULL;
	struct cli_action *out;
	size_t n = 0;
	int r = store_op_list(s, &ops, &n);

	if (r < 0)
		return r;
	out = mem_realloc(NULL, n, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		out[i] = action_of(s, &ops[i]);
	store_op_list_free(ops, n);
	*list = out;
	*count = n;
	return 0;
}

void cli_action_list_free(struct cli_action *list, size_t count)
{
	for (size_t i = 0; list != NULL && i < count; i++) {
		free(list[i].path);
		free(list[i].error);
	}
	free(list);
}

void cli_age_text(int64_t ms, char *out, size_t cap)
{
	int64_t s = ms > 0 ? ms / 1000 : 0;

	if (s < 120)
		(void)snprintf(out, cap, "%llds", (long long)s);
	else if (s < 7200)
		(void)snprintf(out, cap, "%lldm", (long long)(s / 60));
	else if (s < 172800)
		(void)snprintf(out, cap, "%lldh", (long long)(s / 3600));
	else
		(void)snprintf(out, cap, "%lldd", (long long)(s / 86400));
}

/* Text that must stay within its field of its line. */
static int put_field(struct buf *out, const char *text)
{
	int r = 0;

	for (const char *p = text; *p != '\0' && r == 0; p++)
		r = buf_putc(out, (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
	return r;
}

static int put_action(const struct cli_action *a, int64_t now_ms, struct buf *out)
{
	const char *error = a->error != NULL ? a->error : a->err != 0 ? err_text(a->err) : "";
	char age[32];

	cli_age_text(now_ms - a->created_ms, age, sizeof(age));
	if (buf_printf(out, "%lld\t%s\t", (long long)a->seq, cli_kind_word(a->kind)) < 0 ||
	    put_field(out, a->path) < 0 ||
	    buf_printf(out, "\t%s\t%d\t%s\t", age, a->tries, cli_state_word(a->state)) < 0 ||
	    put_field(out, error) < 0)
		return ERR_LIMIT;
	return buf_putc(out, '\n');
}

int cli_queue_text(const struct cli_action *list, size_t count, int64_t now_ms, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		size_t whole = out->len;

		if (put_action(&list[i], now_ms, out) < 0) {
			out->len = whole;
			if (out->data != NULL)
				out->data[whole] = '\0';
			return ERR_LIMIT;
		}
	}
	return 0;
}

/* ---- The user's choices ---- */

static bool is_one_of(const int64_t *seqs, size_t count, int64_t seq)
{
	for (size_t i = 0; i < count; i++)
		if (seqs[i] == seq)
			return true;
	return false;
}

/* The action's line and those of all that wait for it; ERR_NOTFOUND. */
static int put_with_dependents(struct store *s, int64_t seq, struct buf *out)
{
	int64_t now_ms = clock_wall_ns() / 1000000;
	struct cli_action *list = NULL;
	int64_t *seqs = NULL;
	size_t n = 0, count = 0;
	bool found = false;
	int r = store_op_dependents(s, seq, &seqs, &n);

	if (r == 0)
		r = cli_action_list(s, &list, &count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		found = found || list[i].seq == seq;
		if (list[i].seq == seq || is_one_of(seqs, n, list[i].seq))
			r = put_action(&list[i], now_ms, out);
	}
	cli_action_list_free(list, count);
	free(seqs);
	return r == 0 && !found ? ERR_NOTFOUND : r;
}

static int retry(struct store *s, int64_t seq, const char *arg, struct err_reason *why)
{
	(void)arg;
	(void)why;
	return store_op_retry(s, seq);
}

static int drop(struct store *s, int64_t seq, const char *arg, struct err_reason *why)
{
	(void)arg;
	(void)why;
	return store_op_drop(s, seq);
}

static int recreate(struct store *s, int64_t seq, const char *arg, struct err_reason *why)
{
	int r = store_op_recreate(s, seq);

	(void)arg;
	return r == ERR_INVAL
	               ? err_set(why, r, "action %lld does not miss a mailbox", (long long)seq)
	               : r;
}

static int retarget(struct store *s, int64_t seq, const char *mailbox, struct err_reason *why)
{
	struct store_node node;
	int r = store_node_by_path(s, mailbox, &node);

	if (r < 0 || node.kind != STORE_KIND_MAILBOX)
		return err_set(why, r < 0 ? r : ERR_INVAL, "%s: no such mailbox", mailbox);
	return store_op_retarget(s, seq, node.id);
}

static int show(struct store *s, int64_t seq, const char *arg, struct err_reason *why)
{
	(void)s;
	(void)seq;
	(void)arg;
	(void)why;
	return 0;
}

static const struct choice {
	const char *verb;
	bool argument;
	int (*run)(struct store *s, int64_t seq, const char *arg, struct err_reason *why);
} choices[] = {
	{ "retry", false, retry },       { "drop", false, drop }, { "skip", false, drop },
	{ "recreate", false, recreate }, { "show", false, show }, { "retarget", true, retarget },
};

static const struct choice *find_choice(const char *verb, const char *rest)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		if (strcmp(choices[i].verb, verb) == 0)
			return choices[i].argument == (rest[0] == ' ' && rest[1] != '\0') &&
			                       (choices[i].argument || rest[0] == '\0')
			               ? &choices[i]
			               : NULL;
	return NULL;
}

/* What the choice is about is put down before it is gone. */
static int choose(struct store *s, const struct choice *c, int64_t seq, const char *arg,
                  struct buf *out, struct err_reason *why)
{
	int r = put_with_dependents(s, seq, out);

	if (r == ERR_LIMIT)
		r = 0;
	if (r == 0)
		r = c->run(s, seq, arg, why);
	if (r == 0)
		return 0;
	buf_clear(out);
	if (why != NULL && why->text[0] != '\0')
		return r;
	return err_set(why, r, "action %lld: %s", (long long)seq,
	               r == ERR_CONFLICT ? "its message is gone and not here to be uploaded"
	                                 : err_text(r));
}

int cli_queue_change(struct store *s, const char *request, struct buf *out, struct err_reason *why)
{
	const struct choice *c = NULL;
	char verb[16];
	long long seq;
	int end = 0;

	if (strcmp(request, "abort") == 0)
		return store_op_stop(s, true);
	if (strcmp(request, "go") == 0)
		return store_op_stop(s, false);
	if (sscanf(request, "%15s %lld%n", verb, &seq, &end) == 2 && seq > 0)
		c = find_choice(verb, request + end);
	if (c == NULL)
		return err_set(why, ERR_INVAL, "not a change of the queue: %.80s", request);
	return choose(s, c, seq, c->argument ? request + end + 1 : NULL, out, why);
}
