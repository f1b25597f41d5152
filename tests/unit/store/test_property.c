/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <time.h>
#include <unistd.h>

#include "wordset.h"

/*
 * Random histories, run on two stores at once: one with the optimiser, one with a raw log.
 * Each has a model server that carries out its actions.  After every step the view must be
 * what a plain model of the user's intent says; at every synchronisation both servers must
 * hold the same, and the view must hold what the servers do.
 * Environment: SEED=N begins there (one history), LOGS=N runs so many.
 */
#define MESSAGES 400
#define BOXES 3
#define STEPS 120

static const char *const words[] = { "\\Seen", "\\Flagged", "$Work" };

/* One message on a model server. */
struct remote {
	bool there;
	int box;
	uint32_t uid;
	int content;
	unsigned int flags; /* bits of words[] */
};

struct side {
	struct world *w;
	int64_t box[BOXES];
	struct remote msg[MESSAGES * 4];
	int count;
	uint32_t uidnext[BOXES];
	int64_t id[MESSAGES]; /* node of each message of the model */
};

/* What the user should see of one. */
struct seen {
	bool there;
	int box, content;
	unsigned int flags;
};

struct history {
	struct side side[2];
	struct seen seen[MESSAGES];
	int count, contents;
	unsigned int seed;
};

static int rnd(struct history *h, int n)
{
	return (int)(rand_r(&h->seed) / 7 % (unsigned int)n);
}

static char *words_of(unsigned int bits)
{
	char *all = mem_strdup("");

	for (unsigned int i = 0; i < 3; i++) {
		if (bits & 1u << i) {
			char *more = wordset_union(all, words[i]);

			free(all);
			all = more;
		}
	}
	return all;
}

static unsigned int bits_of(const char *flags)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < 3; i++)
		bits |= wordset_has(flags, words[i]) ? 1u << i : 0;
	return bits;
}

/* ---- the model server ---- */

static struct remote *find_remote(struct side *d, int box, uint32_t uid)
{
	for (int i = 0; i < d->count; i++) {
		if (d->msg[i].there && d->msg[i].box == box && d->msg[i].uid == uid)
			return &d->msg[i];
	}
	return NULL;
}

static uint32_t remote_add(struct side *d, int box, int content, unsigned int flags)
{
	assert_true(d->count < MESSAGES * 4);
	d->msg[d->count++] = (struct remote){ true, box, ++d->uidnext[box], content, flags };
	return d->uidnext[box];
}

static int box_of(const struct side *d, int64_t id)
{
	for (int i = 0; i < BOXES; i++) {
		if (d->box[i] == id)
			return i;
	}
	fail_msg("mailbox %d of an action is not one of ours", (int)id);
	return -1;
}

static int spool_content(struct side *d, int64_t spool)
{
	char text[32] = "";
	int fd = store_spool_open(d->w->s, spool, 0);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atoi(text);
}

static void pull_one(struct side *d, const struct remote *m)
{
	char *flags = words_of(m->flags);
	struct store_descriptor desc = {
		.uid = m->uid, .flags = flags, .size = 10, .date = m->content, .modseq = 1
	};

	OK(store_pull_descriptor(d->w->s, d->box[m->box], &desc));
	free(flags);
}

static uint32_t carry(struct side *d, const struct store_op *op, struct remote *m)
{
	struct remote old;

	switch (op->kind) {
	case STORE_OP_APPEND:
		return remote_add(d, box_of(d, op->mailbox), spool_content(d, op->spool),
		                  bits_of(op->add));
	case STORE_OP_REPLACE:
		old = *m;
		m->there = false;
		return remote_add(d, old.box, spool_content(d, op->spool), old.flags);
	case STORE_OP_COPY:
		return remote_add(d, box_of(d, op->target), m->content, m->flags);
	case STORE_OP_MOVE:
		old = *m;
		m->there = false;
		return remote_add(d, box_of(d, op->target), old.content, old.flags);
	case STORE_OP_DELETE:
		old = *m;
		m->there = false;
		return op->target ? remote_add(d, box_of(d, op->target), old.content, old.flags)
		                  : 0;
	case STORE_OP_FLAGS:
		m->flags = (m->flags | bits_of(op->add)) & ~bits_of(op->del);
		return 0;
	case STORE_OP_CREATE:
	case STORE_OP_REMOVE:
	case STORE_OP_RENAME:
	case STORE_OP_SUBSCRIBE:
	case STORE_OP_UNSUBSCRIBE:
	case STORE_OP_LABELS:
		break;
	}
	fail_msg("an action that nobody asked for");
	return 0;
}

/* R128: every UID that is used was given by the server. */
static void execute(struct history *h, struct side *d, const struct store_op *op)
{
	struct store_op_done done = { .uidvalidity = 7 };
	struct remote *m = NULL;

	if (op->kind != STORE_OP_APPEND) {
		m = find_remote(d, box_of(d, op->mailbox), op->uid);
		if (!m)
			fail_msg("seed %u: action %d on a UID that is not there", h->seed,
			         op->kind);
	}
	if (rnd(h, 3) == 0) {
		OK(store_op_sent(d->w->s, op->seq, 1, "evidence"));
		if (rnd(h, 2) == 0)
			world_reopen(d->w);
		d->w->s->plain_log = d == &h->side[1];
	}
	done.uid = carry(d, op, m);
	if (done.uid && rnd(h, 4) == 0) /* pushed before the answer */
		pull_one(d, &d->msg[d->count - 1]);
	OK(store_op_done(d->w->s, op->seq, &done));
}

static void replay(struct history *h, struct side *d)
{
	struct store_op op = { 0 };

	while (store_op_next(d->w->s, 0, 0, &op) == 1) {
		execute(h, d, &op);
		store_op_release(&op);
	}
	assert_int_equal(world_ops(d->w), 0);
}

/* ---- comparing ---- */

static void check_view(struct history *h, struct side *d)
{
	for (int i = 0; i < h->count; i++) {
		const struct seen *v = &h->seen[i];
		struct store_node n;
		char *flags;
		int r = store_node_get(d->w->s, d->id[i], &n);
		int64_t at = r == 0 ? n.parent : 0;

		if (at != (v->there ? d->box[v->box] : 0))
			fail_msg("message %d is in %d", i, (int)at);
		if (!v->there)
			continue;
		flags = world_flags(d->w, d->id[i]);
		if (bits_of(flags) != v->flags)
			fail_msg("message %d has flags %s", i, flags);
		free(flags);
	}
}

static int by_all(const void *a, const void *b)
{
	return memcmp(a, b, 3 * sizeof(int));
}

/* The server's messages as sorted triples; how many. */
static int summary(const struct side *d, int (*out)[3])
{
	int n = 0;

	for (int i = 0; i < d->count; i++) {
		if (!d->msg[i].there)
			continue;
		out[n][0] = d->msg[i].box;
		out[n][1] = d->msg[i].content;
		out[n++][2] = (int)d->msg[i].flags;
	}
	qsort(out, (size_t)n, sizeof(*out), by_all);
	return n;
}

static void check_servers(struct history *h)
{
	static int a[MESSAGES * 4][3], b[MESSAGES * 4][3], c[MESSAGES * 4][3];
	int n = summary(&h->side[0], a), m = 0;

	assert_int_equal(n, summary(&h->side[1], b));
	assert_memory_equal(a, b, (size_t)n * sizeof(*a));
	for (int i = 0; i < h->count; i++) {
		if (!h->seen[i].there)
			continue;
		c[m][0] = h->seen[i].box;
		c[m][1] = h->seen[i].content;
		c[m++][2] = (int)h->seen[i].flags;
	}
	qsort(c, (size_t)m, sizeof(*c), by_all);
	assert_int_equal(n, m);
	assert_memory_equal(a, c, (size_t)n * sizeof(*a));
}

/* ---- what a user and another client do ---- */

static int pick(struct history *h)
{
	for (int tries = 0; tries < 20 && h->count > 0; tries++) {
		int i = rnd(h, h->count);

		if (h->seen[i].there)
			return i;
	}
	return -1;
}

static void do_upload(struct history *h)
{
	int i = h->count++, box = rnd(h, BOXES), content = ++h->contents;
	unsigned int bits = (unsigned int)rnd(h, 8);
	char *flags = words_of(bits);
	char name[32], text[32];

	snprintf(name, sizeof(name), "m%d.eml", i);
	snprintf(text, sizeof(text), "%-10d", content);
	for (int k = 0; k < 2; k++) {
		struct side *d = &h->side[k];

		d->id[i] = world_file(d->w, d->box[box], name, text);
		OK(store_message_upload(d->w->s, d->id[i], flags, NULL));
	}
	h->seen[i] = (struct seen){ true, box, content, bits };
	free(flags);
}

static void do_flag(struct history *h, int i)
{
	unsigned int add = (unsigned int)rnd(h, 8), del = (unsigned int)rnd(h, 8) & ~add;
	char *a = words_of(add), *b = words_of(del);

	for (int k = 0; k < 2; k++)
		assert_true(store_message_flag(h->side[k].w->s, h->side[k].id[i], a, b) >= 0);
	h->seen[i].flags = (h->seen[i].flags | add) & ~del;
	free(a);
	free(b);
}

static void do_move(struct history *h, int i)
{
	int box = rnd(h, BOXES);
	char name[32];

	snprintf(name, sizeof(name), "m%d.eml", i);
	for (int k = 0; k < 2; k++)
		OK(store_message_move(h->side[k].w->s, h->side[k].id[i], h->side[k].box[box], name,
		                      false, STORE_DELETE_TRASH));
	h->seen[i].box = box;
}

static void do_copy(struct history *h, int i)
{
	int j = h->count++, box = rnd(h, BOXES);
	char name[32];

	snprintf(name, sizeof(name), "m%d.eml", j);
	for (int k = 0; k < 2; k++)
		OK(store_message_copy(h->side[k].w->s, h->side[k].id[i], h->side[k].box[box], name,
		                      &h->side[k].id[j]));
	h->seen[j] = h->seen[i];
	h->seen[j].box = box;
}

/* What the server never had does not go to the trash, so where one log has not sent it yet both
 * expunge. */
static void do_remove(struct history *h, int i)
{
	bool trash = rnd(h, 2) == 0 && h->seen[i].box != 2;
	struct store_message m;

	for (int k = 0; k < 2; k++) {
		OK(store_message_get(h->side[k].w->s, h->side[k].id[i], &m));
		trash = trash && m.mailbox != 0;
		store_message_release(&m);
	}
	for (int k = 0; k < 2; k++)
		OK(store_message_remove(h->side[k].w->s, h->side[k].id[i],
		                        trash ? STORE_DELETE_TRASH : STORE_DELETE_EXPUNGE));
	h->seen[i].there = trash;
	h->seen[i].box = trash ? 2 : h->seen[i].box;
}

/* An edit in place, where the bytes are ours to edit. */
static void do_edit(struct history *h, int i)
{
	int content = ++h->contents;
	char text[32];

	snprintf(text, sizeof(text), "%-10d", content);
	for (int k = 0; k < 2; k++) {
		struct side *d = &h->side[k];
		struct store_node n;
		int64_t spool;
		int fd;

		OK(store_node_get(d->w->s, d->id[i], &n));
		if (n.spool == 0)
			return;
		OK(store_spool_writable(d->w->s, d->id[i], &spool));
		fd = store_spool_open(d->w->s, spool, 0);
		assert_int_equal(pwrite(fd, text, 10, 0), 10);
		close(fd);
		OK(store_message_upload(d->w->s, d->id[i], "", NULL));
	}
	h->seen[i].content = content;
}

/* Another client delivers. */
static void do_arrive(struct history *h)
{
	int i = h->count++, box = rnd(h, BOXES), content = ++h->contents;
	unsigned int bits = (unsigned int)rnd(h, 8);

	for (int k = 0; k < 2; k++) {
		struct side *d = &h->side[k];
		uint32_t uid = remote_add(d, box, content, bits);

		pull_one(d, &d->msg[d->count - 1]);
		OK(store_message_by_uid(d->w->s, d->box[box], uid, &d->id[i]));
	}
	h->seen[i] = (struct seen){ true, box, content, bits };
}

/* Some actions only, then all: replays that stop in between. */
static void do_some(struct history *h)
{
	for (int k = 0; k < 2; k++) {
		struct store_op op = { 0 };

		for (int n = rnd(h, 4); n > 0 && store_op_next(h->side[k].w->s, 0, 0, &op) == 1;
		     n--) {
			execute(h, &h->side[k], &op);
			store_op_release(&op);
		}
	}
}

static void do_sync(struct history *h)
{
	for (int k = 0; k < 2; k++) {
		struct side *d = &h->side[k];

		replay(h, d);
		for (int i = 0; i < d->count; i++) {
			if (d->msg[i].there)
				pull_one(d, &d->msg[i]);
		}
	}
	check_servers(h);
}

/* Another client expunges and changes flags, where nothing is pending. */
static void do_other_client(struct history *h)
{
	int gone = pick(h), flagged;

	if (gone < 0)
		return;
	do_sync(h);
	h->seen[gone].there = false;
	flagged = pick(h);
	for (int k = 0; k < 2; k++) {
		struct side *d = &h->side[k];
		struct remote *r;
		struct store_message m;

		OK(store_message_get(d->w->s, d->id[gone], &m));
		find_remote(d, box_of(d, m.mailbox), m.uid)->there = false;
		OK(store_pull_expunged(d->w->s, m.mailbox, &m.uid, 1));
		store_message_release(&m);
		if (flagged < 0)
			continue;
		OK(store_message_get(d->w->s, d->id[flagged], &m));
		r = find_remote(d, box_of(d, m.mailbox), m.uid);
		r->flags ^= 5;
		h->seen[flagged].flags = r->flags;
		store_message_release(&m);
		pull_one(d, r);
	}
}

static void step(struct history *h)
{
	int i = pick(h), what = rnd(h, 20);

	if (h->count > MESSAGES - 4)
		return;
	if (what < 3)
		do_upload(h);
	else if (what < 5)
		do_arrive(h);
	else if (what == 5)
		do_sync(h);
	else if (what == 6)
		do_some(h);
	else if (what == 7)
		do_other_client(h);
	else if (i < 0)
		return;
	else if (what < 11)
		do_flag(h, i);
	else if (what < 14)
		do_move(h, i);
	else if (what < 16)
		do_copy(h, i);
	else if (what < 18)
		do_remove(h, i);
	else
		do_edit(h, i);
}

static void run(unsigned int seed)
{
	struct history *h = mem_alloc(sizeof(*h));

	printf("seed %u\n", seed);
	h->seed = seed;
	for (int k = 0; k < 2; k++) {
		void *state = NULL;

		world_up(&state);
		h->side[k].w = state;
		h->side[k].box[0] = h->side[k].w->inbox;
		h->side[k].box[1] = h->side[k].w->work;
		h->side[k].box[2] = h->side[k].w->trash;
		h->side[k].w->s->plain_log = k == 1;
	}
	for (int i = 0; i < STEPS; i++) {
		step(h);
		check_view(h, &h->side[0]);
		check_view(h, &h->side[1]);
	}
	do_sync(h);
	check_view(h, &h->side[0]);
	check_view(h, &h->side[1]);
	for (int k = 0; k < 2; k++) {
		void *state = h->side[k].w;

		world_down(&state);
	}
	free(h);
}

/* R134, R127, R128, R161, R162, R164 */
static void test_histories(void **state)
{
	const char *given = getenv("SEED"), *logs = getenv("LOGS");
	unsigned int seed = given ? (unsigned int)atoi(given) : (unsigned int)time(NULL);
	unsigned int count = logs ? (unsigned int)atoi(logs) : given ? 1 : 5;

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		run(seed + i * 7919);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
