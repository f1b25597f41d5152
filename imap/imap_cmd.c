/* SPDX-License-Identifier: MIT */
#include "imap_cmd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "imap_cmd_priv.h"
#include "imap_text.h"
#include "mem.h"
#include "wordset.h"

#define CONTROLS                                                   \
	"\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25" \
	"\26\27\30\31\32\33\34\35\36\37\177"
#define LINE_MAX_BYTES (1 << 20)
#define LITERAL_MARK_MAX 24 /* "{18446744073709551615+}" and CRLF, rounded */

struct imap_cmd {
	struct imap_piece *pieces;
	size_t count;
	size_t line_bytes;
	char *verb;
	char *mailbox;
	int error;
};

static struct imap_piece *add_piece(struct imap_cmd *cmd, enum imap_piece_kind kind)
{
	struct imap_piece *p;

	cmd->pieces = mem_realloc(cmd->pieces, cmd->count + 1, sizeof(*cmd->pieces));
	p = &cmd->pieces[cmd->count++];
	*p = (struct imap_piece){ .kind = kind, .bytes = BUF_INIT(LINE_MAX_BYTES) };
	return p;
}

static void fail(struct imap_cmd *cmd, int err)
{
	if (cmd->error == 0)
		cmd->error = err;
}

/* The bytes of the line as a whole stay under the ceiling, too. */
static void add_bytes(struct imap_cmd *cmd, struct imap_piece *p, const char *s, size_t len)
{
	if (len > LINE_MAX_BYTES - cmd->line_bytes || buf_append(&p->bytes, s, len) < 0) {
		fail(cmd, ERR_LIMIT);
		return;
	}
	if (p->kind != IMAP_PIECE_LITERAL)
		cmd->line_bytes += len;
}

static void add_text(struct imap_cmd *cmd, const char *s, size_t len)
{
	struct imap_piece *last = cmd->count > 0 ? &cmd->pieces[cmd->count - 1] : NULL;

	if (last == NULL || last->kind != IMAP_PIECE_TEXT || last->name != NULL)
		last = add_piece(cmd, IMAP_PIECE_TEXT);
	add_bytes(cmd, last, s, len);
}

/* Text that goes on the line as it is must not end it. */
static void add_raw(struct imap_cmd *cmd, const char *s)
{
	if (strpbrk(s, "\r\n") != NULL)
		fail(cmd, ERR_INVAL);
	else
		add_text(cmd, s, strlen(s));
}

struct imap_cmd *imap_cmd_new(const char *verb)
{
	struct imap_cmd *cmd = mem_alloc(sizeof(*cmd));

	cmd->verb = mem_strdup(verb);
	add_raw(cmd, verb);
	return cmd;
}

void imap_cmd_free(struct imap_cmd **cmd)
{
	struct imap_cmd *c = *cmd;

	*cmd = NULL;
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++) {
		struct imap_piece *p = &c->pieces[i];

		if (p->kind == IMAP_PIECE_SECRET || p->secret)
			mem_wipe(p->bytes.data, p->bytes.cap);
		buf_release(&p->bytes);
		free(p->name);
	}
	free(c->pieces);
	free(c->verb);
	free(c->mailbox);
	free(c);
}

void imap_cmd_raw(struct imap_cmd *cmd, const char *text)
{
	add_text(cmd, " ", 1);
	add_raw(cmd, text);
}

void imap_cmd_rawf(struct imap_cmd *cmd, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		fail(cmd, ERR_LIMIT);
		return;
	}
	imap_cmd_raw(cmd, text);
}

enum form { FORM_ATOM, FORM_QUOTED, FORM_LITERAL, FORM_NONE };

/* A word that could be read as NIL, as nothing or (by Courier) as somebody's home is quoted; what a
 * quoted string had better not hold (control characters, 8-bit bytes) becomes a literal; NUL can be
 * sent by neither. */
static enum form form_of(const char *s, size_t len)
{
	enum form form = len == 0 || (len == 3 && strncasecmp(s, "NIL", 3) == 0) ? FORM_QUOTED
	                                                                         : FORM_ATOM;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == 0)
			return FORM_NONE;
		if (c < 0x20 || c >= 0x7f)
			form = FORM_LITERAL;
		else if (form == FORM_ATOM && (c == '~' || !imap_atom_char((char)c)))
			form = FORM_QUOTED;
	}
	return form;
}

static void add_quoted(struct imap_cmd *cmd, struct imap_piece *p, const char *s, size_t len)
{
	add_bytes(cmd, p, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			add_bytes(cmd, p, "\\", 1);
		add_bytes(cmd, p, s + i, 1);
	}
	add_bytes(cmd, p, "\"", 1);
}

static void add_string(struct imap_cmd *cmd, const char *s, size_t len, bool secret)
{
	enum form form = form_of(s, len);
	struct imap_piece *p;

	if (form == FORM_NONE || len > LINE_MAX_BYTES / 2) {
		fail(cmd, form == FORM_NONE ? ERR_INVAL : ERR_LIMIT);
		return;
	}
	add_text(cmd, " ", 1);
	p = &cmd->pieces[cmd->count - 1];
	if (form == FORM_LITERAL) {
		p = add_piece(cmd, IMAP_PIECE_LITERAL);
		p->secret = secret;
		p->length = len;
	} else if (secret) {
		p = add_piece(cmd, IMAP_PIECE_SECRET);
	}
	/* all at once, so that growing leaves no copy of a secret behind */
	if (secret && buf_reserve(&p->bytes, len * 2 + 2) == NULL)
		fail(cmd, ERR_LIMIT);
	else if (form == FORM_QUOTED)
		add_quoted(cmd, p, s, len);
	else
		add_bytes(cmd, p, s, len);
}

void imap_cmd_astring(struct imap_cmd *cmd, const char *s, size_t len)
{
	add_string(cmd, s, len, false);
}

void imap_cmd_secret(struct imap_cmd *cmd, const char *s, size_t len)
{
	add_string(cmd, s, len, true);
}

/* `utf8`: quoted strings may hold it (RFC 6855 section 3, RFC 9051 section 4.3). */
static void fill_name(struct imap_cmd *cmd, struct imap_piece *p, const char *name, bool utf8)
{
	size_t len = strlen(name);
	enum form form = form_of(name, len);

	if (form == FORM_LITERAL && utf8 && strpbrk(name, CONTROLS) == NULL)
		form = FORM_QUOTED;
	if (len > LINE_MAX_BYTES / 2) {
		fail(cmd, ERR_LIMIT);
	} else if (form == FORM_QUOTED) {
		add_quoted(cmd, p, name, len);
	} else {
		p->kind = form == FORM_LITERAL ? IMAP_PIECE_LITERAL : IMAP_PIECE_TEXT;
		p->length = len;
		add_bytes(cmd, p, name, len);
	}
}

void imap_cmd_mailbox(struct imap_cmd *cmd, const char *name)
{
	free(cmd->mailbox);
	cmd->mailbox = mem_strdup(name);
	add_text(cmd, " ", 1);
	add_piece(cmd, IMAP_PIECE_TEXT)->name = mem_strdup(name);
	fill_name(cmd, &cmd->pieces[cmd->count - 1], name, false);
}

void imap_cmd_names_utf8(struct imap_cmd *cmd)
{
	for (size_t i = 0; i < cmd->count; i++) {
		struct imap_piece *p = &cmd->pieces[i];
		_cleanup_free_ char *utf8 = p->name != NULL
		                                    ? imap_utf7_decode(p->name, strlen(p->name))
		                                    : NULL;

		if (utf8 == NULL || strcmp(utf8, p->name) == 0)
			continue;
		cmd->line_bytes -= p->bytes.len;
		buf_clear(&p->bytes);
		fill_name(cmd, p, utf8, true);
	}
}

static void add_flags(struct imap_cmd *cmd, const char *wordset, bool all)
{
	const char *pos = wordset, *word, *gap = "";
	size_t len;

	add_text(cmd, " (", 2);
	while ((word = wordset_next(&pos, &len)) != NULL) {
		if (!imap_flag_valid(word, len)) {
			if (all)
				fail(cmd, ERR_INVAL);
			continue;
		}
		add_text(cmd, gap, strlen(gap));
		add_text(cmd, word, len);
		gap = " ";
	}
	add_text(cmd, ")", 1);
}

void imap_cmd_flags(struct imap_cmd *cmd, const char *wordset)
{
	add_flags(cmd, wordset, true);
}

void imap_cmd_flags_kept(struct imap_cmd *cmd, const char *wordset)
{
	add_flags(cmd, wordset, false);
}

static void add_range(struct imap_cmd *cmd, char before, uint32_t first, uint32_t last)
{
	char text[32];
	int n;

	if (first == last)
		n = snprintf(text, sizeof(text), "%c%" PRIu32, before, first);
	else
		n = snprintf(text, sizeof(text), "%c%" PRIu32 ":%" PRIu32, before, first, last);
	add_text(cmd, text, (size_t)n);
}

void imap_cmd_uids(struct imap_cmd *cmd, const uint32_t *uids, size_t count)
{
	char before = ' ';

	if (count == 0 || uids[0] == 0)
		fail(cmd, ERR_INVAL);
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1;
		     end < count && uids[end - 1] != UINT32_MAX && uids[end] == uids[end - 1] + 1;
		     end++)
			;
		if (end < count && uids[end] <= uids[end - 1])
			fail(cmd, ERR_INVAL);
		add_range(cmd, before, uids[i], uids[end - 1]);
		before = ',';
	}
}

void imap_cmd_range(struct imap_cmd *cmd, uint32_t first, uint32_t last)
{
	if (first == 0 || first > last)
		fail(cmd, ERR_INVAL);
	add_range(cmd, ' ', first, last);
}

void imap_cmd_modseq(struct imap_cmd *cmd, const char *flag, uint64_t modseq)
{
	imap_cmd_raw(cmd, "MODSEQ");
	if (flag != NULL) {
		imap_cmd_raw(cmd, "\"/flags/");
		for (; *flag != '\0'; flag++) {
			if (*flag == '"' || *flag == '\\')
				add_raw(cmd, "\\");
			add_raw(cmd, (const char[]){ *flag, '\0' });
		}
		add_raw(cmd, "\" all");
	}
	imap_cmd_rawf(cmd, "%" PRIu64, modseq);
}

void imap_cmd_datetime(struct imap_cmd *cmd, int64_t seconds, int zone_min)
{
	char date[IMAP_DATE_MAX];

	imap_date_format(date, seconds, zone_min);
	imap_cmd_rawf(cmd, "\"%s\"", date);
}

void imap_cmd_date(struct imap_cmd *cmd, int64_t seconds, int zone_min)
{
	char date[IMAP_DATE_MAX];

	imap_day_format(date, seconds, zone_min);
	imap_cmd_raw(cmd, date);
}

static struct imap_piece *add_literal(struct imap_cmd *cmd, uint64_t len, imap_literal_fn read,
                                      void *ctx)
{
	struct imap_piece *p = add_piece(cmd, IMAP_PIECE_LITERAL);

	if (len > INT64_MAX)
		fail(cmd, ERR_INVAL);
	p->length = len;
	p->read = read;
	p->ctx = ctx;
	return p;
}

void imap_cmd_literal(struct imap_cmd *cmd, uint64_t len, imap_literal_fn read, void *ctx)
{
	add_text(cmd, " ", 1);
	(void)add_literal(cmd, len, read, ctx);
}

void imap_cmd_literal_utf8(struct imap_cmd *cmd, uint64_t len, imap_literal_fn read, void *ctx)
{
	struct imap_piece *p;

	imap_cmd_raw(cmd, "UTF8 (");
	p = add_literal(cmd, len, read, ctx);
	p->binary = true;
	add_text(cmd, ")", 1);
}

size_t imap_cmd_line_length(const struct imap_cmd *cmd)
{
	size_t n = cmd->line_bytes + 2;

	for (size_t i = 0; i < cmd->count; i++)
		if (cmd->pieces[i].kind == IMAP_PIECE_LITERAL)
			n += LITERAL_MARK_MAX;
	return n;
}

int imap_cmd_error(const struct imap_cmd *cmd)
{
	return cmd->error;
}

size_t imap_cmd_piece_count(const struct imap_cmd *cmd)
{
	return cmd->count;
}

const struct imap_piece *imap_cmd_piece(const struct imap_cmd *cmd, size_t i)
{
	return i < cmd->count ? &cmd->pieces[i] : NULL;
}

bool imap_cmd_is(const struct imap_cmd *cmd, const char *verb)
{
	return strcasecmp(cmd->verb, verb) == 0;
}

const char *imap_cmd_mailbox_name(const struct imap_cmd *cmd)
{
	return cmd->mailbox;
}

char *imap_cmd_show(const struct imap_cmd *cmd)
{
	struct buf b = BUF_INIT(2 * LINE_MAX_BYTES);

	for (size_t i = 0; i < cmd->count; i++) {
		const struct imap_piece *p = &cmd->pieces[i];

		if (p->kind == IMAP_PIECE_SECRET || p->secret)
			buf_puts(&b, "***");
		else if (p->kind == IMAP_PIECE_LITERAL)
			buf_printf(&b, "{%" PRIu64 "}", p->length);
		else
			buf_append(&b, p->bytes.data, p->bytes.len);
	}
	return buf_detach(&b);
}
