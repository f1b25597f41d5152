/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include "cli_note.h"
#include "cli_password.h"
#include "cli_test.h"
#include "mem.h"

#define CAP 4096

static struct cli_password *password_new(const char *token_command, const char *state_dir)
{
	struct cli_password *p;
	struct cli_options o;

	cli_options_init(&o);
	o.token_command = mem_strdup(token_command);
	o.state_dir = mem_strdup(state_dir);
	p = cli_password_new(&o, false, "a@b");
	cli_options_release(&o);
	return p;
}

/* The command is run when there is no token, or the one there is was refused; not when
 * another connection has renewed it meanwhile. */
static void test_token(void **state)
{
	_cleanup_free_ char *command = mem_printf("echo x >>%s/runs; echo t$(wc -l <%s/runs)",
	                                          (char *)*state, (char *)*state);
	struct cli_password *p = password_new(command, *state);
	char one[CAP] = "", two[CAP] = "", small[2] = "";
	struct err_reason why = { "" };

	assert_int_equal(cli_password_token(p, false, one, CAP, &why), 0);
	assert_string_equal(one, "t1");
	assert_int_equal(cli_password_token(p, false, two, CAP, &why), 0);
	assert_string_equal(two, "t1");
	assert_int_equal(cli_password_token(p, true, one, CAP, &why), 0);
	assert_string_equal(one, "t2");
	assert_int_equal(cli_password_token(p, true, two, CAP, &why), 0);
	assert_string_equal(two, "t2");
	assert_int_equal(cli_password_token(p, false, small, sizeof(small), &why), ERR_AUTH);
	assert_string_equal(small, "");
	cli_password_free(&p);
}

static void test_token_command_fails(void **state)
{
	static const char *const commands[] = { "exit 1", "true", "echo; echo late" };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct cli_password *p = password_new(commands[i], *state);
		struct err_reason why = { "" };
		char out[CAP] = "";

		assert_int_equal(cli_password_token(p, false, out, CAP, &why), ERR_AUTH);
		assert_string_equal(out, "");
		assert_true(why.text[0] != '\0');
		cli_password_free(&p);
	}
}

/* Known to the next program, too. */
static void test_mechanism(void **state)
{
	struct cli_password *p = password_new(NULL, *state);
	char known[SYNC_MECHANISM_MAX] = "x";
	struct stat st;

	cli_password_recall(p, known);
	assert_string_equal(known, "");
	cli_password_note(p, "SCRAM-SHA-256");
	cli_password_recall(p, known);
	assert_string_equal(known, "SCRAM-SHA-256");
	cli_password_free(&p);
	p = password_new(NULL, *state);
	cli_password_recall(p, known);
	assert_string_equal(known, "SCRAM-SHA-256");
	cli_password_note(p, "PLAIN");
	cli_password_free(&p);
	_cleanup_free_ char *path = mem_printf("%s/sign-in", (char *)*state);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* where it cannot be written, it holds as long as the program runs */
	p = password_new(NULL, "/nowhere/at/all");
	cli_password_note(p, "PLAIN");
	cli_password_recall(p, known);
	assert_string_equal(known, "PLAIN");
	cli_password_free(&p);
}

static void test_note(void **state)
{
	_cleanup_free_ char *path = mem_printf("%s/note", (char *)*state);
	char line[CLI_NOTE_MAX], text[2 * CLI_NOTE_MAX];
	struct err_reason why = { "" };

	assert_int_equal(cli_note_read(path, line, &why), 0);
	assert_int_equal(cli_note_write(path, "one", &why), 0);
	assert_int_equal(cli_note_write(path, "two", &why), 0);
	assert_int_equal(cli_note_read(path, line, &why), 1);
	assert_string_equal(line, "two");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(cli_note_write(path, text, &why), 0);
	assert_int_equal(cli_note_read(path, line, &why), 1);
	assert_int_equal(strlen(line), CLI_NOTE_MAX - 1);
	assert_int_equal(cli_note_read(*state, line, &why), ERR_IO); /* a directory */
	assert_int_equal(cli_note_write("/nowhere/note", "x", &why), ERR_IO);
	assert_non_null(strstr(why.text, "/nowhere/note"));
}

static void test_needed(void **state)
{
	const struct {
		struct cli_options o;
		bool needed;
	} rows[] = {
		{ { .host = (char[]){ "h" } }, true },
		{ { .token_command = (char[]){ "t" } }, false },
		{ { .tunnel = (char[]){ "t" } }, false },
		{ { .cert = (char[]){ "c" } }, false },
		{ { .cert = (char[]){ "c" }, .auth = (char[]){ "plain" } }, true },
		{ { .auth = (char[]){ "external" } }, false },
		{ { .auth = (char[]){ "GSSAPI" } }, false },
		{ { .auth = (char[]){ "XOAUTH2" }, .token_command = (char[]){ "t" } }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(cli_password_needed(&rows[i].o), rows[i].needed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		place_test(test_token),        place_test(test_token_command_fails),
		place_test(test_mechanism),    place_test(test_note),
		cmocka_unit_test(test_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
