/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "mem.h"
#include "store_message.h"
#include "store_pull.h"
#include "sync_pass_priv.h"
#include "sync_replay_priv.h"

/*
 * COPY, MOVE, and DELETE into the trash.  UID MOVE where it is offered, else UID COPY, proof, and only
 * then \Deleted and UID EXPUNGE on the source (RFC 6851 3.3, RFC 4549 4.2.2): a source is never touched
 * unless its copy is proven.
 *
 *   step 1  the transfer was sent; evidence says what the target was like
 *   step 2  the copy is proven, evidence has its UID; the source is to go
 */

enum {
	STEP_SENT = 1,
	STEP_COPIED = 2,
	COPYUID_MAX = 100000, /* members of a set that a server may make us expand */
};

struct transfer {
	struct sync_batch *batch;
	struct store_mailbox target;
	uint32_t uidvalidity;    /* of the target, as the reply or a look said */
	struct sync_uids left;   /* in the source after the transfer */
	struct sync_reply found; /* of the SEARCH that shows them */
	struct sync_reply moved; /* of the transfer itself */
	size_t commands;         /* that it took: one may be done and the next not */
};

static bool removes(const struct sync_batch *b)
{
	return b->acts[0].op.kind != STORE_OP_COPY;
}

static void id_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct sync_batch *b = ctx;
	const struct imap_body *body;
	uint32_t uid;

	if (r->kind != IMAP_RESP_FETCH || r->fetch->body_count == 0)
		return;
	uid = sync_box_uid(box, r);
	body = &r->fetch->bodies[0];
	for (size_t i = 0; uid && body->data && i < b->count; i++)
		if (b->acts[i].op.uid == uid && !b->acts[i].ev.message_id)
			b->acts[i].ev.message_id = sync_header_message_id(body->data, body->len);
}

/* Of messages whose body is not here the Message-ID is not known yet; length and date alone
 * would fit a stranger. */
static int fetch_ids(struct sync_batch *b, struct sync_box *box)
{
	struct sync_uids uids = { 0 };
	int r = 0;

	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled && !b->acts[i].ev.message_id && !b->acts[i].ev.digest[0])
			sync_uids_add(&uids, b->acts[i].op.uid);
	sync_uids_sort(&uids);
	box->data = id_data;
	box->ctx = b;
	for (size_t at = 0, n; at < uids.count; at += n) {
		struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

		n = sync_uids_fit(uids.items + at, uids.count - at);
		imap_cmd_uids(cmd, uids.items + at, n);
		imap_cmd_raw(cmd, "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])");
		sync_link_send(b->link, &cmd, box, NULL, NULL);
	}
	if (uids.count > 0)
		r = sync_link_run(b->link, 0);
	box->data = NULL;
	sync_uids_release(&uids);
	return r;
}

static int take_evidence(struct sync_batch *b, uint32_t uidvalidity, uint32_t uidnext)
{
	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];
		struct store_message m;
		const void *data;
		size_t len;
		int r;

		if (a->settled)
			continue;
		r = store_message_get(b->link->store, a->op.message, &m);
		if (r < 0)
			return r;
		sync_evidence_release(&a->ev);
		a->ev = (struct sync_evidence){
			.uidvalidity = uidvalidity,
			.uidnext = uidnext,
			.size = m.server_size,
			.date = m.date,
			.message_id = mem_strdup(m.message_id),
		};
		if (store_body_get(b->link->store, a->op.message, &data, &len) == 0)
			sync_evidence_digest_mem(data, len, a->ev.digest);
		store_message_release(&m);
	}
	return 0;
}

/* ---- What the server answers ---- */

static void expand(const struct imap_set *set, struct sync_uids *out)
{
	for (size_t i = 0; i < set->count; i++)
		for (uint64_t uid = set->ranges[i].first;
		     uid <= set->ranges[i].last && out->count < COPYUID_MAX; uid++)
			sync_uids_add(out, (uint32_t)uid);
}

/* COPYUID pairs the two sets in their order (RFC 4315 3). */
static void pair(struct sync_batch *b, const struct imap_set *from, const struct imap_set *to)
{
	struct sync_uids source = { 0 }, copies = { 0 };

	expand(from, &source);
	expand(to, &copies);
	for (size_t i = 0; source.count == copies.count && i < b->count; i++)
		for (size_t nth = 0; !b->acts[i].settled && nth < source.count; nth++)
			if (source.items[nth] == b->acts[i].op.uid)
				b->acts[i].new_uid = copies.items[nth];
	sync_uids_release(&source);
	sync_uids_release(&copies);
}

/* MOVE gives COPYUID in an untagged OK before the EXPUNGEs, COPY in the tagged one. */
static void transfer_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct transfer *t = ctx;

	if (r->kind == IMAP_RESP_COND && r->code == IMAP_CODE_COPYUID) {
		t->uidvalidity = (uint32_t)r->code_number;
		pair(t->batch, &r->code_set, &r->code_set2);
	} else {
		sync_search_data(&t->left, box, r);
	}
}

static void transfer_done(void *ctx, const struct imap_result *res)
{
	struct transfer *t = ctx;

	if (res->resp && res->resp->code == IMAP_CODE_COPYUID) {
		t->uidvalidity = (uint32_t)res->resp->code_number;
		pair(t->batch, &res->resp->code_set, &res->resp->code_set2);
	}
	if (t->moved.err < 0)
		return;
	sync_reply_release(&t->moved);
	sync_reply_fill(&t->moved, res);
}

static void send_transfer(struct transfer *t, struct sync_box *box, const char *verb)
{
	struct sync_batch *b = t->batch;
	struct sync_uids uids = { 0 };

	sync_batch_uids(b, &uids);
	for (size_t at = 0, n; at < uids.count; at += n) {
		struct imap_cmd *cmd = imap_cmd_new(verb);

		n = sync_uids_fit(uids.items + at, uids.count - at);
		imap_cmd_uids(cmd, uids.items + at, n);
		imap_cmd_mailbox(cmd, t->target.wire_name);
		sync_link_send(b->link, &cmd, box, transfer_done, t);
		t->commands++;
	}
	sync_search_send(b->link, box, NULL, &uids, &t->found);
	sync_uids_release(&uids);
	for (size_t i = 0; i < b->count; i++)
		b->acts[i].shared = &t->moved;
}

static void mark_seen(struct transfer *t)
{
	size_t at;

	sync_uids_sort(&t->left);
	for (size_t i = 0; i < t->batch->count; i++)
		t->batch->acts[i].seen = sync_uids_index(t->left.items, t->left.count,
		                                         t->batch->acts[i].op.uid, &at);
}

/* ---- Settling ---- */

/* The source is gone and no copy is found: somebody else was there first. */
static int settle_vanished(struct sync_batch *b, struct sync_act *a)
{
	int r = sync_act_later(b, a, 5000, ERR_CONFLICT, "the message is gone from the server");

	return r < 0 ? r : store_pull_vanished(b->link->store, a->op.message);
}

/* Copies that are proven: their sources go. */
static int remove_sources(struct transfer *t)
{
	struct sync_batch *b = t->batch;
	struct sync_box *box = NULL;
	int r = 0;

	for (size_t i = 0; i < b->count; i++)
		b->acts[i].ev.found = b->acts[i].new_uid;
	r = sync_batch_sent(b, STEP_COPIED);
	if (r == 0)
		r = sync_link_open_box(b->link, b->acts[0].op.mailbox, &box, NULL);
	if (r == 0)
		r = sync_expunge(b, box, STEP_COPIED);
	sync_box_unref(&box);
	if (r < 0)
		return sync_link_up(b->link) && r != ERR_IO ? 0 : r; /* stays SENT: tried again */
	for (size_t i = 0; r == 0 && i < b->count; i++)
		if (!b->acts[i].settled && !b->acts[i].seen)
			r = sync_act_done(b, &b->acts[i], t->uidvalidity);
	return r;
}

/* Settles all but those whose copy is proven and whose source is there; *rest counts these. */
static int settle(struct transfer *t, size_t *rest)
{
	struct sync_batch *b = t->batch;
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		struct sync_act *a = &b->acts[i];

		if (a->settled)
			continue;
		if (a->new_uid && (!a->seen || !removes(b)))
			r = sync_act_done(b, a, t->uidvalidity);
		else if (a->new_uid)
			(*rest)++;
		else if (!a->seen)
			r = settle_vanished(b, a);
		else
			r = sync_act_refused(
				b, a, t->moved.err ? t->moved.err : ERR_REFUSED,
				t->moved.err ? t->moved.text
					     : "the server said OK and did not copy the message");
	}
	return r;
}

static bool any_unclear(const struct transfer *t)
{
	const struct sync_batch *b = t->batch;

	for (size_t i = 0; i < b->count; i++) {
		const struct sync_act *a = &b->acts[i];

		if (!a->settled && !a->new_uid &&
		    (t->moved.err == 0 || t->commands > 1 || !a->seen))
			return true;
	}
	return false;
}

static int transfer(struct transfer *t, struct sync_box *box)
{
	struct sync_batch *b = t->batch;
	bool move = removes(b) && sync_link_has(b->link, "MOVE");
	size_t rest = 0;
	int r;

	box->data = transfer_data;
	box->ctx = t;
	send_transfer(t, box, move ? "UID MOVE" : "UID COPY");
	r = sync_link_run(b->link, 0);
	box->data = NULL;
	if (r < 0)
		return t->commands > 1 ? r : sync_batch_lost(b, r);
	if (t->found.err < 0)
		return 0; /* what is left is not known: stays SENT, looked up next time */
	mark_seen(t);
	if (any_unclear(t))
		r = sync_batch_look(b, t->target.id, true, &t->uidvalidity);
	if (r == 0)
		r = settle(t, &rest);
	if (r == 0 && rest > 0)
		r = remove_sources(t);
	return r < 0 ? r : 0;
}

/* The target was made anew: the store forgets its UIDs first, then the action is tried again. */
static int target_moved(struct transfer *t, uint32_t uidvalidity)
{
	int r = sync_scan_moved(t->batch->link, &t->target, uidvalidity);

	return r < 0 ? r
	             : sync_batch_later(t->batch, 500, ERR_CONFLICT, "the target was made anew");
}

static int send_new(struct transfer *t)
{
	struct sync_batch *b = t->batch;
	struct sync_target target = { 0 };
	struct sync_reply reply = { 0 };
	struct sync_box *box = NULL;
	int r = sync_batch_open(b, b->acts[0].op.mailbox, &box);

	if (r != 0)
		return r < 0 ? r : 0;
	r = sync_target_status(b->link, t->target.wire_name, &target, &reply);
	if (r < 0 && sync_link_up(b->link))
		r = sync_batch_refused(b, r == ERR_REFUSED ? ERR_NOTFOUND : r, reply.text);
	else if (r == 0 && t->target.uidvalidity && target.uidvalidity != t->target.uidvalidity)
		r = target_moved(t, target.uidvalidity);
	else if (r == 0 && box->read_only && removes(b))
		r = sync_batch_refused(b, ERR_READONLY, "the mailbox is read-only");
	else if (r == 0) {
		r = take_evidence(b, target.uidvalidity, target.uidnext);
		if (r == 0)
			r = fetch_ids(b, box);
		if (r == 0)
			r = sync_batch_sent(b, STEP_SENT);
		if (r == 0)
			r = transfer(t, box);
	}
	sync_reply_release(&reply);
	sync_box_unref(&box);
	return r < 0 ? r : 0;
}

/* ---- After a lost connection ---- */

static int search_source(struct transfer *t)
{
	struct sync_batch *b = t->batch;
	struct sync_box *box = NULL;
	struct sync_uids uids = { 0 };
	int r = sync_link_open_box(b->link, b->acts[0].op.mailbox, &box, NULL);

	if (r < 0)
		return sync_link_up(b->link) ? 1 : r;
	sync_batch_uids(b, &uids);
	box->data = sync_search_data;
	box->ctx = &t->left;
	sync_search_send(b->link, box, NULL, &uids, &t->found);
	r = sync_link_run(b->link, 0);
	box->data = NULL;
	if (r == 0 && t->found.err < 0)
		r = 1;
	mark_seen(t);
	sync_uids_release(&uids);
	sync_box_unref(&box);
	return r;
}

/* Those whose copy is not found and whose source is there were not executed: once more. */
static int send_again(struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];
		int r = 0;

		if (!a->settled && !a->new_uid && a->seen)
			r = sync_act_later(b, a, 0, ERR_OFFLINE,
			                   "the connection was lost before it was done");
		if (r < 0)
			return r;
	}
	return 0;
}

static int resume(struct transfer *t)
{
	struct sync_batch *b = t->batch;
	size_t rest = 0;
	int r;

	if (b->acts[0].op.step >= STEP_COPIED) {
		t->uidvalidity = b->acts[0].ev.uidvalidity;
		for (size_t i = 0; i < b->count; i++)
			b->acts[i].new_uid = b->acts[i].ev.found;
		return remove_sources(t);
	}
	r = sync_batch_look(b, t->target.id, true, &t->uidvalidity);
	if (r == 0)
		r = search_source(t);
	if (r == 0)
		r = send_again(b);
	if (r == 0)
		r = settle(t, &rest);
	if (r == 0 && rest > 0)
		r = remove_sources(t);
	return r < 0 ? r : 0;
}

int sync_run_transfer(struct sync_batch *b)
{
	struct transfer t = { .batch = b };
	int r = store_mailbox_get(b->link->store, b->acts[0].op.target, &t.target);

	if (r == ERR_NOTFOUND)
		return sync_batch_refused(b, r, "the mailbox does not exist any more");
	if (r < 0)
		return r;
	if (!t.target.wire_name)
		r = sync_batch_later(b, 5000, ERR_NOTFOUND, "the mailbox is not on the server yet");
	else if (b->acts[0].op.state == STORE_OP_SENT)
		r = resume(&t);
	else
		r = send_new(&t);
	sync_uids_release(&t.left);
	sync_reply_release(&t.found);
	sync_reply_release(&t.moved);
	store_mailbox_release(&t.target);
	return r;
}
