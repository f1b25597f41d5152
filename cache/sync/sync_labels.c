/* SPDX-License-Identifier: MIT */
#include "sync_labels_priv.h"

#include <string.h>
#include <strings.h>

#include "buf.h"
#include "imap_text.h"
#include "mem.h"
#include "store_message.h"

char *sync_labels_text(const char *lines)
{
	struct buf out = BUF_INIT(lines ? strlen(lines) * 3 + 1 : 1);

	for (const char *at = lines; at && *at;) {
		size_t len = strcspn(at, "\n");
		_cleanup_free_ char *label = imap_utf7_decode(at, len);

		if (label)
			(void)buf_puts(&out, label);
		else
			(void)buf_append(&out, at, len);
		at += len;
		if (*at == '\n')
			(void)buf_append(&out, at++, 1);
	}
	return lines ? buf_detach(&out) : NULL;
}

char *sync_labels_own(const char *wire_name)
{
	_cleanup_free_ char *name = sync_labels_text(wire_name);

	return store_labels_to_words(strcasecmp(wire_name, "INBOX") == 0 ? "\\Inbox" : name);
}

static void put_quoted(struct buf *out, const char *label)
{
	(void)buf_puts(out, out->len ? " \"" : "(\"");
	for (; *label; label++) {
		if (*label == '"' || *label == '\\')
			(void)buf_putc(out, '\\');
		(void)buf_putc(out, *label);
	}
	(void)buf_putc(out, '"');
}

/* ` ("a" "b c")`; one that came as no text cannot be named. */
static void put_list(struct imap_cmd *cmd, const char *words)
{
	_cleanup_free_ char *lines = store_labels_to_lines(words), *list = NULL;
	struct buf out = BUF_INIT(strlen(lines) * 8 + 8);

	for (const char *at = lines; *at;) {
		size_t len = strcspn(at, "\n");
		_cleanup_free_ char *wire = imap_utf7_encode(at, len);

		if (wire)
			put_quoted(&out, wire);
		at += len + (at[len] == '\n');
	}
	(void)buf_puts(&out, out.len ? ")" : "()");
	list = buf_detach(&out);
	imap_cmd_raw(cmd, list);
}

void sync_labels_send(struct sync_link *l, struct sync_box *box, const struct sync_uids *uids,
                      char sign, const char *words, struct sync_reply *reply)
{
	sync_store_words(l, box, uids, sign, "X-GM-LABELS", put_list, words, reply);
}
