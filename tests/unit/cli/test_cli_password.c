/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdatomic.h>

#include "cli_command.h"
#include "cli_password.h"
#include "cli_test.h"
#include "clock.h"
#include "mem.h"

#define CAP 256

extern char **environ;

/* What the sources give; "" with the reason in *why when refused. */
static void get(const char *command, const char *file, const char *env, char out[CAP],
                struct err_reason *why)
{
	struct cli_password *p;
	struct cli_options o;

	cli_options_init(&o);
	o.password_command = mem_strdup(command);
	o.password_file = mem_strdup(file);
	if (env != NULL)
		(void)setenv("IMAPFS_PASSWORD", env, 1);
	cli_password_take_env();
	p = cli_password_new(&o, false, "a@b");
	why->text[0] = '\0';
	out[0] = '\0';
	if (cli_password_get(p, out, CAP, why) < 0)
		out[0] = '\0';
	cli_password_free(&p);
	assert_null(p);
	cli_options_release(&o);
}

static void test_environment(void **state)
{
	struct err_reason why;
	char out[CAP];

	(void)state;
	get(NULL, NULL, "s3cret with blanks ", out, &why);
	assert_string_equal(out, "s3cret with blanks ");
	assert_null(getenv("IMAPFS_PASSWORD"));
	get(NULL, NULL, NULL, out, &why); /* taken once, gone for good */
	assert_string_equal(out, "");
	assert_non_null(strstr(why.text, "no password"));
	get(NULL, NULL, "", out, &why); /* empty is none */
	assert_string_equal(out, "");
}

/* Not even where /proc/PID/environ shows it. */
static void test_environment_is_wiped(void **state)
{
	char entry[] = "IMAPFS_PASSWORD=geheim";
	char *own[] = { entry, NULL }, **before = environ;

	(void)state;
	environ = own;
	cli_password_take_env();
	environ = before;
	assert_null(strstr(entry + strlen("IMAPFS_PASSWORD"), "geheim"));
	assert_int_equal(entry[strlen("IMAPFS_PASSWORD=")], '\0');
}

static void test_file(void **state)
{
	_cleanup_free_ char *path = write_file(state, "p", "one\r\ntwo\n", 9, 0600);
	struct err_reason why;
	char out[CAP];

	get(NULL, path, NULL, out, &why);
	assert_string_equal(out, "one");
	assert_int_equal(chmod(path, 0400), 0);
	get(NULL, path, "environment", out, &why); /* the file counts more */
	assert_string_equal(out, "one");
	for (mode_t bit = 01; bit < 0100; bit <<= 1) {
		assert_int_equal(chmod(path, 0600 | bit), 0);
		get(NULL, path, NULL, out, &why);
		assert_string_equal(out, "");
		assert_non_null(strstr(why.text, "chmod 600"));
		assert_null(strstr(why.text, "one"));
	}
	get(NULL, *state, NULL, out, &why); /* a directory */
	assert_string_equal(out, "");
	assert_int_equal(remove(path), 0);
	get(NULL, path, NULL, out, &why);
	assert_string_equal(out, "");
	assert_non_null(strstr(why.text, path));
}

static void test_file_that_is_empty_or_long(void **state)
{
	static const char data[1000] = "";
	char text[1000];
	struct err_reason why;
	char out[CAP];
	char *path;

	memset(text, 'x', sizeof(text));
	path = write_file(state, "long", text, sizeof(text), 0600);
	get(NULL, path, NULL, out, &why);
	assert_string_equal(out, "");
	free(path);
	path = write_file(state, "empty", data, 0, 0600);
	get(NULL, path, NULL, out, &why);
	assert_string_equal(out, "");
	assert_non_null(strstr(why.text, "nothing"));
	free(path);
}

/* R008: a command has no terminal to ask on, its input is empty. */
static void test_command(void **state)
{
	struct err_reason why;
	char out[CAP];

	(void)state;
	get("printf 'one\\ntwo\\n'", NULL, NULL, out, &why);
	assert_string_equal(out, "one");
	get("printf one", "/nonexistent", "environment", out, &why); /* counts most */
	assert_string_equal(out, "one");
	get("cat; echo end", NULL, NULL, out, &why);
	assert_string_equal(out, "end");
	get("echo geheim; exit 3", NULL, NULL, out, &why);
	assert_string_equal(out, "");
	assert_non_null(strstr(why.text, "status 3"));
	assert_null(strstr(why.text, "geheim"));
	get("true", NULL, NULL, out, &why);
	assert_string_equal(out, "");
	get("kill -9 $$", NULL, NULL, out, &why);
	assert_non_null(strstr(why.text, "status 137"));
}

static void test_command_out_of_time(void **state)
{
	static const char *const commands[] = { "sleep 100", "echo x; sleep 100",
		                                "exec >&-; sleep 100" };
	atomic_bool cancel = false;
	struct err_reason why;
	char out[CAP];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int64_t begun = clock_mono_ms();

		assert_int_equal(cli_command_output(commands[i], 300, &cancel, out, CAP, &why),
		                 ERR_AUTH);
		assert_true(clock_mono_ms() - begun < 60000);
		assert_non_null(strstr(why.text, "no answer"));
		assert_int_equal(out[0], '\0');
	}
}

/* More than anybody's password, and it ends. */
static void test_command_that_floods(void **state)
{
	atomic_bool cancel = false;
	struct err_reason why;
	char out[CAP];

	(void)state;
	assert_int_equal(cli_command_output("yes", 60000, &cancel, out, CAP, &why), ERR_AUTH);
	assert_int_equal(cli_command_output("yes | head -n 9999", 60000, &cancel, out, CAP, &why),
	                 0);
	assert_int_equal(strlen(out), CAP - 1);
}

static void *cancel_soon(void *flag)
{
	(void)usleep(200000);
	atomic_store((atomic_bool *)flag, true);
	return NULL;
}

static void test_command_is_cancelled(void **state)
{
	int64_t begun = clock_mono_ms();
	atomic_bool cancel = false;
	struct err_reason why;
	pthread_t thread;
	char out[CAP];

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
	assert_int_equal(cli_command_output("sleep 100", 90000, &cancel, out, CAP, &why), ERR_AUTH);
	assert_true(clock_mono_ms() - begun < 60000);
	(void)pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_environment_is_wiped),
		place_test(test_file),
		place_test(test_file_that_is_empty_or_long),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_out_of_time),
		cmocka_unit_test(test_command_that_floods),
		cmocka_unit_test(test_command_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
