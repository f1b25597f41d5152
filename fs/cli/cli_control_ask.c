/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_control_priv.h"
#include "cli_paths.h"
#include "clock.h"

#define TAKEN_MS 10000 /* a daemon that lives takes a request at once */
#define ANSWER_MAX (64u << 20)

static int connect_to(const char *path)
{
	struct sockaddr_un address;
	int fd;

	if (!cli_control_address(path, &address))
		return ERR_NOTFOUND;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ERR_IO;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	if (errno == EAGAIN)
		return ERR_TIMEOUT; /* nobody takes what has queued up */
	return errno == EACCES || errno == EPERM ? ERR_PERM : ERR_NOTFOUND;
}

/* A socket in /tmp could be anybody's. */
static bool is_served_by(int fd, uid_t owner)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == owner || peer.uid == 0);
}

static int find_daemon(const char *mountpoint, uid_t owner)
{
	char *dirs[CLI_RUN_DIRS];
	int fd = ERR_NOTFOUND;

	cli_run_dirs(owner, dirs);
	for (int i = 0; i < CLI_RUN_DIRS; i++) {
		if (fd < 0 && fd != ERR_TIMEOUT && dirs[i] != NULL) {
			char *path = cli_socket_path(dirs[i], mountpoint);
			int r = connect_to(path);

			free(path);
			if (r >= 0 && !is_served_by(r, owner)) {
				close(r);
				r = ERR_PERM;
			}
			if (r != ERR_NOTFOUND)
				fd = r;
		}
		free(dirs[i]);
	}
	return fd;
}

/* To the end of the stream, or of the line. */
static int read_text(int fd, bool line, int64_t deadline_ms, struct buf *text)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char part[4096];
		int left = clock_left_ms(deadline_ms);
		ssize_t n;

		if (left == 0)
			return ERR_TIMEOUT;
		if (poll(&p, 1, left) <= 0)
			continue;
		n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return ERR_PROTO;
		if (n > 0 && buf_append(text, part, (size_t)n) < 0)
			return ERR_LIMIT;
		if (n == 0 || (line && memchr(part, '\n', (size_t)n) != NULL))
			return 0;
	}
}

static int converse(int fd, const char *request, bool leave, int64_t limit_ms,
                    struct cli_answer *out)
{
	int64_t deadline = clock_mono_ms() + (limit_ms < TAKEN_MS ? limit_ms : TAKEN_MS);
	char line[32], *end;
	int r;

	if (cli_control_write(fd, request, strlen(request), deadline) < 0 ||
	    cli_control_write(fd, "\n", 1, deadline) < 0)
		return ERR_PROTO;
	r = cli_control_read_line(fd, -1, deadline, line, sizeof(line));
	if (r <= 0 || strcmp(line, "+") != 0)
		return r == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_PROTO;
	deadline = clock_mono_ms() + limit_ms;
	r = cli_control_read_line(fd, -1, deadline, line, sizeof(line));
	if (r <= 0)
		return r == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_PROTO;
	out->status = (int)strtol(line, &end, 10);
	if (*end != '\0' || end == line)
		return ERR_PROTO;
	return read_text(fd, leave, deadline, &out->text);
}

int cli_control_ask(const char *mountpoint, uid_t owner, const char *request, int64_t limit_ms,
                    struct cli_answer *out)
{
	struct cli_answer got = { .stream = -1 };
	bool leave = strcmp(request, "leave") == 0;
	int fd, r;

	if (strlen(request) + 1 > CLI_CONTROL_LINE_MAX || strpbrk(request, "\r\n") != NULL)
		return ERR_INVAL;
	fd = find_daemon(mountpoint, owner);
	if (fd < 0)
		return fd;
	buf_init(&got.text, ANSWER_MAX);
	r = converse(fd, request, leave, limit_ms, &got);
	if (r < 0) {
		buf_release(&got.text);
		close(fd);
		return r;
	}
	if (leave)
		got.stream = fd;
	else
		close(fd);
	*out = got;
	return 0;
}

bool cli_control_wait_gone(int stream, int64_t limit_ms)
{
	int64_t deadline = clock_mono_ms() + limit_ms;
	int left;

	while ((left = clock_left_ms(deadline)) > 0) {
		struct pollfd p = { .fd = stream, .events = POLLIN };
		char part[64];

		if (poll(&p, 1, left) > 0 && recv(stream, part, sizeof(part), MSG_DONTWAIT) <= 0 &&
		    errno != EINTR && errno != EAGAIN)
			return true;
	}
	return false;
}
