/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "store_message.h"
#include "sync_pass_priv.h"
#include "sync_replay_priv.h"

/*
 * Uploads (RFC 4549 4.2.1, RFC 3502, RFC 4315).  APPENDUID proves one; without it, and after a
 * lost connection, it is looked for by what its evidence says.
 */

enum {
	MULTI_BYTES = 4 * 1024 * 1024, /* of one MULTIAPPEND: what a lost connection repeats */
	LEAP_MAX = 1000000,            /* UIDs that others may have taken meanwhile */
	HEADER_BYTES = 32768           /* looked at for what is not ASCII */
};

struct upload {
	int fd;
	bool utf8; /* its header is not all ASCII */
	struct store_message message;
};

static int64_t read_spool(void *ctx, uint64_t offset, char *dst, size_t cap)
{
	const struct upload *u = ctx;
	ssize_t n = pread(u->fd, dst, cap, (off_t)offset);

	return n > 0 ? n : ERR_IO;
}

/* Up to the empty line; of a header longer than that the beginning. */
static bool has_8bit_header(int fd)
{
	char text[HEADER_BYTES];
	ssize_t n = pread(fd, text, sizeof(text), 0);

	for (ssize_t i = 0; i < n; i++) {
		if (text[i] & 0x80)
			return true;
		if (text[i] == '\n' && i + 1 < n && (text[i + 1] == '\n' || text[i + 1] == '\r'))
			break;
	}
	return false;
}

static void uploads_release(struct upload *u, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (u[i].fd >= 0)
			close(u[i].fd);
		store_message_release(&u[i].message);
	}
	free(u);
}

/* The Message-ID that the bytes have; NULL: none. */
static const char *new_id(const struct sync_act *a, const struct store_message *m)
{
	if (a->op.kind != STORE_OP_REPLACE || !a->op.name)
		return m->message_id;
	return a->op.name[0] ? a->op.name : NULL;
}

/* Opens the frozen bytes and writes down how to know them again. */
static int prepare(struct sync_batch *b, struct sync_act *a, struct upload *u)
{
	struct store *st = b->link->store;
	struct stat info;
	int r;

	u->fd = -1;
	r = store_message_get(st, a->op.message, &u->message);
	if (r < 0)
		return r == ERR_NOTFOUND
		               ? sync_act_refused(b, a, r, "its message is not known any more")
		               : r;
	u->fd = store_spool_open(st, a->op.spool, 0);
	if (u->fd < 0 || fstat(u->fd, &info) < 0)
		return sync_act_refused(b, a, ERR_NOTFOUND, "its bytes are not there any more");
	u->utf8 = has_8bit_header(u->fd);
	sync_evidence_release(&a->ev);
	a->ev = (struct sync_evidence){
		.size = (uint64_t)info.st_size,
		.date = u->message.date,
		.message_id = mem_strdup(new_id(a, &u->message)),
	};
	return sync_evidence_digest(read_spool, u, a->ev.size, a->ev.digest);
}

static int prepare_all(struct sync_batch *b, struct upload **out)
{
	struct upload *u = mem_alloc(b->count * sizeof(*u));
	int r = 0;

	for (size_t i = 0; i < b->count; i++)
		u[i].fd = -1;
	for (size_t i = 0; r == 0 && i < b->count; i++)
		if (!b->acts[i].settled)
			r = prepare(b, &b->acts[i], &u[i]);
	*out = u;
	return r;
}

/* Over the server's limit: not one byte of it is sent (RFC 7889 4). */
static int refuse_large(struct sync_batch *b, const struct sync_target *target)
{
	char why[ERR_REASON_MAX];
	int r = 0;

	for (size_t i = 0; i < b->count && r == 0; i++) {
		struct sync_act *a = &b->acts[i];

		if (a->settled || !target->has_limit || a->ev.size <= target->limit)
			continue;
		(void)snprintf(why, sizeof(why),
		               "%llu bytes, the server takes messages of %llu at most",
		               (unsigned long long)a->ev.size, (unsigned long long)target->limit);
		r = sync_act_refused(b, a, ERR_TOOBIG, why);
	}
	return r;
}

/* What the mailbox was like before; where STATUS is refused, APPEND will say why. */
static int take_evidence(struct sync_batch *b, const struct store_mailbox *m)
{
	struct sync_target target = { 0 };
	struct sync_reply reply = { 0 };
	int r;

	if (b->link->box && b->link->box->mailbox == m->id)
		sync_link_unselect(b->link);
	r = sync_target_status(b->link, m->wire_name, &target, &reply);
	sync_reply_release(&reply);
	if (sync_link_up(b->link))
		r = sync_scan_moved(b->link, m, target.uidvalidity);
	if (!sync_link_up(b->link))
		return r < 0 ? r : ERR_OFFLINE;
	if (m->uidvalidity && target.uidvalidity && target.uidvalidity != m->uidvalidity)
		return sync_batch_later(b, 500, ERR_CONFLICT, "the mailbox was made anew");
	for (size_t i = 0; i < b->count; i++) {
		b->acts[i].ev.uidvalidity = target.uidvalidity;
		b->acts[i].ev.uidnext = target.uidnext;
	}
	return refuse_large(b, &target);
}

/* An edit keeps the flags that the server has; changes of them are actions of their own. */
static void add_message(const struct sync_link *l, struct imap_cmd *cmd, const struct sync_act *a,
                        struct upload *u)
{
	const char *flags = a->op.kind == STORE_OP_REPLACE ? u->message.server_flags : a->op.add;

	imap_cmd_flags_kept(cmd, flags);
	imap_cmd_datetime(cmd, u->message.date, u->message.date_zone_min);
	if (u->utf8 && imap_session_takes_utf8(l->session))
		imap_cmd_literal_utf8(cmd, a->ev.size, read_spool, u);
	else
		imap_cmd_literal(cmd, a->ev.size, read_spool, u);
}

/* What UID REPLACE says before its tagged reply (RFC 8508 3.4). */
struct replaced {
	struct sync_act *act;
	uint64_t uidvalidity;
	uint32_t uid;
};

static void on_replaced(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct replaced *x = ctx;
	uint32_t old = x->act->op.uid;

	if (r->kind == IMAP_RESP_COND && r->code == IMAP_CODE_APPENDUID &&
	    imap_set_size(&r->code_set, 2) == 1) {
		x->uidvalidity = r->code_number;
		x->uid = imap_set_nth(&r->code_set, 0);
	} else if (r->kind == IMAP_RESP_EXPUNGE) {
		x->act->gone = x->act->gone || imap_msgmap_uid(box->map, r->number) == old;
	} else if (r->kind == IMAP_RESP_VANISHED && !r->vanished.earlier) {
		for (size_t i = 0; i < r->vanished.uids.count; i++)
			x->act->gone = x->act->gone || (old >= r->vanished.uids.ranges[i].first &&
			                                old <= r->vanished.uids.ranges[i].last);
	}
}

/* Sends it and waits; what was said untagged counts as if the reply had said it. */
static int send_replace(struct sync_batch *b, const struct store_mailbox *m, struct upload *u,
                        struct sync_box *box)
{
	struct sync_act *a = &b->acts[0];
	struct replaced x = { .act = a };
	struct imap_cmd *cmd = imap_cmd_new("UID REPLACE");
	int r;

	imap_cmd_rawf(cmd, "%u", a->op.uid);
	imap_cmd_mailbox(cmd, m->wire_name);
	add_message(b->link, cmd, a, u);
	a->shared = &a->reply;
	a->gone = false;
	sync_reply_release(&a->reply);
	box->data = on_replaced;
	box->ctx = &x;
	sync_link_send(b->link, &cmd, box, sync_reply_done, &a->reply);
	r = sync_link_run(b->link, 0);
	box->data = NULL;
	if (a->reply.err < 0)
		a->gone = false;
	if (a->reply.err == 0 && a->reply.code != IMAP_CODE_APPENDUID && x.uid) {
		struct imap_range one = { x.uid, x.uid };

		sync_reply_release(&a->reply);
		a->reply.code = IMAP_CODE_APPENDUID;
		a->reply.code_number = x.uidvalidity;
		sync_set_copy(&a->reply.code_set, &(struct imap_set){ &one, 1 });
	}
	return r;
}

/* How many from `at` on go into one command. */
static size_t together(const struct sync_batch *b, size_t at, bool multi)
{
	uint64_t bytes = b->acts[at].ev.size;
	size_t n = 1;

	while (multi && at + n < b->count && !b->acts[at + n].settled &&
	       bytes + b->acts[at + n].ev.size <= MULTI_BYTES)
		bytes += b->acts[at + n++].ev.size;
	return n;
}

static void send_all(struct sync_batch *b, const struct store_mailbox *m, struct upload *u,
                     bool multi)
{
	for (size_t at = 0, n; at < b->count; at += n) {
		struct imap_cmd *cmd;

		n = 1;
		if (b->acts[at].settled)
			continue;
		n = together(b, at, multi);
		cmd = imap_cmd_new("APPEND");
		imap_cmd_mailbox(cmd, m->wire_name);
		for (size_t i = at; i < at + n; i++) {
			add_message(b->link, cmd, &b->acts[i], &u[i]);
			b->acts[i].shared = &b->acts[at].reply;
		}
		sync_reply_release(&b->acts[at].reply);
		sync_link_send(b->link, &cmd, NULL, sync_reply_done, &b->acts[at].reply);
	}
}

/* How many messages the reply is about. */
static uint64_t sharing(const struct sync_batch *b, const struct sync_reply *reply)
{
	uint64_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		n += !b->acts[i].settled && b->acts[i].shared == reply;
	return n;
}

/* The message of that UID is known, and it is not the one that was sent. */
static bool is_another(struct sync_batch *b, const struct sync_act *a)
{
	_cleanup_free_ char *header_id = NULL;
	struct store_message m;
	const char *known_id;
	const void *data;
	size_t len;
	int64_t id = 0;
	bool other;

	if (store_message_by_uid(b->link->store, a->op.mailbox, a->new_uid, &id) < 0 ||
	    store_message_get(b->link->store, id, &m) < 0)
		return false;
	if (!m.message_id && store_body_get(b->link->store, id, &data, &len) == 0)
		header_id = sync_header_message_id(data, len);
	known_id = m.message_id ? m.message_id : header_id;
	other = known_id && (!a->ev.message_id || strcmp(known_id, a->ev.message_id) != 0);
	store_message_release(&m);
	return other;
}

/* A new message has a new UID (RFC 9051 2.3.1.1), except with Gmail, which gives that of the same
 * message where it has it. */
static bool is_plausible(struct sync_batch *b, const struct sync_act *a)
{
	uint32_t next = a->ev.uidnext;

	if (next == 0 || a->shared->code_number != a->ev.uidvalidity)
		return true;
	return a->new_uid < next ? !is_another(b, a) : a->new_uid - next < LEAP_MAX;
}

/* APPENDUID pairs UIDs with messages in the order of sending. */
static void take_uids(struct sync_batch *b)
{
	const struct sync_reply *reply = NULL;
	uint64_t nth = 0;

	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];

		if (a->settled || !a->shared)
			continue;
		nth = a->shared == reply ? nth + 1 : 0;
		reply = a->shared;
		if (reply->err == 0 && reply->code == IMAP_CODE_APPENDUID &&
		    imap_set_size(&reply->code_set, b->count) == sharing(b, reply))
			a->new_uid = imap_set_nth(&reply->code_set, nth);
		if (a->new_uid && !is_plausible(b, a))
			a->new_uid = 0; /* it is looked for, as if nothing had been said */
	}
}

/* REPLACE by hand: the old one goes when the new one is proven. */
static int remove_old(struct sync_batch *b, struct sync_act *a)
{
	struct sync_batch one = { .link = b->link, .acts = a, .count = 1 };
	struct sync_box *box = NULL;
	int r;

	a->ev.found = a->new_uid;
	r = sync_batch_sent(&one, 2);
	if (r < 0 || a->op.uid == 0)
		return r;
	r = sync_link_open_box(b->link, a->op.mailbox, &box, NULL);
	if (r == 0)
		r = sync_expunge(&one, box, 2);
	sync_box_unref(&box);
	return r < 0 && sync_link_up(b->link) ? 1 : r;
}

static int settle_proven(struct sync_batch *b, struct sync_act *a, uint32_t uidvalidity)
{
	int r = 0;

	if (a->op.kind == STORE_OP_REPLACE && !a->gone)
		r = remove_old(b, a);
	if (r != 0 || (a->op.kind == STORE_OP_REPLACE && !a->gone && a->seen))
		return r < 0 ? r : 0; /* stays SENT: the old one is tried again */
	r = sync_act_done(b, a, uidvalidity);
	if (r == 0)
		r = store_body_adopt(b->link->store, a->op.message);
	return r == ERR_IO || r == ERR_NOSPACE
	               ? r
	               : 0; /* else edited again meanwhile: its bytes are newer */
}

/* Those that APPENDUID proves. */
static int settle_uids(struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];
		int r = 0;

		if (!a->settled && a->shared && a->new_uid)
			r = settle_proven(b, a, (uint32_t)a->shared->code_number);
		if (r < 0)
			return r;
	}
	return 0;
}

enum how { BY_APPEND, BY_MULTIAPPEND, BY_REPLACE };

/* Refused for certain: one alone, or many for a mailbox that is not there.  Of many refused for
 * another reason some servers keep the first; and what cannot replace may be stored all the same. */
static bool refused(const struct sync_act *a, enum how how)
{
	return a->shared->err < 0 && how != BY_REPLACE &&
	       (how == BY_APPEND || a->shared->err == ERR_NOTFOUND);
}

/* Settles what the replies say; *look when some remain to be looked for. */
static int settle_replies(struct sync_batch *b, enum how how, bool *look)
{
	int r = settle_uids(b);

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		struct sync_act *a = &b->acts[i];

		if (a->settled || a->new_uid || !a->shared)
			continue;
		if (refused(a, how))
			r = sync_act_refused(b, a, a->shared->err, a->shared->text);
		else
			*look = true;
	}
	return r;
}

static int settle_found(struct sync_batch *b, uint32_t uidvalidity)
{
	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];
		int r = a->settled || !a->new_uid ? 0 : settle_proven(b, a, uidvalidity);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool any_unsettled(const struct sync_batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->acts[i].settled && !b->acts[i].new_uid)
			return true;
	return false;
}

/* Servers store in the order of sending: what is looked for came behind those that are proven. */
static int raise_evidence(struct sync_batch *b)
{
	uint32_t last = 0;
	bool raised = false;

	for (size_t i = 0; i < b->count; i++) {
		struct sync_act *a = &b->acts[i];

		if (a->new_uid > last)
			last = a->new_uid;
		if (last == 0 || a->settled || a->new_uid || a->ev.uidnext > last)
			continue;
		a->ev.uidnext = last + 1;
		raised = true;
	}
	return raised ? sync_batch_sent(b, 1) : 0;
}

static int send_and_wait(struct sync_batch *b, const struct store_mailbox *m, struct upload *u,
                         enum how how, struct sync_box *box)
{
	if (how == BY_REPLACE)
		return send_replace(b, m, u, box);
	send_all(b, m, u, how == BY_MULTIAPPEND);
	return sync_link_run(b->link, 0);
}

/* Sends, waits, settles.  1: some of a MULTIAPPEND, or what was to replace another, are certainly not
 * there, to be sent singly. */
static int upload(struct sync_batch *b, const struct store_mailbox *m, struct upload *u,
                  enum how how)
{
	struct sync_box *box = NULL;
	uint32_t uidvalidity = 0;
	bool look = false;
	int r = take_evidence(b, m);

	if (r == 0 && !any_unsettled(b))
		return 0;
	if (r == 0 && how == BY_REPLACE)
		r = sync_batch_open(b, m->id, &box);
	if (r == 0)
		r = sync_batch_sent(b, 1);
	if (r != 0) {
		sync_box_unref(&box);
		return r < 0 ? r : 0;
	}
	r = send_and_wait(b, m, u, how, box);
	sync_box_unref(&box);
	take_uids(b);
	if (r < 0) {
		int settled = settle_uids(b);

		if (settled == 0)
			settled = raise_evidence(b);
		return settled < 0 ? settled : sync_batch_lost(b, r);
	}
	r = settle_replies(b, how, &look);
	if (r < 0 || !look)
		return r;
	r = sync_batch_look(b, m->id, true, &uidvalidity);
	if (r != 0)
		return r < 0 ? r : 0; /* stays SENT */
	r = settle_found(b, uidvalidity);
	if (r == 0 && any_unsettled(b) && how == BY_APPEND)
		r = sync_batch_refused(b, ERR_REFUSED,
		                       "the server said OK and did not store the message");
	return r < 0 ? r : any_unsettled(b);
}

/* Many at once only where the answer proves each. */
static enum how way_of(const struct sync_batch *b)
{
	if (b->acts[0].op.kind == STORE_OP_REPLACE && b->acts[0].op.uid != 0 &&
	    sync_link_has(b->link, "REPLACE"))
		return BY_REPLACE;
	if (b->count > 1 && sync_link_has(b->link, "MULTIAPPEND") &&
	    sync_link_has(b->link, "UIDPLUS"))
		return BY_MULTIAPPEND;
	return BY_APPEND;
}

static int send_new(struct sync_batch *b, const struct store_mailbox *m)
{
	enum how how = way_of(b);
	struct upload *u = NULL;
	int r = prepare_all(b, &u);

	if (r == 0 && any_unsettled(b))
		r = upload(b, m, u, how);
	if (r == 1)
		r = upload(b, m, u, BY_APPEND);
	uploads_release(u, b->count);
	return r < 0 ? r : 0;
}

/* What a lost connection left: found, or certainly not there and sent again. */
static int resume(struct sync_batch *b, const struct store_mailbox *m)
{
	uint32_t uidvalidity = 0;
	int r = 0;

	if (b->acts[0].op.step >= 2 && b->acts[0].ev.uidvalidity == m->uidvalidity) {
		for (size_t i = 0; i < b->count; i++)
			b->acts[i].new_uid = b->acts[i].ev.found;
		uidvalidity = b->acts[0].ev.uidvalidity;
	} else {
		r = sync_batch_look(b, m->id, true, &uidvalidity);
	}
	if (r != 0)
		return r < 0 ? r : 0;
	r = settle_found(b, uidvalidity);
	for (size_t i = 0; r == 0 && i < b->count; i++)
		if (!b->acts[i].settled && !b->acts[i].new_uid)
			r = sync_act_again(b, &b->acts[i]);
	return r == 0 && any_unsettled(b) ? send_new(b, m) : r;
}

int sync_run_append(struct sync_batch *b)
{
	struct store_mailbox m;
	int r = store_mailbox_get(b->link->store, b->acts[0].op.mailbox, &m);

	if (r == ERR_NOTFOUND)
		return sync_batch_refused(b, r, "the mailbox does not exist any more");
	if (r < 0)
		return r;
	if (!m.wire_name)
		r = sync_batch_later(b, 5000, ERR_NOTFOUND, "the mailbox is not on the server yet");
	else if (b->acts[0].op.state == STORE_OP_SENT)
		r = resume(b, &m);
	else
		r = send_new(b, &m);
	store_mailbox_release(&m);
	return r;
}
