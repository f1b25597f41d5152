/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include "wordset.h"

#define TEXT "Message-ID: <one@example.org>\r\nSubject: one\r\n\r\nbody\r\n"

/* ---- files that are copies ---- */

static int64_t held_message(struct world *w)
{
	int64_t id = world_pull(w, w->inbox, 5, "\\Seen $Work");

	world_body(w, id, TEXT);
	return id;
}

static void test_twin_is_found_and_copied(void **state)
{
	struct world *w = *state;
	int64_t id = held_message(w), found[4];
	int64_t file = world_file(w, w->work, "copy.eml", TEXT), validity = 0;
	struct store_op_done done = { .uid = 77 };
	struct store_message m;
	struct store_node n;
	struct store_op op;
	const void *data;
	size_t len;

	assert_int_equal(store_message_twins(w->s, "<one@example.org>", strlen(TEXT), found, 4), 1);
	assert_int_equal(found[0], id);
	assert_int_equal(store_message_twins(w->s, "<one@example.org>", 7, found, 4), 0);
	assert_int_equal(store_message_twins(w->s, "<two@example.org>", strlen(TEXT), found, 4), 0);
	OK(store_message_duplicate(w->s, file, id));
	op = world_op(w, 0, STORE_OP_COPY);
	assert_int_equal(op.message, id);
	assert_int_equal(op.copy, file);
	assert_int_equal(op.mailbox, w->inbox);
	assert_int_equal(op.target, w->work);
	OK(store_node_get(w->s, file, &n));
	assert_int_equal(n.kind, STORE_KIND_MESSAGE);
	assert_int_equal(n.spool, 0);
	assert_int_equal(n.size, strlen(TEXT));
	assert_string_equal(n.name, "copy.eml");
	OK(store_body_get(w->s, file, &data, &len));
	assert_memory_equal(data, TEXT, len);
	OK(store_message_get(w->s, file, &m));
	assert_true(wordset_has(m.flags, "$Work"));
	assert_int_equal(m.uid, 0);
	store_message_release(&m);
	assert_int_equal(store_db_int(&w->s->db, &validity,
	                              "SELECT uidvalidity FROM mailbox WHERE id = ?1", "i",
	                              w->work),
	                 1);
	done.uidvalidity = (uint32_t)validity;
	OK(store_op_done(w->s, op.seq, &done));
	store_op_release(&op);
	OK(store_message_by_uid(w->s, w->work, 77, &found[0]));
	assert_int_equal(found[0], file);
}

static void test_flags_of_the_file_win(void **state)
{
	struct world *w = *state;
	int64_t id = held_message(w);
	int64_t file = world_file(w, w->work, "copy.eml", TEXT);
	_cleanup_free_ char *flags = NULL;

	assert_int_equal(store_message_flag(w->s, file, "\\Answered \\Seen", NULL), 0);
	OK(store_message_duplicate(w->s, file, id));
	assert_int_equal(world_ops(w), 2);
	flags = world_flags(w, file);
	assert_string_equal(flags, "\\Answered \\Seen");
}

static void test_no_copy_of_what_changes(void **state)
{
	struct world *w = *state;
	int64_t id = held_message(w), spool, found[4];
	int64_t file = world_file(w, w->work, "copy.eml", TEXT);

	assert_int_equal(store_message_duplicate(w->s, file, file), ERR_CONFLICT);
	OK(store_spool_writable(w->s, id, &spool)); /* being edited */
	assert_int_equal(store_message_twins(w->s, "<one@example.org>", strlen(TEXT), found, 4), 0);
	assert_int_equal(store_message_duplicate(w->s, file, id), ERR_CONFLICT);
	assert_int_equal(world_ops(w), 0);
}

static void test_removed_meanwhile(void **state)
{
	struct world *w = *state;
	int64_t id = held_message(w);
	int64_t file = world_file(w, w->work, "copy.eml", TEXT);

	OK(store_message_remove(w->s, id, STORE_DELETE_EXPUNGE));
	assert_int_equal(store_message_duplicate(w->s, file, id), ERR_CONFLICT);
}

/* ---- messages set aside ---- */

static int64_t set_aside(struct world *w, int64_t *file)
{
	int64_t id = held_message(w);
	struct store_node n;

	OK(store_node_get(w->s, id, &n));
	OK(store_node_rename(w->s, id, w->inbox, "5.eml~", true, 1));
	if (file)
		*file = world_file(w, w->inbox, n.name, TEXT "more\r\n");
	return id;
}

static void test_aside_survives(void **state)
{
	struct world *w = *state;
	int64_t file, id = set_aside(w, &file), got;
	struct store_node n;

	world_reopen(w);
	OK(store_recover(w->s));
	OK(store_aside_message(w->s, file, &got));
	assert_int_equal(got, id);
	OK(store_aside_file(w->s, id, &got));
	assert_int_equal(got, file);
	OK(store_message_edit(w->s, id, file, STORE_EDIT_MOVE));
	assert_int_equal(store_aside_file(w->s, id, &got), ERR_NOTFOUND);
	OK(store_node_get(w->s, id, &n));
	assert_string_equal(n.name, "5.eml");
	assert_int_equal(n.size, strlen(TEXT "more\r\n"));
}

/* A file that takes the name by a rename counts, too; the last one that did. */
static void test_aside_by_rename(void **state)
{
	struct world *w = *state;
	int64_t file, second, id = set_aside(w, &file), got;

	second = world_file(w, w->inbox, "x.tmp", TEXT);
	OK(store_node_rename(w->s, second, w->inbox, "5.eml", true, 1));
	OK(store_aside_file(w->s, id, &got));
	assert_int_equal(got, second);
	assert_int_equal(store_aside_message(w->s, file, &got), ERR_NOTFOUND);
}

static void test_aside_ends(void **state)
{
	struct world *w = *state;
	int64_t id = set_aside(w, NULL), file, got;

	OK(store_node_rename(w->s, id, w->inbox, "kept by me.eml", true, 1));
	file = world_file(w, w->inbox, "5.eml", TEXT);
	assert_int_equal(store_aside_message(w->s, file, &got), ERR_NOTFOUND);
	assert_int_equal(store_aside_file(w->s, id, &got), ERR_NOTFOUND);
}

/* Only for a while does a name wait for its file. */
static void test_aside_grows_old(void **state)
{
	struct world *w = *state;
	int64_t id = set_aside(w, NULL), file, got;

	OK(store_db_run(&w->s->db, "UPDATE aside SET at_ms = at_ms - 3600000", ""));
	file = world_file(w, w->inbox, "5.eml", TEXT);
	assert_int_equal(store_aside_message(w->s, file, &got), ERR_NOTFOUND);
	OK(store_recover(w->s));
	assert_int_equal(store_db_int(&w->s->db, &got, "SELECT 1 FROM aside", ""), 0);
	assert_int_equal(store_aside_file(w->s, id, &got), ERR_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_twin_is_found_and_copied, world_up,
		                                world_down),
		cmocka_unit_test_setup_teardown(test_flags_of_the_file_win, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_no_copy_of_what_changes, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_removed_meanwhile, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_aside_survives, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_aside_by_rename, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_aside_ends, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_aside_grows_old, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
