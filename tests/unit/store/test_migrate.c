/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A state directory that an earlier version left opens with all that it held. */
struct old {
	char dir[64];
	char *state, *cache;
	struct store *s;
};

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void write_spool(struct old *o, int number, const char *text)
{
	_cleanup_free_ char *path = mem_printf("%s/spool/%d", o->state, number);

	write_file(path, text);
}

static void load(struct old *o, const char *name)
{
	_cleanup_free_ char *path = mem_printf("%s/state.db", o->state);
	_cleanup_free_ char *sql = mem_printf("%s/%s", TEST_SOURCE_DIR, name);
	_cleanup_free_ char *text = mem_alloc(1 << 20);
	sqlite3 *db;
	FILE *f = fopen(sql, "re");

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	OK(sqlite3_open(path, &db));
	OK(sqlite3_exec(db, text, NULL, NULL, NULL));
	OK(sqlite3_close(db));
}

static int up(void **state)
{
	struct old *o = mem_alloc(sizeof(*o));
	_cleanup_free_ char *spool = NULL;
	struct err_reason why = { "" };

	snprintf(o->dir, sizeof(o->dir), "/tmp/store-test-XXXXXX");
	assert_non_null(mkdtemp(o->dir));
	o->state = mem_printf("%s/state", o->dir);
	o->cache = mem_printf("%s/cache", o->dir);
	spool = mem_printf("%s/spool", o->state);
	OK(mkdir(o->state, 0700));
	OK(mkdir(spool, 0700));
	write_spool(o, 1, "Subject: one\r\n\r\nunsent");
	write_spool(o, 2, "Subject: two\r\n\r\nunsent");
	write_spool(o, 3, "Subject: edit\r\n\r\nnew words");
	load(o, "state-1.sql");
	if (store_open(o->state, o->cache, &o->s, &why) != 0)
		fail_msg("store_open: %s", why.text);
	*state = o;
	return 0;
}

static int down(void **state)
{
	struct old *o = *state;
	_cleanup_free_ char *cmd = mem_printf("rm -rf '%s'", o->dir);

	store_close(&o->s);
	assert_int_equal(system(cmd), 0);
	free(o->state);
	free(o->cache);
	free(o);
	return 0;
}

static void check_text(struct store *s, const char *path, const char *text)
{
	_cleanup_free_ char *got = mem_alloc(strlen(text) + 2);
	struct store_node n;
	int fd;

	OK(store_node_by_path(s, path, &n));
	fd = store_spool_open(s, n.spool, 0);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, strlen(text) + 1), strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

/* The log of an earlier version is neither lost nor read as something else. */
static void test_actions_are_there(void **state)
{
	static const struct {
		enum store_op_kind kind;
		enum store_op_state state;
	} want[] = {
		{ STORE_OP_APPEND, STORE_OP_QUEUED },    { STORE_OP_APPEND, STORE_OP_SENT },
		{ STORE_OP_FLAGS, STORE_OP_PARKED },     { STORE_OP_MOVE, STORE_OP_QUEUED },
		{ STORE_OP_COPY, STORE_OP_QUEUED },      { STORE_OP_DELETE, STORE_OP_QUEUED },
		{ STORE_OP_DELETE, STORE_OP_QUEUED },    { STORE_OP_CREATE, STORE_OP_QUEUED },
		{ STORE_OP_SUBSCRIBE, STORE_OP_QUEUED },
	};
	struct old *o = *state;
	struct store_op *l = NULL;
	size_t n = 0;

	OK(store_op_list(o->s, &l, &n));
	assert_int_equal(n, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(l[i].kind, want[i].kind);
		assert_int_equal(l[i].state, want[i].state);
	}
	assert_string_equal(l[1].evidence, "uidnext 22");
	assert_int_equal(l[2].err, ERR_REFUSED);
	assert_string_equal(l[2].error, "refused by the server");
	store_op_list_free(l, n);
}

static void test_content_is_there(void **state)
{
	struct old *o = *state;
	struct store_node n;
	struct store_message m;

	OK(store_recover(o->s));
	check_text(o->s, "INBOX/letter.eml", "Subject: one\r\n\r\nunsent");
	check_text(o->s, "Work/sent.eml", "Subject: two\r\n\r\nunsent");
	check_text(o->s, "INBOX/14.eml", "Subject: edit\r\n\r\nnew words");
	OK(store_node_by_path(o->s, "INBOX/10.eml", &n));
	OK(store_message_get(o->s, n.id, &m));
	assert_string_equal(m.server_flags, "\\Seen");
	assert_string_equal(m.flags, "\\Flagged");
	assert_false(m.body_here); /* its cache is gone */
	store_message_release(&m);
	OK(store_node_by_path(o->s, "Work/12.eml", &n));
	assert_int_equal(n.id, 7); /* inode numbers stay */
}

/* It works on like one that was made today. */
static void test_goes_on(void **state)
{
	struct old *o = *state;
	struct store_op_done done = { .uidvalidity = 7, .uid = 22 };
	struct store_op_counts before, after;
	struct store_node n;

	OK(store_op_counts(o->s, &before));
	OK(store_op_done(o->s, 2, &done));
	OK(store_op_retry(o->s, 3));
	OK(store_op_counts(o->s, &after));
	assert_int_equal(after.sent, before.sent - 1);
	assert_int_equal(after.parked, before.parked - 1);
	OK(store_node_by_path(o->s, "Work", &n));
	OK(store_message_by_uid(o->s, n.id, 22, &n.id));
	assert_int_equal(n.id, 12);
}

/* What a Maildir shows was not kept then: it is found out from the flags, pending ones too. */
static void test_marks_are_filled(void **state)
{
	struct old *o = *state;
	struct store_node n, list[16];

	OK(store_node_by_path(o->s, "INBOX/10.eml", &n));
	assert_int_equal(n.mark, STORE_MARK_FLAGGED);
	assert_int_equal(n.crlf, -1);
	OK(store_node_by_path(o->s, "INBOX", &n));
	assert_true(store_node_list_part(o->s, n.id, STORE_PART_NEW, 0, list, 16) > 0);
	assert_true(store_mark_fresh(list[0].mark));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_actions_are_there, up, down),
		cmocka_unit_test_setup_teardown(test_content_is_there, up, down),
		cmocka_unit_test_setup_teardown(test_goes_on, up, down),
		cmocka_unit_test_setup_teardown(test_marks_are_filled, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
