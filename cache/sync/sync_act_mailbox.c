/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "imap_text.h"
#include "mem.h"
#include "sync_replay_priv.h"
#include "wordset.h"

/*
 * CREATE, DELETE, RENAME of mailboxes and subscriptions.  Actions name a mailbox by identity; its
 * name on the server is looked up when the command is made.
 */

struct change {
	struct sync_batch *batch;
	struct sync_act *act;
	struct store_mailbox mailbox;
	char *wire; /* CREATE, RENAME: the new name on the server */
};

/* The delimiter that a mailbox at the top has; any other tells it. */
static char any_delimiter(struct store *st)
{
	struct store_mailbox *list;
	char delimiter = 0;
	size_t count;

	if (store_mailbox_list(st, &list, &count) < 0)
		return 0;
	for (size_t i = 0; i < count && !delimiter; i++)
		delimiter = list[i].delimiter;
	store_mailbox_list_free(list, count);
	return delimiter;
}

/* The parent's wire name, the delimiter and the leaf in modified UTF-7.  ERR_NOTFOUND: the parent is not
 * on the server yet; ERR_INVAL: the leaf cannot be a name there. */
static int wire_name(struct sync_link *l, const struct store_op *op, char **out)
{
	_cleanup_free_ char *plain = store_name_unescape(op->name);
	_cleanup_free_ char *leaf = plain ? imap_utf7_encode(plain, strlen(plain)) : NULL;
	struct store_mailbox parent;
	int r;

	if (!leaf)
		return ERR_INVAL;
	if (op->target == 0 || op->target == STORE_ROOT) {
		char delimiter = any_delimiter(l->store);

		if (delimiter && strchr(plain, delimiter))
			return ERR_INVAL;
		*out = mem_steal(leaf);
		return 0;
	}
	r = store_mailbox_get(l->store, op->target, &parent);
	if (r < 0)
		return r;
	if (!parent.wire_name)
		r = ERR_NOTFOUND;
	else if (!parent.delimiter || strchr(plain, parent.delimiter))
		r = ERR_INVAL;
	else
		*out = mem_printf("%s%c%s", parent.wire_name, parent.delimiter, leaf);
	store_mailbox_release(&parent);
	return r;
}

static int run(struct change *c, struct imap_cmd **cmd)
{
	sync_reply_release(&c->act->reply);
	return sync_link_exec(c->batch->link, cmd, NULL, &c->act->reply);
}

static int run_on(struct change *c, const char *verb, const char *name, const char *second)
{
	struct imap_cmd *cmd = imap_cmd_new(verb);

	imap_cmd_mailbox(cmd, name);
	if (second)
		imap_cmd_mailbox(cmd, second);
	return run(c, &cmd);
}

struct listed {
	const char *name;
	bool found;
};

static void list_data(void *ctx, const struct imap_resp *r)
{
	struct listed *want = ctx;

	if (r->kind == IMAP_RESP_LIST && strcmp(r->list.name, want->name) == 0)
		want->found = true;
}

/* 1: LIST names it; 0: it does not; or an error. */
static int exists(struct change *c, const char *name)
{
	struct listed want = { name, false };
	struct imap_cmd *cmd = imap_cmd_new("LIST");
	struct sync_reply reply = { 0 };
	int r;

	imap_cmd_raw(cmd, "\"\"");
	imap_cmd_mailbox(cmd, name);
	r = sync_ask(c->batch->link, &cmd, list_data, &want, &reply);
	sync_reply_release(&reply);
	return r < 0 ? r : want.found;
}

static int done(struct change *c)
{
	struct store_op_done result = { .wire_name = c->wire };

	c->act->settled = true;
	c->batch->link->progressed = true;
	return store_op_done(c->batch->link->store, c->act->op.seq, &result);
}

/* A refusal, or the link's end. */
static int refused(struct change *c, int r)
{
	if (!sync_link_up(c->batch->link))
		return r;
	return sync_act_refused(c->batch, c->act, r, c->act->reply.text);
}

static int run_create(struct change *c)
{
	int r = 0;

	if (c->mailbox.wire_name) /* it was there before, under this name */
		c->wire = mem_strdup(c->mailbox.wire_name);
	else
		r = wire_name(c->batch->link, &c->act->op, &c->wire);
	if (r == ERR_NOTFOUND)
		return sync_act_later(c->batch, c->act, 5000, r,
		                      "the mailbox above is not on the server yet");
	if (r < 0)
		return sync_act_refused(c->batch, c->act, r,
		                        "the server has no mailboxes of such a name");
	r = run_on(c, "CREATE", c->wire, NULL);
	if (r < 0 && sync_link_up(c->batch->link) && exists(c, c->wire) == 1)
		r = 0; /* made by a run whose answer was lost, or by somebody else */
	if (r < 0)
		return refused(c, r);
	r = run_on(c, "SUBSCRIBE", c->wire, NULL);
	return r < 0 && !sync_link_up(c->batch->link) ? r : done(c);
}

struct held {
	bool came;
	uint32_t messages;
};

static void messages_data(void *ctx, const struct imap_resp *r)
{
	struct held *held = ctx;

	if (r->kind != IMAP_RESP_STATUS || !r->status.has_messages)
		return;
	held->came = true;
	held->messages = r->status.messages;
}

static int count_messages(struct change *c, const char *name, struct held *held)
{
	struct imap_cmd *cmd = imap_cmd_new("STATUS");

	imap_cmd_mailbox(cmd, name);
	imap_cmd_raw(cmd, "(MESSAGES)");
	sync_reply_release(&c->act->reply);
	return sync_ask(c->batch->link, &cmd, messages_data, held, &c->act->reply);
}

/* Not proven to be empty: done when it is gone already, else refused. */
static int remove_uncounted(struct change *c, const char *name, int err)
{
	int there = exists(c, name);

	if (there == 0)
		return done(c);
	if (!sync_link_up(c->batch->link))
		return there < 0 ? there : ERR_OFFLINE;
	return sync_act_refused(c->batch, c->act, err < 0 ? err : ERR_REFUSED,
	                        "the server does not say whether the mailbox is empty");
}

/* The user removed an empty directory: what came in meanwhile was not meant.  Another connection may
 * have it selected; ours leaves it first (RFC 4549 3). */
static int run_remove(struct change *c)
{
	const char *name = c->mailbox.wire_name ? c->mailbox.wire_name : c->act->op.name;
	struct held held = { 0 };
	int r;

	if (!name)
		return done(c);
	sync_link_leave(c->batch->link);
	r = count_messages(c, name, &held);
	if (r < 0 && !sync_link_up(c->batch->link))
		return r;
	if (held.came && held.messages > 0)
		return sync_act_refused(c->batch, c->act, ERR_NOTEMPTY,
		                        "messages have come into the mailbox");
	if (!held.came && !wordset_has(c->mailbox.attributes, "\\Noselect"))
		return remove_uncounted(c, name, r);
	r = run_on(c, "DELETE", name, NULL);
	if (r < 0 && sync_link_up(c->batch->link) && exists(c, name) == 0)
		r = 0;
	return r < 0 ? refused(c, r) : done(c);
}

static int run_rename(struct change *c)
{
	const char *old = c->mailbox.wire_name;
	int r = wire_name(c->batch->link, &c->act->op, &c->wire);

	if (r == ERR_NOTFOUND || !old)
		return sync_act_later(c->batch, c->act, 5000, ERR_NOTFOUND,
		                      "the mailbox is not on the server yet");
	if (r < 0)
		return sync_act_refused(c->batch, c->act, r,
		                        "the server has no mailboxes of such a name");
	if (strcmp(old, c->wire) == 0)
		return done(c);
	if (c->act->op.state == STORE_OP_SENT && exists(c, c->wire) == 1 && exists(c, old) == 0)
		return done(c);
	if (!sync_link_up(c->batch->link))
		return ERR_OFFLINE;
	sync_link_leave(c->batch->link);
	r = sync_batch_sent(c->batch, 1);
	if (r < 0)
		return r;
	r = run_on(c, "RENAME", old, c->wire);
	if (r == 0 && exists(c, c->wire) == 0 && sync_link_up(c->batch->link))
		r = ERR_REFUSED; /* some say OK to what they do not have */
	return r < 0 ? refused(c, r) : done(c);
}

static int run_subscription(struct change *c)
{
	bool on = c->act->op.kind == STORE_OP_SUBSCRIBE;
	int r;

	if (!c->mailbox.wire_name)
		return sync_act_later(c->batch, c->act, 5000, ERR_NOTFOUND,
		                      "the mailbox is not on the server yet");
	r = run_on(c, on ? "SUBSCRIBE" : "UNSUBSCRIBE", c->mailbox.wire_name, NULL);
	if (r < 0 && !on && sync_link_up(c->batch->link))
		r = 0; /* it was not subscribed */
	return r < 0 ? refused(c, r) : done(c);
}

static int run_kind(struct change *c)
{
	switch (c->act->op.kind) {
	case STORE_OP_CREATE:
		return run_create(c);
	case STORE_OP_REMOVE:
		return run_remove(c);
	case STORE_OP_RENAME:
		return run_rename(c);
	case STORE_OP_SUBSCRIBE:
	case STORE_OP_UNSUBSCRIBE:
		return run_subscription(c);
	case STORE_OP_APPEND:
	case STORE_OP_REPLACE:
	case STORE_OP_COPY:
	case STORE_OP_MOVE:
	case STORE_OP_DELETE:
	case STORE_OP_FLAGS:
	case STORE_OP_LABELS:
		break;
	}
	return ERR_INVAL;
}

int sync_run_mailbox(struct sync_batch *b)
{
	struct change c = { .batch = b, .act = &b->acts[0] };
	int r = store_mailbox_get(b->link->store, c.act->op.mailbox, &c.mailbox);

	if (r == ERR_NOTFOUND)
		return sync_act_refused(b, c.act, r, "the mailbox is not known any more");
	if (r < 0)
		return r;
	r = run_kind(&c);
	free(c.wire);
	store_mailbox_release(&c.mailbox);
	return r;
}
