/* SPDX-License-Identifier: MIT */
#include "cli_config.h"
#include "cli_test.h"
#include "mem.h"

static const char good[] = "# for all\n"
			   "hold = 5s\n"
			   "\n"
			   "[work]\n"
			   "  host = imap.example.org  \n"
			   "user=alice@example.org\n"
			   "password-command = pass show a=b # not a comment\n"
			   "max_age = 30\n"
			   "; last\n"
			   "[home]\r\n"
			   "host = mail.example.net\r\n"
			   "tls = starttls\r\n"
			   "hold = 1s\r\n"
			   "offline";

static int read_text(void **state, const char *text, size_t len, const char *account,
                     struct cli_options *o, struct err_reason *why)
{
	_cleanup_free_ char *path = write_file(state, "config", text, len, 0600);

	why->text[0] = '\0';
	cli_options_init(o);
	return cli_config_read(path, account, o, why);
}

static void test_accounts(void **state)
{
	struct err_reason why;
	struct cli_options o;

	assert_int_equal(read_text(state, good, strlen(good), "work", &o, &why), 1);
	assert_string_equal(o.host, "imap.example.org");
	assert_string_equal(o.user, "alice@example.org");
	assert_string_equal(o.password_command, "pass show a=b # not a comment");
	assert_int_equal(o.max_age_days, 30);
	assert_int_equal(o.hold_ms, 5000);
	assert_false(o.offline);
	cli_options_release(&o);

	assert_int_equal(read_text(state, good, strlen(good), "home", &o, &why), 1);
	assert_string_equal(o.host, "mail.example.net");
	assert_null(o.user);
	assert_int_equal(o.hold_ms, 1000);
	assert_true(o.offline);
	cli_options_release(&o);

	/* not there: the general part counts all the same */
	assert_int_equal(read_text(state, good, strlen(good), "other", &o, &why), 0);
	assert_null(o.host);
	assert_int_equal(o.hold_ms, 5000);
	cli_options_release(&o);
}

static void test_no_file(void **state)
{
	struct err_reason why = { "" };
	struct cli_options o;
	_cleanup_free_ char *path = mem_printf("%s/none/config", (const char *)*state);

	cli_options_init(&o);
	assert_int_equal(cli_config_read(path, "work", &o, &why), 0);
	cli_options_release(&o);
}

/* Each is refused with the file's name and the line's number, whichever account is asked for. */
static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *word;
	} rows[] = {
		{ "[work]\nhost = h\nbogus = 1\n", 3, "bogus" },
		{ "[home]\nhost = h\nhold = soon\n[work]\nhost = h\n", 3, "hold" },
		{ "[work]\nhost = h\nhost = i\n", 3, "second time: host" },
		{ "[work]\nhold = 1\n\n[work]\n", 4, "second section work" },
		{ "[work\n", 1, "[NAME]" },
		{ "[work] x\n", 1, "[NAME]" },
		{ "[../etc]\n", 1, "name for an account" },
		{ "[.hidden]\n", 1, "name for an account" },
		{ "[a b]\n", 1, "name for an account" },
		{ "[]\n", 1, "name for an account" },
		{ "host = h\n", 1, "section" },
		{ "state-dir = /x\n", 1, "section" },
		{ "\n\n= x\n", 3, "KEY = VALUE" },
		{ "[work]\nhost\n", 2, "value" },
		{ "[work]\nconfig = /x\n", 2, "config" },
		{ "[work]\npassword = geheim\n", 2, "password-command" },
		{ "[work]\nlayout = mbox\n", 2, "plain, maildir" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err_reason why;
		struct cli_options o;
		char place[32];

		(void)snprintf(place, sizeof(place), "/config:%d: ", rows[i].line);
		if (read_text(state, rows[i].text, strlen(rows[i].text), "work", &o, &why) >= 0 ||
		    strstr(why.text, place) == NULL || strstr(why.text, rows[i].word) == NULL)
			fail_msg("%s: \"%s\"", rows[i].text, why.text);
		assert_null(strstr(why.text, "geheim"));
		cli_options_release(&o);
	}
}

/* Bytes that no editor writes, and more of them than any configuration has. */
static void test_bounds(void **state)
{
	static char big[2 << 20];
	struct err_reason why;
	struct cli_options o;

	assert_true(read_text(state, "[work]\nhost = a\0b\n", 18, "work", &o, &why) < 0);
	assert_non_null(strstr(why.text, ":2: "));
	cli_options_release(&o);

	memset(big, 'x', sizeof(big));
	assert_true(read_text(state, big, sizeof(big), "work", &o, &why) < 0);
	assert_non_null(strstr(why.text, "line is too long"));
	cli_options_release(&o);

	memset(big, '\n', sizeof(big));
	assert_true(read_text(state, big, sizeof(big), "work", &o, &why) < 0);
	assert_non_null(strstr(why.text, "file is too long"));
	cli_options_release(&o);
}

/* It is cut at each byte: refused or read, never more than what is there. */
static void test_cut_anywhere(void **state)
{
	for (size_t n = 0; n <= strlen(good); n++) {
		struct err_reason why;
		struct cli_options o;

		(void)read_text(state, good, n, "home", &o, &why);
		cli_options_release(&o);
	}
}

/* A file that runs commands must be the user's own. */
static void test_writable_by_everyone(void **state)
{
	_cleanup_free_ char *path = write_file(state, "config", good, strlen(good), 0666);
	struct err_reason why = { "" };
	struct cli_options o;

	cli_options_init(&o);
	assert_int_equal(cli_config_read(path, "work", &o, &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "written by everyone"));
	cli_options_release(&o);
	assert_int_equal(chmod(path, 0600), 0);
	cli_options_init(&o);
	assert_int_equal(cli_config_read(*state, "work", &o, &why), ERR_INVAL); /* a directory */
	cli_options_release(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		place_test(test_accounts),     place_test(test_no_file),
		place_test(test_refused),      place_test(test_bounds),
		place_test(test_cut_anywhere), place_test(test_writable_by_everyone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
