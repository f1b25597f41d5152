/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "sync_evidence_priv.h"
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
 */
enum {
	GROUP = 1000,      /* UIDs asked for in one command */
	SPARSE = 4,        /* a range is sparse that is so many times its messages, */
	SPARSE_MIN = 4000, /* and that long */
	WRITE_EVERY = 500, /* descriptors or flags in one transaction */
	FEW = 3            /* so many may be gone without a second look */
};

/* A FETCH answer, kept until it is written */
struct fact {
	struct store_descriptor d;
	bool whole; /* a descriptor; else flags only */
};

struct sync_scan {
	struct sync_link *link;
	struct sync_box *box;
	const char *descriptor; /* what is asked of new messages */
	uint32_t last;          /* all up to this one were known after the last complete pass */
	uint32_t uidnext;       /* what the commands were planned by; 0: unknown */
	uint64_t highestmodseq; /* of before the first command */
	uint32_t unseen;
	uint32_t *known; /* ascending */
	bool *named;     /* by the server, of each known one */
	size_t known_count;
	bool to_the_end;                      /* a command went up to "*" */
	uint32_t named_count, new_count, top; /* top: highest UID named */
	struct fact *facts;
	size_t fact_count;
	struct sync_uids found;     /* by UID SEARCH */
	struct sync_uids strangers; /* in the old range, but not known */
	bool sparse, asked, met, late, doubted;
	bool recorded; /* SELECT's facts are in the store */
	int err;       /* the first command that failed */
};

/* The second where the store looks for messages whose UID it does not know (RFC 4549 4.2.2.1). */
#define DESCRIPTOR "(UID FLAGS RFC822.SIZE INTERNALDATE)"
#define DESCRIPTOR_AND_ID \
	"(UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"

/* ---- Answers ---- */

static void fact_release(struct fact *f)
{
	free((char *)(uintptr_t)f->d.flags);
	free((char *)(uintptr_t)f->d.message_id);
	free((char *)(uintptr_t)f->d.emailid);
	free((char *)(uintptr_t)f->d.threadid);
}

static int write_facts(struct sync_scan *c)
{
	int64_t mailbox = c->box->mailbox;
	struct store *st = c->link->store;
	int r = store_batch_begin(st);

	if (r < 0)
		return r;
	if (!c->recorded) {
		struct store_selected sel = {
			.uidvalidity = c->box->uidvalidity,
			.read_only = c->box->read_only,
			.uidnotsticky = c->box->uidnotsticky,
			.keywords_ok = c->box->keywords_ok,
			.permanent_flags = c->box->permanent_flags,
		};

		r = store_pull_selected(st, mailbox, &sel);
		c->recorded = r == 0;
	}
	for (size_t i = 0; i < c->fact_count && r >= 0; i++) {
		const struct store_descriptor *d = &c->facts[i].d;

		r = c->facts[i].whole ? store_pull_descriptor(st, mailbox, d)
		                      : store_pull_flags(st, mailbox, d->uid, d->flags, d->modseq);
	}
	if (r >= 0)
		return store_batch_commit(st);
	store_batch_abort(st);
	return r;
}

static void flush_facts(struct sync_scan *c)
{
	int r = write_facts(c);

	if (r < 0 && c->err == 0)
		c->err = r;
	for (size_t i = 0; i < c->fact_count; i++)
		fact_release(&c->facts[i]);
	c->fact_count = 0;
}

static void keep_fact(struct sync_scan *c, uint32_t uid, const struct imap_fetch *f)
{
	struct fact *fact;

	if (!c->facts)
		c->facts = mem_alloc(WRITE_EVERY * sizeof(*c->facts));
	fact = &c->facts[c->fact_count++];
	*fact = (struct fact){
		.d = {
			.uid = uid, .flags = mem_strdup(f->flags), .size = f->size, .date = f->date,
			.date_zone_min = f->date_zone_min, .modseq = f->has_modseq ? f->modseq : 0,
			.emailid = mem_strdup(f->emailid), .threadid = mem_strdup(f->threadid),
		},
		.whole = f->has_size && f->has_date,
	};
	if (fact->whole && f->body_count > 0 && f->bodies[0].data)
		fact->d.message_id = sync_header_message_id(f->bodies[0].data, f->bodies[0].len);
	if (c->fact_count == WRITE_EVERY)
		flush_facts(c);
}

static void on_fetch(struct sync_scan *c, const struct imap_resp *r)
{
	uint32_t uid = sync_box_uid(c->box, r);
	bool whole = r->fetch->has_size && r->fetch->has_date;
	size_t i;

	if (uid == 0 || !r->fetch->has_flags)
		return;
	if (sync_uids_index(c->known, c->known_count, uid, &i)) {
		c->named_count += !c->named[i];
		c->named[i] = true;
	} else if (whole) {
		c->new_count++;
	} else {
		if (uid <= c->last)
			sync_uids_add(&c->strangers, uid);
		return;
	}
	if (uid > c->top)
		c->top = uid;
	keep_fact(c, uid, r->fetch);
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

static void on_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct sync_scan *c = ctx;

	if (r->kind == IMAP_RESP_FETCH)
		on_fetch(c, r);
	else if (r->kind == IMAP_RESP_EXPUNGE)
		on_expunge(c, imap_msgmap_uid(box->map, r->number));
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
	};
	c->descriptor = store_pull_expects(l->store, m->id) > 0 ? DESCRIPTOR_AND_ID : DESCRIPTOR;
	box->data = on_data;
	box->ctx = c;
	c->err = store_pull_uids(l->store, m->id, &c->known, &c->known_count);
	if (c->err < 0)
		return c;
	c->named = mem_alloc(c->known_count + 1);
	if (c->uidnext != c->last + 1) {
		uint32_t messages = seen ? seen->messages : box->exists;

		c->sparse = c->uidnext > c->last && is_sparse(c->uidnext - c->last, messages);
		if (c->sparse)
			send_search(c, c->last + 1, 0);
		else
			send_new(c);
	}
	if (c->last > 0 && (!seen || seen->messages > 0))
		send_range(c, 1, c->last, "(UID FLAGS)");
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
	for (size_t i = 0; i < c->fact_count; i++)
		fact_release(&c->facts[i]);
	free(c->facts);
	sync_box_unref(&c->box);
	free(c->known);
	free(c->named);
	sync_uids_release(&c->found);
	sync_uids_release(&c->strangers);
	free(c);
}

/* ---- Settling ---- */

/* What is known here and was not named, as far as the commands have reached. */
static void missing(const struct sync_scan *c, struct sync_uids *out)
{
	for (size_t i = 0; i < c->known_count; i++)
		if (!c->named[i] && (c->to_the_end || c->known[i] <= c->last))
			sync_uids_add(out, c->known[i]);
}

static bool is_odd(const struct sync_scan *c, size_t gone)
{
	if (gone > FEW && gone * 2 > c->known_count)
		return true;
	return c->to_the_end && c->named_count + c->new_count < c->box->exists;
}

/* Other mailboxes may have been selected since. */
static void reselect(struct sync_scan *c)
{
	struct store_mailbox m;

	if (c->link->box == c->box || store_mailbox_get(c->link->store, c->box->mailbox, &m) < 0)
		return;
	c->box->data = NULL;
	m.uidvalidity = c->box->uidvalidity;
	sync_box_unref(&c->box);
	c->box = sync_link_select(c->link, &m);
	c->box->data = on_data;
	c->box->ctx = c;
	store_mailbox_release(&m);
}

/* Queues the next step that the answers call for; false when there is none. */
static bool next_step(struct sync_scan *c, const struct sync_uids *gone)
{
	if (c->sparse && !c->asked) {
		c->asked = c->to_the_end = true;
		sync_uids_drop_upto(&c->found, c->last);
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
	if (c->named_count + c->new_count < c->box->exists && !c->late) {
		uint32_t from = c->top > c->last ? c->top + 1 : c->last + 1;

		reselect(c);
		c->late = c->to_the_end = true; /* something arrived behind the commands */
		send_range(c, from, 0, c->descriptor);
		return true;
	}
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

int sync_scan_settle(struct sync_scan *c)
{
	struct sync_uids gone = { 0 };
	int r;

	if (!c->box->ok)
		return c->box->err < 0 ? c->box->err : ERR_OFFLINE;
	flush_facts(c);
	if (c->err < 0)
		return c->err;
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

uint32_t sync_scan_uidvalidity(const struct sync_scan *scan)
{
	return scan->box->uidvalidity;
}
