/* SPDX-License-Identifier: MIT */
#include "cli_account.h"
#include "cli_mountinfo.h"
#include "cli_mountpoint.h"
#include "cli_paths.h"
#include "cli_test.h"
#include "mem.h"

static void test_xdg(void **state)
{
	struct err_reason why = { "" };
	struct cli_options o;
	char *path;

	(void)state;
	(void)setenv("HOME", "/home/user", 1);
	(void)unsetenv("XDG_STATE_HOME");
	(void)setenv("XDG_CACHE_HOME", "relative", 1); /* counts as unset */
	(void)setenv("XDG_CONFIG_HOME", "/etc/xdg", 1);
	path = cli_path_config();
	assert_string_equal(path, "/etc/xdg/imapfs/config");
	free(path);

	cli_options_init(&o);
	o.account = mem_strdup("work");
	assert_int_equal(cli_paths_fill(&o, &why), 0);
	assert_string_equal(o.state_dir, "/home/user/.local/state/imapfs/work");
	assert_string_equal(o.cache_dir, "/home/user/.cache/imapfs/work");
	cli_options_release(&o);
}

/* As a system unit starts it: no HOME at all. */
static void test_empty_environment(void **state)
{
	struct err_reason why = { "" };
	struct cli_options o;
	char *path;

	(void)state;
	assert_int_equal(clearenv(), 0);
	path = cli_path_config();
	assert_true(path == NULL || path[0] == '/');
	free(path);
	cli_options_init(&o);
	o.account = mem_strdup("work");
	o.state_dir = mem_strdup("/var/lib/x");
	if (cli_paths_fill(&o, &why) == 0) {
		assert_string_equal(o.state_dir, "/var/lib/x");
		assert_int_equal(o.cache_dir[0], '/');
	} else {
		assert_non_null(strstr(why.text, "cache-dir"));
	}
	cli_options_release(&o);
}

static void test_account_dirs(void **state)
{
	static const struct {
		const char *user, *host, *dir;
	} rows[] = {
		{ "alice", "example.org", "alice@example.org:993" },
		{ "alice", "::1", "alice@::1:993" },
		{ "../../etc", "h", "%2E.%2F..%2Fetc@h:993" },
		{ "a b\n%", "h", "a%20b%0A%25@h:993" },
		{ "\xc3\xa4", "h", "%C3%A4@h:993" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cli_options o;
		char *dir;

		cli_options_init(&o);
		o.user = mem_strdup(rows[i].user);
		o.host = mem_strdup(rows[i].host);
		o.port = 993;
		dir = cli_account_dir(&o);
		assert_string_equal(dir, rows[i].dir);
		free(dir);
		cli_options_release(&o);
	}
}

static void test_title(void **state)
{
	struct cli_options o;
	char *title;

	(void)state;
	cli_options_init(&o);
	o.user = mem_strdup("alice");
	o.host = mem_strdup("2001:db8::1");
	o.port = 143;
	title = cli_account_title(&o);
	assert_string_equal(title, "alice@[2001:db8::1]:143");
	free(title);
	cli_options_release(&o);
}

static void test_make_dir(void **state)
{
	_cleanup_free_ char *path = mem_printf("%s/a/b/c", (const char *)*state);
	_cleanup_free_ char *file = write_file(state, "file", "x", 1, 0600);
	_cleanup_free_ char *below = mem_printf("%s/d", file);
	struct err_reason why = { "" };
	struct stat st;

	assert_int_equal(cli_make_dir(path, &why), 0);
	assert_int_equal(cli_make_dir(path, &why), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(cli_make_dir(file, &why), ERR_IO);
	assert_int_equal(cli_make_dir(below, &why), ERR_IO);
}

static void test_inside(void **state)
{
	_cleanup_free_ char *mnt = mem_printf("%s/mnt", (const char *)*state);
	_cleanup_free_ char *link = mem_printf("%s/link", (const char *)*state);
	_cleanup_free_ char *real = NULL;
	static const struct {
		const char *path;
		bool inside;
	} rows[] = {
		{ "mnt", true },           { "mnt/state", true }, { "mnt/a/b/c", true },
		{ "mnt2", false },         { "state", false },    { "link/state", true },
		{ "mnt/../state", false }, { ".", false },
	};

	assert_int_equal(mkdir(mnt, 0700), 0);
	assert_int_equal(symlink("mnt", link), 0);
	real = realpath(mnt, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *path = mem_printf("%s/%s", (const char *)*state, rows[i].path);

		if (cli_path_inside(path, real) != rows[i].inside)
			fail_msg("%s", rows[i].path);
	}
}

static void test_mountpoint(void **state)
{
	_cleanup_free_ char *empty = mem_printf("%s/empty", (const char *)*state);
	_cleanup_free_ char *none = mem_printf("%s/none", (const char *)*state);
	_cleanup_free_ char *file = write_file(state, "file", "x", 1, 0600);
	struct err_reason why = { "" };
	struct cli_options o;
	char *out = NULL;

	cli_options_init(&o);
	assert_int_equal(mkdir(empty, 0700), 0);
	assert_int_equal(cli_mountpoint_check(&o, empty, &out, &why), 0);
	o.state_dir = mem_printf("%s/state", out);
	assert_int_equal(cli_mountpoint_check_inside(&o, out, &why), ERR_INVAL);
	free(o.state_dir);
	o.state_dir = mem_printf("%s/state", (const char *)*state);
	assert_int_equal(cli_mountpoint_check_inside(&o, out, &why), 0);
	free(out);

	assert_int_equal(cli_mountpoint_check(&o, none, &out, &why), ERR_NOTFOUND);
	assert_int_equal(cli_mountpoint_check(&o, file, &out, &why), ERR_INVAL);
	assert_int_equal(cli_mountpoint_check(&o, *state, &out, &why), ERR_NOTEMPTY);
	assert_non_null(strstr(why.text, "nonempty"));
	o.nonempty = true;
	assert_int_equal(cli_mountpoint_check(&o, *state, &out, &why), 0);
	free(out);
	cli_options_release(&o);
}

static const char mountinfo[] =
	"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	"30 22 0:50 / /home/user/Mail rw,nosuid,nodev - fuse.imapfs alice@example.org:993 "
	"rw,user_id=1000,group_id=1000\n"
	"31 22 0:51 / /home/user/My\\040Mail\\134x rw shared:2 master:3 - fuse.imapfs b@h "
	"rw,user_id=7\n"
	"32 30 0:52 / /home/user/Mail/INBOX rw - tmpfs none rw\n"
	"33 22 0:53 / /twice rw - tmpfs none rw\n"
	"34 22 0:54 / /twice rw - fuse.imapfs c@h rw\n"
	"broken line\n"
	"35 22 0:55 / /cut rw - fuse.imapfs\n";

static void test_mountinfo(void **state)
{
	static const struct {
		const char *path, *point;
		uid_t owner;
	} rows[] = {
		{ "/home/user/Mail", "/home/user/Mail", 1000 },
		{ "/home/user/Mail/Drafts/1.eml", "/home/user/Mail", 1000 },
		{ "/home/user/My Mail\\x/a", "/home/user/My Mail\\x", 7 },
		{ "/twice/x", "/twice", 0 },
		{ "/home/user/Mailbox", NULL, 0 },
		{ "/home/user", NULL, 0 },
		{ "/home/user/Mail/INBOX/x", NULL, 0 }, /* something else is mounted over it */
		{ "/cut", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cli_mount m;
		bool found = cli_mount_find_in(mountinfo, rows[i].path, &m);

		assert_int_equal(found, rows[i].point != NULL);
		if (found) {
			assert_string_equal(m.point, rows[i].point);
			assert_int_equal(m.owner, rows[i].owner);
			cli_mount_release(&m);
		}
	}
	for (size_t n = 0; n < sizeof(mountinfo); n++) { /* cut anywhere */
		char *cut = strndup(mountinfo, n);
		struct cli_mount m;

		if (cli_mount_find_in(cut, "/home/user/Mail/x", &m))
			cli_mount_release(&m);
		free(cut);
	}
}

static void test_own_mountinfo(void **state)
{
	struct cli_mount m;

	(void)state;
	/* "/" is no mount in a chroot */
	assert_true(cli_mount_at("/proc", &m));
	assert_string_equal(m.point, "/proc");
	cli_mount_release(&m);
	assert_false(cli_mount_at("/no/such/place", &m));
}

static void test_socket_names(void **state)
{
	char *dirs[CLI_RUN_DIRS], *a, *b;

	(void)state;
	(void)setenv("XDG_RUNTIME_DIR", "/run/x", 1);
	cli_run_dirs(12, dirs);
	assert_string_equal(dirs[0], "/run/x/imapfs");
	assert_string_equal(dirs[1], "/run/user/12/imapfs");
	assert_string_equal(dirs[2], "/tmp/imapfs-12");
	for (int i = 0; i < CLI_RUN_DIRS; i++)
		free(dirs[i]);
	a = cli_socket_path("/d", "/home/user/Mail");
	b = cli_socket_path("/d", "/home/user/Mail2");
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), strlen("/d/0123456789abcdef.sock"));
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xdg),
		cmocka_unit_test(test_account_dirs),
		cmocka_unit_test(test_title),
		place_test(test_make_dir),
		place_test(test_inside),
		place_test(test_mountpoint),
		cmocka_unit_test(test_mountinfo),
		cmocka_unit_test(test_own_mountinfo),
		cmocka_unit_test(test_socket_names),
		cmocka_unit_test(test_empty_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
