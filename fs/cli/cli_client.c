/* SPDX-License-Identifier: MIT */
#include "cli_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "cli_control.h"
#include "cli_info.h"
#include "cli_mountinfo.h"
#include "cli_options.h"
#include "cli_paths.h"
#include "cli_umount.h"
#include "cli_value.h"
#include "mem.h"

#define OPERANDS_MAX 64
#define ANSWER_MS 30000              /* for what the daemon does by itself */
#define SYNC_MS (24LL * 3600 * 1000) /* `imapfs sync` without --timeout */
#define RESOLVE_S 10                 /* for a path within the mount to be looked up */

struct args {
	const char *operands[OPERANDS_MAX];
	int count;
	bool json, flush, flagged;
	int64_t timeout_ms; /* 0: not given */
};

struct command {
	const char *name;
	int least, most; /* operands */
	bool each;       /* once for every operand */
	int (*run)(const struct args *args, const char *path);
};

/* Operand 0's mount, for a path that may hang when looked up. */
static bool find_mount(const char *path, struct cli_mount *out)
{
	_cleanup_free_ char *cwd = NULL, *absolute = NULL, *real = NULL;
	size_t len;

	if (path[0] == '/') {
		absolute = mem_strdup(path);
	} else {
		cwd = getcwd(NULL, 0);
		absolute = mem_printf("%s/%s", cwd != NULL ? cwd : "", path);
	}
	len = strlen(absolute);
	while (len > 1 && absolute[len - 1] == '/')
		absolute[--len] = '\0';
	if (strstr(absolute, "/.") == NULL && cli_mount_find(absolute, out))
		return true;
	real = cli_path_resolve(absolute);
	return cli_mount_find(real != NULL ? real : absolute, out);
}

/* What the daemon said: an answer, or with any status but 0 a complaint. */
static void print_answer(const char *path, const struct cli_answer *answer, bool is_answer)
{
	const char *text = answer->text.data != NULL ? answer->text.data : "";

	if (is_answer || answer->status == 0)
		(void)fwrite(text, 1, answer->text.len, stdout);
	else
		cli_complain("%s: %.*s", path, (int)strcspn(text, "\n"), text);
}

/* Asks the daemon of the mount that holds `path`; prints its text.  Returns the exit status. */
static int ask(const char *path, const char *request, int64_t limit_ms)
{
	bool is_status = strncmp(request, "status", strlen("status")) == 0;
	struct cli_answer answer;
	struct cli_mount m;
	int status;
	int r = find_mount(path, &m) ? 0 : ERR_NOTFOUND;

	if (r == 0) {
		r = cli_control_ask(m.point, m.owner, request, limit_ms, &answer);
		cli_mount_release(&m);
	}
	if (r == ERR_NOTFOUND) {
		cli_complain("%s: no account is mounted there", path);
		return CLI_NOT_MOUNTED;
	}
	if (r < 0) {
		cli_complain("%s: %s", path,
		             r == ERR_TIMEOUT ? "the daemon does not answer" : err_text(r));
		return CLI_FUSE;
	}
	print_answer(path, &answer, is_status && answer.status <= CLI_FAILED);
	status = answer.status;
	buf_release(&answer.text);
	return status;
}

static int run_status(const struct args *args, const char *path)
{
	return ask(path, args->json ? "status json" : "status", ANSWER_MS);
}

static int run_sync(const struct args *args, const char *path)
{
	int64_t limit = args->timeout_ms != 0 ? args->timeout_ms : SYNC_MS;
	_cleanup_free_ char *request = mem_printf("sync %lld%s", (long long)limit,
	                                          args->timeout_ms != 0 ? "" : " once");

	return ask(path, request, limit + ANSWER_MS);
}

/* A daemon that hangs holds up who looks at a path below it, beyond the reach of signals
 * that a handler takes; the end of the process is not. */
static void *watchdog(void *arg)
{
	(void)arg;
	sleep(RESOLVE_S);
	cli_complain("the file system does not answer");
	_exit(CLI_FUSE);
}

static int stat_within(const char *path, struct stat *st)
{
	pthread_t thread;
	bool watched = pthread_create(&thread, NULL, watchdog, NULL) == 0;
	int r = lstat(path, st) < 0 ? -errno : 0;

	if (watched) {
		(void)pthread_cancel(thread);
		(void)pthread_join(thread, NULL);
	}
	return r;
}

/* Inodes are the numbers of messages and mailboxes; those of other file systems are not ours. */
static int run_fetch(const struct args *args, const char *path)
{
	int64_t limit = args->timeout_ms != 0 ? args->timeout_ms : SYNC_MS;
	_cleanup_free_ char *request = NULL;
	struct stat st;
	int r = stat_within(path, &st);

	if (r < 0) {
		cli_complain("%s: %s", path, strerror(-r));
		return CLI_USAGE;
	}
	request = mem_printf("fetch %s %lld %lld", args->flagged ? "flagged" : "all",
	                     (long long)st.st_ino, (long long)limit);
	return ask(path, request, limit + ANSWER_MS);
}

static int run_queue(const struct args *args, const char *path)
{
	_cleanup_free_ char *request = mem_strdup("queue");

	for (int i = 1; i < args->count; i++) {
		char *longer = mem_printf("%s %s", request, args->operands[i]);

		free(request);
		request = longer;
	}
	return ask(path, request, ANSWER_MS);
}

static int run_pause(const struct args *args, const char *path)
{
	(void)args;
	return ask(path, "pause", ANSWER_MS);
}

static int run_resume(const struct args *args, const char *path)
{
	(void)args;
	return ask(path, "resume", ANSWER_MS);
}

static int run_log(const struct args *args, const char *path)
{
	(void)args;
	return ask(path, "log", ANSWER_MS);
}

static int run_info(const struct args *args, const char *path)
{
	(void)args;
	return cli_info(path);
}

static int run_umount(const struct args *args, const char *path)
{
	struct cli_mount m;
	int status;

	if (args->flush) {
		status = run_sync(args, path);
		if (status != CLI_OK)
			return status;
	}
	if (!find_mount(path, &m)) {
		cli_complain("%s: no account is mounted there", path);
		return CLI_NOT_MOUNTED;
	}
	status = cli_umount(&m);
	cli_mount_release(&m);
	return status;
}

static const struct command commands[] = {
	{ "status", 1, OPERANDS_MAX, true, run_status },
	{ "sync", 1, OPERANDS_MAX, true, run_sync },
	{ "fetch", 1, OPERANDS_MAX, true, run_fetch },
	{ "queue", 1, 4, false, run_queue },
	{ "pause", 1, OPERANDS_MAX, true, run_pause },
	{ "resume", 1, OPERANDS_MAX, true, run_resume },
	{ "log", 1, 1, false, run_log },
	{ "info", 1, OPERANDS_MAX, true, run_info },
	{ "umount", 1, OPERANDS_MAX, true, run_umount },
};

static const struct command *find_command(const char *word)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, word) == 0)
			return &commands[i];
	return NULL;
}

bool cli_client_is_command(const char *word)
{
	return find_command(word) != NULL;
}

/* `--timeout=30s`, `--timeout 30s`; *i stands on the word and moves past its value. */
static bool take_timeout(struct args *out, int argc, char *const argv[], int *i)
{
	const char *value = argv[*i] + strlen("--timeout");

	if (*value == '=')
		value++;
	else if (*value == '\0' && *i + 1 < argc)
		value = argv[++*i];
	else
		return false;
	return cli_duration_parse(value, &out->timeout_ms) == 0 && out->timeout_ms > 0;
}

static bool parse_args(const struct command *c, int argc, char *const argv[], struct args *out)
{
	bool only_operands = false;

	for (int i = 1; i < argc; i++) {
		bool takes_time = c->run == run_sync || c->run == run_umount || c->run == run_fetch;

		if (only_operands || argv[i][0] != '-') {
			if (out->count >= c->most || out->count >= OPERANDS_MAX)
				return false;
			out->operands[out->count++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			only_operands = true;
		} else if (strcmp(argv[i], "--json") == 0 && c->run == run_status) {
			out->json = true;
		} else if (strcmp(argv[i], "--flush") == 0 && c->run == run_umount) {
			out->flush = true;
		} else if (strcmp(argv[i], "--flagged") == 0 && c->run == run_fetch) {
			out->flagged = true;
		} else if (strncmp(argv[i], "--timeout", 9) != 0 || !takes_time ||
		           !take_timeout(out, argc, argv, &i)) {
			return false;
		}
	}
	return out->count >= c->least;
}

int cli_client_run(int argc, char *const argv[])
{
	const struct command *c = find_command(argv[0]);
	struct args args = { .count = 0 };
	pthread_t thread;
	int worst = 0;

	if (!parse_args(c, argc, argv, &args)) {
		cli_complain("%s: see imapfs --help", argv[0]);
		return CLI_USAGE;
	}
	if (c->run == run_info)
		(void)pthread_create(&thread, NULL, watchdog, NULL);
	for (int i = 0; i < (c->each ? args.count : 1); i++) {
		int status = c->run(&args, args.operands[i]);

		if (status > worst)
			worst = status;
	}
	return fflush(stdout) == 0 ? worst : CLI_STATE;
}
