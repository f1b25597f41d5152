/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "log.h"
#include "mem.h"
#include "store_message.h"
#include "sync_replay_priv.h"

/*
 * Messages leave a mailbox for good.  Never a bare EXPUNGE while others' \Deleted messages are in
 * reach: UID EXPUNGE, or the five steps of RFC 4549 4.2.4, whose list of others' messages is committed
 * before their mark is taken and put back by whoever comes next when this run is cut.
 */

enum { FOREIGN_MAX = 32 * 1024 };

static char *format_uids(const struct sync_uids *u)
{
	struct buf b = BUF_INIT(FOREIGN_MAX);

	for (size_t i = 0; i < u->count; i++)
		if (buf_printf(&b, "%s%" PRIu32, i ? "," : "", u->items[i]) < 0) {
			buf_release(&b);
			return NULL;
		}
	return buf_detach(&b);
}

static void parse_uids(const char *text, struct sync_uids *out)
{
	while (text && *text) {
		char *end;

		sync_uids_add(out, (uint32_t)strtoul(text, &end, 10));
		if (end == text)
			break;
		text = *end == ',' ? end + 1 : end;
	}
	sync_uids_sort(out);
}

/* The error of the link, else that of the reply, whose words are kept for the user. */
static int end_reply(struct sync_batch *b, int r, struct sync_reply *reply)
{
	if (r == 0 && reply->err < 0 && b->refusal == 0)
		b->refusal = err_set(&b->words, reply->err, "%s", reply->text);
	sync_reply_release(reply);
	return r ? r : reply->err;
}

/* Runs one SEARCH to its end. */
static int search(struct sync_batch *b, struct sync_box *box, const char *criteria,
                  const struct sync_uids *uids, struct sync_uids *found)
{
	struct sync_reply reply = { 0 };
	int r;

	box->data = sync_search_data;
	box->ctx = found;
	sync_search_send(b->link, box, criteria, uids, &reply);
	r = sync_link_run(b->link, 0);
	box->data = NULL;
	sync_uids_sort(found);
	return end_reply(b, r, &reply);
}

static int store(struct sync_batch *b, struct sync_box *box, const struct sync_uids *uids,
                 char sign)
{
	struct sync_reply reply = { 0 };
	int r;

	if (uids->count == 0)
		return 0;
	sync_store_send(b->link, box, uids, sign, "\\Deleted", &reply);
	r = sync_link_run(b->link, 0);
	return end_reply(b, r, &reply);
}

/* STORE, UID EXPUNGE and the proof in one turnaround: the proof decides, whatever the others were
 * answered.  A server may answer the SEARCH before it has expunged (Dovecot does): what it still
 * shows is looked for once more. */
static int expunge_by_uid(struct sync_batch *b, struct sync_box *box, const struct sync_uids *uids,
                          struct sync_uids *left)
{
	struct sync_reply changed = { 0 }, found = { 0 };
	int r;

	sync_store_send(b->link, box, uids, '+', "\\Deleted", &changed);
	for (size_t at = 0, n; at < uids->count; at += n) {
		struct imap_cmd *cmd = imap_cmd_new("UID EXPUNGE");

		n = sync_uids_fit(uids->items + at, uids->count - at);
		imap_cmd_uids(cmd, uids->items + at, n);
		sync_link_send(b->link, &cmd, box, sync_store_done, &changed);
	}
	box->data = sync_search_data;
	box->ctx = left;
	sync_search_send(b->link, box, NULL, uids, &found);
	r = sync_link_run(b->link, 0);
	box->data = NULL;
	sync_uids_sort(left);
	(void)end_reply(b, r, &changed);
	r = end_reply(b, r, &found);
	if (r == 0 && left->count > 0 && b->refusal == 0) {
		sync_uids_clear(left);
		r = search(b, box, NULL, uids, left);
	}
	return r;
}

/* Commits the list of others' messages in the evidence of the batch's first action. */
static int save_foreign(struct sync_batch *b, const struct sync_uids *foreign, int step)
{
	struct sync_evidence *ev = &b->acts[0].ev;

	free(ev->foreign);
	ev->foreign = foreign->count ? format_uids(foreign) : NULL;
	if (foreign->count && !ev->foreign)
		return ERR_LIMIT;
	return sync_batch_sent(b, step);
}

/* What of ours is there.  What somebody else has removed is not marked: there are servers that mark
 * another message in its place. */
static int still_there(struct sync_batch *b, struct sync_box *box, const struct sync_uids *asked,
                       struct sync_uids *out)
{
	struct sync_uids found = { 0 };
	int r = search(b, box, NULL, asked, &found);
	size_t at;

	for (size_t i = 0; r == 0 && i < asked->count; i++)
		if (sync_uids_index(found.items, found.count, asked->items[i], &at))
			sync_uids_add(out, asked->items[i]);
	sync_uids_release(&found);
	return r;
}

/* Steps 2 to 5 of RFC 4549 4.2.4, of which the last is done whatever came of the others. */
static int expunge_between(struct sync_batch *b, struct sync_box *box, const struct sync_uids *uids,
                           const struct sync_uids *foreign, int step)
{
	int r = foreign->count ? save_foreign(b, foreign, step) : 0;

	if (r == 0)
		r = store(b, box, foreign, '-');
	if (r == 0)
		r = store(b, box, uids, '+');
	if (r == 0) {
		struct imap_cmd *cmd = imap_cmd_new("EXPUNGE");
		struct sync_reply reply;

		r = sync_link_exec(b->link, &cmd, box, &reply);
		(void)end_reply(b, 0, &reply);
	}
	if (sync_link_up(b->link)) {
		int back = store(b, box, foreign, '+');

		if (back == 0) { /* nothing of others' is owed any more */
			for (size_t i = 0; i < b->count; i++) {
				free(b->acts[i].ev.foreign);
				b->acts[i].ev.foreign = NULL;
			}
		}
		r = back ? back : r;
	}
	return r;
}

static int expunge_emulated(struct sync_batch *b, struct sync_box *box,
                            const struct sync_uids *asked, int step, struct sync_uids *left)
{
	struct sync_uids foreign = { 0 }, deleted = { 0 }, uids = { 0 };
	int r = still_there(b, box, asked, &uids);

	for (size_t i = 0; i < b->count; i++)
		parse_uids(b->acts[i].ev.foreign, &foreign); /* of a run that was cut */
	if (r == 0 && uids.count > 0)
		r = search(b, box, "DELETED", NULL, &deleted);
	for (size_t i = 0; i < deleted.count; i++)
		sync_uids_add(&foreign, deleted.items[i]);
	sync_uids_sort(&foreign);
	sync_uids_minus(&foreign, asked);
	if (r == 0 && uids.count > 0)
		r = expunge_between(b, box, &uids, &foreign, step);
	else if (r == 0)
		r = store(b, box, &foreign, '+');
	if (r == 0 && uids.count > 0)
		r = search(b, box, NULL, &uids, left);
	sync_uids_release(&uids);
	sync_uids_release(&foreign);
	sync_uids_release(&deleted);
	return r;
}

int sync_expunge(struct sync_batch *b, struct sync_box *box, int step)
{
	struct sync_uids uids = { 0 }, left = { 0 };
	size_t at;
	int r = 0;

	sync_batch_uids(b, &uids);
	if (uids.count > 0) {
		if (sync_link_has(b->link, "UIDPLUS") || sync_link_has(b->link, "IMAP4rev2"))
			r = expunge_by_uid(b, box, &uids, &left);
		else
			r = expunge_emulated(b, box, &uids, step, &left);
	}
	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled)
			b->acts[i].seen = sync_uids_index(left.items, left.count, b->acts[i].op.uid,
			                                  &at);
	sync_uids_release(&uids);
	sync_uids_release(&left);
	return r;
}

/* ---- delete=expunge and delete=flag ---- */

static int settle_expunged(struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];
		int r = 0;

		if (!a->settled && a->seen)
			r = sync_act_refused(b, a, b->refusal ? b->refusal : ERR_REFUSED,
			                     b->refusal ? b->words.text
			                                : "the server did not expunge the message");
		else if (!a->settled)
			r = sync_act_done(b, a, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* \Deleted and nothing more; SEARCH proves that it stuck. */
static int mark_deleted(struct sync_batch *b, struct sync_box *box)
{
	struct sync_uids uids = { 0 }, unmarked = { 0 };
	size_t at;
	int r;

	sync_batch_uids(b, &uids);
	r = store(b, box, &uids, '+');
	if (r == 0)
		r = search(b, box, "UNDELETED", &uids, &unmarked);
	for (size_t i = 0; i < b->count; i++)
		b->acts[i].seen = sync_uids_index(unmarked.items, unmarked.count, b->acts[i].op.uid,
		                                  &at);
	sync_uids_release(&uids);
	sync_uids_release(&unmarked);
	return r;
}

static bool to_trash(struct sync_batch *b)
{
	struct store_op *op = &b->acts[0].op;

	if (op->delete_mode != STORE_DELETE_TRASH)
		return false;
	if (op->target == 0 && store_mailbox_by_use(b->link->store, "\\Trash", &op->target) < 0)
		return false;
	return op->target != 0 && op->target != op->mailbox;
}

/* To be moved to where it is: never to be expunged. */
static int is_there_already(struct sync_batch *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		b->acts[i].new_uid = b->acts[i].op.uid;
		r = sync_act_done(b, &b->acts[i], b->acts[i].op.uidvalidity);
	}
	return r;
}

/* A mark that was taken from others' messages is owed still, and may be given back later: the action
 * stays SENT, for its evidence says which they are. */
static bool owes_marks(const struct sync_batch *b, int err)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->acts[i].ev.foreign)
			return !err_is_final(err);
	return false;
}

/* As sync_batch_open(), but marks that are owed are not forgotten where the mailbox cannot be opened
 * now.  With another UIDVALIDITY nothing can be given back. */
static int open_box(struct sync_batch *b, struct sync_box **out)
{
	int64_t mailbox = b->acts[0].op.mailbox;
	int r;

	if (owes_marks(b, 0)) {
		r = sync_link_open_box(b->link, mailbox, out, NULL);
		if (r == 0 || !sync_link_up(b->link))
			return r;
		if (r != ERR_CONFLICT && owes_marks(b, r))
			return 1;
	}
	return sync_batch_open(b, mailbox, out);
}

int sync_run_delete(struct sync_batch *b)
{
	const struct store_op *first = &b->acts[0].op;
	struct sync_box *box = NULL;
	int r;

	if (to_trash(b))
		return sync_run_transfer(b);
	if (first->delete_mode == STORE_DELETE_TRASH && first->target == first->mailbox)
		return is_there_already(b);
	r = open_box(b, &box);
	if (r != 0)
		return r < 0 ? r : 0;
	if (box->read_only)
		r = sync_batch_refused(b, ERR_READONLY, "the mailbox is read-only");
	else if (b->acts[0].op.delete_mode == STORE_DELETE_FLAG)
		r = mark_deleted(b, box);
	else
		r = sync_expunge(b, box, 1);
	if (r < 0 && sync_link_up(b->link) && r != ERR_IO)
		r = owes_marks(b, r) ? 0 : sync_batch_refused(b, r, b->words.text);
	else if (r == 0)
		r = settle_expunged(b);
	sync_box_unref(&box);
	return r;
}
