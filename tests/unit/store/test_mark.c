/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <unistd.h>

#define FLAG(x) STORE_MARK_##x

static struct store_node node(struct world *w, int64_t id)
{
	struct store_node n;

	OK(store_node_get(w->s, id, &n));
	return n;
}

static uint32_t mark(struct world *w, int64_t id)
{
	return node(w, id).mark;
}

/* How many of a mailbox are in one part, all of them listed `page` at a time. */
static int count(struct world *w, int64_t parent, enum store_part part, int page)
{
	struct store_node list[8];
	int64_t after = 0;
	int n, total = 0;

	while ((n = store_node_list_part(w->s, parent, part, after, list, page)) > 0) {
		for (int i = 0; i < n; i++)
			assert_true(list[i].id > after || i > 0);
		after = list[n - 1].id;
		total += n;
	}
	assert_int_equal(n, 0);
	return total;
}

/* The letters follow what is seen: the server's flags with the pending ones on top */
static void test_marks_follow(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "\\Seen $forwarded other");
	struct store_op op;

	assert_int_equal(mark(w, id), FLAG(SEEN) | FLAG(PASSED));
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged \\Draft", "\\Seen"), 1);
	assert_int_equal(mark(w, id), FLAG(FLAGGED) | FLAG(DRAFT) | FLAG(PASSED));
	OK(store_pull_flags(w->s, w->inbox, 5, "\\Answered \\Deleted \\Seen", 9));
	assert_int_equal(mark(w, id), FLAG(FLAGGED) | FLAG(DRAFT) | FLAG(REPLIED) | FLAG(TRASHED));
	op = world_op(w, 0, STORE_OP_FLAGS);
	OK(store_op_park(w->s, op.seq, ERR_REFUSED, "no"));
	OK(store_op_drop(w->s, op.seq));
	store_op_release(&op);
	assert_int_equal(mark(w, id), FLAG(REPLIED) | FLAG(TRASHED) | FLAG(SEEN));
	OK(store_pull_flags(w->s, w->inbox, 5, "", 10));
	assert_int_equal(mark(w, id), 0);
	assert_int_equal(node(w, id).was, FLAG(REPLIED) | FLAG(TRASHED) | FLAG(SEEN));
	store_set_renames(w->s);
	assert_int_equal(store_message_flag(w->s, id, "\\Seen", ""), 1);
	assert_int_equal(store_message_flag(w->s, id, "", "\\Seen"), 1);
	assert_int_equal(node(w, id).was, FLAG(SEEN) | FLAG(OWN));
}

/* Done changes nothing of it, and a copy has what its original has */
static void test_marks_travel(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy = 0;
	struct store_op op;

	assert_int_equal(store_message_flag(w->s, id, "\\Seen", ""), 1);
	op = world_op(w, 0, STORE_OP_FLAGS);
	OK(store_op_done(w->s, op.seq, NULL));
	store_op_release(&op);
	assert_int_equal(mark(w, id), FLAG(SEEN));
	OK(store_message_copy(w->s, id, w->work, "copy.eml", &copy));
	assert_int_equal(mark(w, copy), FLAG(SEEN));
	OK(store_message_move(w->s, id, w->work, "5.eml", false, STORE_DELETE_TRASH));
	assert_int_equal(mark(w, id), FLAG(SEEN));
	assert_int_equal(count(w, w->work, STORE_PART_CUR, 1), 2);
}

/* A file is marked by the flags it is to be sent with */
static void test_file_marks(void **state)
{
	struct world *w = *state;
	int64_t id = world_file(w, w->inbox, "draft", "Subject: a\n\nb\n");

	assert_int_equal(count(w, w->inbox, STORE_PART_NEW, 3), 1);
	assert_int_equal(store_message_flag(w->s, id, "\\Draft \\Seen", ""), 0);
	assert_int_equal(mark(w, id), FLAG(DRAFT) | FLAG(SEEN));
	assert_int_equal(count(w, w->inbox, STORE_PART_NEW, 3), 0);
	OK(store_message_upload(w->s, id, "", NULL));
	assert_int_equal(mark(w, id), FLAG(DRAFT) | FLAG(SEEN));
}

/* new/ and cur/ share the messages: by flag, and by where a program put them */
static void test_parts(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 1, ""), b = world_pull(w, w->inbox, 2, "\\Seen");
	int64_t c = world_pull(w, w->inbox, 3, "\\Flagged");
	struct store_node n;

	OK(store_node_create(w->s, w->inbox, "x.tmp", STORE_KIND_DIR, 0700, NULL, &n));
	for (int page = 1; page <= 8; page++) {
		assert_int_equal(count(w, w->inbox, STORE_PART_NEW, page), 1);
		assert_int_equal(count(w, w->inbox, STORE_PART_CUR, page), 2);
		assert_int_equal(count(w, w->inbox, STORE_PART_DIRS, page), 1);
	}
	OK(store_node_put(w->s, a, true));
	assert_false(store_mark_fresh(mark(w, a)));
	OK(store_node_put(w->s, a, false));
	assert_true(store_mark_fresh(mark(w, a)));
	OK(store_node_put(w->s, c, false));
	assert_int_equal(count(w, w->inbox, STORE_PART_NEW, 8), 2);
	assert_int_equal(store_message_flag(w->s, c, "\\Seen", ""), 1);
	OK(store_node_put(w->s, b, false)); /* who has read it does not make it new */
	assert_int_equal(count(w, w->inbox, STORE_PART_NEW, 8), 1);
	assert_int_equal(count(w, w->inbox, STORE_PART_CUR, 8), 2);
}

/* A change of a mark moves the directory's second time, and only that one */
static void test_view_time(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 1, "");
	struct store_node before = node(w, w->inbox), after;

	OK(store_pull_flags(w->s, w->inbox, 1, "$Work", 2)); /* not to be seen */
	assert_int_equal(node(w, w->inbox).view_ns, before.view_ns);
	OK(store_pull_flags(w->s, w->inbox, 1, "\\Seen", 3));
	after = node(w, w->inbox);
	assert_true(after.view_ns > before.view_ns);
	assert_int_equal(after.mtime_ns, before.mtime_ns);
	OK(store_node_put(w->s, id, true));
	assert_true(node(w, w->inbox).view_ns > after.view_ns);
}

static int64_t crlf(struct world *w, int64_t id)
{
	struct store_node n = node(w, id);
	int64_t found = -1;

	OK(store_node_crlf(w->s, &n, &found));
	assert_int_equal(node(w, id).crlf, found); /* kept */
	return found;
}

/* Line ends are counted as a body comes, wherever it is cut */
static void test_crlf_of_body(void **state)
{
	static const char text[] = "\r\na\r\r\n\n\r\nb\r";
	struct world *w = *state;

	for (size_t cut = 1; cut < sizeof(text); cut++) {
		int64_t id = world_pull(w, w->inbox, (uint32_t)cut, "");
		struct store_body_writer *b = NULL;
		struct store_node n = node(w, id);
		int64_t any;

		assert_int_equal(n.crlf, -1);
		assert_int_equal(store_node_crlf(w->s, &n, &any), ERR_NOTFOUND);
		OK(store_body_begin(w->s, id, sizeof(text), &b));
		for (size_t at = 0; at < sizeof(text) - 1; at += cut) {
			size_t left = sizeof(text) - 1 - at;

			OK(store_body_part(b, text + at, left < cut ? left : cut));
		}
		OK(store_body_end(&b));
		assert_int_equal(node(w, id).crlf, 3);
	}
}

/* What changes the content makes the count void */
static void test_crlf_of_spool(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a", "Subject: a\r\n\r\nb\r\n"), spool = 0;
	struct store_node n;
	int fd;

	assert_int_equal(crlf(w, id), 3);
	OK(store_spool_writable(w->s, id, &spool));
	assert_int_equal(node(w, id).crlf, -1);
	assert_int_equal(crlf(w, id), 3);
	fd = store_spool_open(w->s, spool, 0);
	assert_int_equal(pwrite(fd, "X", 1, 11), 1); /* the same size, one line end less */
	close(fd);
	n = node(w, id);
	OK(store_node_set(w->s, id, STORE_SET_SIZE, &n));
	assert_int_equal(crlf(w, id), 2);
}

/* Counted at need where the body came before there was a count */
static void test_crlf_at_need(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 1, "");

	world_body(w, id, "a\r\nb\r\n");
	OK(store_db_run(&w->s->db, "UPDATE node SET crlf = -1 WHERE id = ?1", "i", id));
	assert_int_equal(crlf(w, id), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_marks_follow),  TEST(test_marks_travel), TEST(test_file_marks),
		TEST(test_parts),         TEST(test_view_time),    TEST(test_crlf_of_body),
		TEST(test_crlf_of_spool), TEST(test_crlf_at_need),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
