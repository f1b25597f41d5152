/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"
#include "mount_xattr_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "store_op.h"

/* One attribute: writes its value, nothing when it is unknown. */
struct message_fact {
	const char *name;
	void (*write)(const struct store_message *msg, const struct store_node *n, struct buf *out);
};
struct mailbox_fact {
	const char *name;
	void (*write)(const struct store_mailbox *box, struct buf *out);
	int (*set)(struct mount *m, int64_t id, const char *value, size_t len);
};

static void put_number(struct buf *out, uint64_t number, bool known)
{
	if (known)
		(void)buf_printf(out, "%" PRIu64, number);
}

static void put_text(struct buf *out, const char *text)
{
	if (text)
		(void)buf_puts(out, text);
}

static void msg_uid(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	(void)n;
	put_number(out, msg->uid, msg->uid != 0);
}

static void msg_uidvalidity(const struct store_message *msg, const struct store_node *n,
                            struct buf *out)
{
	(void)n;
	put_number(out, msg->uidvalidity, msg->uid != 0 && msg->uidvalidity != 0);
}

static void msg_modseq(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	(void)n;
	put_number(out, msg->modseq, msg->modseq != 0);
}

static void msg_date(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	char text[MOUNT_DATE_MAX];

	(void)n;
	mount_date_text(msg->date, msg->date_zone_min, text);
	(void)buf_puts(out, text);
}

static void msg_size(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	if (msg->server_size != 0)
		put_number(out, msg->server_size, true);
	else
		put_number(out, (uint64_t)n->size, n->size_exact);
}

static void msg_message_id(const struct store_message *msg, const struct store_node *n,
                           struct buf *out)
{
	(void)n;
	put_text(out, msg->message_id);
}

static void msg_emailid(const struct store_message *msg, const struct store_node *n,
                        struct buf *out)
{
	(void)n;
	put_text(out, msg->emailid);
}

static void msg_threadid(const struct store_message *msg, const struct store_node *n,
                         struct buf *out)
{
	(void)n;
	put_text(out, msg->threadid);
}

static void msg_labels(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	(void)n;
	put_text(out, msg->labels);
}

static void msg_body(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	(void)buf_puts(out, msg->body_here || n->spool != 0 ? "cached"
	                    : msg->partial                  ? "partial"
	                                                    : "absent");
}

static void msg_pending(const struct store_message *msg, const struct store_node *n,
                        struct buf *out)
{
	(void)n;
	put_number(out, (uint64_t)msg->pending, true);
}

static void msg_error(const struct store_message *msg, const struct store_node *n, struct buf *out)
{
	(void)n;
	put_text(out, msg->error);
}

static const struct message_fact message_facts[] = {
	{ "uid", msg_uid },         { "uidvalidity", msg_uidvalidity },
	{ "modseq", msg_modseq },   { "internaldate", msg_date },
	{ "size", msg_size },       { "message-id", msg_message_id },
	{ "emailid", msg_emailid }, { "threadid", msg_threadid },
	{ "body", msg_body },       { "pending", msg_pending },
	{ "error", msg_error },     { MOUNT_LABELS, msg_labels },
};

static void box_uidvalidity(const struct store_mailbox *box, struct buf *out)
{
	put_number(out, box->uidvalidity, box->uidvalidity != 0);
}

static void box_uidnext(const struct store_mailbox *box, struct buf *out)
{
	put_number(out, box->uidnext, box->uidnext != 0);
}

static void box_highestmodseq(const struct store_mailbox *box, struct buf *out)
{
	put_number(out, box->highestmodseq, box->highestmodseq != 0);
}

static void box_messages(const struct store_mailbox *box, struct buf *out)
{
	put_number(out, box->messages, box->uidvalidity != 0);
}

static void box_unseen(const struct store_mailbox *box, struct buf *out)
{
	put_number(out, box->unseen, box->uidvalidity != 0);
}

static void box_size(const struct store_mailbox *box, struct buf *out)
{
	put_number(out, (uint64_t)box->size, box->size >= 0);
}

static void box_use(const struct store_mailbox *box, struct buf *out)
{
	_cleanup_free_ char *use = mount_special_use(box->attributes);

	put_text(out, use);
}

static void box_mailboxid(const struct store_mailbox *box, struct buf *out)
{
	put_text(out, box->mailboxid);
}

static void box_rights(const struct store_mailbox *box, struct buf *out)
{
	put_text(out, box->rights);
}

static void box_profile(const struct store_mailbox *box, struct buf *out)
{
	put_text(out, mount_profile_name(box->profile));
}

static void box_subscribed(const struct store_mailbox *box, struct buf *out)
{
	put_text(out, box->subscribed ? "1" : "0");
}

static int set_profile(struct mount *m, int64_t id, const char *value, size_t len)
{
	enum store_profile p = STORE_PROFILE_DEFAULT;
	int r = mount_profile_parse(value, len, &p);

	if (r == 0)
		r = store_mailbox_set_profile(m->store, id, p);
	if (r == 0)
		sync_refresh(m->sync);
	return r;
}

static int set_subscribed(struct mount *m, int64_t id, const char *value, size_t len)
{
	bool on = false;
	int r = mount_bool_parse(value, len, &on);

	return r < 0 ? r : store_mailbox_subscribe(m->store, id, on);
}

static const struct mailbox_fact mailbox_facts[] = {
	{ "uidvalidity", box_uidvalidity, NULL },
	{ "uidnext", box_uidnext, NULL },
	{ "highestmodseq", box_highestmodseq, NULL },
	{ "messages", box_messages, NULL },
	{ "unseen", box_unseen, NULL },
	{ "size", box_size, NULL },
	{ "special-use", box_use, NULL },
	{ "mailboxid", box_mailboxid, NULL },
	{ "rights", box_rights, NULL },
	{ "sync", box_profile, set_profile },
	{ "subscribed", box_subscribed, set_subscribed },
};

static const struct message_fact *find_message_fact(const char *name)
{
	for (size_t i = 0; i < sizeof(message_facts) / sizeof(*message_facts); i++) {
		if (strcmp(message_facts[i].name, name) == 0)
			return &message_facts[i];
	}
	return NULL;
}

static const struct mailbox_fact *find_mailbox_fact(const char *name)
{
	for (size_t i = 0; i < sizeof(mailbox_facts) / sizeof(*mailbox_facts); i++) {
		if (strcmp(mailbox_facts[i].name, name) == 0)
			return &mailbox_facts[i];
	}
	return NULL;
}

static int message_fact(struct mount *m, const struct store_node *n, const char *name,
                        struct buf *out)
{
	const struct message_fact *fact = find_message_fact(name);
	struct store_message msg;
	int r;

	if (!fact)
		return ENODATA;
	r = store_message_get(m->store, n->id, &msg);
	if (r < 0)
		return mount_errno(r);
	fact->write(&msg, n, out);
	store_message_release(&msg);
	return out->len > 0 ? 0 : ENODATA;
}

/* Actions in this mailbox: how many, or why the first failed one did. */
static int mailbox_actions(struct mount *m, int64_t id, bool error, struct buf *out)
{
	struct store_op *ops = NULL;
	const char *reason = NULL;
	size_t count = 0, pending = 0;
	int r = store_op_list(m->store, &ops, &count);

	if (r < 0)
		return mount_errno(r);
	for (size_t i = 0; i < count; i++) {
		if (ops[i].mailbox != id && ops[i].target != id)
			continue;
		pending++;
		if (!reason)
			reason = ops[i].error;
	}
	if (error)
		put_text(out, reason);
	else
		put_number(out, pending, true);
	store_op_list_free(ops, count);
	return out->len > 0 ? 0 : ENODATA;
}

static int mailbox_fact(struct mount *m, const struct store_node *n, const char *name,
                        struct buf *out)
{
	const struct mailbox_fact *fact = find_mailbox_fact(name);
	struct store_mailbox box;
	int r;

	if (strcmp(name, "pending") == 0 || strcmp(name, "error") == 0)
		return mailbox_actions(m, n->id, *name == 'e', out);
	if (!fact)
		return ENODATA;
	r = store_mailbox_get(m->store, n->id, &box);
	if (r < 0)
		return mount_errno(r);
	fact->write(&box, out);
	store_mailbox_release(&box);
	return out->len > 0 ? 0 : ENODATA;
}

/* What is written here: why it is no message that could be sent. */
static int file_fact(struct mount *m, const struct store_node *n, const char *name, struct buf *out)
{
	struct mount_file *f;

	if (strcmp(name, "error") != 0)
		return ENODATA;
	mount_files_lock(m);
	f = mount_file_find(m, n->id);
	put_text(out, f ? f->reason : NULL);
	mount_files_unlock(m);
	return out->len > 0 ? 0 : ENODATA;
}

int mount_xattr_fact(struct mount *m, const struct store_node *n, const char *name, struct buf *out)
{
	switch (n->kind) {
	case STORE_KIND_MESSAGE:
		if (n->spool != 0 && file_fact(m, n, name, out) == 0)
			return 0; /* an edit that is no message */
		return message_fact(m, n, name, out);
	case STORE_KIND_MAILBOX:
		return mailbox_fact(m, n, name, out);
	case STORE_KIND_FILE:
		return file_fact(m, n, name, out);
	case STORE_KIND_ROOT:
	case STORE_KIND_DIR:
	case STORE_KIND_SYMLINK:
		break;
	}
	return ENODATA;
}

static int set_labels(struct mount *m, int64_t id, const char *value, size_t len)
{
	_cleanup_free_ char *lines = mem_strndup(value, len);
	int r = strlen(lines) == len ? store_message_set_labels(m->store, id, lines) : ERR_INVAL;

	if (r > 0)
		sync_kick(m->sync);
	return r == ERR_NOTFOUND ? EOPNOTSUPP : mount_errno(r);
}

int mount_xattr_set_fact(struct mount *m, const struct store_node *n, const char *name,
                         const char *value, size_t len)
{
	const struct mailbox_fact *fact = find_mailbox_fact(name);
	int r;

	if (n->kind == STORE_KIND_MAILBOX && fact && fact->set) {
		r = fact->set(m, n->id, value, len);
		if (r == 0)
			sync_kick(m->sync);
		return mount_errno(r);
	}
	if (n->kind == STORE_KIND_MESSAGE && strcmp(name, MOUNT_LABELS) == 0)
		return set_labels(m, n->id, value, len);
	return fact || find_message_fact(name) ? EPERM : EOPNOTSUPP;
}
