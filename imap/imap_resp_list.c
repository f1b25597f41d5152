/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "imap_arena_priv.h"
#include "imap_parse_priv.h"
#include "imap_text.h"

/* Where the line that `s` is in ends, its line end and blanks before that left out. */
static const char *line_end(const struct imap_parse *p, const char *s)
{
	const char *end = memchr(s, '\n', (size_t)(p->lex.end - s));

	if (end == NULL)
		end = p->lex.end;
	while (end > s && (end[-1] == '\r' || end[-1] == ' '))
		end--;
	return end;
}

/* Where a name that was sent unquoted, with blanks in it, ends: before the list that ends
 * the line, or with it. */
static const char *bare_name_end(const char *s, const char *end)
{
	if (end > s && end[-1] == ')')
		for (const char *p = s; p + 1 < end; p++)
			if (p[0] == ' ' && p[1] == '(')
				return p;
	return end;
}

/* Takes a mailbox name off.  Unquoted it may hold blanks and parentheses (seen with
 * Exchange and gromox). */
static char *take_name(struct imap_parse *p, size_t *len)
{
	const char *s = p->tok.start, *end;

	if (p->tok.type == IMAP_TOK_END) {
		imap_parse_fail(p, ERR_PROTO);
		return NULL;
	}
	if (p->tok.type == IMAP_TOK_QUOTED || p->tok.type == IMAP_TOK_LITERAL)
		return imap_parse_string(p, len);
	end = bare_name_end(s, line_end(p, s));
	*len = (size_t)(end - s);
	imap_parse_seek(p, end);
	return imap_parse_copy(p, s, *len);
}

/* "/" as a quoted string, a literal or (against the rules) bare; NIL and "" mean none. */
static char take_delimiter(struct imap_parse *p)
{
	char *s = imap_parse_nstring(p);

	return s != NULL ? s[0] : '\0';
}

void imap_parse_list(struct imap_parse *p, bool lsub)
{
	struct imap_list_item *list = &p->out->list;

	p->out->kind = IMAP_RESP_LIST;
	list->subscribed_only = lsub;
	list->attributes = imap_parse_words(p, NULL);
	list->delimiter = take_delimiter(p);
	list->name = take_name(p, &list->name_len);
}

/* Cyrus sends freed memory when it is asked for more than the id: what is none is not taken. */
static bool is_objectid(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n < 256 && s[n] == '\0';
}

static void status_mailboxid(struct imap_parse *p, struct imap_status *st)
{
	struct imap_mark m = imap_parse_mark(p);
	char *id = imap_parse_id(p);

	if (p->err == 0) {
		st->mailboxid = id != NULL && is_objectid(id) ? id : NULL;
		return;
	}
	imap_parse_rewind(p, &m);
	imap_parse_skip(p);
}

static void status_item(struct imap_parse *p, struct imap_status *st)
{
	const struct {
		const char *word;
		bool *has;
		uint32_t *small;
		uint64_t *big;
	} items[] = {
		{ "MESSAGES", &st->has_messages, &st->messages, NULL },
		{ "UIDNEXT", &st->has_uidnext, &st->uidnext, NULL },
		{ "UIDVALIDITY", &st->has_uidvalidity, &st->uidvalidity, NULL },
		{ "UNSEEN", &st->has_unseen, &st->unseen, NULL },
		{ "HIGHESTMODSEQ", &st->has_highestmodseq, NULL, &st->highestmodseq },
		{ "SIZE", &st->has_size, NULL, &st->size },
		{ "APPENDLIMIT", &st->has_appendlimit, NULL, &st->appendlimit },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		if (!imap_parse_accept(p, items[i].word))
			continue;
		*items[i].has = items[i].small != NULL ? imap_parse_number32(p, items[i].small)
		                                       : imap_parse_number(p, items[i].big);
		if (!*items[i].has)
			imap_parse_skip(p);
		return;
	}
	if (imap_parse_accept(p, "MAILBOXID")) {
		status_mailboxid(p, st);
		return;
	}
	imap_parse_next(p);
	imap_parse_skip(p);
}

/* What cannot be read ends the list (Cyrus sends raw bytes for MAILBOXID): what came before
 * it counts, and what is not there is unknown. */
void imap_parse_status(struct imap_parse *p)
{
	struct imap_status *st = &p->out->status;

	p->out->kind = IMAP_RESP_STATUS;
	st->name = take_name(p, &st->name_len);
	if (p->err != 0 || !imap_parse_accept_type(p, IMAP_TOK_OPEN))
		return;
	while (p->tok.type == IMAP_TOK_ATOM)
		status_item(p, st);
	if (p->err == ERR_PROTO)
		p->err = 0;
}

static bool take_number_into(struct imap_parse *p, struct imap_search *s)
{
	uint32_t n = 0, *more;

	if (!imap_parse_number32(p, &n))
		return false;
	more = imap_parse_grow(p, s->numbers, s->count, sizeof(*more));
	if (more == NULL)
		return false;
	s->numbers = more;
	more[s->count++] = n;
	return true;
}

static void take_modseq(struct imap_parse *p, struct imap_search *s)
{
	bool list = imap_parse_accept_type(p, IMAP_TOK_OPEN);

	if (list)
		imap_parse_accept(p, "MODSEQ");
	s->has_modseq = imap_parse_number(p, &s->modseq);
	if (!s->has_modseq)
		imap_parse_skip(p);
	if (list)
		imap_parse_accept_type(p, IMAP_TOK_CLOSE);
}

/* A number that cannot be read is an error: a message that is missing from the answer would
 * be taken for gone. */
void imap_parse_search(struct imap_parse *p)
{
	struct imap_search *s = &p->out->search;

	p->out->kind = IMAP_RESP_SEARCH;
	while (p->tok.type != IMAP_TOK_END) {
		if (p->tok.type == IMAP_TOK_OPEN)
			take_modseq(p, s);
		else if (!take_number_into(p, s))
			imap_parse_fail(p, ERR_PROTO);
	}
}

static void expand(struct imap_parse *p, const struct imap_set *set, struct imap_search *s)
{
	uint64_t n = imap_set_size(set, p->lim->items);
	uint32_t *to;

	if (n > p->lim->items) {
		imap_parse_fail(p, ERR_LIMIT);
		return;
	}
	s->numbers = to = imap_parse_alloc(p, (size_t)n * sizeof(*to));
	if (to == NULL)
		return;
	for (size_t i = 0; i < set->count; i++)
		for (uint64_t k = set->ranges[i].first; k <= set->ranges[i].last; k++)
			to[s->count++] = (uint32_t)k;
}

static void take_all(struct imap_parse *p, struct imap_search *s)
{
	struct imap_set set = { 0 };

	if (!imap_parse_is_string(p) || !imap_parse_set(p, p->tok.s, p->tok.len, false, &set)) {
		imap_parse_fail(p, ERR_PROTO);
		return;
	}
	imap_parse_next(p);
	if (s->numbers == NULL)
		expand(p, &set, s);
}

/* "(TAG "a") UID COUNT 3 ALL 1:3 MODSEQ 9" in any order; PARTIAL (1:100 set) or NIL. */
void imap_parse_esearch(struct imap_parse *p)
{
	struct imap_search *s = &p->out->search;

	p->out->kind = IMAP_RESP_SEARCH;
	if (p->tok.type == IMAP_TOK_OPEN)
		imap_parse_skip(p);
	while (p->tok.type != IMAP_TOK_END) {
		if (imap_parse_accept(p, "UID")) {
			s->is_uid = true;
		} else if (imap_parse_accept(p, "ALL")) {
			take_all(p, s);
		} else if (imap_parse_accept(p, "MODSEQ")) {
			take_modseq(p, s);
		} else if (imap_parse_accept(p, "PARTIAL") &&
		           imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
			imap_parse_skip(p);
			if (!imap_parse_accept(p, "NIL"))
				take_all(p, s);
			imap_parse_accept_type(p, IMAP_TOK_CLOSE);
		} else {
			imap_parse_next(p);
			imap_parse_skip(p);
		}
	}
}

/* Nothing of it may be lost: an expunge that is not noticed is not told again.  So what is
 * no set is an error; no set at all says nothing. */
void imap_parse_vanished(struct imap_parse *p)
{
	struct imap_vanished *v = &p->out->vanished;

	p->out->kind = IMAP_RESP_VANISHED;
	if (imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
		v->earlier = imap_parse_accept(p, "EARLIER");
		if (!v->earlier || !imap_parse_accept_type(p, IMAP_TOK_CLOSE))
			imap_parse_fail(p, ERR_PROTO);
	}
	if (p->tok.type == IMAP_TOK_END)
		return;
	if (p->tok.type != IMAP_TOK_ATOM ||
	    !imap_parse_set(p, p->tok.s, p->tok.len, false, &v->uids))
		imap_parse_fail(p, ERR_PROTO);
	imap_parse_next(p);
	if (p->tok.type != IMAP_TOK_END)
		imap_parse_fail(p, ERR_PROTO);
}

static void take_namespaces(struct imap_parse *p, struct imap_namespace_item **items, size_t *count)
{
	if (imap_parse_accept(p, "NIL"))
		return;
	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
		imap_parse_fail(p, ERR_PROTO);
		return;
	}
	while (imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
		struct imap_namespace_item *more = imap_parse_grow(p, *items, *count,
		                                                   sizeof(*more));

		if (more == NULL)
			return;
		*items = more;
		more += (*count)++;
		more->prefix = imap_parse_string(p, NULL);
		more->delimiter = take_delimiter(p);
		while (p->tok.type != IMAP_TOK_CLOSE && p->tok.type != IMAP_TOK_END)
			imap_parse_skip(p);
		imap_parse_accept_type(p, IMAP_TOK_CLOSE);
	}
	if (!imap_parse_accept_type(p, IMAP_TOK_CLOSE))
		imap_parse_fail(p, ERR_PROTO);
}

void imap_parse_namespace(struct imap_parse *p)
{
	struct imap_namespaces *ns = imap_parse_alloc(p, sizeof(*ns));

	p->out->kind = IMAP_RESP_NAMESPACE;
	p->out->namespaces = ns;
	if (ns == NULL)
		return;
	take_namespaces(p, &ns->personal, &ns->personal_count);
	take_namespaces(p, &ns->other, &ns->other_count);
	take_namespaces(p, &ns->shared, &ns->shared_count);
}

/* One "STORAGE used limit"; false: it is none. */
static bool take_resource(struct imap_parse *p, struct imap_quota *q)
{
	bool storage = imap_parse_is(p, "STORAGE"), messages = imap_parse_is(p, "MESSAGE");
	uint64_t used = 0, limit = 0;

	imap_parse_next(p);
	if (!imap_parse_number(p, &used) || !imap_parse_number(p, &limit))
		return false;
	if (storage) {
		q->has_storage = true;
		q->storage_used_kb = used;
		q->storage_limit_kb = limit;
	} else if (messages) {
		q->has_messages = true;
		q->messages_used = used;
		q->messages_limit = limit;
	}
	return true;
}

/* Courier leaves the list out where there is no quota. */
void imap_parse_quota(struct imap_parse *p)
{
	struct imap_quota *q = imap_parse_alloc(p, sizeof(*q));

	p->out->kind = IMAP_RESP_QUOTA;
	p->out->quota = q;
	if (q == NULL)
		return;
	q->root = imap_parse_string(p, NULL);
	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN))
		return;
	while (p->tok.type == IMAP_TOK_ATOM)
		if (!take_resource(p, q))
			return;
}

void imap_parse_myrights(struct imap_parse *p)
{
	struct imap_rights *r = &p->out->rights;

	p->out->kind = IMAP_RESP_MYRIGHTS;
	r->name = imap_parse_string(p, &r->name_len);
	r->rights = p->err == 0 ? imap_parse_string(p, NULL) : NULL;
}

/* Of names that are no UTF-8 the bytes stay. */
static void to_utf7(struct imap_resp *r, char **name, size_t *len)
{
	char *utf7 = imap_utf7_encode(*name, *len), *copy;
	size_t n = utf7 != NULL ? strlen(utf7) : 0;

	copy = utf7 != NULL && strcmp(utf7, *name) != 0 ? imap_arena_alloc(r->arena, n + 1) : NULL;
	if (copy != NULL) {
		memcpy(copy, utf7, n + 1);
		*name = copy;
		*len = n;
	}
	free(utf7);
}

void imap_resp_names_utf7(struct imap_resp *r)
{
	if (r->kind == IMAP_RESP_LIST && r->list.name != NULL)
		to_utf7(r, &r->list.name, &r->list.name_len);
	if (r->kind == IMAP_RESP_STATUS && r->status.name != NULL)
		to_utf7(r, &r->status.name, &r->status.name_len);
	if (r->kind == IMAP_RESP_MYRIGHTS && r->rights.name != NULL)
		to_utf7(r, &r->rights.name, &r->rights.name_len);
}
