/* SPDX-License-Identifier: MIT */
#include "store_util.h"

/* Gmail's labels: in the log like flags, but names. */

static int64_t labelled(struct world *w, uint32_t uid, const char *lines)
{
	int64_t id = world_pull(w, w->inbox, uid, "");

	OK(store_pull_labels(w->s, w->inbox, uid, lines));
	return id;
}

static void assert_labels(struct world *w, int64_t id, const char *want)
{
	struct store_message m;

	OK(store_message_get(w->s, id, &m));
	if (want)
		assert_string_equal(m.labels, want);
	else
		assert_null(m.labels);
	store_message_release(&m);
}

static void assert_delta(struct world *w, const char *add, const char *del)
{
	struct store_op *ops = NULL;
	size_t count = 0;

	OK(store_op_list(w->s, &ops, &count));
	assert_int_equal(count, 1);
	assert_int_equal(ops[0].kind, STORE_OP_LABELS);
	assert_string_equal(ops[0].add, add);
	assert_string_equal(ops[0].del, del);
	store_op_list_free(ops, count);
}

static void test_words(void **state)
{
	static const char *const same[] = { "", "a", "a b\nc\td", "100 %\n100%20", "\\Inbox\nx%" };

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		_cleanup_free_ char *words = store_labels_to_words(same[i]);
		_cleanup_free_ char *lines = store_labels_to_lines(words);

		assert_string_equal(lines, same[i]);
	}
	for (size_t i = 0; i < 2; i++) { /* not ours: nothing is read past the end */
		_cleanup_free_ char *lines = store_labels_to_lines(i ? "a%4" : "a%");

		assert_string_equal(lines, i ? "a%4" : "a%");
	}
}

/* Only what changed, in one action as long as it is not sent; what comes to nothing is none. */
static void test_delta(void **state)
{
	struct world *w = *state;
	int64_t id = labelled(w, 1, "Old\nBoth words");

	assert_int_equal(store_message_set_labels(w->s, id, "both WORDS\nNew"), 1);
	assert_delta(w, "New", "Old");
	assert_labels(w, id, "Both words\nNew");
	assert_int_equal(store_message_set_labels(w->s, id, "Both words\nOld\nTwo words"), 1);
	assert_delta(w, "Two%20words", "");
	assert_int_equal(world_ops(w), 1);
	world_reopen(w);
	assert_labels(w, id, "Both words\nOld\nTwo words");
	assert_int_equal(store_message_set_labels(w->s, id, "Both words\nOld"), 1);
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_message_set_labels(w->s, id, "Old\nBoth words\n\n"), 0);
}

/* What others do meanwhile shows below it; done or dropped it leaves the server's. */
static void test_outcome(void **state)
{
	struct world *w = *state;
	int64_t one = labelled(w, 1, "Old"), two = labelled(w, 2, "Old");
	struct store_op op;

	assert_int_equal(store_message_set_labels(w->s, one, "Mine"), 1);
	assert_int_equal(store_message_set_labels(w->s, two, "Mine"), 1);
	OK(store_pull_labels(w->s, w->inbox, 1, "Old\nTheirs"));
	assert_labels(w, one, "Mine\nTheirs");
	op = world_op(w, 0, STORE_OP_LABELS);
	assert_int_equal(op.mailbox, w->inbox);
	assert_int_equal(op.uid, 1);
	OK(store_op_sent(w->s, op.seq, 0, NULL));
	assert_int_equal(store_message_set_labels(w->s, one, "Mine"),
	                 1); /* not into the sent one */
	assert_int_equal(world_ops(w), 3);
	OK(store_op_done(w->s, op.seq, NULL));
	assert_labels(w, one, "Mine");
	op = world_op(w, 0, STORE_OP_LABELS);
	assert_int_equal(op.uid, 2);
	OK(store_op_park(w->s, op.seq, ERR_REFUSED, "no"));
	assert_labels(w, two, "Mine");
	OK(store_op_drop(w->s, op.seq));
	assert_labels(w, two, "Old");
}

/* On a message that is gone it is done; with another UIDVALIDITY it fails; after an upload, a move
 * or a copy it waits for the UID. */
static void test_other_actions(void **state)
{
	struct world *w = *state;
	int64_t gone = labelled(w, 1, ""), moved = labelled(w, 2, "");
	const uint32_t uid = 1;
	struct store_op op;

	assert_int_equal(store_message_set_labels(w->s, gone, "A"), 1);
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_ops(w), 0);
	OK(store_message_move(w->s, moved, w->work, "2.eml", false, STORE_DELETE_TRASH));
	assert_int_equal(store_message_set_labels(w->s, moved, "A"), 1);
	op = world_op(w, 1, STORE_OP_LABELS);
	assert_int_not_equal(op.depends_on, 0);
	OK(store_pull_reset(w->s, w->inbox, 99));
	op = world_op(w, 1, STORE_OP_LABELS);
	assert_int_equal(op.state, STORE_OP_PARKED);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	int64_t id = labelled(w, 1, "Old"), unknown = world_pull(w, w->inbox, 2, "");
	struct store_selected sel = { .uidvalidity = 7, .read_only = true };
	_cleanup_free_ char *much = mem_alloc(5000);

	memset(much, 'x', 4999);
	assert_int_equal(store_message_set_labels(w->s, id, "a\x01"), ERR_INVAL);
	assert_int_equal(store_message_set_labels(w->s, id, "\xc3"), ERR_INVAL);
	assert_int_equal(store_message_set_labels(w->s, id, much), ERR_LIMIT);
	assert_int_equal(store_message_set_labels(w->s, unknown, "a"), ERR_NOTFOUND);
	assert_int_equal(store_message_set_labels(w->s, w->inbox, "a"), ERR_NOTFOUND);
	assert_labels(w, unknown, NULL);
	OK(store_pull_selected(w->s, w->inbox, &sel));
	assert_int_equal(store_message_set_labels(w->s, id, "a"), ERR_READONLY);
	assert_int_equal(world_ops(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test_setup_teardown(test_delta, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_outcome, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_other_actions, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_refused, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
