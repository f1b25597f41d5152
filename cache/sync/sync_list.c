/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "imap_text.h"
#include "log.h"
#include "mem.h"
#include "sync_pass_priv.h"
#include "wordset.h"

enum {
	MAILBOXES_MAX = 20000, /* of one account */
	TEXT_MAX_BYTES = 16 << 20,
};

/* ---- What LIST, LSUB and STATUS say ---- */

/* There is room for one more with so many bytes. */
static bool has_room(struct sync_list *list, size_t bytes)
{
	if (list->count >= MAILBOXES_MAX || bytes > TEXT_MAX_BYTES - list->text) {
		list->full = true;
		return false;
	}
	list->text += bytes;
	return true;
}

/* `item` is not listed yet. */
static void add_listed(struct sync_list *list, const struct imap_list_item *item)
{
	const char *attributes = item->attributes ? item->attributes : "";
	char delimiter = sync_list_delimiter(item->delimiter);
	char *path = strlen(item->name) == item->name_len
	                     ? sync_list_path(item->name, item->name_len, delimiter)
	                     : NULL;
	struct sync_seen *seen;

	if (!path || !has_room(list, item->name_len + strlen(path) + strlen(attributes))) {
		free(path);
		list->left_out++;
		return;
	}
	seen = sync_list_add(list, item->name);
	seen->path = path;
	seen->attributes = mem_strdup(attributes);
	seen->delimiter = delimiter;
	seen->subscribed = wordset_has(attributes, "\\Subscribed");
}

static void note_listed(struct sync_list *list, const struct imap_list_item *item)
{
	struct sync_seen *seen = sync_list_find(list, item->name);

	if (!item->subscribed_only && !seen && item->name_len > 0)
		add_listed(list, item);
	else if (item->subscribed_only && seen)
		seen->subscribed = true;
}

static void note_rights(struct sync_list *list, const struct imap_rights *rights)
{
	struct sync_seen *seen = sync_list_find(list, rights->name);

	if (!seen || seen->rights)
		return;
	if (has_room(list, strlen(rights->rights)))
		seen->rights = mem_strdup(rights->rights);
}

static void on_list_data(void *ctx, const struct imap_resp *r)
{
	struct sync_list *list = ctx;
	struct sync_seen *seen;

	if (r->kind == IMAP_RESP_LIST)
		note_listed(list, &r->list);
	if (r->kind == IMAP_RESP_QUOTA && r->quota &&
	    (r->quota->has_storage || r->quota->has_messages))
		list->quota = (struct store_quota){
			.known = true,
			.storage_used_kb = r->quota->storage_used_kb,
			.storage_limit_kb = r->quota->storage_limit_kb,
			.messages_used = r->quota->messages_used,
			.messages_limit = r->quota->messages_limit,
		};
	if (r->kind == IMAP_RESP_MYRIGHTS)
		note_rights(list, &r->rights);
	if (r->kind != IMAP_RESP_STATUS)
		return;
	seen = sync_list_find(list, r->status.name);
	if (!seen)
		return;
	seen->status = r->status;
	seen->status.name = NULL;
	seen->has_status = r->status.has_uidvalidity && r->status.has_messages;
}

/* ---- Asking ---- */

/* The size, which some servers have to count, once in a session (RFC 8438). */
static const char *status_items(const struct sync_link *l)
{
	bool size = sync_link_has(l, "STATUS=SIZE") && !l->sizes_known;

	if (sync_modseq_offered(l))
		return size ? "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE)"
		            : "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)";
	return size ? "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)"
	            : "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)";
}

/* One command for names, uses, subscriptions and numbers. */
static int ask_extended(struct sync_link *l, struct sync_reply *reply)
{
	struct imap_cmd *cmd = imap_cmd_new("LIST");
	bool use = sync_link_has(l, "SPECIAL-USE");
	bool rights = sync_link_has(l, "LIST-MYRIGHTS") && !l->rights_known;
	bool status = sync_link_has(l, "LIST-STATUS");

	imap_cmd_rawf(cmd, "\"\" \"*\" RETURN (SUBSCRIBED CHILDREN%s%s%s%s)",
	              use ? " SPECIAL-USE" : "", rights ? " MYRIGHTS" : "",
	              status ? " STATUS " : "", status ? status_items(l) : "");
	return sync_link_exec(l, &cmd, NULL, reply);
}

static int ask_plain(struct sync_link *l, struct sync_reply *reply)
{
	struct imap_cmd *names = imap_cmd_new("LIST"), *subscribed = imap_cmd_new("LSUB");
	struct sync_reply lsub = { 0 };
	int r;

	imap_cmd_raw(names, "\"\" \"*\"");
	imap_cmd_raw(subscribed, "\"\" \"*\"");
	sync_link_send(l, &names, NULL, sync_reply_done, reply);
	sync_link_send(l, &subscribed, NULL, sync_reply_done, &lsub);
	r = sync_link_run(l, 0);
	sync_reply_release(&lsub);
	return r;
}

/* Of one mailbox, what LIST has not said.  Rights once in a session (RFC 4314 3.5). */
static void ask_more(struct sync_link *l, const struct sync_seen *seen, bool rights)
{
	struct imap_cmd *cmd;

	if (!seen->has_status) {
		cmd = imap_cmd_new("STATUS");
		imap_cmd_mailbox(cmd, seen->wire_name);
		imap_cmd_raw(cmd, status_items(l));
		sync_link_send(l, &cmd, NULL, NULL, NULL);
	}
	if (rights && !seen->rights) {
		cmd = imap_cmd_new("MYRIGHTS");
		imap_cmd_mailbox(cmd, seen->wire_name);
		sync_link_send(l, &cmd, NULL, NULL, NULL);
	}
}

static int ask_status(struct sync_link *l, const struct sync_list *list)
{
	bool rights = sync_link_has(l, "ACL") && !l->rights_known;

	l->rights_known = true;
	for (size_t i = 0; i < list->count; i++) {
		if (wordset_has(list->items[i].attributes, "\\Noselect") ||
		    wordset_has(list->items[i].attributes, "\\NonExistent"))
			continue;
		ask_more(l, &list->items[i], rights);
		if (i % 256 == 255 && sync_link_run(l, 128) < 0)
			return ERR_OFFLINE;
	}
	return sync_link_run(l, 0);
}

static int record(struct sync_link *l, struct sync_list *list)
{
	struct store_list_entry *e = mem_alloc((list->count + 1) * sizeof(*e));
	int r;

	for (size_t i = 0; i < list->count; i++)
		e[i] = (struct store_list_entry){
			.wire_name = list->items[i].wire_name,
			.path = list->items[i].path,
			.delimiter = list->items[i].delimiter,
			.attributes = list->items[i].attributes,
			.subscribed = list->items[i].subscribed,
			.rights = list->items[i].rights,
			.has_size = list->items[i].status.has_size,
			.size = list->items[i].status.size,
		};
	if (list->left_out > 0)
		log_warn("sync: %zu mailboxes are not shown: their names are too long or too deep, "
		         "or"
		         " there are too many",
		         list->left_out);
	r = store_pull_list(l->store, e, list->count, list->complete && list->count > 0);
	free(e);
	if (r == 0 && list->quota.known)
		r = store_pull_quota(l->store, &list->quota);
	if (r < 0)
		log_error("sync: the mailbox list cannot be recorded: %s", err_text(r));
	return 0;
}

/* Of the INBOX; goes along with what is asked next. */
static void ask_quota(struct sync_link *l)
{
	struct imap_cmd *cmd;

	if (!sync_link_has(l, "QUOTA"))
		return;
	cmd = imap_cmd_new("GETQUOTAROOT");
	imap_cmd_mailbox(cmd, "INBOX");
	sync_link_send(l, &cmd, NULL, NULL, NULL);
}

int sync_list_pull(struct sync_link *l, struct sync_list *out)
{
	struct sync_reply reply = { .err = ERR_REFUSED };
	int r = 0;

	sync_link_unselect(l);
	l->data = on_list_data;
	l->ctx = out;
	ask_quota(l);
	if (sync_link_has(l, "LIST-EXTENDED"))
		r = ask_extended(l, &reply);
	if (sync_link_up(l) && (reply.err < 0 || out->count == 0)) {
		sync_reply_release(&reply);
		r = ask_plain(l, &reply);
	}
	out->complete = reply.err == 0 && !out->full;
	sync_pull_note(l, reply.err);
	sync_reply_release(&reply);
	if (sync_link_up(l))
		r = ask_status(l, out);
	l->data = NULL;
	l->sizes_known = true;
	if (sync_link_up(l) && out->complete)
		sync_list_follow(l, out);
	if (!sync_link_up(l))
		return r < 0 ? r : ERR_OFFLINE;
	return record(l, out);
}

/* ---- Mailboxes that are not listed any more ---- */

/* STATUS and a LIST of just this name, both different from the LIST that left it out. */
static int is_gone(struct sync_link *l, const char *wire_name, bool *gone)
{
	struct imap_cmd *status = imap_cmd_new("STATUS"), *list = imap_cmd_new("LIST");
	struct sync_reply status_reply = { 0 }, list_reply = { 0 };
	struct sync_list found = { 0 };
	int r;

	imap_cmd_mailbox(status, wire_name);
	imap_cmd_raw(status, "(UIDVALIDITY)");
	imap_cmd_raw(list, "\"\"");
	imap_cmd_mailbox(list, wire_name);
	l->data = on_list_data;
	l->ctx = &found;
	sync_link_send(l, &status, NULL, sync_reply_done, &status_reply);
	sync_link_send(l, &list, NULL, sync_reply_done, &list_reply);
	r = sync_link_run(l, 0);
	l->data = NULL;
	*gone = r == 0 && status_reply.answered && list_reply.err == 0 &&
	        !sync_list_find(&found, wire_name) && err_is_final(status_reply.err);
	sync_reply_release(&status_reply);
	sync_reply_release(&list_reply);
	sync_list_release(&found);
	return r;
}

int sync_list_confirm_gone(struct sync_link *l, const struct sync_list *list)
{
	struct store_mailbox *boxes = NULL;
	size_t count = 0;
	int r = 0;

	if (!list->complete || list->count == 0 || store_mailbox_list(l->store, &boxes, &count) < 0)
		return 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		bool gone = false;

		if (!boxes[i].missing_since_ms || !boxes[i].wire_name ||
		    sync_list_find(list, boxes[i].wire_name))
			continue;
		r = is_gone(l, boxes[i].wire_name, &gone);
		if (r < 0 || !gone)
			continue;
		log_info("sync: mailbox %s is no longer on the server", boxes[i].wire_name);
		if (store_pull_mailbox_gone(l->store, boxes[i].id) < 0)
			log_error("sync: mailbox %s cannot be taken out", boxes[i].wire_name);
	}
	store_mailbox_list_free(boxes, count);
	return r;
}
