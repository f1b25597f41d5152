/* SPDX-License-Identifier: MIT */
#include "store_util.h"

/* RFC 8474: mailboxes and contents by the server's own ids. */

static void select_with_id(struct world *w, int64_t mailbox, const char *id)
{
	struct store_selected sel = { 7, false, false, true, "\\*", id };
	struct store_mailbox m;

	OK(store_pull_selected(w->s, mailbox, &sel));
	OK(store_mailbox_get(w->s, mailbox, &m));
	assert_string_equal(m.mailboxid, "M1");
	store_mailbox_release(&m);
}

static void check_path(struct world *w, int64_t node, const char *want)
{
	_cleanup_free_ char *path = NULL;

	OK(store_node_path(w->s, node, &path));
	assert_string_equal(path, want);
}

/* R287: it goes to its new name with all it holds; its messages, their ids and bodies stay */
static void test_renamed_by_others(void **state)
{
	static const struct store_list_entry to = { "Old/Done", "Old/Done", '/', "", true };
	static const struct store_list_entry list[] = {
		{ "INBOX", "INBOX", '/', "", true },
		{ "Trash", "Trash", '/', "\\Trash", true },
		{ "Old", "Old", '/', "\\Noselect", true },
		{ "Old/Done", "Old/Done", '/', "", true },
	};
	struct world *w = *state;
	int64_t id = world_pull(w, w->work, 5, ""), found = 0;
	struct store_mailbox m;

	select_with_id(w, w->work, "M1");
	select_with_id(w, w->work, NULL); /* a server that is silent once says nothing new */
	world_body(w, id, "kept");
	OK(store_pull_mailbox_renamed(w->s, w->work, &to));
	OK(store_pull_list(w->s, list, 4, true));
	check_path(w, id, "Old/Done/5.eml");
	OK(store_mailbox_by_wire(w->s, "Old/Done", &found));
	assert_int_equal(found, w->work);
	assert_int_equal(store_mailbox_by_wire(w->s, "Work", &found), ERR_NOTFOUND);
	assert_true(store_body_have(w->s, id));
	OK(store_mailbox_get(w->s, w->work, &m));
	assert_int_equal(m.missing_since_ms, 0);
	assert_int_equal(m.uidvalidity, 7);
	store_mailbox_release(&m);
}

static void test_not_onto_a_known_one(void **state)
{
	static const struct store_list_entry to = { "Trash", "Trash", '/', "", true };
	struct world *w = *state;
	int64_t found = 0;

	assert_int_equal(store_pull_mailbox_renamed(w->s, w->work, &to), ERR_EXISTS);
	OK(store_mailbox_by_wire(w->s, "Work", &found));
	check_path(w, w->work, "Work");
}

/* The user's own rename is still to be sent: the view stays, the name on the wire follows. */
static void test_users_rename_stays(void **state)
{
	static const struct store_list_entry to = { "Theirs", "Theirs", '/', "", true };
	struct world *w = *state;
	int64_t found = 0;

	OK(store_mailbox_rename(w->s, w->work, STORE_ROOT, "Mine"));
	OK(store_pull_mailbox_renamed(w->s, w->work, &to));
	check_path(w, w->work, "Mine");
	OK(store_mailbox_by_wire(w->s, "Theirs", &found));
	assert_int_equal(found, w->work);
}

/* A file of the user's has that name: both stay. */
static void test_name_is_taken(void **state)
{
	static const struct store_list_entry to = { "New", "New", '/', "", true };
	struct world *w = *state;
	int64_t file = world_file(w, STORE_ROOT, "New", "text");

	OK(store_pull_mailbox_renamed(w->s, w->work, &to));
	check_path(w, file, "New");
	check_path(w, w->work, "New-2");
}

static int64_t pull_content(struct world *w, int64_t mailbox, uint32_t uid, const char *emailid,
                            uint64_t size)
{
	struct store_descriptor d = {
		.uid = uid, .flags = "", .size = size, .date = 1700000000, .emailid = emailid
	};
	int64_t id = 0;

	OK(store_pull_descriptor(w->s, mailbox, &d));
	OK(store_message_by_uid(w->s, mailbox, uid, &id));
	return id;
}

static void assert_has(struct world *w, int64_t id, const char *want)
{
	struct store_node n;
	const void *data;
	size_t len;

	OK(store_body_get(w->s, id, &data, &len));
	assert_int_equal(len, strlen(want));
	assert_memory_equal(data, want, len);
	OK(store_node_get(w->s, id, &n));
	assert_true(n.size_exact);
	assert_int_equal(n.size, len);
}

/* R287: one body for one content, known before or after the body came */
static void test_one_body(void **state)
{
	struct world *w = *state;
	int64_t a = pull_content(w, w->inbox, 1, "E1", 4);
	int64_t b = pull_content(w, w->work, 2, "E1", 4);
	int64_t other = pull_content(w, w->work, 3, "E2", 4);
	int64_t odd = pull_content(w, w->work, 4, "E1", 5), none = 0;
	int64_t late;

	none = pull_content(w, w->work, 5, NULL, 4);
	world_body(w, a, "text");
	assert_has(w, a, "text");
	assert_has(w, b, "text");
	assert_false(store_body_have(w->s, other));
	assert_false(store_body_have(w->s, odd)); /* the sizes contradict the id */
	assert_false(store_body_have(w->s, none));
	late = pull_content(w, w->trash, 9, "E1", 4);
	assert_has(w, late, "text");
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

/* The last that were told stay; fresh flags and facts take none away. */
static void test_labels(void **state)
{
	struct world *w = *state;
	int64_t id = pull_content(w, w->inbox, 1, "1234", 4);
	struct store_node before, after;

	assert_labels(w, id, NULL);
	OK(store_pull_labels(w->s, w->inbox, 1, "\\Inbox\nWork"));
	OK(store_pull_labels(w->s, w->inbox, 77, "nobody"));
	OK(store_node_get(w->s, id, &before));
	OK(store_pull_labels(w->s, w->inbox, 1, "\\Inbox\nWork"));
	OK(store_node_get(w->s, id, &after));
	assert_int_equal(before.ctime_ns, after.ctime_ns);
	OK(store_pull_flags(w->s, w->inbox, 1, "\\Seen", 9));
	(void)pull_content(w, w->inbox, 1, "1234", 4);
	assert_labels(w, id, "\\Inbox\nWork");
	OK(store_pull_labels(w->s, w->inbox, 1, ""));
	assert_labels(w, id, "");
	OK(store_node_get(w->s, id, &after));
	assert_true(after.ctime_ns > before.ctime_ns);
}

/* What the user changed is not overwritten by a content of the same id. */
static void test_edited_stays(void **state)
{
	struct world *w = *state;
	int64_t a = pull_content(w, w->inbox, 1, "E1", 4);
	int64_t b = pull_content(w, w->work, 2, "E1", 4);
	int64_t spool = 0;
	struct store_node n;

	OK(store_spool_fresh(w->s, b, &spool));
	world_body(w, a, "text");
	OK(store_node_get(w->s, b, &n));
	assert_int_equal(n.spool, spool);
	assert_false(store_body_have(w->s, b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_renamed_by_others, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_not_onto_a_known_one, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_users_rename_stays, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_name_is_taken, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_one_body, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_edited_stays, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_labels, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
