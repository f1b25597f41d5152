/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "store_message.h"
#include "sync_replay_priv.h"

/*
 * After an unknown outcome: is what was sent in the target mailbox?  Looked for among the messages
 * that came after the evidence was taken.
 */

/* Where to begin: the lowest UIDNEXT of those whose evidence is of this UIDVALIDITY. */
static uint32_t first_uid(const struct sync_batch *b, uint32_t uidvalidity)
{
	uint32_t first = UINT32_MAX;

	for (size_t i = 0; i < b->count; i++) {
		const struct sync_evidence *ev = &b->acts[i].ev;
		uint32_t from = ev->uidvalidity == uidvalidity ? ev->uidnext : 0;

		if (!b->acts[i].settled && b->acts[i].new_uid == 0 && from < first)
			first = from;
	}
	return first;
}

/* What one of the batch has become, and what one of it replaces or copies. */
static bool is_of_another(const struct sync_batch *b, int64_t mailbox, uint32_t uid)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct sync_act *a = &b->acts[i];

		if (a->new_uid == uid || (a->op.uid == uid && a->op.mailbox == mailbox))
			return true;
	}
	return false;
}

static bool is_ours(const struct sync_batch *b, int64_t node)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->acts[i].op.message == node || b->acts[i].op.copy == node)
			return true;
	return false;
}

/* A message that another upload from here has become is not this one, alike as they are.  Such
 * a file has the name a person gave it; one that a pull brought is named by its UID. */
static bool is_known(const struct sync_batch *b, int64_t mailbox, uint32_t uid)
{
	struct store_node node;
	char name[32];
	int64_t id;

	if (store_message_by_uid(b->link->store, mailbox, uid, &id) < 0 || is_ours(b, id) ||
	    store_node_get(b->link->store, id, &node) < 0)
		return false;
	(void)snprintf(name, sizeof(name), "%" PRIu32 ".eml", uid);
	return node.name[0] && strcmp(node.name, name) != 0;
}

static void exclude_known(struct sync_batch *b, int64_t mailbox, struct sync_candidates *c)
{
	for (size_t i = 0; i < c->count; i++)
		c->items[i].taken = is_of_another(b, mailbox, c->items[i].uid) ||
		                    is_known(b, mailbox, c->items[i].uid);
}

static int by_source(const void *a, const void *b)
{
	const struct sync_act *x = *(struct sync_act *const *)a, *y = *(struct sync_act *const *)b;

	if (x->op.uid != y->op.uid)
		return x->op.uid < y->op.uid ? -1 : 1;
	return x->op.seq < y->op.seq ? -1 : 1;
}

/* Those not found yet.  Messages alike but for their flags come out in the order of their sources:
 * that is how servers copy a set. */
static struct sync_act **unfound(struct sync_batch *b, size_t *count)
{
	struct sync_act **acts = mem_alloc((b->count + 1) * sizeof(struct sync_act *));
	size_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled && !b->acts[i].new_uid)
			acts[n++] = &b->acts[i];
	qsort(acts, n, sizeof(struct sync_act *), by_source);
	*count = n;
	return acts;
}

/* Number of acts still not found, or the link's error. */
static int match_all(struct sync_batch *b, struct sync_box *box, struct sync_candidates *c)
{
	size_t count;
	_cleanup_free_ struct sync_act **acts = unfound(b, &count);
	int missing = 0;

	for (size_t i = 0; i < count; i++) {
		int r = sync_candidates_match(b->link, box, c, &acts[i]->ev, &acts[i]->new_uid);

		if (r < 0)
			return r;
		missing += r == 0;
	}
	return missing;
}

static int look_once(struct sync_batch *b, struct sync_box *box)
{
	struct sync_candidates c = { 0 };
	int r = sync_candidates_fetch(b->link, box, first_uid(b, box->uidvalidity), &c);

	if (r == 0) {
		exclude_known(b, box->mailbox, &c);
		r = match_all(b, box, &c);
	}
	sync_candidates_release(&c);
	return r;
}

int sync_batch_look(struct sync_batch *b, int64_t mailbox, bool patient, uint32_t *uidvalidity)
{
	struct err_reason why = { "" };
	struct sync_box *box = NULL;
	int r = sync_link_open_box(b->link, mailbox, &box, &why);

	if (r < 0)
		return sync_link_up(b->link) ? 1 : r;
	*uidvalidity = box->uidvalidity;
	r = look_once(b, box);
	if (r > 0 && patient) {
		struct imap_cmd *cmd = imap_cmd_new("NOOP");

		sync_replay_pause(b);
		r = sync_link_exec(b->link, &cmd, box, NULL);
		if (r == 0)
			r = look_once(b, box);
	}
	sync_box_unref(&box);
	if (r < 0 && sync_link_up(b->link))
		return 1; /* the server refused to show them: not now */
	return r < 0 ? r : 0;
}
