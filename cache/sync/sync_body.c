/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sync_pass_priv.h"
#include "sync_uids_priv.h"

/*
 * Bodies, in commands that are pipelined up to a window of bytes in flight.  Small ones
 * go many in one command, large ones in pieces; what comes is gathered and written in
 * short transactions, so that nobody waits for this thread's writing while it waits for the network.
 *
 *   QUEUED --pump--> SENT --right--> gone (written)
 *      ^               |--odd, missing, first time--> QUEUED, alone
 *      |               '--again--> failed (nothing is kept)
 *      '-----------------'
 * A body is right when its length is what the server says twice: in RFC822.SIZE of the same answer
 * and in the descriptor.  An odd length that comes twice is believed: some servers lie about sizes.
 */
enum {
	PIECE = 512 * 1024,
	LARGE = 1024 * 1024, /* from here on in pieces */
	COMMAND_BODIES = 100,
	COMMAND_BYTES = 1024 * 1024,
	WRITE_BODIES = 100,
	WRITE_BYTES = 4 * 1024 * 1024,
	OVERHEAD = 512, /* of a small body, in bytes of the window */
	WINDOW_MIN = 1024 * 1024,
	WINDOW_MAX = 64 * 1024 * 1024,
	TUNE_MS = 250,
	UNSAID_MAX = 128 * 1024 * 1024, /* what comes beyond what was said */
	TRIES = 3,
	WANTS = 32
};

/* What is said to be larger is asked for as if it were so large: sums of sizes stay numbers. */
#define SIZE_BELIEVED (UINT64_C(1) << 40)

struct item {
	struct sync_need need;
	bool urgent, alone, settled;
	int tries;
	int64_t odd_len; /* of the first time; -1: none */
	int orders;      /* commands that are about it */
	/* Large ones: */
	uint64_t limit; /* bytes, above which it is taken for endless */
	struct store_body_writer *writer;
	uint64_t asked, have; /* bytes */
	bool ended, broken;   /* a piece was short; one was wrong */
	struct item *next;    /* queue */
};

/* A command under way. */
struct order {
	struct sync_bodies *b;
	struct sync_box *box;
	size_t count;
	uint64_t bytes;
	struct item *items[COMMAND_BODIES];
};

/* A body to be written */
struct ready {
	int64_t message;
	bool urgent;
	char *data;
	size_t len;
};

struct sync_bodies {
	struct sync_link *link;
	struct item *queue, **queue_end;
	struct item **sent; /* in order of asking */
	size_t sent_count, sent_cap, cursor;
	uint64_t queued, in_flight, window; /* bytes, by size as known */
	int64_t window_ms;                  /* when the present window began */
	uint64_t window_got;
	struct ready ready[WRITE_BODIES];
	size_t ready_count, ready_bytes;
	bool ready_urgent;
	struct item *large; /* under way in pieces, not all of which are asked for */
	bool lets_in;       /* people's wants, between the pieces of a large one */
	int64_t stored;
	int disk_err;
};

/* ---- Items ---- */

static uint64_t cost(const struct sync_need *n)
{
	return n->size + OVERHEAD;
}

static void enqueue(struct sync_bodies *b, struct item *it)
{
	b->queued += cost(&it->need);
	it->next = NULL;
	*b->queue_end = it;
	b->queue_end = &it->next;
}

/* In front of what nobody waits for: there is the urgent, and a large one that has begun and goes on. */
static void enqueue_early(struct sync_bodies *b, struct item *it)
{
	struct item **p = &b->queue;

	while (*p && (*p)->urgent)
		p = &(*p)->next;
	b->queued += cost(&it->need);
	it->next = *p;
	*p = it;
	if (!it->next)
		b->queue_end = &it->next;
}

static void tell(struct sync_bodies *b, const struct item *it, int err)
{
	if (!it->urgent)
		return;
	if (err == ERR_OFFLINE || err == ERR_CANCELED)
		sync_want_untake(b->link->sync, it->need.message);
	else
		sync_want_finish(b->link->sync, it->need.message, err);
}

static void fail(struct sync_bodies *b, struct item *it, int err)
{
	log_debug("sync: no body for UID %u: %s", it->need.uid, err_text(err));
	if (err == ERR_BUSY) /* some say so of one message for ever */
		b->link->unfinished = true;
	store_body_abort(&it->writer);
	tell(b, it, err);
	free(it);
}

static void sent_add(struct sync_bodies *b, struct item *it)
{
	if (b->sent_count == b->sent_cap) {
		b->sent_cap = b->sent_cap ? b->sent_cap * 2 : 256;
		b->sent = mem_realloc(b->sent, b->sent_cap, sizeof(*b->sent));
	}
	b->sent[b->sent_count++] = it;
}

/* Answers come in the order of asking as a rule: the search begins behind the last hit. */
static struct item *sent_find(struct sync_bodies *b, int64_t mailbox, uint32_t uid)
{
	for (size_t n = 0; n < b->sent_count; n++) {
		size_t i = (b->cursor + n) % b->sent_count;

		if (b->sent[i]->need.uid == uid && b->sent[i]->need.mailbox == mailbox) {
			b->cursor = i;
			return b->sent[i];
		}
	}
	return NULL;
}

static void sent_remove(struct sync_bodies *b, const struct item *it)
{
	for (size_t i = 0; i < b->sent_count; i++) {
		if (b->sent[i] != it)
			continue;
		memmove(b->sent + i, b->sent + i + 1, (b->sent_count - i - 1) * sizeof(*b->sent));
		b->sent_count--;
		if (b->cursor > i)
			b->cursor--;
		return;
	}
}

/* ---- Writing ---- */

static int write_one(struct store *st, const struct ready *rd)
{
	struct store_body_writer *w = NULL;
	int r = store_body_begin(st, rd->message, rd->len, &w);

	if (r == 0 && rd->len > 0)
		r = store_body_part(w, rd->data, rd->len);
	if (r == 0)
		return store_body_end(&w);
	store_body_abort(&w);
	return r;
}

static int write_ready(struct sync_bodies *b)
{
	struct store *st = b->link->store;
	int r = store_batch_begin(st);

	for (size_t i = 0; i < b->ready_count && r == 0; i++) {
		r = write_one(st, &b->ready[i]);
		if (r == ERR_NOTFOUND)
			r = 0; /* the message went meanwhile */
	}
	if (r == 0)
		return store_batch_commit(st);
	store_batch_abort(st);
	return r;
}

static void flush(struct sync_bodies *b)
{
	int r = b->ready_count ? write_ready(b) : 0;

	if (r < 0 && b->disk_err == 0) {
		b->disk_err = r;
		log_error("sync: bodies cannot be kept: %s", err_text(r));
	}
	for (size_t i = 0; i < b->ready_count; i++) {
		if (b->ready[i].urgent)
			sync_want_finish(b->link->sync, b->ready[i].message, r);
		b->stored += r == 0 && !b->ready[i].urgent;
		free(b->ready[i].data);
	}
	b->ready_count = b->ready_bytes = 0;
	b->ready_urgent = false;
}

static void keep(struct sync_bodies *b, const struct item *it, const char *data, size_t len)
{
	struct ready *rd = &b->ready[b->ready_count++];

	*rd = (struct ready){ .message = it->need.message, .urgent = it->urgent, .len = len };
	rd->data = mem_strndup("", 0);
	if (len) {
		rd->data = mem_realloc(rd->data, len, 1);
		memcpy(rd->data, data, len);
	}
	b->ready_bytes += len;
	b->ready_urgent |= it->urgent;
	if (b->ready_count == WRITE_BODIES || b->ready_bytes >= WRITE_BYTES)
		flush(b);
}

/* ---- Answers ---- */

/* Courier gives this in place of a message that another session expunged. */
static bool is_made_up(const char *data, size_t len)
{
	static const char subject[] = "Subject: message unavailable";

	return len < 1024 && memmem(data, len, subject, sizeof(subject) - 1) != NULL;
}

static void take_whole(struct sync_bodies *b, struct item *it, const struct imap_fetch *f,
                       const struct imap_body *body)
{
	size_t len = body->nil ? 0 : body->len;
	bool right = (!f->has_size || f->size == len) &&
	             (it->need.size == 0 || it->need.size == len);

	if (body->truncated)
		it->need.size = LARGE + 1; /* whatever was said: the next try is in pieces */
	if (body->truncated || (len == 0 && !(f->has_size && f->size == 0)))
		return; /* counts as missing when the command ends */
	if (!right && (it->odd_len != (int64_t)len || is_made_up(body->data, len))) {
		it->odd_len = (int64_t)len;
		return;
	}
	keep(b, it, body->data, len);
	it->settled = true;
}

static void take_piece(struct sync_bodies *b, struct item *it, const struct imap_body *body)
{
	int r = 0;

	if (it->broken)
		return;
	if (body->truncated || (!body->nil && (!body->has_origin || body->origin != it->have))) {
		it->broken = body->nil || body->truncated || body->len > 0;
		it->ended |= !it->broken;
		return;
	}
	if (body->nil || body->len == 0) {
		it->ended = true;
		return;
	}
	flush(b);
	if (!it->writer)
		r = store_body_begin(b->link->store, it->need.message, it->need.size, &it->writer);
	if (r == 0)
		r = store_body_part(it->writer, body->data, body->len);
	if (r < 0) {
		it->broken = true;
		if (r != ERR_NOTFOUND && b->disk_err == 0)
			b->disk_err = r;
		return;
	}
	it->have += body->len;
	it->ended |= body->len < PIECE;
}

static void on_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct sync_bodies *b = ctx;
	struct item *it;

	if (r->kind == IMAP_RESP_FETCH && r->fetch->has_flags)
		box->told = true; /* somebody has changed them */
	if (r->kind != IMAP_RESP_FETCH || r->fetch->body_count == 0 ||
	    r->fetch->bodies[0].section[0] != '\0')
		return;
	it = sent_find(b, box->mailbox, sync_box_uid(box, r));
	if (!it || it->settled)
		return;
	b->window_got += r->fetch->bodies[0].len;
	if (it->asked)
		take_piece(b, it, &r->fetch->bodies[0]);
	else
		take_whole(b, it, r->fetch, &r->fetch->bodies[0]);
}

/* ---- The end of a command ---- */

static void again_or_fail(struct sync_bodies *b, struct item *it, int err)
{
	store_body_abort(&it->writer);
	it->asked = it->have = 0;
	it->ended = it->broken = false;
	it->alone = true;
	if (err == ERR_OFFLINE || err == ERR_CANCELED || err == ERR_TIMEOUT || ++it->tries >= TRIES)
		fail(b, it, err);
	else
		enqueue(b, it);
}

static void settle_large(struct sync_bodies *b, struct item *it, int err)
{
	bool wanted = !it->urgent || sync_want_alive(b->link->sync, it->need.message);
	bool more = err == 0 && !it->broken && wanted && !it->ended && it->have <= it->limit &&
	            (it->have != it->need.size || it->have < it->asked);

	if (more && (b->large == it || b->in_flight == 0)) {
		b->large = NULL;
		if (b->lets_in) {
			sync_note_bodies(b->link->sync, b->stored, -1);
			sync_bodies_add_wants(b, it->need.mailbox);
		}
		enqueue_early(b, it);
		return;
	}
	if (b->large == it)
		b->large = NULL;
	if (more) { /* longer than was said, and others are on their way: from the start */
		store_body_abort(&it->writer);
		it->need.size = it->have * 2;
		it->asked = it->have = 0;
		enqueue(b, it);
		return;
	}
	if (err == 0 && !it->broken && it->writer && (it->ended || it->have == it->need.size)) {
		err = store_body_end(&it->writer);
		if (err == 0) {
			b->stored += !it->urgent;
			tell(b, it, 0);
			free(it);
			return;
		}
	}
	if (err == 0)
		err = !wanted ? ERR_CANCELED : it->have == 0 && !it->broken ? ERR_NOTFOUND : ERR_IO;
	again_or_fail(b, it, err);
}

static void on_done(void *ctx, const struct imap_result *res)
{
	struct order *o = ctx;
	struct sync_bodies *b = o->b;

	b->in_flight -= o->bytes;
	for (size_t i = 0; i < o->count; i++) {
		struct item *it = o->items[i];

		if (--it->orders > 0)
			continue;
		sent_remove(b, it);
		if (it->settled)
			free(it);
		else if (o->box->done && !o->box->ok)
			fail(b, it, o->box->err);
		else if (it->asked)
			settle_large(b, it, res->err);
		else
			again_or_fail(b, it,
			              res->err < 0       ? res->err
			              : it->odd_len >= 0 ? ERR_IO
			                                 : ERR_NOTFOUND);
	}
	if (b->ready_urgent)
		flush(b);
	sync_box_unref(&o->box);
	free(o);
}

/* ---- Asking ---- */

static bool in_place(struct sync_bodies *b, int64_t mailbox)
{
	struct sync_link *l = b->link;
	struct store_mailbox m;
	struct sync_box *box;

	if (!l->box || l->box->mailbox != mailbox || (l->box->done && !l->box->ok)) {
		if (store_mailbox_get(l->store, mailbox, &m) < 0)
			return false;
		if (!m.wire_name) {
			store_mailbox_release(&m);
			return false;
		}
		box = sync_link_select(l, &m);
		sync_box_unref(&box);
		store_mailbox_release(&m);
	}
	l->box->data = on_data;
	l->box->ctx = b;
	return true;
}

static struct order *order_new(struct sync_bodies *b)
{
	struct order *o = mem_alloc(sizeof(*o));

	o->b = b;
	o->box = sync_box_ref(b->link->box);
	return o;
}

static void order_add(struct order *o, struct item *it, uint64_t bytes)
{
	o->items[o->count++] = it;
	o->bytes += bytes;
	if (it->orders++ == 0)
		sent_add(o->b, it);
}

static struct item *dequeue(struct sync_bodies *b)
{
	struct item *it = b->queue;

	b->queued -= cost(&it->need);
	b->queue = it->next;
	if (!b->queue)
		b->queue_end = &b->queue;
	return it;
}

/* As many pieces as the window has room for, one at least. */
static void send_pieces(struct sync_bodies *b, struct item *it)
{
	uint64_t goal = it->need.size > it->have ? it->need.size : it->have + 1;

	it->asked = it->have; /* nothing of it is in flight */
	do {
		struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
		struct order *o = order_new(b);

		imap_cmd_rawf(cmd, "%u (UID BODY.PEEK[]<%llu.%d>)", it->need.uid,
		              (unsigned long long)it->asked, PIECE);
		it->asked += PIECE;
		order_add(o, it, PIECE);
		b->in_flight += PIECE;
		sync_link_send(b->link, &cmd, b->link->box, on_done, o);
	} while (it->asked < goal && b->in_flight < b->window && sync_link_up(b->link));
	b->large = it->asked < goal ? it : NULL;
}

static int by_uid(const void *a, const void *b)
{
	uint32_t x = (*(struct item *const *)a)->need.uid, y = (*(struct item *const *)b)->need.uid;

	return x < y ? -1 : x > y;
}

/* One command for the next items of the same mailbox. */
static void send_small(struct sync_bodies *b)
{
	int64_t mailbox = b->queue->need.mailbox;
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
	struct order *o = order_new(b);
	uint32_t uids[COMMAND_BODIES];
	size_t n = 0;

	do {
		bool alone = b->queue->alone;

		order_add(o, b->queue, cost(&b->queue->need));
		(void)dequeue(b);
		if (alone)
			break;
	} while (b->queue && b->queue->need.mailbox == mailbox && !b->queue->alone &&
	         b->queue->need.size < LARGE && o->count < SYNC_SET_BYTES / 11 &&
	         o->bytes < COMMAND_BYTES);
	qsort(o->items, o->count, sizeof(struct item *), by_uid);
	for (size_t i = 0; i < o->count; i++)
		if (n == 0 || uids[n - 1] != o->items[i]->need.uid)
			uids[n++] = o->items[i]->need.uid;
	imap_cmd_uids(cmd, uids, n);
	imap_cmd_raw(cmd, "(UID RFC822.SIZE BODY.PEEK[])");
	b->in_flight += o->bytes;
	sync_link_send(b->link, &cmd, b->link->box, on_done, o);
}

static void pump(struct sync_bodies *b)
{
	while (b->queue && !b->large && b->in_flight < b->window && sync_link_up(b->link)) {
		if (b->disk_err < 0)
			fail(b, dequeue(b), b->disk_err);
		else if (!in_place(b, b->queue->need.mailbox))
			fail(b, dequeue(b), ERR_NOTFOUND);
		else if (b->queue->need.size >= LARGE)
			send_pieces(b, dequeue(b));
		else
			send_small(b);
	}
}

/* What the link moves in a second, so that a person waits no longer than about that. */
static void tune(struct sync_bodies *b)
{
	int64_t now = clock_mono_ms(), took = now - b->window_ms;
	uint64_t goal;

	if (took < TUNE_MS)
		return;
	goal = b->window_got * 1000 / (uint64_t)took;
	if (goal > b->window * 2)
		goal = b->window * 2;
	b->window = goal < WINDOW_MIN ? WINDOW_MIN : goal > WINDOW_MAX ? WINDOW_MAX : goal;
	b->window_ms = now;
	b->window_got = 0;
}

int sync_bodies_run(struct sync_bodies *b, uint64_t bytes)
{
	int r = 0;

	while (r == 0 && (b->queue || b->in_flight > bytes)) {
		size_t outstanding;

		pump(b);
		outstanding = b->link->session ? imap_session_outstanding(b->link->session) : 0;
		r = sync_link_run(b->link, outstanding ? outstanding - 1 : 0);
		tune(b);
	}
	flush(b);
	while (r < 0 && b->queue)
		fail(b, dequeue(b), r);
	return r;
}

/* ---- From outside ---- */

struct sync_bodies *sync_bodies_new(struct sync_link *l)
{
	struct sync_bodies *b = mem_alloc(sizeof(*b));

	b->link = l;
	b->queue_end = &b->queue;
	b->window = 8 * WINDOW_MIN;
	b->window_ms = clock_mono_ms();
	return b;
}

void sync_bodies_free(struct sync_bodies **bp)
{
	struct sync_bodies *b = *bp;

	*bp = NULL;
	if (!b)
		return;
	while (b->queue)
		fail(b, dequeue(b), ERR_OFFLINE);
	if (b->link->box && b->link->box->ctx == b)
		b->link->box->data = NULL; /* what comes unasked for would be taken for an answer */
	free(b->sent);
	free(b);
}

void sync_bodies_add(struct sync_bodies *b, const struct sync_need *need, bool urgent)
{
	struct item *it = mem_alloc(sizeof(*it));

	*it = (struct item){ .need = *need, .urgent = urgent, .odd_len = -1 };
	if (it->need.size > SIZE_BELIEVED)
		it->need.size = SIZE_BELIEVED;
	it->limit = 2 * it->need.size + UNSAID_MAX;
	if (urgent)
		enqueue_early(b, it);
	else
		enqueue(b, it);
}

/* Of the mailbox that this link has selected, or of any when there is no other connection. */
void sync_bodies_add_wants(struct sync_bodies *b, int64_t mailbox)
{
	struct sync *s = b->link->sync;
	struct sync_need needs[WANTS];
	bool alone;
	size_t n;

	pthread_mutex_lock(&s->lock);
	alone = sync_server_absent(s);
	pthread_mutex_unlock(&s->lock);
	sync_want_resolve(s, b->link->store);
	n = sync_want_take(s, b->link, alone ? 0 : mailbox, needs, WANTS);
	for (size_t i = 0; i < n; i++)
		sync_bodies_add(b, &needs[i], true);
	b->lets_in = true;
}

bool sync_bodies_full(const struct sync_bodies *b)
{
	return b->queued >= b->window / 2;
}

int sync_bodies_top_up(struct sync_bodies *b)
{
	return sync_bodies_run(b, b->window / 2);
}

int64_t sync_bodies_stored(const struct sync_bodies *b)
{
	return b->stored;
}

bool sync_bodies_stuck(const struct sync_bodies *b)
{
	return b->disk_err < 0;
}
