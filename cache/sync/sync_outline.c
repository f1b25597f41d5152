/* SPDX-License-Identifier: MIT */
#include "sync_outline_priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mem.h"

enum {
	PIECES_MAX = 64,
	DEPTH_MAX = 8,
	BOUNDARY_MAX = 200 /* RFC 2046 allows 70 */
};

/* ---- Taking it apart ---- */

/* The value of "key=value" in lines, with nothing in it that could end a line; NULL. */
static char *param(const char *params, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = params; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		size_t len = strcspn(p, "\n");
		char *value;

		if (len <= n || len - n > BOUNDARY_MAX || strncasecmp(p, key, n) != 0)
			continue;
		value = mem_strndup(p + n, len - n);
		for (char *c = value; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				*c = '?';
		return value;
	}
	return NULL;
}

static bool is(const char *text, const char *word)
{
	return text && strcasecmp(text, word) == 0;
}

static bool is_attachment(const struct imap_part *p)
{
	return p->disposition && strncasecmp(p->disposition, "attachment", 10) == 0;
}

/* A word of the server's, put into text of ours. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static char *label_of(const struct imap_part *p)
{
	_cleanup_free_ char *name = param(p->disposition_params, "filename=");
	char *label;

	if (!name)
		name = param(p->params, "name=");
	label = mem_printf("%.60s/%.60s%s%s%s", p->type ? p->type : "?",
	                   p->subtype ? p->subtype : "?", name ? " \"" : "", name ? name : "",
	                   name ? "\"" : "");

	for (char *c = label; *c && *c != '"'; c++) /* Cyrus spells types in capitals */
		*c = (char)tolower((unsigned char)*c);
	clean(label);
	return label;
}

/* The beginning of a text is worth having, unless it is encoded so that its end cannot be marked. */
static void judge(struct sync_piece *piece, const struct imap_part *p, uint64_t *left)
{
	uint64_t cost = p->size < SYNC_PART_MAX ? p->size : SYNC_PART_MAX;

	if (!is(p->type, "text") || is_attachment(p) || cost > *left)
		return;
	piece->cut = p->size > SYNC_PART_MAX;
	piece->wanted = !piece->cut || !is(p->encoding, "base64");
	if (piece->wanted)
		*left -= cost;
}

struct walk {
	struct sync_outline *o;
	uint64_t left; /* bytes */
	bool any, too_many;
};

static void add(struct walk *w, const struct imap_part *p, char *number, int depth)
{
	struct sync_outline *o = w->o;
	size_t at = o->count;
	struct sync_piece *piece;

	if (at == PIECES_MAX) {
		w->too_many = true;
		free(number);
		return;
	}
	o->count++;
	piece = &o->list[at];
	piece->number = number;
	piece->label = label_of(p);
	piece->size = p->size;
	if (is(p->type, "multipart") && depth < DEPTH_MAX && p->child_count > 0)
		piece->boundary = param(p->params, "boundary=");
	if (!piece->boundary) {
		judge(piece, p, &w->left);
		w->any |= piece->wanted;
		return;
	}
	piece->children = p->child_count;
	for (size_t i = 0; i < p->child_count && !w->too_many; i++)
		add(w, &p->children[i], mem_printf("%s%s%zu", number, number[0] ? "." : "", i + 1),
		    depth + 1);
}

struct sync_outline *sync_outline_new(const struct imap_part *structure)
{
	struct sync_outline *o = mem_alloc(sizeof(*o));
	struct walk w = { .o = o, .left = SYNC_PARTS_BYTES };

	o->list = mem_alloc(PIECES_MAX * sizeof(*o->list));
	add(&w, structure, mem_strdup(""), 0);
	if (!w.any || w.too_many)
		sync_outline_free(&o);
	return o;
}

void sync_outline_free(struct sync_outline **op)
{
	struct sync_outline *o = *op;

	*op = NULL;
	if (!o)
		return;
	for (size_t i = 0; i < o->count; i++) {
		free(o->list[i].number);
		free(o->list[i].boundary);
		free(o->list[i].label);
		free(o->list[i].mime);
		free(o->list[i].data);
	}
	free(o->list);
	free(o->header);
	free(o);
}

/* ---- Asking ---- */

/* A message of one part has it under the number 1 and no header of its own for it. */
static const char *number_of(const struct sync_outline *o, size_t i)
{
	return i == 0 ? "1" : o->list[i].number;
}

char *sync_outline_items(const struct sync_outline *o)
{
	struct buf out = BUF_INIT(64 * PIECES_MAX * 2);

	(void)buf_puts(&out, "(UID BODY.PEEK[HEADER]");
	for (size_t i = 0; i < o->count; i++) {
		const struct sync_piece *p = &o->list[i];

		if (i > 0 && (p->wanted || p->boundary))
			(void)buf_printf(&out, " BODY.PEEK[%s.MIME]", p->number);
		if (p->wanted)
			(void)buf_printf(&out, p->cut ? " BODY.PEEK[%s]<0.%d>" : " BODY.PEEK[%s]",
			                 number_of(o, i), SYNC_PART_MAX);
	}
	(void)buf_puts(&out, ")");
	return buf_detach(&out);
}

static void take(char **to, size_t *len, const struct imap_body *body)
{
	if (*to || body->nil || body->truncated || body->len > SYNC_PART_MAX)
		return;
	*to = mem_realloc(NULL, body->len + 1, 1);
	memcpy(*to, body->data, body->len);
	*len = body->len;
}

void sync_outline_take(struct sync_outline *o, const struct imap_body *body)
{
	if (strcasecmp(body->section, "HEADER") == 0) {
		take(&o->header, &o->header_len, body);
		return;
	}
	for (size_t i = 0; i < o->count; i++) {
		struct sync_piece *p = &o->list[i];
		size_t n = strlen(p->number);

		if (p->wanted && strcmp(body->section, number_of(o, i)) == 0)
			take(&p->data, &p->data_len, body);
		else if (n > 0 && strncmp(body->section, p->number, n) == 0 &&
		         strcasecmp(body->section + n, ".MIME") == 0)
			take(&p->mime, &p->mime_len, body);
	}
}

/* ---- Putting it together ---- */

/* A header block without the empty line at its end; with it that is added anew. */
static void put_fields(const char *text, size_t len, struct buf *out)
{
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	(void)buf_append(out, text, len);
	(void)buf_puts(out, len > 0 ? "\r\n" : "");
}

static void put_note(const struct sync_piece *p, const char *what, struct buf *out)
{
	(void)buf_printf(out, "[imapfs: %s, %llu bytes, %s]\r\n", p->label,
	                 (unsigned long long)p->size, what);
}

static bool is_here(const struct sync_piece *p)
{
	return p->wanted && p->data;
}

/* The piece at `at` and all below; returns where the next one is. */
static size_t put_piece(const struct sync_outline *o, size_t at, struct buf *out)
{
	const struct sync_piece *p = &o->list[at++];

	if (at > 1 && (is_here(p) || p->boundary) && p->mime)
		put_fields(p->mime, p->mime_len, out);
	else if (at > 1 && !is_here(p) && !p->boundary)
		(void)buf_puts(out,
		               "Content-Type: text/plain; charset=utf-8\r\n"
		               "Content-Disposition: attachment; filename=\"not-here.txt\"\r\n");
	(void)buf_puts(out, at > 1 ? "\r\n" : "");
	for (size_t i = 0; i < p->children; i++) {
		(void)buf_printf(out, "--%s\r\n", p->boundary);
		at = put_piece(o, at, out);
	}
	if (p->boundary) {
		(void)buf_printf(out, "--%s--\r\n", p->boundary);
	} else if (is_here(p)) {
		(void)buf_append(out, p->data, p->data_len);
		(void)buf_puts(out, "\r\n");
		if (p->cut)
			put_note(p, "the rest is not here", out);
	} else {
		put_note(p, "not here", out);
	}
	return at;
}

bool sync_outline_write(const struct sync_outline *o, uint64_t size, struct buf *out)
{
	size_t leaves = 0, here = 0;

	for (size_t i = 0; i < o->count; i++) {
		leaves += !o->list[i].boundary;
		here += is_here(&o->list[i]);
	}
	if (!o->header || here == 0)
		return false;
	put_fields(o->header, o->header_len, out);
	(void)buf_printf(
		out,
		"X-Imapfs-Partial: %zu of %zu parts are here; the message has %llu bytes\r\n"
		"\r\n",
		here, leaves, (unsigned long long)size);
	(void)put_piece(o, 0, out);
	return out->len > 0;
}
