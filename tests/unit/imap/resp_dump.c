/* SPDX-License-Identifier: MIT */
#include "resp_dump.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "mem.h"

static const char *const kinds[] = { "CONT",   "TAGGED",   "COND",     "CAPABILITY", "ENABLED",
	                             "LIST",   "STATUS",   "SEARCH",   "FLAGS",      "EXISTS",
	                             "RECENT", "EXPUNGE",  "VANISHED", "FETCH",      "NAMESPACE",
	                             "QUOTA",  "MYRIGHTS", "ID",       "UNKNOWN" };
static const char *const conds[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

static void put_text(struct buf *b, const char *name, const char *s)
{
	if (s != NULL)
		buf_printf(b, " %s=<%s>", name, s);
}

static void put_set(struct buf *b, const char *name, const struct imap_set *set)
{
	if (set->count == 0)
		return;
	buf_printf(b, " %s=", name);
	for (size_t i = 0; i < set->count; i++)
		buf_printf(b, "%s%u:%u", i > 0 ? "," : "", set->ranges[i].first,
		           set->ranges[i].last);
}

static void put_code(struct buf *b, const struct imap_resp *r)
{
	buf_printf(b, " %s", conds[r->cond]);
	if (r->code != IMAP_CODE_NONE)
		buf_printf(b, " code=%d n=%" PRIu64, (int)r->code, r->code_number);
	put_set(b, "set", &r->code_set);
	put_set(b, "set2", &r->code_set2);
	put_text(b, "cflags", r->code_flags);
	put_text(b, "ctext", r->code_text);
	put_text(b, "caps", r->caps);
}

static void put_addresses(struct buf *b, const char *name, const struct imap_address_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		buf_printf(b, " %s=<%s|%s|%s|%s>", name, l->items[i].name ? l->items[i].name : "-",
		           l->items[i].route ? l->items[i].route : "-",
		           l->items[i].mailbox ? l->items[i].mailbox : "-",
		           l->items[i].host ? l->items[i].host : "-");
}

static void put_envelope(struct buf *b, const struct imap_envelope *e)
{
	buf_puts(b, " env{");
	put_text(b, "date", e->date);
	put_text(b, "subject", e->subject);
	put_addresses(b, "from", &e->from);
	put_addresses(b, "sender", &e->sender);
	put_addresses(b, "reply", &e->reply_to);
	put_addresses(b, "to", &e->to);
	put_addresses(b, "cc", &e->cc);
	put_addresses(b, "bcc", &e->bcc);
	put_text(b, "irt", e->in_reply_to);
	put_text(b, "mid", e->message_id);
	buf_puts(b, " }");
}

static void put_part(struct buf *b, const struct imap_part *p)
{
	buf_printf(b, " part{%s/%s %" PRIu64 " %" PRIu64, p->type, p->subtype ? p->subtype : "-",
	           p->size, p->lines);
	put_text(b, "params", p->params);
	put_text(b, "id", p->id);
	put_text(b, "desc", p->description);
	put_text(b, "enc", p->encoding);
	put_text(b, "disp", p->disposition);
	put_text(b, "dispparams", p->disposition_params);
	if (p->envelope != NULL)
		put_envelope(b, p->envelope);
	for (size_t i = 0; i < p->child_count; i++)
		put_part(b, &p->children[i]);
	buf_puts(b, " }");
}

static void put_bodies(struct buf *b, const struct imap_fetch *f)
{
	for (size_t i = 0; i < f->body_count; i++) {
		const struct imap_body *body = &f->bodies[i];

		buf_printf(b, " body[%s]", body->section);
		if (body->has_origin)
			buf_printf(b, "<%" PRIu64 ">", body->origin);
		if (body->nil)
			buf_puts(b, "=NIL");
		else if (body->truncated)
			buf_puts(b, "=TRUNCATED");
		else
			buf_printf(b, "=%zu<%s>", body->len, body->data);
	}
}

static void put_fetch(struct buf *b, const struct imap_resp *r)
{
	const struct imap_fetch *f = r->fetch;

	buf_printf(b, " %u uid=%u", r->number, f->uid);
	if (f->has_flags)
		put_text(b, "flags", f->flags);
	if (f->has_size)
		buf_printf(b, " size=%" PRIu64, f->size);
	if (f->has_date)
		buf_printf(b, " date=%" PRId64 "%+d", f->date, f->date_zone_min);
	if (f->has_modseq)
		buf_printf(b, " modseq=%" PRIu64, f->modseq);
	if (f->has_envelope)
		put_envelope(b, f->envelope);
	if (f->has_structure)
		put_part(b, f->structure);
	put_bodies(b, f);
	put_text(b, "emailid", f->emailid);
	put_text(b, "threadid", f->threadid);
	put_text(b, "labels", f->labels);
}

static void put_status(struct buf *b, const struct imap_status *s)
{
	buf_printf(b, " %zu<%s>", s->name_len, s->name);
	if (s->has_messages)
		buf_printf(b, " messages=%u", s->messages);
	if (s->has_uidnext)
		buf_printf(b, " uidnext=%u", s->uidnext);
	if (s->has_uidvalidity)
		buf_printf(b, " uidvalidity=%u", s->uidvalidity);
	if (s->has_unseen)
		buf_printf(b, " unseen=%u", s->unseen);
	if (s->has_highestmodseq)
		buf_printf(b, " highestmodseq=%" PRIu64, s->highestmodseq);
	if (s->has_size)
		buf_printf(b, " size=%" PRIu64, s->size);
	if (s->has_appendlimit)
		buf_printf(b, " appendlimit=%" PRIu64, s->appendlimit);
	put_text(b, "mailboxid", s->mailboxid);
}

static void put_search(struct buf *b, const struct imap_search *s)
{
	buf_printf(b, "%s", s->is_uid ? " uid" : "");
	for (size_t i = 0; i < s->count; i++)
		buf_printf(b, " %u", s->numbers[i]);
	if (s->has_modseq)
		buf_printf(b, " modseq=%" PRIu64, s->modseq);
}

static void put_namespace(struct buf *b, const char *name, const struct imap_namespace_item *items,
                          size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(b, " %s=<%s>%c", name, items[i].prefix,
		           items[i].delimiter != 0 ? items[i].delimiter : '0');
}

static void put_quota(struct buf *b, const struct imap_quota *q)
{
	put_text(b, "root", q->root);
	if (q->has_storage)
		buf_printf(b, " storage=%" PRIu64 "/%" PRIu64, q->storage_used_kb,
		           q->storage_limit_kb);
	if (q->has_messages)
		buf_printf(b, " messages=%" PRIu64 "/%" PRIu64, q->messages_used,
		           q->messages_limit);
}

static void put_kind(struct buf *b, const struct imap_resp *r)
{
	switch (r->kind) {
	case IMAP_RESP_TAGGED:
		buf_printf(b, " %s", r->tag);
		put_code(b, r);
		break;
	case IMAP_RESP_COND:
		put_code(b, r);
		break;
	case IMAP_RESP_CAPABILITY:
	case IMAP_RESP_ENABLED:
		put_text(b, "caps", r->caps);
		break;
	case IMAP_RESP_LIST:
		buf_printf(b, "%s <%s> %c %zu<%s>", r->list.subscribed_only ? " lsub" : "",
		           r->list.attributes, r->list.delimiter ? r->list.delimiter : '0',
		           r->list.name_len, r->list.name);
		break;
	case IMAP_RESP_STATUS:
		put_status(b, &r->status);
		break;
	case IMAP_RESP_SEARCH:
		put_search(b, &r->search);
		break;
	case IMAP_RESP_FLAGS:
		put_text(b, "flags", r->flags);
		break;
	case IMAP_RESP_EXISTS:
	case IMAP_RESP_RECENT:
	case IMAP_RESP_EXPUNGE:
		buf_printf(b, " %u", r->number);
		break;
	case IMAP_RESP_VANISHED:
		put_set(b, r->vanished.earlier ? "earlier" : "now", &r->vanished.uids);
		break;
	case IMAP_RESP_FETCH:
		put_fetch(b, r);
		break;
	case IMAP_RESP_NAMESPACE:
		put_namespace(b, "personal", r->namespaces->personal,
		              r->namespaces->personal_count);
		put_namespace(b, "other", r->namespaces->other, r->namespaces->other_count);
		put_namespace(b, "shared", r->namespaces->shared, r->namespaces->shared_count);
		break;
	case IMAP_RESP_QUOTA:
		put_quota(b, r->quota);
		break;
	case IMAP_RESP_MYRIGHTS:
		buf_printf(b, " %zu<%s>", r->rights.name_len, r->rights.name);
		put_text(b, "rights", r->rights.rights);
		break;
	case IMAP_RESP_CONT:
	case IMAP_RESP_ID:
	case IMAP_RESP_UNKNOWN:
		break;
	}
	put_text(b, "text", r->text);
}

char *resp_dump(const struct imap_resp *r)
{
	struct buf b = BUF_INIT((size_t)1 << 30);

	buf_puts(&b, kinds[r->kind]);
	put_kind(&b, r);
	return buf_detach(&b);
}

char *resp_parse_dump(const char *text, size_t len, const struct imap_limits *lim)
{
	struct imap_resp r = { .number = 4711 };
	char *block = malloc(len > 0 ? len : 1), *dump;
	int e;

	memcpy(block, text, len);
	e = imap_resp_parse(block, len, lim, &r);
	free(block);
	if (e < 0)
		return mem_strdup(r.number != 4711 ? "TOUCHED"
		                  : e == ERR_PROTO ? "PROTO"
		                  : e == ERR_LIMIT ? "LIMIT"
		                                   : "ODD");
	dump = resp_dump(&r);
	imap_resp_release(&r);
	return dump;
}
