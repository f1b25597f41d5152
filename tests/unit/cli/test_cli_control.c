/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli_control.h"
#include "cli_paths.h"
#include "cli_test.h"
#include "clock.h"
#include "mem.h"

#define LIMIT_MS 30000 /* far more than anything here takes */

static const char point[] = "/home/user/Mail";
static atomic_int asked;
static atomic_bool go_on;

/* Echoes, with a few words that do more. */
static int answer(void *ctx, const char *request, struct buf *out)
{
	(void)ctx;
	atomic_fetch_add(&asked, 1);
	if (strcmp(request, "big") == 0)
		for (int i = 0; i < 100000; i++)
			(void)buf_printf(out, "line %d\n", i);
	else if (strcmp(request, "wait") == 0)
		while (!atomic_load(&go_on))
			(void)usleep(10000);
	else
		(void)buf_printf(out, "you said %s\n", request);
	return strcmp(request, "seven") == 0 ? 7 : 0;
}

static int set_up(void **state)
{
	if (make_place(state) < 0)
		return -1;
	(void)setenv("XDG_RUNTIME_DIR", *state, 1);
	atomic_store(&asked, 0);
	atomic_store(&go_on, false);
	return 0;
}

static struct cli_control *serve(void)
{
	struct err_reason why = { "" };
	struct cli_control *c = NULL;

	assert_int_equal(cli_control_open(point, &c, &why), 0);
	assert_int_equal(cli_control_start(c, answer, NULL), 0);
	return c;
}

/* A connection as somebody makes it who does not know the protocol. */
static int connect_raw(void)
{
	_cleanup_free_ char *dir = mem_printf("%s/imapfs", getenv("XDG_RUNTIME_DIR"));
	_cleanup_free_ char *path = cli_socket_path(dir, point);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* True when the server closes without a word. */
static bool is_closed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, LIMIT_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void test_question_and_answer(void **state)
{
	struct cli_control *c = serve();
	struct cli_answer a;

	(void)state;
	assert_int_equal(cli_control_ask(point, geteuid(), "hello there", LIMIT_MS, &a), 0);
	assert_int_equal(a.status, 0);
	assert_string_equal(a.text.data, "you said hello there\n");
	assert_int_equal(a.stream, -1);
	buf_release(&a.text);
	assert_int_equal(cli_control_ask(point, geteuid(), "seven", LIMIT_MS, &a), 0);
	assert_int_equal(a.status, 7);
	buf_release(&a.text);
	assert_int_equal(cli_control_ask(point, geteuid(), "big", LIMIT_MS, &a), 0);
	assert_true(a.text.len > 1000000);
	assert_memory_equal(a.text.data + a.text.len - 11, "line 99999\n", 11);
	buf_release(&a.text);
	cli_control_close(&c);
	assert_null(c);
	cli_control_close(&c);
}

static void test_nobody_there(void **state)
{
	struct cli_control *c;
	struct cli_answer a;

	(void)state;
	assert_int_equal(cli_control_ask(point, geteuid(), "x", LIMIT_MS, &a), ERR_NOTFOUND);
	c = serve();
	assert_int_equal(cli_control_ask("/other", geteuid(), "x", LIMIT_MS, &a), ERR_NOTFOUND);
	assert_int_equal(cli_control_ask(point, geteuid() + 1, "x", LIMIT_MS, &a),
	                 geteuid() == 0 ? 0 : ERR_PERM); /* not whom the mount belongs to */
	if (geteuid() == 0)
		buf_release(&a.text);
	cli_control_close(&c);
	assert_int_equal(cli_control_ask(point, geteuid(), "x", LIMIT_MS, &a), ERR_NOTFOUND);
}

/* Found also by who has another environment than the daemon had, and nothing is left. */
static void test_other_environment(void **state)
{
	struct cli_control *c = serve();
	struct cli_answer a;

	(void)unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(cli_control_ask(point, geteuid(), "x", LIMIT_MS, &a), 0);
	buf_release(&a.text);
	cli_control_close(&c);
	assert_int_equal(cli_control_ask(point, geteuid(), "x", LIMIT_MS, &a), ERR_NOTFOUND);
	assert_int_equal(rmdir(*state), 0); /* empty */
	assert_int_equal(mkdir(*state, 0700), 0);
}

static void test_only_for_the_owner(void **state)
{
	struct cli_control *c = serve();
	_cleanup_free_ char *dir = mem_printf("%s/imapfs", (const char *)*state);
	_cleanup_free_ char *path = cli_socket_path(dir, point);
	struct stat st;

	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	cli_control_close(&c);
}

static void test_bad_clients(void **state)
{
	static const char nul[] = "status\0x\n";
	struct cli_control *c = serve();
	char line[CLI_CONTROL_LINE_MAX + 10];
	struct cli_answer a;
	int fd;

	(void)state;
	memset(line, 'x', sizeof(line)); /* a line without end */
	fd = connect_raw();
	assert_int_equal(send(fd, line, sizeof(line), MSG_NOSIGNAL), sizeof(line));
	assert_true(is_closed(fd));
	close(fd);
	fd = connect_raw(); /* a NUL within */
	assert_int_equal(send(fd, nul, sizeof(nul) - 1, MSG_NOSIGNAL), sizeof(nul) - 1);
	assert_true(is_closed(fd));
	close(fd);
	fd = connect_raw(); /* half a line, then gone */
	assert_int_equal(send(fd, "stat", 4, MSG_NOSIGNAL), 4);
	close(fd);
	fd = connect_raw(); /* gone before the answer */
	assert_int_equal(send(fd, "big\n", 4, MSG_NOSIGNAL), 4);
	close(fd);
	assert_int_equal(cli_control_ask(point, geteuid(), "hello", LIMIT_MS, &a), 0);
	assert_string_equal(a.text.data, "you said hello\n");
	buf_release(&a.text);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(cli_control_ask(point, geteuid(), "two\nlines", LIMIT_MS, &a), ERR_INVAL);
	assert_int_equal(cli_control_ask(point, geteuid(), line, LIMIT_MS, &a), ERR_INVAL);
	cli_control_close(&c);
}

/* Those who say nothing fill all places; they are thrown out, and the next one is served. */
static void test_silence(void **state)
{
	struct cli_control *c = serve();
	int64_t begun = clock_mono_ms();
	int fds[CLI_CONTROL_CLIENTS];
	struct cli_answer a;
	int r;

	(void)state;
	for (int i = 0; i < CLI_CONTROL_CLIENTS; i++)
		fds[i] = connect_raw();
	for (;;) {
		r = cli_control_ask(point, geteuid(), "hello", LIMIT_MS, &a);
		if (r == 0 && a.status == 0)
			break;
		if (r == 0) {
			assert_non_null(strstr(a.text.data, "too many"));
			buf_release(&a.text);
		}
		assert_true(clock_mono_ms() - begun < LIMIT_MS);
		(void)usleep(50000);
	}
	buf_release(&a.text);
	for (int i = 0; i < CLI_CONTROL_CLIENTS; i++) {
		assert_true(is_closed(fds[i]));
		close(fds[i]);
	}
	cli_control_close(&c);
}

/* Closing does not wait for who only sits there. */
static void test_close_with_silent_clients(void **state)
{
	struct cli_control *c = serve();
	int64_t begun = clock_mono_ms();
	int a = connect_raw(), b = connect_raw();

	(void)state;
	assert_int_equal(send(b, "half", 4, MSG_NOSIGNAL), 4);
	cli_control_close(&c);
	assert_true(clock_mono_ms() - begun < 4000); /* sooner than their time is over */
	close(a);
	close(b);
}

static void *close_it(void *control)
{
	struct cli_control *c = control;

	cli_control_close(&c);
	return NULL;
}

/* `leave` keeps the stream until the end; closing waits for an answer under way. */
static void test_leave_and_close(void **state)
{
	struct cli_control *c = serve();
	struct cli_answer a;
	pthread_t thread;
	int fd;

	(void)state;
	assert_int_equal(cli_control_ask(point, geteuid(), "leave", LIMIT_MS, &a), 0);
	assert_string_equal(a.text.data, "you said leave\n");
	assert_true(a.stream >= 0);
	assert_false(cli_control_wait_gone(a.stream, 50));
	fd = connect_raw();
	assert_int_equal(send(fd, "wait\n", 5, MSG_NOSIGNAL), 5);
	while (atomic_load(&asked) < 2)
		(void)usleep(1000);
	assert_int_equal(pthread_create(&thread, NULL, close_it, c), 0);
	atomic_store(&go_on, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(cli_control_wait_gone(a.stream, 50)); /* this process still runs */
	buf_release(&a.text);
	close(a.stream);
	close(fd);
}

/* A daemon that accepts nothing: an error in time, not a hang. */
static void test_hung_daemon(void **state)
{
	struct err_reason why = { "" };
	struct cli_control *c = NULL;
	int64_t begun = clock_mono_ms();
	struct cli_answer a;

	(void)state;
	assert_int_equal(cli_control_open(point, &c, &why), 0); /* and never started */
	assert_int_equal(cli_control_ask(point, geteuid(), "status", 100, &a), ERR_TIMEOUT);
	assert_true(clock_mono_ms() - begun < LIMIT_MS);
	cli_control_close(&c);
}

static void test_stale_socket(void **state)
{
	_cleanup_free_ char *dir = mem_printf("%s/imapfs", (const char *)*state);
	_cleanup_free_ char *path = cli_socket_path(dir, point);
	struct cli_control *c;
	struct cli_answer a;
	FILE *f;

	assert_int_equal(mkdir(dir, 0777), 0);
	f = fopen(path, "w"); /* what a killed daemon left */
	assert_non_null(f);
	(void)fclose(f);
	c = serve();
	assert_int_equal(cli_control_ask(point, geteuid(), "x", LIMIT_MS, &a), 0);
	buf_release(&a.text);
	cli_control_close(&c);
}

static void test_notify(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[64] = "";

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify",
	               (const char *)*state);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)setenv("NOTIFY_SOCKET", address.sun_path, 1);
	assert_true(cli_control_notify_wanted());
	assert_null(getenv("NOTIFY_SOCKET")); /* not for the children */
	cli_control_notify("READY=1");
	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	assert_int_equal(recv(fd, text, sizeof(text) - 1, 0), 7);
	assert_string_equal(text, "READY=1");
	close(fd);
	cli_control_notify("STOPPING=1"); /* a manager that is gone is no trouble */
}

#define control_test(f) cmocka_unit_test_setup_teardown(f, set_up, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		control_test(test_question_and_answer),
		control_test(test_nobody_there),
		control_test(test_other_environment),
		control_test(test_only_for_the_owner),
		control_test(test_bad_clients),
		control_test(test_silence),
		control_test(test_close_with_silent_clients),
		control_test(test_leave_and_close),
		control_test(test_hung_daemon),
		control_test(test_stale_socket),
		control_test(test_notify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
