/* SPDX-License-Identifier: MIT */
#include "sync_link_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "mem.h"
#include "sync_priv.h"
#include "wordset.h"

enum {
	RENUMBERED_MAX = 1000, /* by one VANISHED; above it the numbers are learned anew */
	MATCH_MIN = 64         /* messages of a mailbox where that is worth its bytes */
};

/* A command that has not ended. */
struct sync_call {
	struct sync_link *link;
	struct sync_box *box;
	sync_done_fn done;
	void *ctx;
	bool is_select;
	struct sync_call *next;
};

static void on_data(void *ctx, const struct imap_resp *r);

int sync_link_init(struct sync_link *l, struct sync *s, const char *name, struct err_reason *why)
{
	int r;

	*l = (struct sync_link){ .sync = s, .name = name };
	r = store_open(s->cfg.state_dir, s->cfg.cache_dir, &l->store, why);
	if (r < 0)
		return r;
	store_set_listener(l->store, s->cfg.on_change, s->cfg.on_change_ctx);
	store_op_set_hold(l->store, s->cfg.hold_ms);
	l->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->cancel_fd >= 0)
		return 0;
	store_close(&l->store);
	return err_set(why, ERR_IO, "no descriptor left");
}

void sync_link_release(struct sync_link *l)
{
	sync_link_disconnect(l);
	if (l->store)
		close(l->cancel_fd);
	store_close(&l->store);
}

bool sync_link_up(const struct sync_link *l)
{
	return l->session && imap_session_state(l->session) != IMAP_STATE_CLOSED;
}

bool sync_link_has(const struct sync_link *l, const char *word)
{
	return l->session && imap_session_has(l->session, word);
}

static enum imap_tls tls_of(enum sync_tls tls)
{
	switch (tls) {
	case SYNC_TLS_IMPLICIT:
		return IMAP_TLS_IMPLICIT;
	case SYNC_TLS_STARTTLS:
		return IMAP_TLS_STARTTLS;
	case SYNC_TLS_NONE:
		return IMAP_TLS_NONE;
	}
	return IMAP_TLS_IMPLICIT;
}

void sync_link_options(const struct sync_config *cfg, struct imap_options *opt)
{
	*opt = (struct imap_options){
		.host = cfg->host,
		.port = cfg->port                       ? cfg->port
		        : cfg->tls == SYNC_TLS_IMPLICIT ? 993
		                                        : 143,
		.tls = tls_of(cfg->tls),
		.insecure = cfg->insecure,
		.cafile = cfg->cafile,
		.cert = cfg->cert,
		.key = cfg->key,
		.pin = cfg->pin,
		.tunnel = cfg->tunnel,
		.auth = cfg->auth,
		.user = cfg->user,
		.password = cfg->password,
		.token = cfg->token,
		.password_ctx = cfg->password_ctx,
		.memory = { cfg->recall, cfg->note, cfg->password_ctx },
		.disable = cfg->disable,
		.connect_ms = cfg->timeout_ms,
		.timeout_ms = cfg->timeout_ms,
	};
}

int sync_link_connect(struct sync_link *l, struct err_reason *why)
{
	struct sync *s = l->sync;
	struct imap_session *session = NULL;
	struct imap_options opt;
	uint64_t drained;
	int r;

	sync_link_disconnect(l);
	pthread_mutex_lock(&s->lock);
	l->since = s->drop_links;
	l->progressed = false;
	l->rights_known = l->sizes_known = l->unpaged = false;
	if (read(l->cancel_fd, &drained, sizeof(drained)) < 0)
		drained = 0;
	r = s->stopping || s->paused ? ERR_CANCELED : 0;
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		return r;
	sync_link_options(&s->cfg, &opt);
	r = imap_session_open_fd(&opt, l->cancel_fd, &session, why);
	if (r < 0)
		return r;
	imap_session_set_handler(session, (struct imap_handler){ on_data, l });
	pthread_mutex_lock(&s->lock);
	l->session = session;
	l->counted = (struct imap_traffic){ 0 };
	l->notify = SYNC_NOTIFY_UNASKED;
	l->news = false;
	pthread_mutex_unlock(&s->lock);
	sync_modseq_enable(l);
	return sync_should_leave(s, l->since) ? ERR_CANCELED : 0;
}

void sync_link_disconnect(struct sync_link *l)
{
	struct imap_session *session;

	pthread_mutex_lock(&l->sync->lock);
	session = l->session;
	pthread_mutex_unlock(&l->sync->lock);
	if (session) {
		sync_note_traffic(l->sync, l);
		pthread_mutex_lock(&l->sync->lock);
		l->session = NULL;
		pthread_mutex_unlock(&l->sync->lock);
		imap_session_close(&session);
	}
	sync_box_unref(&l->box);
	l->selected = false;
	sync_claim_release(l->sync, l, 0);
}

void sync_link_wake(struct sync_link *l)
{
	if (l->session)
		imap_session_interrupt(l->session);
}

void sync_link_interrupt(struct sync_link *l)
{
	uint64_t one = 1;

	if (l->session)
		sync_link_wake(l);
	else if (write(l->cancel_fd, &one, sizeof(one)) < 0)
		return; /* full: it is readable already */
}

/* ---- Selected mailboxes ---- */

struct sync_box *sync_box_ref(struct sync_box *b)
{
	if (b)
		b->refs++;
	return b;
}

void sync_box_unref(struct sync_box **b)
{
	struct sync_box *box = *b;

	*b = NULL;
	if (!box || --box->refs > 0)
		return;
	imap_msgmap_free(&box->map);
	free(box->permanent_flags);
	free(box->mailboxid);
	free(box->wire_name);
	free(box);
}

uint32_t sync_box_uid(const struct sync_box *b, const struct imap_resp *r)
{
	return r->fetch->uid ? r->fetch->uid : imap_msgmap_uid(b->map, r->number);
}

static void note_modseq(struct sync_box *b, uint64_t modseq)
{
	b->highestmodseq = modseq;
	b->modseq_told = true;
}

/* RFC 7162 section 6: what the server said counts, though it is less than FETCHes have shown; where it
 * said nothing, the greatest that they have shown.  Never in between: VANISHED may be on its way. */
static void box_note_tagged(struct sync_box *b)
{
	if (!b->modseq_told && b->highestmodseq > 0 && b->seen_modseq > b->highestmodseq)
		b->highestmodseq = b->seen_modseq;
	b->modseq_told = false;
	b->seen_modseq = 0;
}

/* The facts that come with SELECT, and later changes of them. */
static void box_note_code(struct sync_box *b, const struct imap_resp *r)
{
	enum imap_code code = r->code;

	if (code == IMAP_CODE_UIDVALIDITY)
		b->uidvalidity = (uint32_t)r->code_number;
	else if (code == IMAP_CODE_UIDNEXT)
		b->uidnext = (uint32_t)r->code_number;
	else if (code == IMAP_CODE_HIGHESTMODSEQ)
		note_modseq(b, r->code_number);
	else if (code == IMAP_CODE_NOMODSEQ)
		b->nomodseq = true;
	else if (code == IMAP_CODE_UIDNOTSTICKY)
		b->uidnotsticky = true;
	else if (code == IMAP_CODE_READ_ONLY)
		b->read_only = true;
	if (code == IMAP_CODE_MAILBOXID && r->code_text) {
		free(b->mailboxid);
		b->mailboxid = mem_strdup(r->code_text);
	}
	if (code != IMAP_CODE_PERMANENTFLAGS)
		return;
	free(b->permanent_flags);
	b->permanent_flags = mem_strdup(r->code_flags ? r->code_flags : "");
	b->keywords_ok = wordset_has(b->permanent_flags, "\\*");
}

static void box_note(struct sync_box *b, const struct imap_resp *r)
{
	if (r->kind == IMAP_RESP_COND || r->kind == IMAP_RESP_TAGGED) {
		box_note_code(b, r);
	} else if (r->kind == IMAP_RESP_EXISTS) {
		b->exists = r->number;
		(void)imap_msgmap_set_exists(b->map, r->number);
	} else if (r->kind == IMAP_RESP_FETCH) {
		if (r->fetch->uid)
			imap_msgmap_set(b->map, r->number, r->fetch->uid);
		if (r->fetch->has_modseq && r->fetch->modseq <= INT64_MAX &&
		    r->fetch->modseq > b->seen_modseq)
			b->seen_modseq = r->fetch->modseq;
	}
}

/* Each was a message (RFC 7162 3.2.10.2).  Where one has no known number, nor do those behind it:
 * they come with their UIDs then. */
static void box_note_vanished(struct sync_box *b, const struct imap_set *uids)
{
	uint64_t n = imap_set_size(uids, b->exists);
	bool mapped = n <= b->exists && n <= RENUMBERED_MAX;

	if (n > b->exists)
		n = b->exists;
	for (uint64_t i = 0; i < n && mapped; i++)
		mapped = imap_msgmap_vanish(b->map, imap_set_nth(uids, i));
	b->exists -= (uint32_t)n;
	if (mapped)
		return;
	imap_msgmap_clear(b->map);
	(void)imap_msgmap_set_exists(b->map, b->exists);
}

/* EXPUNGE renumbers only after the consumer has asked which UID it was. */
static void box_note_after(struct sync_box *b, const struct imap_resp *r)
{
	if (r->kind == IMAP_RESP_EXPUNGE) {
		(void)imap_msgmap_expunge(b->map, r->number);
		if (b->exists)
			b->exists--;
	} else if (r->kind == IMAP_RESP_VANISHED && !r->vanished.earlier) {
		box_note_vanished(b, &r->vanished.uids);
	}
}

/* Told beside the answers to a command; of flags whoever takes the data knows better. */
static bool is_news(const struct sync_box *b, const struct imap_resp *r)
{
	if (r->kind == IMAP_RESP_EXISTS)
		return r->number != b->exists;
	return r->kind == IMAP_RESP_EXPUNGE ||
	       (r->kind == IMAP_RESP_VANISHED && !r->vanished.earlier) ||
	       (r->kind == IMAP_RESP_FETCH && !b->data);
}

static void on_data(void *ctx, const struct imap_resp *r)
{
	struct sync_link *l = ctx;
	struct sync_box *b = l->first ? l->first->box : l->box;

	if (b && !l->first && !b->done)
		b = NULL;
	if (b && !b->done && r->kind == IMAP_RESP_COND && r->code == IMAP_CODE_CLOSED) {
		b->exists = 0; /* what came so far was about the mailbox before (RFC 7162 3.2.11) */
		b->alone = true;
		imap_msgmap_clear(b->map);
		return;
	}
	sync_modseq_note(l, r);
	sync_notify_note(l, r);
	if (b && is_news(b, r))
		b->told = true;
	if (b)
		box_note(b, r);
	if (b && b->data && (b->ok || (b->resync && b->alone && !b->done)))
		b->data(b->ctx, b, r);
	else if (l->data)
		l->data(l->ctx, r);
	if (b)
		box_note_after(b, r);
}

/* ---- Commands ---- */

static void call_remove(struct sync_call *c)
{
	struct sync_link *l = c->link;
	struct sync_call **p = &l->first, *before = NULL;

	for (; *p != c; p = &(*p)->next)
		before = *p;
	*p = c->next;
	if (l->last == c)
		l->last = before;
}

static void select_ended(struct sync_box *b, const struct imap_result *res)
{
	b->done = true;
	b->err = res->err;
	if (res->err == 0 && res->resp)
		box_note_code(b, res->resp);
	if (res->err == 0 && b->expected && b->uidvalidity != b->expected)
		b->err = ERR_CONFLICT;
	if (res->err == 0 && b->uidvalidity == 0)
		b->err = ERR_PROTO;
	b->ok = b->err == 0;
}

static void call_ended(void *ctx, const struct imap_result *res)
{
	struct sync_call *c = ctx;

	if (c->is_select)
		select_ended(c->box, res);
	else if (c->box && res->resp)
		box_note_code(c->box, res->resp);
	if (c->box && res->resp)
		box_note_tagged(c->box);
	call_remove(c);
	if (c->done)
		c->done(c->ctx, res);
	sync_box_unref(&c->box);
	free(c);
}

static void send_call(struct sync_link *l, struct imap_cmd **cmd, struct sync_box *box,
                      sync_done_fn done, void *ctx, bool is_select)
{
	struct sync_call *c = mem_alloc(sizeof(*c));
	int r;

	*c = (struct sync_call){
		.link = l,
		.box = sync_box_ref(box),
		.done = done,
		.ctx = ctx,
		.is_select = is_select,
	};
	if (l->last)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
	r = l->session ? imap_session_send(l->session, cmd, call_ended, c) : ERR_OFFLINE;
	if (r == 0)
		return;
	imap_cmd_free(cmd);
	call_ended(c, &(struct imap_result){ .err = r, .unsent = true });
}

void sync_link_send(struct sync_link *l, struct imap_cmd **cmd, struct sync_box *box,
                    sync_done_fn done, void *ctx)
{
	send_call(l, cmd, box, done, ctx, false);
}

/* Keeps the reason, and ends the commands outstanding while those who wait for them live. */
static void link_lost(struct sync_link *l)
{
	if (l->session && imap_session_reason(l->session)->text[0])
		l->why = *imap_session_reason(l->session);
	sync_link_disconnect(l);
}

int sync_link_run(struct sync_link *l, size_t leave)
{
	int r;

	do {
		if (sync_should_leave(l->sync, l->since))
			r = ERR_CANCELED;
		else
			r = l->session ? imap_session_run(l->session, leave) : ERR_OFFLINE;
	} while (r == ERR_CANCELED && !sync_should_leave(l->sync, l->since));
	sync_note_traffic(l->sync, l);
	if (r < 0)
		link_lost(l);
	return r;
}

int sync_link_idle(struct sync_link *l, int max_ms)
{
	int r;

	if (sync_should_leave(l->sync, l->since))
		r = ERR_CANCELED;
	else
		r = l->session ? imap_session_idle(l->session, max_ms) : ERR_OFFLINE;
	sync_note_traffic(l->sync, l);
	if (r >= 0 && l->box)
		box_note_tagged(l->box);
	if (r == ERR_CANCELED && !sync_should_leave(l->sync, l->since))
		return 0;
	if (r < 0)
		link_lost(l);
	return r;
}

/* ---- Replies ---- */

void sync_set_copy(struct imap_set *out, const struct imap_set *from)
{
	*out = (struct imap_set){ .count = from->count };
	if (from->count == 0)
		return;
	out->ranges = mem_realloc(NULL, from->count, sizeof(*out->ranges));
	memcpy(out->ranges, from->ranges, from->count * sizeof(*out->ranges));
}

void sync_set_append(struct imap_set *set, const struct imap_set *more)
{
	if (more->count == 0)
		return;
	set->ranges = mem_realloc(set->ranges, set->count + more->count, sizeof(*set->ranges));
	memcpy(set->ranges + set->count, more->ranges, more->count * sizeof(*set->ranges));
	set->count += more->count;
}

void sync_reply_fill(struct sync_reply *out, const struct imap_result *res)
{
	*out = (struct sync_reply){
		.err = res->err,
		.answered = res->answered,
		.unsent = res->unsent,
	};
	if (!res->resp) {
		(void)snprintf(out->text, sizeof(out->text), "%s", err_text(res->err));
		return;
	}
	out->cond = res->resp->cond;
	out->code = res->resp->code;
	out->code_number = res->resp->code_number;
	sync_set_copy(&out->code_set, &res->resp->code_set);
	sync_set_copy(&out->code_set2, &res->resp->code_set2);
	(void)snprintf(out->text, sizeof(out->text), "%s", res->resp->text ? res->resp->text : "");
}

void sync_reply_release(struct sync_reply *r)
{
	free(r->code_set.ranges);
	free(r->code_set2.ranges);
	r->code_set = r->code_set2 = (struct imap_set){ 0 };
}

void sync_reply_done(void *ctx, const struct imap_result *res)
{
	sync_reply_fill(ctx, res);
}

int sync_link_exec(struct sync_link *l, struct imap_cmd **cmd, struct sync_box *box,
                   struct sync_reply *out)
{
	struct sync_reply own = { .err = ERR_OFFLINE };
	int r;

	sync_link_send(l, cmd, box, sync_reply_done, &own);
	r = sync_link_run(l, 0);
	if (r < 0 && own.err == 0)
		own.err = r;
	r = own.err;
	if (out)
		*out = own;
	else
		sync_reply_release(&own);
	return r;
}

/* ---- SELECT ---- */

/* Which UID some message numbers had, fewer and fewer towards the beginning: a server that has
 * forgotten what was expunged need not name all that is not there (RFC 7162 3.2.5.2). */
static void add_match(struct sync_link *l, const struct store_mailbox *m, struct imap_cmd *cmd)
{
	_cleanup_free_ uint32_t *uids = NULL;
	struct buf numbers = BUF_INIT(1024), values = BUF_INIT(1024);
	size_t count = 0, step;

	if (m->messages < MATCH_MIN || store_pull_uids(l->store, m->id, &uids, &count) < 0 ||
	    count != m->messages || uids[count - 1] >= m->uidnext) {
		imap_cmd_rawf(cmd, "(QRESYNC (%u %llu 1:%u))", m->uidvalidity,
		              (unsigned long long)m->highestmodseq, m->uidnext - 1);
		return;
	}
	for (step = 1; step * 2 < count; step *= 2)
		;
	for (; step > 0; step /= 2) {
		(void)buf_printf(&numbers, "%s%zu", numbers.len ? "," : "", count - step + 1);
		(void)buf_printf(&values, "%s%u", values.len ? "," : "", uids[count - step]);
	}
	imap_cmd_rawf(cmd, "(QRESYNC (%u %llu 1:%u (%s %s)))", m->uidvalidity,
	              (unsigned long long)m->highestmodseq, m->uidnext - 1, numbers.data,
	              values.data);
	buf_release(&numbers);
	buf_release(&values);
}

static struct sync_box *select_as(struct sync_link *l, const struct store_mailbox *m, bool resync)
{
	struct sync_box *b = mem_alloc(sizeof(*b));
	struct imap_cmd *cmd = imap_cmd_new("SELECT");

	*b = (struct sync_box){
		.refs = 1,
		.mailbox = m->id,
		.expected = m->uidvalidity,
		.map = imap_msgmap_new(),
		.wire_name = mem_strdup(m->wire_name),
		.keywords_ok = true,
		.known_modseq = m->highestmodseq,
		.resync = resync,
		.alone = !l->selected,
	};
	imap_cmd_mailbox(cmd, m->wire_name);
	if (resync)
		add_match(l, m, cmd);
	else if (sync_modseq_offered(l))
		imap_cmd_raw(cmd, "(CONDSTORE)");
	l->selected = true;
	send_call(l, &cmd, b, NULL, NULL, true);
	sync_box_unref(&l->box);
	l->box = sync_box_ref(b);
	return b;
}

struct sync_box *sync_link_select(struct sync_link *l, const struct store_mailbox *m)
{
	return select_as(l, m, false);
}

struct sync_box *sync_link_resync(struct sync_link *l, const struct store_mailbox *m)
{
	return select_as(l, m, true);
}

static int box_record(struct sync_link *l, const struct sync_box *b)
{
	struct store_selected sel = {
		.uidvalidity = b->uidvalidity,
		.read_only = b->read_only,
		.uidnotsticky = b->uidnotsticky,
		.keywords_ok = b->keywords_ok,
		.permanent_flags = b->permanent_flags,
		.mailboxid = b->mailboxid,
	};

	return store_pull_selected(l->store, b->mailbox, &sel);
}

int sync_link_open_box(struct sync_link *l, int64_t mailbox, struct sync_box **out,
                       struct err_reason *why)
{
	struct store_mailbox m;
	struct sync_box *b;
	int64_t before;
	int r;

	/* Where there is no UNSELECT it stays selected when the other connection takes it over. */
	sync_claim_wait(l->sync, l, mailbox);
	if (l->box && l->box->mailbox == mailbox && l->box->ok && l->first == NULL) {
		*out = sync_box_ref(l->box);
		return 0;
	}
	r = store_mailbox_get(l->store, mailbox, &m);
	if (r < 0)
		return err_set(why, r, "the mailbox is not known any more");
	if (!m.wire_name) {
		store_mailbox_release(&m);
		return err_set(why, ERR_NOTFOUND, "the mailbox is not on the server yet");
	}
	before = l->box ? l->box->mailbox : 0;
	b = sync_link_select(l, &m);
	r = sync_link_run(l, 0);
	if (before && before != mailbox)
		sync_claim_release(l->sync, l, before);
	if (r == 0)
		r = b->err;
	if (r == 0)
		r = box_record(l, b);
	if (r == 0)
		*out = sync_box_ref(b);
	else
		(void)err_set(why, r, "mailbox %s: %s", m.wire_name, err_text(r));
	sync_box_unref(&b);
	if (r < 0 && sync_link_up(l))
		sync_box_unref(&l->box);
	store_mailbox_release(&m);
	return r;
}

void sync_link_unselect(struct sync_link *l)
{
	struct imap_cmd *cmd;

	if (!l->box || !sync_link_has(l, "UNSELECT"))
		return;
	cmd = imap_cmd_new("UNSELECT");
	sync_link_send(l, &cmd, l->box, NULL, NULL);
	sync_box_unref(&l->box);
	l->selected = false;
}

void sync_link_leave(struct sync_link *l)
{
	struct imap_cmd *cmd;

	sync_link_unselect(l);
	if (!l->box || !l->session)
		return;
	cmd = imap_cmd_new("EXAMINE");
	imap_cmd_raw(cmd, "INBOX");
	sync_link_send(l, &cmd, NULL, NULL, NULL);
	sync_box_unref(&l->box);
}
