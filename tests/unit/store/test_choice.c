/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <unistd.h>

#include "store_lost.h"

/* What the user decides about parked actions, and what never gets lost by that. */

/* The seq and message of the first that may run. */
static void assert_next(struct world *w, int64_t seq, int64_t message)
{
	struct store_op op = { 0 };

	assert_int_equal(store_op_next(w->s, 0, 0, &op), 1);
	if (seq)
		assert_int_equal(op.seq, seq);
	if (message)
		assert_int_equal(op.message, message);
	store_op_release(&op);
}

static char *lost_text(struct world *w, const char *name)
{
	struct store_lost l;
	char *text;
	int fd;

	OK(store_lost_get(w->s, name, &l));
	fd = store_lost_open(w->s, &l);
	assert_true(fd >= 0);
	text = mem_alloc((size_t)l.size + 1);
	assert_int_equal(read(fd, text, (size_t)l.size), l.size);
	text[l.size] = '\0';
	close(fd);
	return text;
}

static void assert_lost(struct world *w, const char *name, const char *text)
{
	char *is = lost_text(w, name);

	assert_string_equal(is, text);
	free(is);
}

static size_t lost_count(struct world *w)
{
	struct store_lost *l = NULL;
	size_t n = 0;

	OK(store_lost_list(w->s, &l, &n));
	free(l);
	return n;
}

/* New content for a message or file. */
static void edit(struct world *w, int64_t id, const char *text)
{
	struct store_node n;
	int64_t spool = 0;
	int fd;

	OK(store_spool_fresh(w->s, id, &spool));
	fd = store_spool_open(w->s, spool, 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	OK(store_node_get(w->s, id, &n));
	n.size = (int64_t)strlen(text);
	OK(store_node_set(w->s, id, STORE_SET_SIZE, &n));
	OK(store_message_upload(w->s, id, "", NULL));
}

/* R142: two uploads and a copy that miss the same mailbox go on when it is made again, after that;
 * what goes elsewhere is not held up. */
static void test_recreate(void **state)
{
	struct world *w = *state;
	int64_t a = world_upload(w, w->work, "a.eml", "x: a\r\n\r\na");
	int64_t b = world_upload(w, w->work, "b.eml", "x: b\r\n\r\nb");
	int64_t here = world_pull(w, w->inbox, 5, ""), copy, create;
	struct store_mailbox m;

	(void)b;
	OK(store_message_copy(w->s, here, w->work, "c.eml", &copy));
	OK(store_pull_mailbox_gone(w->s, w->work));
	for (size_t i = 0; i < 2; i++)
		OK(store_op_park(w->s, world_op(w, i, STORE_OP_APPEND).seq, ERR_NOTFOUND,
		                 "[TRYCREATE] no such mailbox"));
	OK(store_op_recreate(w->s, world_op(w, 0, STORE_OP_APPEND).seq));
	create = world_op(w, 3, STORE_OP_CREATE).seq;
	assert_int_equal(world_op(w, 3, STORE_OP_CREATE).mailbox, w->work);
	assert_int_equal(world_op(w, 1, STORE_OP_APPEND).state, STORE_OP_QUEUED);
	assert_int_equal(world_op(w, 1, STORE_OP_APPEND).depends_on, create);
	assert_int_equal(world_op(w, 2, STORE_OP_COPY).depends_on, create);
	assert_next(w, create, 0);
	OK(store_op_done(w->s, create, &(struct store_op_done){ .wire_name = "Work" }));
	assert_next(w, 0, a);
	OK(store_mailbox_get(w->s, w->work, &m));
	assert_true(m.selectable);
	assert_string_equal(m.wire_name, "Work");
	store_mailbox_release(&m);
}

/* R142: the mailbox cannot be made: what waits for it waits, and may be sent elsewhere. */
static void test_recreate_refused(void **state)
{
	struct world *w = *state;
	int64_t append, create;

	world_upload(w, w->work, "a.eml", "x: a\r\n\r\na");
	append = world_op(w, 0, STORE_OP_APPEND).seq;
	OK(store_op_park(w->s, append, ERR_NOTFOUND, "[TRYCREATE]"));
	OK(store_op_recreate(w->s, append));
	create = world_op(w, 1, STORE_OP_CREATE).seq;
	OK(store_op_park(w->s, create, ERR_PERM, "not allowed"));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).err, ERR_BLOCKED);
	assert_int_equal(store_op_retry(w->s, append), ERR_BLOCKED);
	assert_int_equal(store_op_recreate(w->s, append), ERR_BLOCKED);
	OK(store_op_retarget(w->s, append, w->inbox));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).state, STORE_OP_QUEUED);
	assert_next(w, append, 0);
	assert_int_equal(store_op_recreate(w->s, append), ERR_NOTFOUND); /* it is not parked */
	assert_int_equal(store_op_recreate(w->s, create), ERR_INVAL);
	OK(store_op_drop(w->s, create));
	assert_int_equal(world_ops(w), 1);
}

/* R154: a dropped upload leaves lost+found with every state of its bytes that the server has not:
 * the first, and the edit that waited behind it. */
static void test_drop_keeps_edits(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\nfirst");
	int64_t append = world_op(w, 0, STORE_OP_APPEND).seq, copy;
	struct store_lost *l = NULL;
	size_t n = 0;
	bool first = false, second = false;

	OK(store_op_sent(w->s, append, 1, "e"));
	edit(w, id, "x: y\r\n\r\nsecond");
	OK(store_op_park(w->s, append, ERR_REFUSED, "no"));
	OK(store_message_copy(w->s, id, w->work, "b.eml", &copy));
	assert_int_equal(lost_count(w), 2); /* both are parked */
	OK(store_op_drop(w->s, append));
	assert_int_equal(world_ops(w), 0);
	world_reopen(w);
	OK(store_recover(w->s));
	OK(store_lost_list(w->s, &l, &n));
	for (size_t i = 0; i < n; i++) {
		char *text = lost_text(w, l[i].name);

		assert_int_equal(l[i].seq, 0);
		assert_true(l[i].mtime_ns > 0);
		first = first || strstr(text, "first");
		second = second || strstr(text, "second");
		free(text);
	}
	assert_true(first && second);
	free(l);
}

/* R154, R322: parked bytes are to be read by name, leave the list with a retry, and go for good when
 * they are removed there: their action with them, but no later edit. */
static void test_lost(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\nfirst");
	int64_t append = world_op(w, 0, STORE_OP_APPEND).seq;
	char *name = mem_printf("parked-%lld-a.eml", (long long)append);
	struct store_lost l;
	struct store_node n;

	assert_int_equal(lost_count(w), 0);
	OK(store_op_sent(w->s, append, 1, "e"));
	edit(w, id, "x: y\r\n\r\nsecond");
	OK(store_op_park(w->s, append, ERR_QUOTA, "over quota"));
	assert_lost(w, name, "x: y\r\n\r\nfirst");
	OK(store_op_retry(w->s, append));
	assert_int_equal(lost_count(w), 0);
	assert_int_equal(store_lost_remove(w->s, name), ERR_NOTFOUND);
	OK(store_op_park(w->s, append, ERR_QUOTA, "over quota"));
	OK(store_lost_remove(w->s, name));
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_node_get(w->s, id, &n), ERR_NOTFOUND);
	assert_int_equal(lost_count(w), 1); /* the second, which nobody gave up */
	assert_int_equal(store_lost_get(w->s, name, &l), ERR_NOTFOUND);
	assert_int_equal(store_lost_get(w->s, "../state.db", &l), ERR_NOTFOUND);
	free(name);
}

/* Names that are too long to be kept whole, and kept files that are removed. */
static void test_lost_names(void **state)
{
	struct world *w = *state;
	struct store_lost *l = NULL;
	char name[STORE_NAME_MAX + 1];
	size_t n = 0;
	int64_t seq;

	memset(name, 'n', STORE_NAME_MAX);
	name[STORE_NAME_MAX] = '\0';
	world_upload(w, w->inbox, name, "x: y\r\n\r\nlong");
	seq = world_op(w, 0, STORE_OP_APPEND).seq;
	OK(store_op_park(w->s, seq, ERR_REFUSED, "no"));
	(void)snprintf(name, sizeof(name), "parked-%lld.eml", (long long)seq);
	assert_lost(w, name, "x: y\r\n\r\nlong");
	OK(store_op_drop(w->s, seq));
	OK(store_lost_list(w->s, &l, &n));
	assert_int_equal(n, 1);
	assert_lost(w, l[0].name, "x: y\r\n\r\nlong");
	OK(store_lost_remove(w->s, l[0].name));
	assert_int_equal(lost_count(w), 0);
	free(l);
}

/* R144, R148: a move out of a mailbox that is gone: a retry uploads what is here, and what is not
 * here stays parked. */
static void test_source_gone(void **state)
{
	struct world *w = *state;
	int64_t here = world_pull(w, w->work, 5, "\\Seen"), away = world_pull(w, w->work, 6, "");
	int64_t first, second;
	struct store_node n;

	world_body(w, here, "x: y\r\n\r\nhere");
	OK(store_message_move(w->s, here, w->inbox, "5.eml", false, STORE_DELETE_TRASH));
	OK(store_message_move(w->s, away, w->inbox, "6.eml", false, STORE_DELETE_TRASH));
	first = world_op(w, 0, STORE_OP_MOVE).seq;
	second = world_op(w, 1, STORE_OP_MOVE).seq;
	OK(store_pull_mailbox_gone(w->s, w->work));
	assert_int_equal(world_op(w, 0, STORE_OP_MOVE).err, ERR_NOTFOUND);
	OK(store_op_retry(w->s, first));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).mailbox, w->inbox);
	OK(store_node_lookup(w->s, w->inbox, "5.eml", &n));
	assert_int_equal(n.id, here);
	assert_int_equal(store_op_retry(w->s, second), ERR_CONFLICT);
	assert_int_equal(world_op(w, 1, STORE_OP_MOVE).state, STORE_OP_PARKED);
	OK(store_op_drop(w->s, second));
	assert_int_equal(world_ops(w), 1);
}

/* R142: abort holds over a restart; what is queued stays; go ends it. */
static void test_stop(void **state)
{
	struct world *w = *state;

	world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\na");
	assert_int_equal(store_op_stopped(w->s), 0);
	OK(store_op_stop(w->s, true));
	world_reopen(w);
	assert_int_equal(store_op_stopped(w->s), 1);
	assert_int_equal(world_ops(w), 1);
	OK(store_op_stop(w->s, false));
	assert_int_equal(store_op_stopped(w->s), 0);
}

/* A policy decides once about what is parked by itself; a choice of the user's makes it new. */
static void test_undecided(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\na"), copy, *seqs = NULL;
	int64_t append = world_op(w, 0, STORE_OP_APPEND).seq;
	struct store_op op = { 0 };
	size_t n = 0;

	OK(store_message_copy(w->s, id, w->work, "b.eml", &copy));
	assert_int_equal(store_op_undecided(w->s, &op), 0);
	OK(store_op_park(w->s, append, ERR_REFUSED, "no"));
	assert_int_equal(store_op_undecided(w->s, &op), 1);
	assert_int_equal(op.seq, append);
	store_op_release(&op);
	OK(store_op_decided(w->s, append));
	assert_int_equal(store_op_undecided(w->s, &op), 0);
	OK(store_op_dependents(w->s, append, &seqs, &n));
	assert_int_equal(n, 1);
	assert_int_equal(seqs[0], world_op(w, 1, STORE_OP_COPY).seq);
	free(seqs);
	OK(store_op_retry(w->s, append));
	OK(store_op_park(w->s, append, ERR_REFUSED, "no"));
	assert_int_equal(store_op_undecided(w->s, &op), 1);
	store_op_release(&op);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_recreate), T(test_recreate_refused), T(test_drop_keeps_edits),
		T(test_lost),     T(test_lost_names),       T(test_source_gone),
		T(test_stop),     T(test_undecided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
