/* SPDX-License-Identifier: MIT */
#include "store_util.h"

/* Servers that keep what they are given in another form, and servers that know of no special use. */

#define TEXT "Subject: x\r\n\r\nhello"

/* Uploaded, and the server's size is as given. */
static int64_t uploaded(struct world *w, bool adopt)
{
	static const struct store_op_done done = { .uidvalidity = 7, .uid = 5 };
	int64_t id = world_upload(w, w->inbox, "hi.eml", TEXT);
	struct store_op op = world_op(w, 0, STORE_OP_APPEND);

	OK(store_op_sent(w->s, op.seq, 1, ""));
	OK(store_op_done(w->s, op.seq, &done));
	if (adopt)
		OK(store_body_adopt(w->s, id));
	return id;
}

static void pull(struct world *w, uint64_t size)
{
	struct store_descriptor d = {
		.uid = 5, .flags = "\\Seen", .size = size, .date = 1700000000
	};

	OK(store_pull_descriptor(w->s, w->inbox, &d));
}

static void check(struct world *w, int64_t id, bool kept, int64_t size)
{
	struct store_missing missing;
	struct store_node n;

	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.size, size);
	assert_int_equal(n.size_exact, kept);
	assert_int_equal(store_pull_missing(w->s, w->inbox, 0, 0, 0, &missing, 1), !kept);
}

/* R307: the same size: the bytes are the server's, and are not fetched again */
static void test_same_size(void **state)
{
	struct world *w = *state;
	int64_t id = uploaded(w, true);

	pull(w, strlen(TEXT));
	check(w, id, true, (int64_t)strlen(TEXT));
	assert_true(store_body_have(w->s, id));
}

/* R002: another size (Courier ends the last line): what was sent goes, the server's is fetched */
static void test_other_size(void **state)
{
	struct world *w = *state;
	int64_t id = uploaded(w, true);

	pull(w, strlen(TEXT) + 2);
	check(w, id, false, (int64_t)strlen(TEXT) + 2);
	assert_false(store_body_have(w->s, id));
	world_body(w, id, TEXT "\r\n");
	pull(w, strlen(TEXT) + 2);
	check(w, id, true, (int64_t)strlen(TEXT) + 2);
}

/* The same when the bytes lie in the spool still */
static void test_other_size_in_the_spool(void **state)
{
	struct world *w = *state;
	int64_t id = uploaded(w, false);
	struct store_node n;

	pull(w, strlen(TEXT) + 2);
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.spool, 0);
	check(w, id, false, (int64_t)strlen(TEXT) + 2);
}

/* R154: what the user has written since is not the server's to take */
static void test_edited_since(void **state)
{
	struct world *w = *state;
	int64_t id = uploaded(w, true), spool = 0;
	struct store_node n;

	OK(store_spool_writable(w->s, id, &spool));
	pull(w, strlen(TEXT) + 2);
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.spool, spool);
	assert_int_equal(n.size, strlen(TEXT));
}

/* R288: the trash is the one that is marked so */
static void test_trash_by_use(void **state)
{
	static const struct store_list_entry list[] = {
		{ "INBOX", "INBOX", '/', "", true },
		{ "Trash", "Trash", '/', "", true },
		{ "Bin", "Bin", '/', "\\Trash", true },
	};
	struct world *w = *state;
	int64_t bin = 0, found = 0;

	OK(store_pull_list(w->s, list, 3, true));
	OK(store_mailbox_by_wire(w->s, "Bin", &bin));
	OK(store_mailbox_by_use(w->s, "\\Trash", &found));
	assert_int_equal(found, bin);
}

/* Where some use is marked and no trash, there is none; where none is, the name tells */
static void test_trash_by_name(void **state)
{
	struct store_list_entry list[] = {
		{ "INBOX", "INBOX", '.', "", true },
		{ "INBOX.Sent", "INBOX/Sent", '.', "\\Sent", true },
		{ "INBOX.trash", "INBOX/trash", '.', "", true },
		{ "INBOX.Old.Trash", "INBOX/Old/Trash", '.', "", true },
		{ "Trash", "Trash", '.', "", true },
	};
	struct world *w = *state;
	int64_t found = 0, wanted = 0;

	OK(store_pull_list(w->s, list, 5, true));
	assert_int_equal(store_mailbox_by_use(w->s, "\\Trash", &found), ERR_NOTFOUND);
	list[1].attributes = "\\HasNoChildren";
	OK(store_pull_list(w->s, list, 5, true));
	OK(store_mailbox_by_use(w->s, "\\Trash", &found));
	assert_int_equal(found, w->trash);
	OK(store_mailbox_by_wire(w->s, "INBOX.trash", &wanted));
	OK(store_pull_mailbox_gone(w->s, w->trash));
	OK(store_mailbox_by_use(w->s, "\\Trash", &found));
	assert_int_equal(found, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
		T(test_same_size),    T(test_other_size),   T(test_other_size_in_the_spool),
		T(test_edited_since), T(test_trash_by_use), T(test_trash_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
