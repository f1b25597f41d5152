/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

static void test_create_and_list(void **state)
{
	struct world *w = *state;
	struct store_node d, l, list[8], again;
	char *target = NULL;

	OK(store_node_create(w->s, STORE_ROOT, "dir", STORE_KIND_DIR, 0755, NULL, &d));
	OK(store_node_create(w->s, d.id, "link", STORE_KIND_SYMLINK, 0777, "a/b", &l));
	assert_int_equal(store_node_create(w->s, d.id, "link", STORE_KIND_FILE, 0600, NULL, &again),
	                 ERR_EXISTS);
	assert_int_equal(store_node_create(w->s, 999, "x", STORE_KIND_FILE, 0600, NULL, &again),
	                 ERR_NOTFOUND);
	assert_int_equal(store_node_create(w->s, d.id, "..", STORE_KIND_DIR, 0600, NULL, &again),
	                 ERR_INVAL);
	OK(store_symlink_target(w->s, l.id, &target));
	assert_string_equal(target, "a/b");
	free(target);
	assert_int_equal(store_node_list(w->s, STORE_ROOT, 0, list, 2), 2);
	assert_int_equal(store_node_list(w->s, STORE_ROOT, list[1].id, list, 8), 2);
	assert_string_equal(list[1].name, "dir");
	OK(store_node_get(w->s, STORE_ROOT, &again));
	assert_int_equal(again.subdirs, 4);
	assert_int_equal(store_node_remove(w->s, d.id), ERR_NOTEMPTY);
	OK(store_node_remove(w->s, l.id));
	OK(store_node_remove(w->s, d.id));
	OK(store_node_get(w->s, STORE_ROOT, &again));
	assert_int_equal(again.subdirs, 3);
}

/* Inode numbers are never reused, also after a restart */
static void test_ids_not_reused(void **state)
{
	struct world *w = *state;
	struct store_node a, b;

	OK(store_node_create(w->s, w->inbox, "a", STORE_KIND_FILE, 0600, NULL, &a));
	OK(store_node_remove(w->s, a.id));
	world_reopen(w);
	OK(store_node_create(w->s, w->inbox, "a", STORE_KIND_FILE, 0600, NULL, &b));
	assert_true(b.id > a.id);
	assert_true(b.spool != a.spool);
}

static void test_rename(void **state)
{
	struct world *w = *state;
	int64_t m = world_pull(w, w->inbox, 5, ""), f = world_file(w, w->inbox, "f", "x");
	struct store_node n, d, e;

	OK(store_node_rename(w->s, m, w->inbox, "name.eml", false, 0));
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_node_rename(w->s, m, w->work, "name.eml", false, 0), ERR_INVAL);
	assert_int_equal(store_node_rename(w->s, f, w->inbox, "name.eml", false, 0), ERR_EXISTS);
	OK(store_node_rename(w->s, f, w->inbox, "name.eml", true, STORE_DELETE_TRASH));
	OK(store_node_get(w->s, m, &n));
	assert_int_equal(n.parent, w->trash);
	assert_int_equal(world_op(w, 0, STORE_OP_DELETE).message, m);
	OK(store_node_create(w->s, w->inbox, "d", STORE_KIND_DIR, 0700, NULL, &d));
	OK(store_node_create(w->s, d.id, "e", STORE_KIND_DIR, 0700, NULL, &e));
	assert_int_equal(store_node_rename(w->s, d.id, e.id, "d", false, 0), ERR_INVAL);
	OK(store_node_by_path(w->s, "/INBOX/d/e", &n));
	assert_int_equal(n.id, e.id);
	assert_int_equal(store_node_by_path(w->s, "INBOX/nope/e", &n), ERR_NOTFOUND);
}

/* R058: mtime is the INTERNALDATE; names are the UID, made free when taken */
static void test_names_and_dates(void **state)
{
	struct world *w = *state;
	struct store_node n, before, after;
	int64_t id;

	world_file(w, w->inbox, "5.eml", "mine");
	OK(store_node_get(w->s, w->inbox, &before));
	id = world_pull(w, w->inbox, 5, "");
	OK(store_node_get(w->s, id, &n));
	assert_string_equal(n.name, "5-2.eml");
	assert_int_equal(n.mode, 0600);
	assert_int_equal(n.mtime_ns / 1000000000, 1700000000);
	OK(store_node_get(w->s, w->inbox, &after));
	assert_true(after.mtime_ns > before.mtime_ns);
	before = n;
	store_message_flag(w->s, id, "\\Seen", "");
	OK(store_node_get(w->s, id, &n));
	assert_true(n.ctime_ns > before.ctime_ns);
	assert_int_equal(n.mtime_ns, before.mtime_ns);
}

/* R129: UIDs above 2^31 */
static void test_large_uids(void **state)
{
	struct world *w = *state;
	uint32_t *uids = NULL;
	size_t n = 0;

	world_pull(w, w->inbox, 4294967295u, "");
	world_pull(w, w->inbox, 2147483648u, "");
	OK(store_pull_uids(w->s, w->inbox, &uids, &n));
	assert_int_equal(n, 2);
	assert_true(uids[0] == 2147483648u && uids[1] == 4294967295u);
	free(uids);
}

/* R072: keywords that cannot be kept are refused, not lost */
static void test_keywords_refused(void **state)
{
	struct world *w = *state;
	struct store_selected sel = { 7, false, false, false, "\\Seen $ok" };
	int64_t id = world_pull(w, w->inbox, 5, "");

	OK(store_pull_selected(w->s, w->inbox, &sel));
	assert_int_equal(store_message_flag(w->s, id, "$new", ""), ERR_PERM);
	assert_int_equal(store_message_flag(w->s, id, "$ok \\Seen", ""), 1);
	assert_int_equal(world_ops(w), 1);
}

static void test_list_missing(void **state)
{
	static const struct store_list_entry one = { "INBOX", "INBOX", '/', "", true };
	struct world *w = *state;
	struct store_mailbox m;

	OK(store_pull_list(w->s, NULL, 0, true));
	OK(store_mailbox_get(w->s, w->work, &m));
	assert_int_equal(m.missing_since_ms, 0);
	store_mailbox_release(&m);
	OK(store_pull_list(w->s, &one, 1, true));
	OK(store_mailbox_get(w->s, w->work, &m));
	assert_true(m.missing_since_ms > 0);
	store_mailbox_release(&m);
	OK(store_pull_mailbox_gone(w->s, w->work));
	assert_int_equal(store_mailbox_get(w->s, w->work, &m), ERR_NOTFOUND);
}

/* R036, R145: uploads into a lost mailbox stay; its removal is done */
static void test_mailbox_gone(void **state)
{
	struct world *w = *state;
	int64_t up = world_upload(w, w->work, "u.eml", "x: y\r\n\r\nz");
	struct store_node n;

	store_message_flag(w->s, world_pull(w, w->work, 5, ""), "\\Seen", "");
	OK(store_mailbox_remove(w->s, w->trash));
	OK(store_pull_mailbox_gone(w->s, w->work));
	OK(store_pull_mailbox_gone(w->s, w->trash));
	assert_int_equal(world_ops(w), 2);
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).state, STORE_OP_QUEUED);
	assert_int_equal(world_op(w, 1, STORE_OP_FLAGS).err, ERR_NOTFOUND);
	OK(store_node_get(w->s, up, &n));
	assert_int_equal(n.parent, w->work);
	assert_int_equal(store_node_get(w->s, w->trash, &n), ERR_NOTFOUND);
}

static void test_escape(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain", "plain" },
		{ "a/b", "a%2Fb" },
		{ ".", "%2E" },
		{ "..", "%2E." },
		{ "...", "..." },
		{ "100%", "100%" },
		{ "a%2Fb", "a%252Fb" },
		{ "\x01", "%01" },
		{ "\xff", "%FF" },
		{ "\xc3\xa9", "\xc3\xa9" },
		{ "\xc3", "%C3" },
		{ "\xc0\xaf", "%C0%AF" },
		{ "\xed\xa0\x80", "%ED%A0%80" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].in);
		char *exact = mem_alloc(len), *esc, *back;

		memcpy(exact, rows[i].in, len);
		esc = store_name_escape(exact, len);
		back = store_name_unescape(esc);
		assert_string_equal(esc, rows[i].out);
		assert_string_equal(back, rows[i].in);
		free(exact);
		free(esc);
		free(back);
	}
}

static void test_scratch_names(void **state)
{
	static const char *const yes[] = { ".a.swp",
		                           "4913",
		                           "x~",
		                           ".#x",
		                           "#x#",
		                           "a.tmp",
		                           "sedAb12Cd",
		                           "._x",
		                           ".DS_Store",
		                           ".nfs0001",
		                           ".Trash-1000",
		                           ".mail.eml.aB3dEf",
		                           ".goutputstream-X",
		                           ".~lock.a#" };
	static const char *const no[] = { "5.eml",     "sedate",  "sedation.x",
		                          "a.swp.eml", ".hidden", "x" };

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(store_name_is_scratch(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(store_name_is_scratch(no[i]));
}

struct note {
	int added, removed, attr, body;
};

static void listen_to(void *ctx, enum store_change what, int64_t node, int64_t parent,
                      const char *name)
{
	struct note *n = ctx;

	assert_true(node > 0);
	switch (what) {
	case STORE_CHANGE_ADDED:
		assert_true(parent > 0 && name);
		n->added++;
		break;
	case STORE_CHANGE_REMOVED:
		assert_true(parent > 0 && name);
		n->removed++;
		break;
	case STORE_CHANGE_ATTR:
		n->attr++;
		break;
	case STORE_CHANGE_BODY:
		n->body++;
		break;
	}
}

static void test_listener(void **state)
{
	struct world *w = *state;
	struct note n = { 0 };
	int64_t id;

	store_set_listener(w->s, listen_to, &n);
	OK(store_batch_begin(w->s));
	id = world_pull(w, w->inbox, 5, "");
	assert_int_equal(n.added, 0); /* told after the commit */
	OK(store_batch_commit(w->s));
	assert_int_equal(n.added, 1);
	world_body(w, id, "x");
	assert_int_equal(n.body, 1);
	OK(store_pull_flags(w->s, w->inbox, 5, "\\Seen", 8));
	assert_true(n.attr > 0);
	OK(store_message_remove(w->s, id, STORE_DELETE_EXPUNGE));
	assert_int_equal(n.removed, 1);
}

/* A look that finds all as it was is no change to tell of. */
static void test_listener_without_change(void **state)
{
	struct store_selected sel = { 7, false, false, true, "\\*" };
	struct world *w = *state;
	struct note n = { 0 };

	OK(store_pull_complete(w->s, w->inbox, 5, 40, 3, 1));
	store_set_listener(w->s, listen_to, &n);
	OK(store_pull_selected(w->s, w->inbox, &sel));
	OK(store_pull_complete(w->s, w->inbox, 5, 40, 3, 1));
	assert_int_equal(n.attr, 0);
	OK(store_pull_complete(w->s, w->inbox, 5, 40, 3, 2));
	assert_int_equal(n.attr, 1);
	sel.permanent_flags = "\\Seen";
	OK(store_pull_selected(w->s, w->inbox, &sel));
	assert_int_equal(n.attr, 2);
}

static void test_lock(void **state)
{
	struct world *w = *state;
	struct err_reason why = { "" };
	int a = -1, b = -1;

	OK(store_lock(w->state, &a, &why));
	assert_int_equal(store_lock(w->state, &b, &why), ERR_LOCKED);
	assert_non_null(strstr(why.text, "process"));
	close(a);
	OK(store_lock(w->state, &b, &why));
	close(b);
}

/* A newer schema, or an action of an unknown kind, is refused and left as it is */
static void test_newer_refused(void **state)
{
	struct world *w = *state;
	struct store *other = NULL;
	struct err_reason why = { "" };
	_cleanup_free_ char *back = NULL;
	int64_t version = 0;

	assert_int_equal(store_db_int(&w->s->db, &version, "PRAGMA user_version", ""), 1);
	back = mem_printf("PRAGMA user_version = %lld", (long long)version);
	world_upload(w, w->inbox, "u.eml", "x: y\r\n\r\nz");
	OK(store_db_script(&w->s->db, "UPDATE op SET kind = 77"));
	assert_int_equal(store_open(w->state, w->cache, &other, &why), ERR_VERSION);
	OK(store_db_script(&w->s->db, "UPDATE op SET kind = 1; PRAGMA user_version = 99"));
	assert_int_equal(store_open(w->state, w->cache, &other, &why), ERR_VERSION);
	assert_non_null(strstr(why.text, "99"));
	assert_null(other);
	OK(store_db_script(&w->s->db, back));
	world_reopen(w);
	assert_int_equal(world_ops(w), 1);
}

/* After a crash: sizes of spool files, and those nobody refers to */
static void test_recover(void **state)
{
	struct world *w = *state;
	int64_t f = world_file(w, w->inbox, "f", "text");
	char *stray = mem_printf("%s/spool/4711", w->state);
	char *half = mem_printf("%s/spool/%d.crlf", w->state, 1);
	struct store_node n;
	int fd = open(stray, O_CREAT | O_WRONLY, 0600);

	close(fd);
	close(open(half, O_CREAT | O_WRONLY, 0600));
	OK(store_node_get(w->s, f, &n));
	fd = store_spool_open(w->s, n.spool, O_APPEND);
	assert_int_equal(write(fd, "more", 4), 4);
	close(fd);
	OK(store_recover(w->s));
	OK(store_node_get(w->s, f, &n));
	assert_int_equal(n.size, 8);
	assert_int_equal(access(stray, F_OK), -1);
	assert_int_equal(access(half, F_OK), -1);
	free(half);
	free(stray);
}

/* Ten thousand descriptors, paging through them, ten thousand actions: the figures are printed */
static void test_bulk(void **state)
{
	enum { COUNT = 10000 };
	static struct store_node page[200];
	struct world *w = *state;
	struct store_op op = { 0 };
	int64_t t0 = clock_mono_ms(), t1, t2, t3, after = 0;
	int n, total = 0, ops = 0;

	OK(store_batch_begin(w->s));
	for (uint32_t i = 1; i <= COUNT; i++) {
		struct store_descriptor d = { .uid = i, .flags = "\\Seen", .size = i, .date = i };

		OK(store_pull_descriptor(w->s, w->inbox, &d));
	}
	OK(store_batch_commit(w->s));
	t1 = clock_mono_ms();
	while ((n = store_node_list(w->s, w->inbox, after, page, 200)) > 0) {
		after = page[n - 1].id;
		total += n;
	}
	assert_int_equal(total, COUNT);
	t2 = clock_mono_ms();
	OK(store_batch_begin(w->s));
	for (uint32_t i = 1; i <= COUNT; i++) {
		int64_t id = 0;

		OK(store_message_by_uid(w->s, w->inbox, i, &id));
		assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	}
	OK(store_batch_commit(w->s));
	t3 = clock_mono_ms();
	for (after = 0; store_op_next(w->s, after, 0, &op) == 1; ops++) {
		after = op.seq;
		store_op_release(&op);
	}
	assert_int_equal(ops, COUNT);
	printf("%d: descriptors %d ms, listing %d ms, flags %d ms, next %d ms\n", COUNT,
	       (int)(t1 - t0), (int)(t2 - t1), (int)(t3 - t2), (int)(clock_mono_ms() - t3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
		T(test_create_and_list),
		T(test_ids_not_reused),
		T(test_rename),
		T(test_names_and_dates),
		T(test_large_uids),
		T(test_keywords_refused),
		T(test_list_missing),
		T(test_mailbox_gone),
		T(test_escape),
		T(test_scratch_names),
		T(test_listener),
		T(test_listener_without_change),
		T(test_lock),
		T(test_newer_refused),
		T(test_recover),
		T(test_bulk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
