/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "store_partial.h"
#include "sync_pass_priv.h"
#include "wordset.h"

enum {
	SCANS = 32,   /* mailboxes looked into at a time */
	LOOK_AT = 500 /* missing bodies asked from the store at a time */
};

void sync_pull_note(struct sync_link *l, int err)
{
	if (err == ERR_REFUSED || err == ERR_BUSY)
		l->unfinished = true;
	if (err == ERR_BUSY)
		l->busy = true;
}

/* ---- Descriptors and flags ---- */

/* False when the numbers prove that nothing has changed: of flags only mod-sequences can tell.  What
 * waits to be found again takes as many passes as it takes to give it up. */
static bool is_due(const struct sync_link *l, const struct store_mailbox *m,
                   const struct sync_seen *seen)
{
	const struct imap_status *st = seen ? &seen->status : NULL;
	const struct sync *s = l->sync;

	if (m->uidnotsticky && seen && seen->has_status)
		return st->uidnext != m->uidnext || st->messages != m->messages;
	if (sync_profile_new_only(s, m) && seen && seen->has_status && st->has_uidnext)
		return st->uidvalidity != m->uidvalidity || st->uidnext != m->uidnext;
	if (!seen || !seen->has_status || m->uidnext == 0 || st->uidvalidity != m->uidvalidity ||
	    st->uidnext != m->uidnext || st->messages != m->messages ||
	    store_pull_searches(l->store, m->id) > 0)
		return true;
	if (st->messages == 0)
		return false;
	return !st->has_highestmodseq || st->highestmodseq == 0 ||
	       st->highestmodseq != m->highestmodseq;
}

/* Settles a group of scans whose commands are queued: round by round, all of them in one go. */
static int settle_group(struct sync_link *l, struct sync_scan **scans,
                        const struct store_mailbox **boxes, size_t count)
{
	size_t open = count;
	int r = 0;

	while (open > 0 && (r = sync_link_run(l, 0)) == 0) {
		for (size_t i = 0; i < count; i++) {
			int done = scans[i] ? sync_scan_settle(scans[i]) : 0;
			uint32_t uidvalidity;

			if (done == 0)
				continue;
			uidvalidity = sync_scan_uidvalidity(scans[i]);
			sync_scan_free(&scans[i]);
			open--;
			if (!l->box || l->box->mailbox != boxes[i]->id)
				sync_claim_release(l->sync, l, boxes[i]->id);
			if (done == ERR_CONFLICT && sync_link_up(l)) {
				r = sync_scan_reset(l, boxes[i]->id, uidvalidity);
				if (r == 0)
					r = sync_scan_mailbox(l, boxes[i]->id);
			} else if (done < 0) {
				log_warn("sync: mailbox %s: %s", boxes[i]->wire_name,
				         err_text(done));
				sync_pull_note(l, done);
			}
			if (!sync_link_up(l))
				break;
		}
	}
	for (size_t i = 0; i < count; i++)
		sync_scan_free(&scans[i]);
	return sync_link_up(l) ? 0 : r < 0 ? r : ERR_OFFLINE;
}

/* STATUS says so already: nothing is to be asked by UIDs of before (RFC 4549 4.1). */
static bool has_moved(const struct store_mailbox *m, const struct sync_seen *seen)
{
	return m->uidvalidity && seen && seen->has_status &&
	       seen->status.uidvalidity != m->uidvalidity;
}

static int scan_all(struct sync_link *l, const struct sync_list *list,
                    const struct store_mailbox *boxes, size_t count)
{
	struct sync_scan *scans[SCANS];
	const struct store_mailbox *of[SCANS];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct sync_seen *seen = sync_list_find(list, boxes[i].wire_name);
		struct sync_box *box;

		if (sync_profile_scans(l->sync, &boxes[i]) && !boxes[i].uidnotsticky &&
		    !has_moved(&boxes[i], seen) && is_due(l, &boxes[i], seen)) {
			sync_claim_wait(l->sync, l, boxes[i].id);
			box = sync_modseq_select(l, &boxes[i],
			                         seen && seen->has_status ? &seen->status : NULL);
			of[n] = &boxes[i];
			scans[n++] = sync_scan_begin(
				l, box, &boxes[i], seen && seen->has_status ? &seen->status : NULL);
			sync_box_unref(&box);
		}
		if (n == SCANS || (n > 0 && i + 1 == count)) {
			r = settle_group(l, scans, of, n);
			n = 0;
		}
	}
	if (n > 0)
		r = settle_group(l, scans, of, n);
	return r;
}

/* Those whose UIDs are others by now, or hold for one selection, one by one. */
static int scan_anew(struct sync_link *l, const struct sync_list *list,
                     const struct store_mailbox *boxes, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct sync_seen *seen = sync_list_find(list, boxes[i].wire_name);

		if (!sync_profile_scans(l->sync, &boxes[i]) || !is_due(l, &boxes[i], seen))
			continue;
		if (boxes[i].uidnotsticky) {
			r = sync_unsticky_scan(l, boxes[i].id);
		} else if (has_moved(&boxes[i], seen)) {
			r = sync_scan_moved(l, &boxes[i], seen->status.uidvalidity);
			if (r == 0)
				r = sync_scan_mailbox(l, boxes[i].id);
			r = sync_link_up(l) ? 0 : r;
		}
	}
	return r;
}

/* Their bodies come with a scan; one is due when some are wanted and are not here. */
static int bodies_unsticky(struct sync_link *l, const struct store_mailbox *boxes, size_t count)
{
	struct store_missing one;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		if (boxes[i].uidnotsticky && sync_profile_bodies(l->sync, &boxes[i]) &&
		    store_pull_missing(l->store, boxes[i].id, 0, l->sync->cfg.max_size,
		                       sync_profile_since(l->sync), &one, 1) > 0)
			r = sync_unsticky_scan(l, boxes[i].id);
	return r;
}

/* ---- Bodies ---- */

/* Queues and runs what one mailbox lacks; leaves the window full for the next one. */
static int bodies_of(struct sync_link *l, struct sync_bodies *b, int64_t mailbox,
                     uint64_t max_bytes, uint64_t *bytes, int64_t *queued)
{
	const struct sync_config *cfg = &l->sync->cfg;
	int64_t since = sync_profile_since(l->sync);
	struct store_missing *missing = mem_alloc(LOOK_AT * sizeof(*missing));
	uint32_t below = 0;
	int n, r = 0;

	do {
		n = store_pull_missing(l->store, mailbox, below, cfg->max_size, since, missing,
		                       LOOK_AT);
		for (int i = 0; i < n && r == 0 && (!max_bytes || *bytes < max_bytes); i++) {
			struct sync_need need = {
				.message = missing[i].id,
				.mailbox = mailbox,
				.uid = missing[i].uid,
				.size = missing[i].size,
			};

			sync_bodies_add(b, &need, false);
			*bytes += need.size;
			below = need.uid;
			++*queued;
			if (sync_bodies_full(b)) {
				sync_bodies_add_wants(b, mailbox);
				r = sync_bodies_top_up(b);
				sync_note_bodies(l->sync, sync_bodies_stored(b), -1);
			}
		}
		sync_bodies_add_wants(b, mailbox);
		if (r == 0)
			r = sync_bodies_top_up(b);
	} while (r == 0 && n == LOOK_AT && !sync_bodies_stuck(b) &&
	         (!max_bytes || *bytes < max_bytes) && !sync_claim_asked(l->sync, mailbox));
	free(missing);
	return r;
}

int sync_pull_bodies(struct sync_link *l, int64_t mailbox, uint64_t max_bytes)
{
	struct sync_bodies *b;
	struct store_mailbox m;
	uint64_t bytes = 0;
	int64_t queued = 0;
	bool wanted;
	int r;

	if (store_mailbox_get(l->store, mailbox, &m) < 0)
		return 0;
	wanted = sync_profile_bodies(l->sync, &m);
	store_mailbox_release(&m);
	if (!wanted)
		return 0;
	b = sync_bodies_new(l);
	r = bodies_of(l, b, mailbox, max_bytes, &bytes, &queued);
	if (r == 0)
		r = sync_bodies_run(b, 0);
	sync_bodies_free(&b);
	return r == 0 && max_bytes && bytes >= max_bytes ? 1 : r;
}

static int bodies_all(struct sync_link *l, const struct store_mailbox *boxes, size_t count)
{
	struct sync_bodies *b = sync_bodies_new(l);
	int64_t before = 0, queued = 0;
	struct store_totals totals;
	uint64_t bytes = 0;
	int r = 0;

	if (store_totals_get(l->store, &totals) == 0)
		sync_note_bodies(l->sync, 0, totals.missing_bodies);
	for (size_t i = 0; i < count && r == 0 && !sync_bodies_stuck(b); i++) {
		struct store_missing one;
		int64_t id = boxes[i].id;

		if (!sync_profile_bodies(l->sync, &boxes[i]) || boxes[i].uidnotsticky ||
		    store_pull_missing(l->store, id, 0, l->sync->cfg.max_size, 0, &one, 1) < 1)
			continue;
		sync_claim_wait(l->sync, l, id);
		r = bodies_of(l, b, id, 0, &bytes, &queued);
		if (before)
			sync_claim_release(l->sync, l, before);
		before = id;
	}
	if (r == 0)
		r = sync_bodies_run(b, 0);
	sync_note_bodies(l->sync, sync_bodies_stored(b), queued);
	sync_bodies_free(&b);
	return r;
}

/* Of what is too large at least something. */
static int parts_all(struct sync_link *l, const struct store_mailbox *boxes, size_t count)
{
	uint64_t max = l->sync->cfg.max_size;
	int r = 0;

	for (size_t i = 0; max && i < count && r == 0; i++) {
		struct store_missing one;

		if (!sync_profile_bodies(l->sync, &boxes[i]) || boxes[i].uidnotsticky ||
		    store_partial_missing(l->store, boxes[i].id, 0, max,
		                          sync_profile_since(l->sync), &one, 1) < 1)
			continue;
		sync_claim_wait(l->sync, l, boxes[i].id);
		while ((r = sync_parts_pull(l, boxes[i].id)) == 1 &&
		       !sync_claim_asked(l->sync, boxes[i].id))
			;
		sync_link_unselect(l);
		sync_claim_release(l->sync, l, boxes[i].id);
		r = r < 0 ? r : 0;
	}
	return r;
}

/* ---- A pass ---- */

int sync_pull_pass(struct sync_link *l)
{
	struct sync_list list = { 0 };
	struct store_mailbox *boxes = NULL;
	size_t count = 0;
	int r;

	l->unfinished = l->busy = false;
	sync_set_state(l->sync, SYNC_PULLING, "looking for changes");
	r = sync_list_pull(l, &list);
	if (r == 0)
		r = sync_list_confirm_gone(l, &list);
	if (r == 0)
		r = store_mailbox_list(l->store, &boxes, &count) < 0
		            ? 0
		            : scan_all(l, &list, boxes, count);
	if (r == 0)
		r = scan_anew(l, &list, boxes, count);
	store_mailbox_list_free(boxes, count);
	sync_list_release(&list);
	boxes = NULL;
	count = 0;
	if (r == 0 && store_mailbox_list(l->store, &boxes, &count) == 0) {
		sync_set_state(l->sync, SYNC_PULLING, "fetching messages");
		r = bodies_all(l, boxes, count);
		if (r == 0)
			r = bodies_unsticky(l, boxes, count);
		if (r == 0)
			r = parts_all(l, boxes, count);
	}
	store_mailbox_list_free(boxes, count);
	sync_link_unselect(l);
	if (r == 0)
		r = sync_link_run(l, 0);
	sync_claim_release(l->sync, l, 0);
	if (r == 0)
		sync_note_pass(l->sync);
	return r;
}
