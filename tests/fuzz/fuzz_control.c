/* SPDX-License-Identifier: MIT */
/*
 * The control protocol: lines from a socket, and what they ask of the queue.  The store has one
 * action of each kind that can be asked about; whatever is asked, the answer is one line or more
 * for a person, and the store stays one that can be read.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_control_priv.h"
#include "cli_queue.h"
#include "clock.h"
#include "fuzz.h"
#include "mem.h"
#include "mount_flags.h"
#include "store_mailbox.h"
#include "store_op.h"

static struct store *st;
static char dir[] = "/dev/shm/imapfs-fuzz-XXXXXX";

static void log_actions(void)
{
	int64_t id = 0;

	for (int i = 0; i < 3; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "box%d", i);
		if (store_mailbox_create(st, STORE_ROOT, name, &id) == ERR_EXISTS)
			return;
	}
}

static void remove_store(void)
{
	char command[64];

	store_close(&st);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	must(system(command) == 0);
}

static void open_store(void)
{
	char path[64];

	must(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/state", dir);
	must(store_open(path, path, &st, NULL) == 0);
	log_actions();
	must(atexit(remove_store) == 0);
}

static void check_text(const struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];

		must(c >= 0x20 || c == '\n' || c == '\t');
	}
}

static void ask(const char *request)
{
	struct buf text = BUF_INIT(1 << 20);
	struct err_reason why = { "" };
	struct cli_action *list = NULL;
	size_t count = 0;
	int r = cli_queue_change(st, request, &text, &why);

	must(r >= 0 || why.text[0] != '\0');
	check_text(&text);
	must(cli_action_list(st, &list, &count) == 0);
	buf_clear(&text);
	(void)cli_queue_text(list, count, clock_wall_ns() / 1000000, &text);
	check_text(&text);
	cli_action_list_free(list, count);
	buf_release(&text);
}

static void check_flags(const char *s, size_t len)
{
	char *add = NULL, *del = NULL;
	bool absolute = false;

	if (mount_flags_parse(s, len, &absolute, &add, &del) < 0)
		return;
	must(add != NULL && del != NULL && strpbrk(add, "\r\n(){\"") == NULL);
	must(!absolute || *del == '\0');
	free(add);
	free(del);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[CLI_CONTROL_LINE_MAX];
	int fds[2], r;

	if (st == NULL)
		open_store();
	if (size > 100000)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	must(size == 0 || send(fds[0], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size);
	must(shutdown(fds[0], SHUT_WR) == 0);
	do {
		memset(line, 'x', sizeof(line));
		r = cli_control_read_line(fds[1], -1, clock_mono_ms() + 10000, line, sizeof(line));
		must(r <= 1);
		if (r == 1) {
			must(strlen(line) < sizeof(line) && strchr(line, '\n') == NULL);
			ask(line);
			check_flags(line, strlen(line));
		}
	} while (r == 1);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
