/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "sync_pass_priv.h"
#include "wordset.h"

/*
 * Mailboxes that somebody else has renamed (RFC 8474 4): LIST has a name that is not known here,
 * and its MAILBOXID is that of a mailbox that is.  The id is asked for alone, for Cyrus answers
 * with garbage when it is asked for it together with other items.
 */
enum { IN_FLIGHT = 128 };

static bool has_mailbox(const struct sync_seen *seen)
{
	return !wordset_has(seen->attributes, "\\Noselect") &&
	       !wordset_has(seen->attributes, "\\NonExistent");
}

static void on_id(void *ctx, const struct imap_resp *r)
{
	struct sync_seen *seen = r->kind == IMAP_RESP_STATUS ? sync_list_find(ctx, r->status.name)
	                                                     : NULL;

	if (!seen || !r->status.mailboxid)
		return;
	free(seen->mailboxid);
	seen->mailboxid = mem_strdup(r->status.mailboxid);
}

static void ask(struct sync_link *l, const char *wire_name)
{
	struct imap_cmd *cmd = imap_cmd_new("STATUS");

	imap_cmd_mailbox(cmd, wire_name);
	imap_cmd_raw(cmd, "(MAILBOXID)");
	sync_link_send(l, &cmd, NULL, NULL, NULL);
}

/* Of all names that are not known here; how many. */
static int ask_unknown(struct sync_link *l, const struct sync_list *list)
{
	int asked = 0;

	for (size_t i = 0; i < list->count && sync_link_up(l); i++) {
		int64_t id;

		if (!has_mailbox(&list->items[i]) ||
		    store_mailbox_by_wire(l->store, list->items[i].wire_name, &id) != ERR_NOTFOUND)
			continue;
		ask(l, list->items[i].wire_name);
		if (++asked % IN_FLIGHT == 0)
			(void)sync_link_run(l, IN_FLIGHT / 2);
	}
	(void)sync_link_run(l, 0);
	return asked;
}

static struct store_mailbox *by_id(struct store_mailbox *boxes, size_t count, const char *mailboxid)
{
	for (size_t i = 0; i < count && mailboxid; i++)
		if (boxes[i].wire_name && boxes[i].mailboxid &&
		    strcmp(boxes[i].mailboxid, mailboxid) == 0)
			return &boxes[i];
	return NULL;
}

/* The old name is listed, too: either another mailbox has it now, or the id says nothing. */
static bool has_left(struct sync_link *l, const struct sync_list *list,
                     const struct store_mailbox *box)
{
	const struct sync_seen *old = sync_list_find(list, box->wire_name);

	if (!old || !has_mailbox(old))
		return true;
	ask(l, box->wire_name);
	return sync_link_run(l, 0) == 0 && old->mailboxid &&
	       strcmp(old->mailboxid, box->mailboxid) != 0;
}

static void follow(struct sync_link *l, const struct sync_list *list, const struct sync_seen *seen,
                   struct store_mailbox *box)
{
	const struct store_list_entry e = { .wire_name = seen->wire_name,
		                            .path = seen->path,
		                            .delimiter = seen->delimiter };
	int r = has_left(l, list, box) ? store_pull_mailbox_renamed(l->store, box->id, &e)
	                               : ERR_EXISTS;

	if (r == 0)
		log_info("sync: mailbox %s is %s now", box->wire_name, seen->wire_name);
	else
		log_debug("sync: mailbox %s does not follow to %s: %s", box->wire_name,
		          seen->wire_name, err_text(r));
	box->wire_name[0] = '\0'; /* once */
	free(box->mailboxid);
	box->mailboxid = NULL;
}

static bool any_id(const struct store_mailbox *boxes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (boxes[i].mailboxid)
			return true;
	return false;
}

void sync_list_follow(struct sync_link *l, struct sync_list *list)
{
	struct store_mailbox *boxes = NULL;
	size_t count = 0;

	if (!sync_link_has(l, "OBJECTID") || store_mailbox_list(l->store, &boxes, &count) < 0)
		return;
	l->data = on_id;
	l->ctx = list;
	if (any_id(boxes, count) && ask_unknown(l, list) > 0)
		for (size_t i = 0; i < list->count && sync_link_up(l); i++) {
			struct store_mailbox *box = by_id(boxes, count, list->items[i].mailboxid);

			if (box && strcmp(box->wire_name, list->items[i].wire_name) != 0)
				follow(l, list, &list->items[i], box);
		}
	l->data = NULL;
	store_mailbox_list_free(boxes, count);
}
