/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sync_facts_priv.h"
#include "sync_pass_priv.h"
#include "sync_uids_priv.h"
#include "wordset.h"

/*
 * The plain algorithm (RFC 4549 4.3.1): new descriptors first, then the flags of what is known;
 * what the server did not name is gone.
 *
 *   SENT -> [ASKED: UIDs of a sparse range] -> [STRANGERS, LATE: more descriptors]
 *        -> [DOUBTED: a second command about what seems gone] -> settled
 *
 * A step in brackets is taken when the answers before call for it; each at most once.
 *
 * With mod-sequences (RFC 7162) only what has changed since the last complete pass is asked for, and
 * what is not named is there as before.  The number of messages has to bear that out:
 *
 *   SENT -> [STRANGERS, LATE] -> [COMPARED: UIDs of all that is known] -> settled
 *
 * and where it still does not, or the server will not speak of changes, all is asked for as above.
 *
 * Where the server can give a range page by page (PARTIAL, RFC 9394), a sparse one is asked for so and
 * not searched, unless the number of messages does not bear out that this was all of it.
 *
 * Where the profile wants new messages only, none but the first command is sent, and nothing is taken
 * for gone.
 */
enum {
	GROUP = 1000,      /* UIDs asked for in one command */
	SPARSE = 4,        /* a range is sparse that is so many times its messages, */
	SPARSE_MIN = 4000, /* and that long */
	FEW = 3            /* so many may be gone without a second look */
};

struct sync_scan {
	struct sync_link *link;
	struct sync_box *box;
	char *descriptor;       /* what is asked of new messages */
	uint32_t last;          /* all up to this one were known after the last complete pass */
	uint32_t uidnext;       /* what the commands were planned by; 0: unknown */
	uint64_t highestmodseq; /* of before the first command */
	uint32_t unseen;
	uint32_t *known; /* ascending */
	bool *named;     /* by the server, of each known one */
	size_t known_count;
	bool to_the_end;                      /* a command went up to "*" */
	uint32_t named_count, new_count, top; /* top: highest UID named */
	struct sync_facts facts;
	struct sync_uids fresh;     /* not known before; each once when settling */
	struct sync_uids found;     /* by UID SEARCH */
	struct sync_uids strangers; /* in the old range, but not known */
	bool sparse, asked, met, late, doubted;
	bool paged;             /* the new ones come page by page */
	bool changes;           /* by mod-sequence */
	bool compared, merged;  /* a search for all known UIDs is sent; its answer is looked at */
	bool unplaced;          /* something came before the UIDVALIDITY that it belongs to */
	bool refused;           /* it was by mod-sequence, and the server did not like that */
	uint64_t base;          /* the store's HIGHESTMODSEQ */
	uint32_t seen_messages; /* by STATUS; UINT32_MAX: unknown */
	bool new_only;          /* what is known is not looked at again */
	int err;                /* the first command that failed */
};

/* What may have changed of a message that is known. */
static const char *change_items(const struct sync_link *l)
{
	return sync_link_has(l, "X-GM-EXT-1") ? "(UID FLAGS X-GM-LABELS)" : "(UID FLAGS)";
}

/* The Message-ID where the store looks for messages whose UID it does not know
 * (RFC 4549 4.2.2.1), the id of the content where the server has one (RFC 8474 5), the beginning of
 * the body where the profile says so (4.6). */
static char *descriptor_items(struct sync_link *l, const struct store_mailbox *m, uint32_t uidnext)
{
	bool search = store_pull_expects(l->store, m->id) > 0;
	uint64_t blind = sync_profile_blind(l->sync, m, uidnext);
	_cleanup_free_ char *body = blind ? mem_printf(" BODY.PEEK[]<0.%llu>",
	                                               (unsigned long long)blind)
	                                  : NULL;
	bool gmail = sync_link_has(l, "X-GM-EXT-1");
	const char *id = sync_link_has(l, "OBJECTID") ? " EMAILID"
	                 : gmail                      ? " X-GM-MSGID X-GM-THRID"
	                                              : "";

	return mem_printf("(UID FLAGS RFC822.SIZE INTERNALDATE%s%s%s%s)", id,
	                  gmail ? " X-GM-LABELS" : "",
	                  search ? " BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]" : "", body ? body : "");
}

/* ---- Answers ---- */

static void flush_facts(struct sync_scan *c)
{
	int r = sync_facts_flush(&c->facts, c->box);

	if (r < 0 && c->err == 0)
		c->err = r;
}

/* What comes before SELECT has ended is this mailbox's only under the UIDVALIDITY known. */
static bool is_placed(const struct sync_box *b)
{
	return b->ok || (b->expected && b->uidvalidity == b->expected);
}

static void on_fetch(struct sync_scan *c, const struct imap_resp *r)
{
	uint32_t uid = sync_box_uid(c->box, r);
	bool whole = r->fetch->has_size && r->fetch->has_date;
	size_t i;
	int err;

	if (uid == 0 || !r->fetch->has_flags)
		return;
	if (sync_uids_index(c->known, c->known_count, uid, &i)) {
		c->named_count += !c->named[i];
		c->named[i] = true;
	} else if (whole) {
		sync_uids_add(&c->fresh, uid);
	} else {
		if (uid <= c->last && !c->new_only)
			sync_uids_add(&c->strangers, uid);
		return;
	}
	if (uid > c->top)
		c->top = uid;
	err = sync_facts_keep(&c->facts, c->box, uid, r->fetch);
	if (err < 0 && c->err == 0)
		c->err = err;
}

/* Not proof: it only takes the message out of those that were named. */
static void on_expunge(struct sync_scan *c, uint32_t uid)
{
	size_t i;

	if (!uid || !sync_uids_index(c->known, c->known_count, uid, &i) || !c->named[i])
		return;
	c->named[i] = false;
	c->named_count--;
}

/* Of a range only what is known counts, however long it is. */
static void on_vanished(struct sync_scan *c, const struct imap_set *uids)
{
	for (size_t k = 0; k < uids->count; k++) {
		size_t i = sync_uids_from(c->known, c->known_count, uids->ranges[k].first);

		for (; i < c->known_count && c->known[i] <= uids->ranges[k].last; i++)
			on_expunge(c, c->known[i]);
	}
}

static bool says_of_messages(enum imap_resp_kind kind)
{
	return kind == IMAP_RESP_FETCH || kind == IMAP_RESP_EXPUNGE || kind == IMAP_RESP_VANISHED;
}

static void on_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct sync_scan *c = ctx;

	if (!is_placed(box)) {
		c->unplaced |= says_of_messages(r->kind);
		return;
	}
	if (r->kind == IMAP_RESP_FETCH)
		on_fetch(c, r);
	else if (r->kind == IMAP_RESP_EXPUNGE)
		on_expunge(c, imap_msgmap_uid(box->map, r->number));
	else if (r->kind == IMAP_RESP_VANISHED && (c->changes || !r->vanished.earlier))
		on_vanished(c, &r->vanished.uids);
	else if (r->kind == IMAP_RESP_SEARCH)
		for (size_t i = 0; i < r->search.count; i++)
			sync_uids_add(&c->found, r->search.numbers[i]);
}

static void on_done(void *ctx, const struct imap_result *res)
{
	struct sync_scan *c = ctx;

	if (res->err < 0 && c->err == 0)
		c->err = res->err;
}

/* ---- Commands ---- */

static void send_range(struct sync_scan *c, uint32_t first, uint32_t last, const char *items)
{
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

	if (last)
		imap_cmd_range(cmd, first, last);
	else
		imap_cmd_rawf(cmd, "%u:*", first);
	imap_cmd_raw(cmd, items);
	sync_link_send(c->link, &cmd, c->box, on_done, c);
}

static void send_search(struct sync_scan *c, uint32_t first, uint32_t last)
{
	struct imap_cmd *cmd = imap_cmd_new("UID SEARCH UID");

	if (last)
		imap_cmd_rawf(cmd, "%u:%u", first, last);
	else
		imap_cmd_rawf(cmd, "%u:*", first);
	sync_uids_clear(&c->found);
	sync_link_send(c->link, &cmd, c->box, on_done, c);
}

/* The range above `last`, newest first. */
static void send_new(struct sync_scan *c)
{
	uint32_t top = c->uidnext ? c->uidnext - 1 : 0, first = c->last + 1;

	c->to_the_end = true;
	if (top <= c->last) {
		send_range(c, first, 0, c->descriptor);
		return;
	}
	for (uint32_t high = top, low; high >= first; high = low - 1) {
		low = high - first >= GROUP ? high - GROUP + 1 : first;
		send_range(c, low, high == top ? 0 : high, c->descriptor);
		if (low == 1)
			break;
	}
}

static void send_listed(struct sync_scan *c, struct sync_uids *uids)
{
	sync_uids_sort(uids);
	for (size_t end = uids->count; end > 0;) {
		size_t begin = sync_uids_chunk_before(uids, end, GROUP, SYNC_SET_BYTES);
		struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

		imap_cmd_uids(cmd, uids->items + begin, end - begin);
		imap_cmd_raw(cmd, c->descriptor);
		sync_link_send(c->link, &cmd, c->box, on_done, c);
		end = begin;
	}
}

static bool is_sparse(uint32_t span, uint32_t messages)
{
	return span > SPARSE_MIN && span / SPARSE > messages;
}

/* The newest first; a page is counted from the end, so what arrives meanwhile lets two overlap. */
static void send_pages(struct sync_scan *c, uint32_t messages)
{
	size_t old = sync_uids_from(c->known, c->known_count, c->last + 1);
	uint32_t count = messages > old ? messages - (uint32_t)old : 0;

	c->paged = c->to_the_end = true;
	for (uint32_t done = 0; done == 0 || done < count; done += GROUP) {
		struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

		imap_cmd_rawf(cmd, "%u:*", c->last + 1);
		imap_cmd_raw(cmd, c->descriptor);
		imap_cmd_rawf(cmd, "(PARTIAL -%u:-%u)", done + 1, done + GROUP);
		sync_link_send(c->link, &cmd, c->box, on_done, c);
	}
}

static void send_sparse(struct sync_scan *c, uint32_t messages)
{
	if (sync_link_has(c->link, "PARTIAL") && !c->link->unpaged && !c->new_only) {
		send_pages(c, messages);
		return;
	}
	c->sparse = true;
	send_search(c, c->last + 1, 0);
}

static void send_plain(struct sync_scan *c)
{
	if (c->uidnext != c->last + 1) {
		uint32_t messages = c->seen_messages == UINT32_MAX ? c->box->exists
		                                                   : c->seen_messages;

		if (c->uidnext > c->last && is_sparse(c->uidnext - c->last, messages))
			send_sparse(c, messages);
		else
			send_new(c);
	}
	if (c->last > 0 && !c->changes && !c->new_only && c->seen_messages > 0)
		send_range(c, 1, c->last, change_items(c->link));
}

/* Everything is there as before but what the answers say (RFC 4549 6.1, RFC 7162 6). */
static void send_changes(struct sync_scan *c, bool may_be_equal)
{
	struct imap_cmd *cmd;

	for (size_t i = 0; i < c->known_count && c->known[i] <= c->last; i++) {
		c->named[i] = true;
		c->named_count++;
	}
	if (c->box->resync || (may_be_equal && c->highestmodseq == c->base))
		return;
	cmd = imap_cmd_new("UID FETCH");
	imap_cmd_range(cmd, 1, c->last);
	imap_cmd_rawf(cmd, "%s (CHANGEDSINCE %llu%s)", change_items(c->link),
	              (unsigned long long)c->base, c->link->qresync ? " VANISHED" : "");
	sync_link_send(c->link, &cmd, c->box, on_done, c);
}

/* In a mailbox that is selected: HIGHESTMODSEQ may be of long ago, but not of before. */
static bool box_follows(const struct sync_link *l, const struct sync_box *b,
                        const struct store_mailbox *m)
{
	return sync_modseq_offered(l) && m->highestmodseq > 0 && m->uidnext > 1 && b->ok &&
	       !b->nomodseq && b->uidvalidity == m->uidvalidity && b->highestmodseq > 0 &&
	       b->highestmodseq <= INT64_MAX && b->highestmodseq >= b->known_modseq;
}

struct sync_scan *sync_scan_begin(struct sync_link *l, struct sync_box *box,
                                  const struct store_mailbox *m, const struct imap_status *seen)
{
	struct sync_scan *c = mem_alloc(sizeof(*c));

	*c = (struct sync_scan){
		.link = l,
		.box = sync_box_ref(box),
		.last = m->uidnext ? m->uidnext - 1 : 0,
		.uidnext = seen && seen->has_uidnext ? seen->uidnext : box->uidnext,
		.highestmodseq = seen && seen->has_highestmodseq ? seen->highestmodseq
		                                                 : box->highestmodseq,
		.unseen = seen && seen->has_unseen ? seen->unseen : m->unseen,
		.base = m->highestmodseq,
		.seen_messages = seen ? seen->messages : UINT32_MAX,
		.new_only = sync_profile_new_only(l->sync, m),
	};
	if (!c->new_only)
		c->changes = seen ? sync_modseq_follows(l, m, seen) : box_follows(l, box, m);
	else
		c->highestmodseq = c->base; /* of changes before that nothing is known */
	if (c->highestmodseq > INT64_MAX)
		c->highestmodseq = 0;
	if (c->changes && c->highestmodseq < c->base)
		c->highestmodseq = c->base;
	c->facts.link = l;
	c->descriptor = descriptor_items(l, m, c->uidnext);
	box->data = on_data;
	box->ctx = c;
	c->err = store_pull_uids(l->store, m->id, &c->known, &c->known_count);
	if (c->err < 0)
		return c;
	c->named = mem_alloc(c->known_count + 1);
	if (c->changes)
		send_changes(c, seen != NULL);
	send_plain(c);
	return c;
}

void sync_scan_free(struct sync_scan **scan)
{
	struct sync_scan *c = *scan;

	*scan = NULL;
	if (!c)
		return;
	if (c->box->ctx == c)
		c->box->data = NULL;
	sync_facts_release(&c->facts);
	sync_box_unref(&c->box);
	free(c->known);
	free(c->named);
	free(c->descriptor);
	sync_uids_release(&c->fresh);
	sync_uids_release(&c->found);
	sync_uids_release(&c->strangers);
	free(c);
}

/* ---- Settling ---- */

/* What is known here and was not named, as far as the commands have reached. */
static void missing(const struct sync_scan *c, struct sync_uids *out)
{
	for (size_t i = 0; !c->new_only && i < c->known_count; i++)
		if (!c->named[i] && (c->to_the_end || c->known[i] <= c->last))
			sync_uids_add(out, c->known[i]);
}

static bool is_odd(const struct sync_scan *c, size_t gone)
{
	if (gone > FEW && gone * 2 > c->known_count)
		return true;
	return c->to_the_end && c->named_count + c->new_count < c->box->exists;
}

/* The server will not speak of changes, or what it says does not hold. */
static bool is_untrue(const struct sync_scan *c)
{
	const struct sync_box *b = c->box;

	return c->unplaced || b->nomodseq || b->highestmodseq < b->known_modseq ||
	       (b->resync && !b->alone);
}

static bool adds_up(const struct sync_scan *c)
{
	return c->named_count + c->new_count == c->box->exists;
}

/* Other mailboxes may have been selected since. */
static void reselect(struct sync_scan *c)
{
	struct store_mailbox m;

	if (c->link->box == c->box || store_mailbox_get(c->link->store, c->box->mailbox, &m) < 0)
		return;
	c->box->data = NULL;
	if (c->box->uidvalidity)
		m.uidvalidity = c->box->uidvalidity;
	sync_box_unref(&c->box);
	c->box = sync_link_select(c->link, &m);
	c->box->data = on_data;
	c->box->ctx = c;
	store_mailbox_release(&m);
}

/* Begins once more, without mod-sequences. */
static void fall_back(struct sync_scan *c)
{
	log_debug("sync: all of %s is compared", c->box->wire_name);
	if (c->box->highestmodseq < c->highestmodseq)
		c->highestmodseq = c->box->highestmodseq;
	if (!c->box->ok && c->link->box == c->box)
		sync_box_unref(&c->link->box);
	c->changes = c->sparse = c->asked = c->met = c->late = c->compared = c->to_the_end = false;
	c->unplaced = c->paged = false;
	c->err = 0;
	c->named_count = c->new_count = c->top = 0;
	for (size_t i = 0; i < c->known_count; i++)
		c->named[i] = false;
	sync_uids_clear(&c->fresh);
	sync_uids_clear(&c->found);
	sync_uids_clear(&c->strangers);
	c->uidnext = 0; /* up to the end, whatever it was */
	reselect(c);
	send_plain(c);
}

/* A search told which of the known UIDs are there. */
static void merge_search(struct sync_scan *c)
{
	size_t k;

	c->merged = true;
	sync_uids_sort(&c->found);
	c->named_count = 0;
	for (size_t i = 0; i < c->known_count; i++) {
		c->named[i] = sync_uids_index(c->found.items, c->found.count, c->known[i], &k);
		c->named_count += c->named[i];
	}
	for (size_t i = 0; i < c->found.count && c->found.items[i] <= c->last; i++)
		if (!sync_uids_index(c->known, c->known_count, c->found.items[i], &k))
			sync_uids_add(&c->strangers, c->found.items[i]);
}

/* Compares before anything goes that mod-sequences tell of and the count does not. */
static bool next_compare(struct sync_scan *c, const struct sync_uids *gone)
{
	if (!c->compared && c->known_count > 0 && !adds_up(c)) {
		c->compared = true;
		c->merged = false;
		reselect(c);
		send_search(c, 1, c->known[c->known_count - 1]);
		return true;
	}
	if (adds_up(c) && !is_odd(c, gone->count))
		return false;
	fall_back(c);
	return true;
}

/* Queues the next step that the answers call for; false when there is none. */
static bool next_step(struct sync_scan *c, const struct sync_uids *gone)
{
	if (c->paged && c->named_count + c->new_count < c->box->exists) {
		c->paged = false;
		c->sparse = true;
		reselect(c);
		send_search(c, c->last + 1, 0);
		return true;
	}
	if (c->sparse && !c->asked) {
		c->asked = c->to_the_end = true;
		sync_uids_drop_upto(&c->found, c->last);
		sync_uids_minus(&c->found, &c->fresh);
		reselect(c);
		send_listed(c, &c->found);
		return c->found.count > 0 || next_step(c, gone);
	}
	if (c->strangers.count > 0 && !c->met) {
		c->met = true;
		reselect(c);
		send_listed(c, &c->strangers);
		return true;
	}
	if (c->new_only)
		return false;
	if (c->named_count + c->new_count < c->box->exists && !c->late) {
		uint32_t from = c->top > c->last ? c->top + 1 : c->last + 1;

		reselect(c);
		c->late = c->to_the_end = true; /* something arrived behind the commands */
		send_range(c, from, 0, c->descriptor);
		return true;
	}
	if (c->changes)
		return next_compare(c, gone);
	if (gone->count > 0 && is_odd(c, gone->count) && !c->doubted) {
		c->doubted = true;
		reselect(c);
		send_search(c, 1, c->known[c->known_count - 1]);
		return true;
	}
	return false;
}

static int settle_gone(struct sync_scan *c, struct sync_uids *gone)
{
	if (c->doubted) {
		sync_uids_sort(&c->found);
		sync_uids_minus(gone, &c->found);
	}
	if (gone->count == 0)
		return 0;
	log_debug("sync: %zu messages gone from %s", gone->count, c->box->wire_name);
	return store_pull_expunged(c->link->store, c->box->mailbox, gone->items, gone->count);
}

static int settle(struct sync_scan *c, struct sync_uids *gone)
{
	uint32_t uidnext = c->uidnext > c->last ? c->uidnext : c->last + 1;
	int r;

	if (c->to_the_end && c->top >= uidnext)
		uidnext = c->top + 1;
	r = settle_gone(c, gone);
	if (r < 0)
		return r;
	r = store_pull_complete(c->link->store, c->box->mailbox, uidnext,
	                        c->box->nomodseq ? 0 : c->highestmodseq, c->box->exists, c->unseen);
	return r < 0 ? r : 1;
}

/* NO or BAD to SELECT or FETCH with mod-sequences. */
static bool is_refused(const struct sync_scan *c)
{
	int err = c->box->ok ? c->err : c->box->err;

	return sync_link_up(c->link) && (err == ERR_REFUSED || err == ERR_PROTO);
}

int sync_scan_settle(struct sync_scan *c)
{
	struct sync_uids gone = { 0 };
	int r;

	if (c->paged && is_refused(c) && c->box->ok) {
		c->link->unpaged = true;
		fall_back(c);
		return 0;
	}
	if (c->changes && is_refused(c)) {
		c->refused = c->link->plain = true;
		fall_back(c);
		return 0;
	}
	if (!c->box->ok) {
		if (c->refused)
			c->link->plain = false; /* that was not why */
		return c->box->err < 0 ? c->box->err : ERR_OFFLINE;
	}
	flush_facts(c);
	if (c->err < 0)
		return c->err;
	sync_uids_sort(&c->fresh);
	c->new_count = (uint32_t)c->fresh.count;
	if (c->changes && is_untrue(c)) {
		fall_back(c);
		return 0;
	}
	if (c->compared && !c->merged)
		merge_search(c);
	missing(c, &gone);
	r = next_step(c, &gone) ? 0 : settle(c, &gone);
	sync_uids_release(&gone);
	return r;
}

/* ---- One mailbox alone ---- */

struct status_answer {
	uint32_t uidvalidity;
};

static void on_status(void *ctx, const struct imap_resp *r)
{
	struct status_answer *a = ctx;

	if (r->kind == IMAP_RESP_STATUS && r->status.has_uidvalidity)
		a->uidvalidity = r->status.uidvalidity;
}

static void forget_uids(struct sync_link *l, const struct store_mailbox *m, uint32_t uidvalidity)
{
	log_warn("sync: mailbox %s was made anew on the server (UIDVALIDITY %u, was %u)",
	         m->wire_name, uidvalidity, m->uidvalidity);
	if (store_pull_reset(l->store, m->id, uidvalidity) < 0)
		log_error("sync: mailbox %s cannot be reset", m->wire_name);
}

int sync_scan_reset(struct sync_link *l, int64_t mailbox, uint32_t by_select)
{
	struct status_answer answer = { 0 };
	struct store_mailbox m;
	struct imap_cmd *cmd;
	int r;

	if (store_mailbox_get(l->store, mailbox, &m) < 0)
		return 0;
	sync_link_unselect(l);
	cmd = imap_cmd_new("STATUS");
	imap_cmd_mailbox(cmd, m.wire_name);
	imap_cmd_raw(cmd, "(UIDVALIDITY)");
	l->data = on_status;
	l->ctx = &answer;
	r = sync_link_exec(l, &cmd, NULL, NULL);
	l->data = NULL;
	if (r == 0 && answer.uidvalidity == by_select && by_select != m.uidvalidity)
		forget_uids(l, &m, by_select);
	store_mailbox_release(&m);
	return sync_link_up(l) ? 0 : ERR_OFFLINE;
}

int sync_scan_moved(struct sync_link *l, const struct store_mailbox *m, uint32_t by_status)
{
	struct sync_box *box;
	int r;

	if (!by_status || !m->uidvalidity || by_status == m->uidvalidity)
		return 0;
	sync_claim_wait(l->sync, l, m->id);
	box = sync_link_select(l, m);
	r = sync_link_run(l, 0);
	if (r == 0 && box->err == ERR_CONFLICT && box->uidvalidity == by_status)
		forget_uids(l, m, by_status);
	sync_box_unref(&box);
	sync_link_unselect(l);
	sync_claim_release(l->sync, l, m->id);
	return r;
}

int sync_scan_mailbox(struct sync_link *l, int64_t mailbox)
{
	struct sync_scan *c = NULL;
	struct store_mailbox m;
	struct sync_box *box = NULL;
	struct err_reason why;
	int r;

	r = sync_link_open_box(l, mailbox, &box, &why);
	if (r == 0)
		r = store_mailbox_get(l->store, mailbox, &m);
	if (r < 0) {
		sync_box_unref(&box);
		return sync_link_up(l) ? r : ERR_OFFLINE;
	}
	box->uidnext = 0; /* of when it was selected: it may be long ago */
	box->told = false;
	box->looked_ms = clock_mono_ms();
	c = sync_scan_begin(l, box, &m, NULL);
	do {
		r = sync_link_run(l, 0);
	} while (r == 0 && (r = sync_scan_settle(c)) == 0);
	if (r < 0 && sync_link_up(l))
		log_warn("sync: mailbox %s: %s", m.wire_name, err_text(r));
	sync_scan_free(&c);
	store_mailbox_release(&m);
	sync_box_unref(&box);
	return r < 0 ? r : 0;
}

/* Runs what was queued in `box` to its end. */
static int run_scan(struct sync_link *l, struct sync_box *box, int64_t mailbox)
{
	struct sync_scan *c;
	struct store_mailbox m;
	int r = store_mailbox_get(l->store, mailbox, &m);

	if (r < 0)
		return r;
	c = sync_scan_begin(l, box, &m, NULL);
	do {
		r = sync_link_run(l, 0);
	} while (r == 0 && (r = sync_scan_settle(c)) == 0);
	sync_scan_free(&c);
	store_mailbox_release(&m);
	return r < 0 ? r : 0;
}

int sync_unsticky_open(struct sync_link *l, int64_t mailbox)
{
	struct sync_box *box;
	struct store_mailbox m;
	int r = store_mailbox_get(l->store, mailbox, &m);

	if (r < 0)
		return 0;
	sync_claim_wait(l->sync, l, mailbox);
	sync_link_unselect(l);
	m.uidvalidity = 0; /* whatever it is this time */
	box = sync_link_select(l, &m);
	store_mailbox_release(&m);
	r = sync_link_run(l, 0);
	if (r == 0 && box->ok)
		r = store_pull_reset(l->store, mailbox, box->uidvalidity);
	if (r == 0 && box->ok)
		r = run_scan(l, box, mailbox);
	sync_box_unref(&box);
	return sync_link_up(l) ? 0 : r < 0 ? r : ERR_OFFLINE;
}

int sync_unsticky_scan(struct sync_link *l, int64_t mailbox)
{
	int r = sync_unsticky_open(l, mailbox);

	if (r == 0)
		r = sync_pull_bodies(l, mailbox, 0);
	sync_link_unselect(l);
	sync_claim_release(l->sync, l, mailbox);
	return sync_link_up(l) ? 0 : r < 0 ? r : ERR_OFFLINE;
}

uint32_t sync_scan_uidvalidity(const struct sync_scan *scan)
{
	return scan->box->uidvalidity;
}
