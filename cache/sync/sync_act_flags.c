/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "store_message.h"
#include "sync_labels_priv.h"
#include "wordset.h"

/*
 * Flag changes: only what the user changed, never the whole list (RFC 4549 4.2.3).  OK proves
 * nothing (read-only mailboxes say it too), so a FETCH behind the STOREs shows what came of them.
 * Gmail's labels go the same way.
 */

static bool is_labels(const struct sync_batch *b)
{
	return b->acts[0].op.kind == STORE_OP_LABELS;
}

static int by_uid(const void *a, const void *b)
{
	const struct sync_act *x = a, *y = b;

	return x->op.uid < y->op.uid ? -1 : x->op.uid > y->op.uid;
}

static struct sync_act *find_act(struct sync_batch *b, uint32_t uid)
{
	struct sync_act key = { .op.uid = uid };

	return bsearch(&key, b->acts, b->count, sizeof(*b->acts), by_uid);
}

static bool shows(const struct sync_act *a, const char *flags, const char *unshown)
{
	_cleanup_free_ char *wanted = wordset_minus(a->op.add, unshown);
	_cleanup_free_ char *missing = wordset_minus(wanted, flags);
	_cleanup_free_ char *without = wordset_minus(flags, a->op.del);

	return wordset_count(missing) == 0 && wordset_equal(without, flags);
}

static bool shows_labels(const struct sync_act *a, const struct sync_box *box, const char *labels)
{
	_cleanup_free_ char *lines = sync_labels_text(labels);
	_cleanup_free_ char *words = store_labels_to_words(lines);
	_cleanup_free_ char *own = sync_labels_own(box->wire_name);

	return shows(a, words, own);
}

static void echo_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	bool labels = is_labels(ctx);
	struct sync_act *a;

	if (r->kind != IMAP_RESP_FETCH || (labels ? !r->fetch->labels : !r->fetch->has_flags))
		return;
	a = find_act(ctx, sync_box_uid(box, r));
	if (!a)
		return;
	a->seen = true;
	a->right = labels ? shows_labels(a, box, r->fetch->labels)
	                  : shows(a, r->fetch->flags, NULL);
}

/* A keyword that the mailbox does not keep would only seem to be set (RFC 3501 PERMANENTFLAGS). */
static bool can_keep(const struct sync_box *box, const char *flags)
{
	const char *pos = flags, *word;
	size_t len;

	if (!box->permanent_flags || box->keywords_ok)
		return true;
	while (pos && (word = wordset_next(&pos, &len)) != NULL) {
		_cleanup_free_ char *one = mem_strndup(word, len);

		if (!wordset_has(box->permanent_flags, one))
			return false;
	}
	return true;
}

static int refuse_impossible(struct sync_batch *b, const struct sync_box *box)
{
	if (box->read_only)
		return sync_batch_refused(b, ERR_READONLY, "the mailbox is read-only");
	if (is_labels(b))
		return sync_link_has(b->link, "X-GM-EXT-1")
		               ? 0
		               : sync_batch_refused(b, ERR_PERM, "the server has no labels");
	for (size_t i = 0; i < b->count; i++) {
		int r = can_keep(box, b->acts[i].op.add)
		                ? 0
		                : sync_act_refused(b, &b->acts[i], ERR_PERM,
		                                   "the server does not keep this flag");

		if (r < 0)
			return r;
	}
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static void send_words(struct sync_batch *b, struct sync_box *box, const struct sync_uids *uids,
                       char sign, const char *words, struct sync_reply *reply)
{
	if (is_labels(b))
		sync_labels_send(b->link, box, uids, sign, words, reply);
	else
		sync_store_send(b->link, box, uids, sign, words, reply);
}

/* One STORE, or one for each sign, for all messages with the same delta. */
static void send_delta(struct sync_batch *b, struct sync_box *box, size_t first)
{
	const struct store_op *op = &b->acts[first].op;
	struct sync_uids uids = { 0 };

	for (size_t i = first; i < b->count; i++) {
		if (b->acts[i].shared || b->acts[i].settled ||
		    !same_text(op->add, b->acts[i].op.add) ||
		    !same_text(op->del, b->acts[i].op.del))
			continue;
		b->acts[i].shared = &b->acts[first].reply;
		sync_uids_add(&uids, b->acts[i].op.uid);
	}
	sync_uids_sort(&uids);
	if (wordset_count(op->add) > 0)
		send_words(b, box, &uids, '+', op->add, &b->acts[first].reply);
	if (wordset_count(op->del) > 0)
		send_words(b, box, &uids, '-', op->del, &b->acts[first].reply);
	sync_uids_release(&uids);
}

void sync_batch_fetch(struct sync_batch *b, struct sync_box *box, const char *items,
                      struct sync_reply *reply)
{
	struct sync_uids uids = { 0 };

	sync_batch_uids(b, &uids);
	for (size_t at = 0, n; at < uids.count; at += n) {
		struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

		n = sync_uids_fit(uids.items + at, uids.count - at);
		imap_cmd_uids(cmd, uids.items + at, n);
		imap_cmd_raw(cmd, items);
		sync_link_send(b->link, &cmd, box, sync_reply_done, reply);
	}
	sync_uids_release(&uids);
}

static int settle(struct sync_batch *b, struct sync_act *a, bool looked)
{
	if (a->settled)
		return 0;
	if (a->seen && a->right)
		return sync_act_done(b, a, 0);
	if (a->shared->err < 0)
		return sync_act_refused(b, a, a->shared->err, a->shared->text);
	if (!looked)
		return sync_act_later(b, a, 2000, ERR_BUSY, "the server did not show the flags");
	if (!a->seen)
		return sync_act_done(b, a,
		                     0); /* expunged meanwhile: nothing to change (RFC 4549 5.1) */
	return sync_act_refused(b, a, ERR_REFUSED,
	                        "the server said OK and did not change the flags");
}

/* Shows what became of the flags. */
static int look(struct sync_batch *b, struct sync_box *box, struct sync_reply *fetched)
{
	int r;

	box->data = echo_data;
	box->ctx = b;
	sync_reply_release(fetched);
	sync_batch_fetch(b, box, is_labels(b) ? "(UID X-GM-LABELS)" : "(UID FLAGS)", fetched);
	r = sync_link_run(b->link, 0);
	box->data = NULL;
	return r;
}

static bool any_open(const struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled)
			return true;
	return false;
}

static bool any_wrong(const struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled && b->acts[i].seen && !b->acts[i].right)
			return true;
	return false;
}

static bool has_keyword(const char *flags)
{
	const char *pos = flags, *word;
	size_t len;

	while (pos && (word = wordset_next(&pos, &len)) != NULL)
		if (word[0] != '\\')
			return true;
	return false;
}

static bool sends_keywords(const struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled &&
		    (has_keyword(b->acts[i].op.add) || has_keyword(b->acts[i].op.del)))
			return true;
	return false;
}

/* Courier stores all keywords of a message as the session knows them: what others have set since the
 * mailbox was selected would be lost. */
static void refresh(struct sync_batch *b, struct sync_box *box, struct sync_reply *reply)
{
	struct imap_cmd *cmd;

	if (is_labels(b) || sync_modseq_offered(b->link) || !sends_keywords(b))
		return;
	cmd = imap_cmd_new("NOOP");
	sync_link_send(b->link, &cmd, box, sync_reply_done, reply);
}

int sync_run_flags(struct sync_batch *b)
{
	struct sync_reply fetched = { 0 }, refreshed = { 0 };
	struct sync_box *box = NULL;
	int r = sync_batch_open(b, b->acts[0].op.mailbox, &box);

	if (r != 0)
		return r < 0 ? r : 0;
	r = refuse_impossible(b, box);
	qsort(b->acts, b->count, sizeof(*b->acts), by_uid);
	if (r == 0)
		r = sync_run_guarded(b, box);
	if (r == 0)
		refresh(b, box, &refreshed);
	for (size_t i = 0; r == 0 && i < b->count; i++)
		if (!b->acts[i].shared && !b->acts[i].settled)
			send_delta(b, box, i);
	if (r == 0 && any_open(b))
		r = look(b, box, &fetched);
	if (r == 0 && any_wrong(b)) /* the first may have been answered before the STOREs */
		r = look(b, box, &fetched);
	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = settle(b, &b->acts[i], fetched.err == 0);
	sync_reply_release(&fetched);
	sync_reply_release(&refreshed);
	sync_box_unref(&box);
	return r;
}
