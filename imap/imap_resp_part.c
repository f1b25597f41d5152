/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "err.h"
#include "imap_parse_priv.h"

/*
 * ENVELOPE and BODY.  Servers get these wrong more than anything else, and nothing that is
 * durable hangs on them: what does not fit gives NULL and the caller leaves the item out.
 */

static bool at_value(const struct imap_parse *p)
{
	return p->tok.type != IMAP_TOK_CLOSE && p->tok.type != IMAP_TOK_END;
}

/* Takes what is left of a list and its end. */
static bool finish_list(struct imap_parse *p)
{
	while (at_value(p))
		imap_parse_skip(p);
	return imap_parse_accept_type(p, IMAP_TOK_CLOSE);
}

/* A string where there is one; NULL for NIL, for a list and for what is missing. */
static char *soft_string(struct imap_parse *p)
{
	if (imap_parse_is_string(p))
		return imap_parse_nstring(p);
	if (p->tok.type == IMAP_TOK_OPEN)
		imap_parse_skip(p);
	return NULL;
}

static bool parse_address(struct imap_parse *p, struct imap_address *a)
{
	a->name = soft_string(p);
	a->route = soft_string(p);
	a->mailbox = soft_string(p);
	a->host = soft_string(p);
	return finish_list(p);
}

/* NIL and "" stand for an empty list; NIL inside a list (SmarterMail) is left out. */
static bool parse_addresses(struct imap_parse *p, struct imap_address_list *list)
{
	if (imap_parse_accept(p, "NIL"))
		return true;
	if (p->tok.len == 0 && imap_parse_accept_type(p, IMAP_TOK_QUOTED))
		return true;
	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN))
		return false;
	while (at_value(p)) {
		struct imap_address *more;

		if (!imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
			imap_parse_next(p);
			continue;
		}
		more = imap_parse_grow(p, list->items, list->count, sizeof(*more));
		if (more == NULL)
			return false;
		list->items = more;
		if (!parse_address(p, &more[list->count++]))
			return false;
	}
	return imap_parse_accept_type(p, IMAP_TOK_CLOSE);
}

struct imap_envelope *imap_parse_envelope(struct imap_parse *p)
{
	struct imap_envelope *e = imap_parse_alloc(p, sizeof(*e));

	if (e == NULL || !imap_parse_accept_type(p, IMAP_TOK_OPEN))
		return NULL;
	e->date = soft_string(p);
	e->subject = soft_string(p);
	if (!parse_addresses(p, &e->from) || !parse_addresses(p, &e->sender) ||
	    !parse_addresses(p, &e->reply_to) || !parse_addresses(p, &e->to) ||
	    !parse_addresses(p, &e->cc) || !parse_addresses(p, &e->bcc))
		return NULL;
	e->in_reply_to = soft_string(p);
	e->message_id = soft_string(p);
	/* more than that means that a quote in one of them was not escaped */
	return imap_parse_accept_type(p, IMAP_TOK_CLOSE) ? e : NULL;
}

static void add_param(struct imap_parse *p, struct buf *lines, const char *key, const char *value)
{
	if (lines->len > 0 && buf_putc(lines, '\n') < 0)
		imap_parse_fail(p, ERR_LIMIT);
	else if (buf_puts(lines, key) < 0 || buf_putc(lines, '=') < 0 || buf_puts(lines, value) < 0)
		imap_parse_fail(p, ERR_LIMIT);
}

/* "(key value ...)" or NIL to lines "key=value"; "boundary" NIL has been seen. */
static char *parse_params(struct imap_parse *p)
{
	struct buf lines = BUF_INIT(p->lim->line_bytes);
	char *text = NULL;

	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
		soft_string(p);
		return NULL;
	}
	while (imap_parse_is_string(p)) {
		char *key = imap_parse_nstring(p);
		char *value = soft_string(p);

		if (key != NULL && value != NULL)
			add_param(p, &lines, key, value);
	}
	if (finish_list(p) && lines.len > 0)
		text = imap_parse_copy(p, lines.data, lines.len);
	buf_release(&lines);
	return text;
}

/* The extension data that matters: "("attachment" (params))", or a bare string. */
static void parse_disposition(struct imap_parse *p, struct imap_part *part)
{
	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
		part->disposition = soft_string(p);
		return;
	}
	part->disposition = soft_string(p);
	if (p->tok.type == IMAP_TOK_OPEN)
		part->disposition_params = parse_params(p);
	finish_list(p);
}

static bool parse_part(struct imap_parse *p, struct imap_part *part, size_t depth);

static struct imap_part *add_child(struct imap_parse *p, struct imap_part *part)
{
	struct imap_part *more = imap_parse_grow(p, part->children, part->child_count,
	                                         sizeof(*more));

	if (more == NULL)
		return NULL;
	part->children = more;
	more += part->child_count++;
	*more = (struct imap_part){ 0 };
	return more;
}

static bool parse_multipart(struct imap_parse *p, struct imap_part *part, size_t depth)
{
	part->type = imap_parse_copy(p, "multipart", 9);
	while (p->tok.type == IMAP_TOK_OPEN) {
		struct imap_part *child = add_child(p, part);

		if (child == NULL || !parse_part(p, child, depth + 1))
			return false;
	}
	part->subtype = soft_string(p);
	part->params = parse_params(p);
	parse_disposition(p, part);
	return finish_list(p);
}

static bool parse_message(struct imap_parse *p, struct imap_part *part, size_t depth)
{
	struct imap_part *child;

	part->envelope = imap_parse_envelope(p);
	child = add_child(p, part);
	if (part->envelope == NULL || child == NULL || !parse_part(p, child, depth + 1))
		return false;
	if (!imap_parse_number(p, &part->lines))
		soft_string(p);
	return true;
}

static bool is_type(const struct imap_part *part, const char *type, const char *subtype)
{
	return strcasecmp(part->type, type) == 0 &&
	       (subtype == NULL ||
	        (part->subtype != NULL && strcasecmp(part->subtype, subtype) == 0));
}

static bool parse_leaf(struct imap_parse *p, struct imap_part *part, size_t depth)
{
	part->subtype = soft_string(p);
	part->params = parse_params(p);
	part->id = soft_string(p);
	part->description = soft_string(p);
	part->encoding = soft_string(p);
	if (!imap_parse_number(p, &part->size))
		soft_string(p);
	if (is_type(part, "message", "rfc822") && p->tok.type == IMAP_TOK_OPEN) {
		if (!parse_message(p, part, depth))
			return false;
	} else if (is_type(part, "text", NULL)) {
		imap_parse_number(p, &part->lines);
	}
	if (at_value(p)) /* MD5 */
		soft_string(p);
	parse_disposition(p, part);
	return finish_list(p);
}

/* ("ALTERNATIVE") and (NIL "alternative" ...) are multiparts that have lost their parts. */
static bool parse_part(struct imap_parse *p, struct imap_part *part, size_t depth)
{
	if (depth > p->lim->depth) {
		imap_parse_fail(p, ERR_LIMIT);
		return false;
	}
	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN))
		return false;
	if (p->tok.type == IMAP_TOK_OPEN)
		return parse_multipart(p, part, depth);
	if (imap_parse_accept(p, "NIL")) {
		if (!imap_parse_is_string(p) || imap_parse_is(p, "NIL"))
			return false;
		return parse_multipart(p, part, depth);
	}
	part->type = soft_string(p);
	if (part->type == NULL)
		return false;
	if (imap_parse_accept_type(p, IMAP_TOK_CLOSE)) {
		part->subtype = part->type;
		part->type = imap_parse_copy(p, "multipart", 9);
		return part->type != NULL;
	}
	return parse_leaf(p, part, depth);
}

struct imap_part *imap_parse_structure(struct imap_parse *p)
{
	struct imap_part *part = imap_parse_alloc(p, sizeof(*part));

	return part != NULL && parse_part(p, part, 0) && p->err == 0 ? part : NULL;
}
