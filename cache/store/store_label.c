/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>

#include "buf.h"
#include "text.h"
#include "wordset.h"

/*
 * Gmail's labels.  They are names, spaces and all; in the log they are words like flags, and what a
 * word cannot hold is written as %XX.
 */

enum { LABELS_MAX = 4096 }; /* bytes that one message may be given */

static bool is_plain(char c)
{
	return c != '%' && c != ' ' && c != '\t' && c != '\r';
}

char *store_labels_to_words(const char *lines)
{
	struct buf out = BUF_INIT(lines ? strlen(lines) * 3 + 1 : 1);
	_cleanup_free_ char *words = NULL;

	for (; lines && *lines; lines++) {
		if (*lines == '\n')
			(void)buf_putc(&out, ' ');
		else if (is_plain(*lines))
			(void)buf_putc(&out, *lines);
		else
			(void)buf_printf(&out, "%%%02X", (unsigned char)*lines);
	}
	words = buf_detach(&out);
	return wordset_canon(words);
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *store_labels_to_lines(const char *words)
{
	struct buf out = BUF_INIT(words ? strlen(words) + 1 : 1);

	for (const char *w = words; w && *w; w++) {
		int high = *w == '%' ? hex(w[1]) : -1, low = high < 0 ? -1 : hex(w[2]);

		if (low >= 0)
			w += 2;
		(void)buf_putc(&out, low >= 0 ? (char)(high * 16 + low) : *w == ' ' ? '\n' : *w);
	}
	return buf_detach(&out);
}

/* 0, or why these cannot be sent. */
static int check(const char *lines)
{
	_cleanup_free_ char *shown = mem_strdup(lines);

	if (strlen(lines) > LABELS_MAX)
		return ERR_LIMIT;
	for (char *p = shown; (p = strchr(p, '\n')) != NULL;)
		*p = ' ';
	text_clean(shown);
	for (const char *a = lines, *b = shown; *a; a++, b++)
		if (*a != *b && *a != '\n')
			return ERR_INVAL;
	return 0;
}

static int log_change(struct store *s, const struct store_node *n, const char *add, const char *del)
{
	struct store_op last = { 0 };
	int r = store_log_last(s, n->id, 0, &last);

	if (r == 1 && last.message == n->id && last.kind == STORE_OP_LABELS &&
	    store_change_may_fold(s, &last)) {
		_cleanup_free_ char *base = store_message_view_labels(s, n->id, last.seq);

		r = store_change_fold(s, &last, base, add, del);
	} else if (r >= 0) {
		struct store_op op = {
			.kind = STORE_OP_LABELS,
			.mailbox = n->parent,
			.message = n->id,
			.add = (char *)(uintptr_t)add,
			.del = (char *)(uintptr_t)del,
			.depends_on = last.seq,
		};

		r = store_log_insert(s, &op, 0, NULL, NULL);
	}
	store_op_release(&last);
	return r < 0 ? r : store_node_touch(s, n->id);
}

static int set_labels(struct store *s, int64_t id, const char *lines)
{
	_cleanup_free_ char *view = store_message_view_labels(s, id, 0);
	_cleanup_free_ char *want = store_labels_to_words(lines);
	_cleanup_free_ char *add = wordset_minus(want, view), *del = wordset_minus(view, want);
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r == 0 && (n.kind != STORE_KIND_MESSAGE || !view))
		r = ERR_NOTFOUND;
	if (r == 0)
		r = check(lines);
	if (r < 0 || (wordset_count(add) == 0 && wordset_count(del) == 0))
		return r;
	r = store_rights_check(s, n.parent, "w");
	if (r == 0)
		r = log_change(s, &n, add, del);
	return r < 0 ? r : 1;
}

int store_message_set_labels(struct store *s, int64_t id, const char *lines)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, set_labels(s, id, lines));
}
