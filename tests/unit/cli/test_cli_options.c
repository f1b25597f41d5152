/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli.h"
#include "cli_options.h"
#include "cli_value.h"
#include "mem.h"
#include "store_mailbox.h"
#include "store_message.h"
#include "sync.h"

#define ARGS_MAX 16

/* Parses a command line given as one string, words separated by blanks, and applies it. */
static int parse(const char *line, struct cli_words *w, struct cli_options *o,
                 struct err_reason *why)
{
	char *copy = mem_strdup(line), *save = NULL, *argv[ARGS_MAX];
	int argc = 0, r;

	for (char *p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	why->text[0] = '\0';
	cli_options_init(o);
	memset(w, 0, sizeof(*w));
	r = cli_words_parse(argc, argv, w, why);
	if (r == 0)
		r = cli_words_apply(w, o, why);
	free(copy);
	return r;
}

static void release(struct cli_words *w, struct cli_options *o)
{
	cli_words_release(w);
	cli_options_release(o);
}

static void test_defaults(void **state)
{
	struct cli_options o;
	struct cli_words w;
	struct err_reason why;

	(void)state;
	assert_int_equal(parse("a@example.org /mnt", &w, &o, &why), 0);
	assert_int_equal(o.tls, CLI_TLS_UNSAID);
	assert_int_equal(o.delete_mode, STORE_DELETE_TRASH);
	assert_int_equal(o.profile, STORE_PROFILE_FULL);
	assert_int_equal(o.connections, 2);
	assert_int_equal(o.hold_ms, 2000);
	assert_int_equal(o.poll_ms, 300000);
	assert_int_equal(o.timeout_ms, 30000);
	assert_int_equal(o.umask, 077);
	assert_true(o.fmask == CLI_MASK_UNSET && o.dmask == CLI_MASK_UNSET);
	assert_true(o.uid == -1 && o.gid == -1);
	assert_false(o.foreground || o.read_only || o.offline || o.nonempty || o.insecure);
	assert_string_equal(w.operands[0], "a@example.org");
	assert_string_equal(w.operands[1], "/mnt");
	release(&w, &o);
}

/* `-o a,b=c`, `--a --b=c` and `--b c` are one grammar, before and after the operands. */
static void test_same_by_every_spelling(void **state)
{
	static const char *const lines[] = {
		"-o tls=none,insecure,hold=5s,allow_other,max-age=7 a@b /mnt",
		"a@b /mnt -otls=none,insecure -o hold=5s,allow-other,max_age=7",
		"--tls=none --insecure --hold=5s a@b --allow-other --max-age=7 /mnt",
		"--tls none --insecure --hold 5000ms --allow_other --max_age 7 -- a@b /mnt",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct cli_options o;
		struct cli_words w;
		struct err_reason why;

		assert_int_equal(parse(lines[i], &w, &o, &why), 0);
		assert_int_equal(o.tls, SYNC_TLS_NONE);
		assert_true(o.insecure && o.allow_other);
		assert_int_equal(o.hold_ms, 5000);
		assert_int_equal(o.max_age_days, 7);
		assert_string_equal(w.operands[0], "a@b");
		assert_string_equal(w.operands[1], "/mnt");
		release(&w, &o);
	}
}

/* Everything that stands in fstab or that mount(8) hands down, in the order of a real line. */
static void test_fstab_words(void **state)
{
	struct cli_options o;
	struct cli_words w;
	struct err_reason why;

	(void)state;
	assert_int_equal(parse("a@b /mnt -o auto,noauto,nofail,defaults,user,users,_netdev,owner,"
	                       "comment=x,x-systemd.automount,x-gvfs-show,rw,suid,nosuid,dev,nodev,"
	                       "exec,noexec,atime,noatime,relatime,sync,async,lazytime",
	                       &w, &o, &why),
	                 0);
	assert_string_equal(o.extra, "nosuid,nodev,noexec,noatime");
	assert_null(o.user);
	assert_int_equal(o.profile, STORE_PROFILE_FULL);
	release(&w, &o);

	assert_int_equal(parse("a@b /mnt -o ro", &w, &o, &why), 0);
	assert_true(o.read_only);
	release(&w, &o);
	assert_int_equal(parse("a@b /mnt -o ro,rw", &w, &o, &why), 0);
	assert_false(o.read_only);
	release(&w, &o);
}

static void test_letters(void **state)
{
	struct cli_options o;
	struct cli_words w;
	struct err_reason why;

	(void)state;
	assert_int_equal(parse("-fd a@b /mnt", &w, &o, &why), 0);
	assert_true(o.foreground && o.debug);
	release(&w, &o);
	assert_int_equal(parse("-o d a@b /mnt -V -h", &w, &o, &why), 0);
	assert_true(o.debug && o.version && o.help);
	release(&w, &o);
	assert_int_equal(parse("-x a@b /mnt", &w, &o, &why), ERR_INVAL);
	release(&w, &o);
}

static void test_commas_in_values(void **state)
{
	char dash_o[] = "-o", list[] = "password-command=a\\,b\\\\c,ro", *argv[] = { dash_o, list };
	struct err_reason why = { "" };
	struct cli_options o;
	struct cli_words w;

	(void)state;
	cli_options_init(&o);
	assert_int_equal(cli_words_parse(2, argv, &w, &why), 0);
	assert_int_equal(cli_words_apply(&w, &o, &why), 0);
	assert_string_equal(o.password_command, "a,b\\c");
	assert_true(o.read_only);
	release(&w, &o);
}

/* What is refused, and a word that the complaint must hold. */
static void test_refused(void **state)
{
	static const struct {
		const char *line, *word;
	} rows[] = {
		{ "--bogus a@b /mnt", "bogus" },
		{ "-o tls=ssl a@b /mnt", "implicit, starttls, none" },
		{ "-o tls a@b /mnt", "value" },
		{ "-o delete=now a@b /mnt", "trash" },
		{ "-o sync=some a@b /mnt", "headers" },
		{ "-o connections=0 a@b /mnt", "connections" },
		{ "-o connections=99 a@b /mnt", "connections" },
		{ "-o connections=2x a@b /mnt", "connections" },
		{ "-o hold=-1 a@b /mnt", "hold" },
		{ "-o hold=5y a@b /mnt", "hold" },
		{ "-o hold=99999999999999999999 a@b /mnt", "hold" },
		{ "-o timeout=0 a@b /mnt", "timeout" },
		{ "-o max-size=1X a@b /mnt", "max-size" },
		{ "-o umask=9 a@b /mnt", "umask" },
		{ "-o uid=me a@b /mnt", "uid" },
		{ "-o port=0 a@b /mnt", "port" },
		{ "-o ro=perhaps a@b /mnt", "yes or no" },
		{ "-o =x a@b /mnt", "name" },
		{ "a@b /mnt more", "too many" },
		{ "a@b /mnt -o", "needs a value" },
		/* of a later release: said so, not passed over */
		{ "-o layout=mbox a@b /mnt", "plain, maildir" },
		{ "-o separator=/ a@b /mnt", "separator" },
		{ "-o separator=:: a@b /mnt", "separator" },
		{ "-o names=from a@b /mnt", "uid, subject" },
		{ "-o auth a@b /mnt", "needs a value" },
		{ "-o token-command= a@b /mnt", "empty" },
		{ "-o cert= a@b /mnt", "path" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cli_options o;
		struct cli_words w;
		struct err_reason why;

		if (parse(rows[i].line, &w, &o, &why) != ERR_INVAL ||
		    strstr(why.text, rows[i].word) == NULL)
			fail_msg("%s: \"%s\"", rows[i].line, why.text);
		release(&w, &o);
	}
}

/* A password on the command line is not accepted, and not repeated on the terminal. */
static void test_password_is_no_option(void **state)
{
	struct cli_options o;
	struct cli_words w;
	struct err_reason why;

	(void)state;
	assert_int_equal(parse("-o password=geheim a@b /mnt", &w, &o, &why), ERR_INVAL);
	assert_null(strstr(why.text, "geheim"));
	assert_non_null(strstr(why.text, "password-command"));
	release(&w, &o);
	assert_int_equal(parse("--pass=geheim a@b /mnt", &w, &o, &why), ERR_INVAL);
	assert_null(strstr(why.text, "geheim"));
	release(&w, &o);
}

static void test_values(void **state)
{
	char cwd[4096], expected[5000];
	struct err_reason why;
	struct cli_options o;
	struct cli_words w;

	(void)state;
	assert_int_equal(parse("a@b /m --max-size=10M --umask=027 --uid=12 --gid=34 --port=1430 "
	                       "--disable=QRESYNC:COMPRESS=DEFLATE --sync=headers --delete=flag",
	                       &w, &o, &why),
	                 0);
	assert_int_equal(o.max_size, 10 << 20);
	assert_int_equal(o.umask, 027);
	assert_int_equal(o.uid, 12);
	assert_int_equal(o.gid, 34);
	assert_int_equal(o.port, 1430);
	assert_string_equal(o.disable, "COMPRESS=DEFLATE QRESYNC");
	assert_int_equal(o.profile, STORE_PROFILE_HEADERS);
	assert_int_equal(o.delete_mode, STORE_DELETE_FLAG);
	release(&w, &o);

	/* the daemon changes its directory, so paths are made absolute at once */
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	(void)snprintf(expected, sizeof(expected), "%s/here/state", cwd);
	assert_int_equal(parse("a@b /m --state-dir=here/state", &w, &o, &why), 0);
	assert_string_equal(o.state_dir, expected);
	release(&w, &o);
	(void)setenv("HOME", "/home/user", 1);
	assert_int_equal(parse("a@b /m --cafile=~/ca.pem", &w, &o, &why), 0);
	assert_string_equal(o.cafile, "/home/user/ca.pem");
	release(&w, &o);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "0", 0 },       { "2", 2000 },      { "2s", 2000 },    { "500ms", 500 },
		{ "5m", 300000 }, { "5min", 300000 }, { "1h", 3600000 }, { "2d", 172800000 },
		{ "", -1 },       { "s", -1 },        { "-1s", -1 },     { "1.5s", -1 },
		{ "1 s", -1 },    { "+1", -1 },       { "1sm", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t ms = 77;
		int r = cli_duration_parse(rows[i].text, &ms);

		assert_int_equal(r, rows[i].ms < 0 ? ERR_INVAL : 0);
		assert_int_equal(ms, rows[i].ms < 0 ? 77 : rows[i].ms);
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *user, *host;
		int port;
	} rows[] = {
		{ "alice@example.org", "alice", "example.org", 0 },
		{ "alice@example.org:1430", "alice", "example.org", 1430 },
		{ "alice@example.org@imap.example.net", "alice@example.org", "imap.example.net",
		  0 },
		{ "imap.example.org", NULL, "imap.example.org", 0 },
		{ "imap.example.org:993", NULL, "imap.example.org", 993 },
		{ "alice@[::1]", "alice", "::1", 0 },
		{ "alice@[fe80::1%eth0]:143", "alice", "fe80::1%eth0", 143 },
		{ "[2001:db8::2]:143", NULL, "2001:db8::2", 143 },
		{ "alice@127.0.0.1:10143", "alice", "127.0.0.1", 10143 },
		/* refused */
		{ "alice@::1", NULL, NULL, 0 },
		{ "alice@[::1", NULL, NULL, 0 },
		{ "alice@[::1]x", NULL, NULL, 0 },
		{ "alice@[]", NULL, NULL, 0 },
		{ "alice@", NULL, NULL, 0 },
		{ "@example.org", NULL, NULL, 0 },
		{ "alice@example.org:", NULL, NULL, 0 },
		{ "alice@example.org:0", NULL, NULL, 0 },
		{ "alice@example.org:65536", NULL, NULL, 0 },
		{ "alice@example.org:imap", NULL, NULL, 0 },
		{ "", NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text);
		char *exact = malloc(len + 1); /* so that a read past the end is seen */
		struct err_reason why;
		struct cli_options o;

		memcpy(exact, rows[i].text, len + 1);
		cli_options_init(&o);
		assert_int_equal(cli_address_parse(exact, &o, &why),
		                 rows[i].host == NULL ? ERR_INVAL : 0);
		if (rows[i].host != NULL) {
			assert_string_equal(o.host, rows[i].host);
			assert_int_equal(o.port, rows[i].port);
			if (rows[i].user == NULL)
				assert_null(o.user);
			else
				assert_string_equal(o.user, rows[i].user);
		}
		cli_options_release(&o);
		free(exact);
	}
}

static void test_finish(void **state)
{
	static const struct {
		const char *line;
		int port;
		enum sync_tls tls;
	} rows[] = {
		{ "--host=h", 993, SYNC_TLS_IMPLICIT },
		{ "--host=h --tls=starttls", 143, SYNC_TLS_STARTTLS },
		{ "--host=h --tls=none", 143, SYNC_TLS_NONE },
		{ "--host=h --tls=none --port=99", 99, SYNC_TLS_NONE },
		{ "--host=h --tunnel=x", 143, SYNC_TLS_NONE },
		{ "--host=h --tunnel=x --tls=implicit", 993, SYNC_TLS_IMPLICIT },
	};
	struct err_reason why;
	struct cli_options o;
	struct cli_words w;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].line, &w, &o, &why), 0);
		assert_int_equal(cli_options_finish(&o, &why), 0);
		assert_int_equal(o.port, rows[i].port);
		assert_int_equal(o.tls, rows[i].tls);
		release(&w, &o);
	}
	assert_int_equal(parse("--host=h -d --allow-other", &w, &o, &why), 0);
	assert_int_equal(cli_options_finish(&o, &why), 0);
	assert_true(o.foreground);          /* -d implies -f */
	assert_true(o.default_permissions); /* others are let in, the modes hold */
	release(&w, &o);
	assert_int_equal(parse("", &w, &o, &why), 0);
	assert_int_equal(cli_options_finish(&o, &why), ERR_INVAL);
	release(&w, &o);
}

static void test_exit_status(void **state)
{
	(void)state;
	assert_int_equal(cli_exit_of(0), 0);
	assert_int_equal(cli_exit_of(ERR_INVAL), 2);
	assert_int_equal(cli_exit_of(ERR_OFFLINE), 4);
	assert_int_equal(cli_exit_of(ERR_TIMEOUT), 4);
	assert_int_equal(cli_exit_of(ERR_PROTO), 4);
	assert_int_equal(cli_exit_of(ERR_BUSY), 4);
	assert_int_equal(cli_exit_of(ERR_TLS), 5);
	assert_int_equal(cli_exit_of(ERR_AUTH), 6);
	assert_int_equal(cli_exit_of(ERR_LOCKED), 7);
	assert_int_equal(cli_exit_of(ERR_IO), 8);
	assert_int_equal(cli_exit_of(ERR_NOSPACE), 8);
	assert_int_equal(cli_exit_of(ERR_VERSION), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_same_by_every_spelling),
		cmocka_unit_test(test_fstab_words),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_commas_in_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_password_is_no_option),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
