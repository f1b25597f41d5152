/* SPDX-License-Identifier: MIT */
#include "store_util.h"

/* RFC 4314: rights as mode bits, and as an answer before anything is logged. */

static void give(struct world *w, const char *rights)
{
	const struct store_list_entry list[] = {
		{ "INBOX", "INBOX", '/', "", true, NULL },
		{ "Work", "Work", '/', "", true, rights },
		{ "Trash", "Trash", '/', "\\Trash", true, NULL },
	};

	OK(store_pull_list(w->s, list, 3, true));
}

static uint32_t mode_of(struct world *w, int64_t node)
{
	struct store_node n;

	OK(store_node_get(w->s, node, &n));
	return n.mode;
}

/* Only letters; those of RFC 2086 are spelled out where there are no others */
static void test_canon(void **state)
{
	static const struct {
		const char *said, *means;
	} t[] = {
		{ "lrswipkxtea", "lrswipkxtea" },
		{ "lrswipcda", "lrswipakxte" },
		{ "lrswitd", "lrswit" },
		{ "lrswikxc", "lrswikx" },
		{ "", "" },
		{ "l r\\\"x0", "lrx0" },
		{ "lrcd", "lrkxte" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		_cleanup_free_ char *got = store_rights_canon(t[i].said);

		assert_string_equal(got, t[i].means);
	}
}

static void test_unknown_allows_all(void **state)
{
	struct world *w = *state;

	give(w, NULL);
	OK(store_rights_check(w->s, w->work, "itekxsw"));
	OK(store_rights_check(w->s, 999, "i")); /* no mailbox */
	assert_int_equal(mode_of(w, w->work), 0700);
}

/* Who may only read and mark: nothing goes in, out or away, and nothing is logged. */
static void test_mark_only(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->work, 5, ""), in = world_pull(w, w->inbox, 6, "");
	int64_t file = world_file(w, w->work, "new.eml", "x: y\r\n\r\nz"), out = 0;

	give(w, "lrs");
	assert_int_equal(mode_of(w, w->work), 0500);
	assert_int_equal(mode_of(w, id), 0600);
	assert_int_equal(store_message_remove(w->s, id, STORE_DELETE_TRASH), ERR_ACCESS);
	assert_int_equal(store_message_remove(w->s, id, STORE_DELETE_FLAG), ERR_ACCESS);
	assert_int_equal(store_message_move(w->s, id, w->inbox, "a", false, STORE_DELETE_TRASH),
	                 ERR_ACCESS);
	assert_int_equal(store_message_move(w->s, in, w->work, "a", false, STORE_DELETE_TRASH),
	                 ERR_ACCESS);
	assert_int_equal(store_message_copy(w->s, in, w->work, "a", &out), ERR_ACCESS);
	assert_int_equal(store_message_upload(w->s, file, "", NULL), ERR_ACCESS);
	assert_int_equal(store_message_edit(w->s, id, file, STORE_EDIT_STAY), ERR_ACCESS);
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), ERR_ACCESS);
	assert_int_equal(store_message_flag(w->s, id, "\\Seen \\Deleted", ""), ERR_ACCESS);
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_message_flag(w->s, id, "\\Seen", ""), 1);
	OK(store_message_copy(w->s, id, w->inbox, "a", &out));
}

static void test_structure(void **state)
{
	struct world *w = *state;
	int64_t id = 0;

	give(w, "lrswite");
	assert_int_equal(store_mailbox_create(w->s, w->work, "Sub", &id), ERR_ACCESS);
	assert_int_equal(store_mailbox_remove(w->s, w->work), ERR_ACCESS);
	assert_int_equal(store_mailbox_rename(w->s, w->work, STORE_ROOT, "Other"), ERR_ACCESS);
	give(w, "lrswitek");
	OK(store_mailbox_create(w->s, w->work, "Sub", &id));
}

/* Modes follow a change, but not over what the user has set. */
static void test_modes_follow(void **state)
{
	static const struct store_selected closed = { 7, true, false, true, "", NULL };
	struct world *w = *state;
	int64_t id = world_pull(w, w->work, 5, ""), own = world_pull(w, w->work, 6, "");
	int64_t late;
	struct store_node n = { .mode = 0640 };

	OK(store_node_set(w->s, own, STORE_SET_MODE, &n));
	give(w, "lr");
	assert_int_equal(mode_of(w, id), 0400);
	assert_int_equal(mode_of(w, own), 0640);
	late = world_pull(w, w->work, 7, "");
	assert_int_equal(mode_of(w, late), 0400);
	give(w, NULL); /* an answer without rights says nothing */
	assert_int_equal(mode_of(w, id), 0400);
	give(w, "lrswitekx");
	assert_int_equal(mode_of(w, id), 0600);
	assert_int_equal(mode_of(w, w->work), 0700);
	OK(store_pull_selected(w->s, w->work, &closed));
	assert_int_equal(mode_of(w, id), 0400);
	assert_int_equal(mode_of(w, w->work), 0500);
	assert_int_equal(store_message_remove(w->s, id, STORE_DELETE_TRASH), ERR_READONLY);
	OK(store_rights_check(w->s, w->work, "k")); /* read-only says nothing of its place */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canon),
		cmocka_unit_test_setup_teardown(test_unknown_allows_all, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_mark_only, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_structure, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_modes_follow, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
