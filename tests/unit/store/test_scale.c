/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include "clock.h"

/*
 * Big mailboxes: STORE_SCALE messages (20,000 unless the environment says otherwise; a million is
 * the full figure).  What must not grow with them is counted, not timed: steps through whole
 * tables, and memory.
 */
static uint32_t scale(void)
{
	const char *text = getenv("STORE_SCALE");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 20000;
}

static long resident_kb(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, field, strlen(field)) == 0)
			kb = strtol(line + strlen(field), NULL, 10);
	}
	fclose(f);
	return kb;
}

/* Rows that any statement of the handle found by going through a table. */
static int scanned(struct world *w)
{
	int steps = 0;

	for (int i = 0; i < STORE_DB_SLOTS; i++) {
		sqlite3_stmt *st = w->s->db.slot[i].st;

		if (st)
			steps += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1) +
			         sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 1);
	}
	return steps;
}

static void fill(struct world *w, int64_t mailbox, uint32_t count)
{
	for (uint32_t i = 1; i <= count; i++) {
		struct store_descriptor d = { .uid = i,
			                      .flags = i % 100 == 0 ? "" : "\\Seen",
			                      .size = 1000,
			                      .date = 1700000000 };

		if (i % 1000 == 1)
			OK(store_batch_begin(w->s));
		OK(store_pull_descriptor(w->s, mailbox, &d));
		if (i % 1000 == 0 || i == count)
			OK(store_batch_commit(w->s));
	}
}

/* Steps of SQLite's machine since last asked. */
static int64_t worked(struct world *w)
{
	int64_t steps = 0;

	for (int i = 0; i < STORE_DB_SLOTS; i++) {
		if (w->s->db.slot[i].st)
			steps += sqlite3_stmt_status(w->s->db.slot[i].st, SQLITE_STMTSTATUS_VM_STEP,
			                             1);
	}
	return steps;
}

static void fill_alike(struct world *w, int64_t mailbox, uint32_t from, uint32_t count,
                       bool one_content)
{
	char message_id[32], emailid[32];

	OK(store_batch_begin(w->s));
	for (uint32_t i = 0; i < count; i++) {
		struct store_descriptor d = { .uid = from + i,
			                      .flags = "",
			                      .size = 1000,
			                      .date = 1700000000,
			                      .message_id = message_id,
			                      .emailid = emailid };

		snprintf(message_id, sizeof(message_id), "<%u@example.org>", i);
		snprintf(emailid, sizeof(emailid), "M%u", one_content ? 0 : i);
		OK(store_pull_descriptor(w->s, mailbox, &d));
	}
	OK(store_batch_commit(w->s));
}

static uint32_t list(struct world *w, int part)
{
	static struct store_node page[128];
	int64_t after = 0;
	uint32_t total = 0;
	int n;

	do {
		n = part < 0 ? store_node_list(w->s, w->inbox, after, page, 128)
		             : store_node_list_part(w->s, w->inbox, (enum store_part)part, after,
		                                    page, 128);
		assert_true(n >= 0);
		total += (uint32_t)n;
		after = n > 0 ? page[n - 1].id : after;
	} while (n == 128);
	return total;
}

/* A listing streams; a look-up by name, number or UID is one step whatever the size. */
static void test_listing_and_lookup(void **state)
{
	struct world *w = *state;
	uint32_t count = scale();
	int64_t t0 = clock_mono_ms(), t1, t2, id;
	long before;
	struct store_node n;
	char name[32];

	fill(w, w->inbox, count);
	world_reopen(w);
	t1 = clock_mono_ms();
	before = resident_kb("VmHWM:");
	(void)scanned(w);
	assert_int_equal(list(w, -1), count);
	assert_int_equal(list(w, STORE_PART_CUR), count - count / 100);
	t2 = clock_mono_ms();
	assert_int_equal(list(w, STORE_PART_NEW), count / 100);
	assert_int_equal(list(w, STORE_PART_DIRS), 0);
	for (uint32_t uid = 1; uid <= count; uid += count / 1000) {
		snprintf(name, sizeof(name), "%u.eml", uid);
		OK(store_node_lookup(w->s, w->inbox, name, &n));
		OK(store_message_by_uid(w->s, w->inbox, uid, &id));
		assert_int_equal(id, n.id);
		OK(store_node_get(w->s, id, &n));
	}
	assert_int_equal(scanned(w), 0);
	/* pages of the file that SQLite keeps or maps; nothing for each message */
	assert_true(resident_kb("VmHWM:") - before < 100 * 1024);
	printf("%u messages: filled in %d ms, listed twice in %d ms, peak %ld MB\n", count,
	       (int)(t1 - t0), (int)(t2 - t1), resident_kb("VmHWM:") / 1024);
}

/* Changes cost the same whatever lies around them */
static void test_changes(void **state)
{
	struct world *w = *state;
	uint32_t count = scale() / 4, uid = count / 2;
	int64_t id = 0, copy = 0;

	fill(w, w->inbox, count);
	world_reopen(w);
	OK(store_message_by_uid(w->s, w->inbox, uid, &id));
	(void)scanned(w);
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	OK(store_node_put(w->s, id, true));
	OK(store_message_copy(w->s, id, w->work, "copy", &copy));
	OK(store_message_move(w->s, id, w->work, "moved", false, STORE_DELETE_TRASH));
	OK(store_pull_flags(w->s, w->inbox, uid + 1, "\\Answered", 9));
	OK(store_message_by_uid(w->s, w->inbox, uid + 2, &id));
	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	world_body(w, id, "a\r\n");
	assert_in_range(scanned(w), 0, 50); /* the few mailboxes and actions there are */
}

/* Messages of one content, and all of a mailbox that has been numbered anew. */
static void test_recognising(void **state)
{
	struct world *w = *state;
	int64_t mailbox[2] = { w->inbox, w->work }, learned[2], again[2];
	uint32_t count[2] = { 500, 4000 };

	for (int i = 0; i < 2; i++) {
		(void)worked(w);
		fill_alike(w, mailbox[i], 1, count[i], true);
		learned[i] = worked(w) / count[i];
		OK(store_pull_reset(w->s, mailbox[i], 7777));
		fill_alike(w, mailbox[i], 1, count[i], false);
		OK(store_pull_reset(w->s, mailbox[i], 8888));
		(void)worked(w);
		fill_alike(w, mailbox[i], 1, count[i], false);
		again[i] = worked(w) / count[i];
	}
	assert_true(learned[1] < 2 * learned[0]);
	assert_true(again[1] < 2 * again[0]);
}

static void body_of(struct world *w, int64_t id, const char *data, size_t len)
{
	struct store_body_writer *b = NULL;

	OK(store_body_begin(w->s, id, len, &b));
	OK(store_body_part(b, data, len));
	OK(store_body_end(&b));
}

/* Small bodies among large ones, read out of order: what the kernel maps around each is let go of again. */
static void test_scattered_reads(void **state)
{
	enum { PAIRS = 800, LARGE = 100 * 1024, SMALL = 200 };
	struct world *w = *state;
	char *large = calloc(1, LARGE);
	const void *data;
	long before;
	size_t len;

	fill(w, w->inbox, 2 * PAIRS);
	OK(store_batch_begin(w->s));
	for (uint32_t uid = 1; uid <= 2 * PAIRS; uid++) {
		int64_t id = 0;

		OK(store_message_by_uid(w->s, w->inbox, uid, &id));
		body_of(w, id, large, uid % 2 ? SMALL : LARGE);
	}
	OK(store_batch_commit(w->s));
	free(large);
	world_reopen(w);
	before = resident_kb("RssFile:");
	for (uint32_t i = 0; i < PAIRS; i++) {
		uint32_t uid = i * 37 % PAIRS * 2 + 1;
		int64_t id = 0;

		OK(store_message_by_uid(w->s, w->inbox, uid, &id));
		OK(store_body_get(w->s, id, &data, &len));
		assert_int_equal(len, SMALL);
		assert_memory_equal(data, "\0\0\0\0", 4);
		assert_true(resident_kb("RssFile:") - before < 24 * 1024);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_listing_and_lookup, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_changes, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_recognising, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_scattered_reads, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
