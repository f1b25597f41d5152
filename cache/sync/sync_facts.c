/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mem.h"
#include "store_message.h"
#include "sync_evidence_priv.h"
#include "sync_facts_priv.h"
#include "sync_labels_priv.h"

enum {
	WRITE_EVERY = 500,            /* descriptors or flags in one transaction */
	WRITE_BYTES = 4 * 1024 * 1024 /* of bodies that came along */
};

/* A FETCH answer, kept until it is written */
struct sync_fact {
	struct store_descriptor d;
	bool whole;   /* a descriptor; else flags only */
	char *labels; /* Gmail's, one a line; NULL: not sent */
	char *body;   /* NULL: did not come along, or not all of it */
	size_t body_len;
};

static void fact_release(struct sync_fact *f)
{
	free((char *)(uintptr_t)f->d.flags);
	free((char *)(uintptr_t)f->d.message_id);
	free((char *)(uintptr_t)f->d.emailid);
	free((char *)(uintptr_t)f->d.threadid);
	free(f->labels);
	free(f->body);
}

static int write_body(struct store *st, int64_t mailbox, const struct sync_fact *f)
{
	struct store_body_writer *w = NULL;
	int64_t id = 0;
	int r = store_message_by_uid(st, mailbox, f->d.uid, &id);

	if (r == 0 && store_body_have(st, id))
		return 0;
	if (r == 0)
		r = store_body_begin(st, id, f->body_len, &w);
	if (r == 0)
		r = store_body_part(w, f->body, f->body_len);
	if (r == 0)
		return store_body_end(&w);
	store_body_abort(&w);
	return r == ERR_NOTFOUND ? 0 : r;
}

static int write_one(struct store *st, int64_t mailbox, const struct sync_fact *f)
{
	int r = f->whole ? store_pull_descriptor(st, mailbox, &f->d)
	                 : store_pull_flags(st, mailbox, f->d.uid, f->d.flags, f->d.modseq);

	if (r >= 0 && f->labels)
		r = store_pull_labels(st, mailbox, f->d.uid, f->labels);
	return r >= 0 && f->body ? write_body(st, mailbox, f) : r;
}

static int write_all(struct sync_facts *f, struct sync_box *box)
{
	struct store *st = f->link->store;
	int r = store_batch_begin(st);

	if (r < 0)
		return r;
	if (!f->recorded && box->ok) {
		struct store_selected sel = {
			.uidvalidity = box->uidvalidity,
			.read_only = box->read_only,
			.uidnotsticky = box->uidnotsticky,
			.keywords_ok = box->keywords_ok,
			.permanent_flags = box->permanent_flags,
			.mailboxid = box->mailboxid,
		};

		r = store_pull_selected(st, box->mailbox, &sel);
		f->recorded = r == 0;
	}
	for (size_t i = 0; i < f->count && r >= 0; i++)
		r = write_one(st, box->mailbox, &f->list[i]);
	if (r >= 0)
		return store_batch_commit(st);
	store_batch_abort(st);
	return r;
}

static void drop_all(struct sync_facts *f)
{
	for (size_t i = 0; i < f->count; i++)
		fact_release(&f->list[i]);
	f->count = f->bytes = 0;
}

int sync_facts_flush(struct sync_facts *f, struct sync_box *box)
{
	int r = write_all(f, box);

	drop_all(f);
	return r < 0 ? r : 0;
}

/* Only what is all of it, by the size that came in the same answer (RFC 4549 4.6). */
static void take_body(struct sync_fact *fact, const struct imap_fetch *f,
                      const struct imap_body *body)
{
	if (body->nil || body->truncated || body->origin != 0 || body->len == 0 || !f->has_size ||
	    f->size != body->len)
		return;
	fact->body = mem_realloc(NULL, body->len, 1);
	memcpy(fact->body, body->data, body->len);
	fact->body_len = body->len;
}

int sync_facts_keep(struct sync_facts *f, struct sync_box *box, uint32_t uid,
                    const struct imap_fetch *fetch)
{
	struct sync_fact *fact;

	if (!f->list)
		f->list = mem_alloc(WRITE_EVERY * sizeof(*f->list));
	fact = &f->list[f->count++];
	*fact = (struct sync_fact){
		.d = {
			.uid = uid, .flags = mem_strdup(fetch->flags), .size = fetch->size, .date = fetch->date,
			.date_zone_min = fetch->date_zone_min, .modseq = fetch->has_modseq ? fetch->modseq : 0,
			.emailid = mem_strdup(fetch->emailid), .threadid = mem_strdup(fetch->threadid),
		},
		.labels = sync_labels_text(fetch->labels),
		.whole = fetch->has_size && fetch->has_date,
	};
	for (size_t i = 0; fact->whole && i < fetch->body_count; i++) {
		const struct imap_body *body = &fetch->bodies[i];

		if (body->section[0] == '\0')
			take_body(fact, fetch, body);
		else if (body->data && strncasecmp(body->section, "HEADER", 6) == 0)
			fact->d.message_id = sync_header_message_id(body->data, body->len);
	}
	f->bytes += fact->body_len + (fact->labels ? strlen(fact->labels) : 0);
	return f->count == WRITE_EVERY || f->bytes >= WRITE_BYTES ? sync_facts_flush(f, box) : 0;
}

void sync_facts_release(struct sync_facts *f)
{
	drop_all(f);
	free(f->list);
	f->list = NULL;
}
