/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli_control_priv.h"
#include "clock.h"

bool cli_control_address(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(out->sun_path))
		return false;
	memcpy(out->sun_path, path, strlen(path) + 1);
	return true;
}

/* 0: `fd` is ready for `events`. */
static int wait_ready(int fd, int wake, short events, int64_t deadline_ms)
{
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = wake, .events = POLLIN } };
	int n, left;

	do {
		left = clock_left_ms(deadline_ms);
		n = left > 0 ? poll(p, 2, left) : 0;
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return ERR_IO;
	if (n == 0)
		return ERR_TIMEOUT;
	return p[1].revents != 0 ? ERR_CANCELED : 0;
}

int cli_control_read_line(int fd, int wake, int64_t deadline_ms, char *out, size_t cap)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;
		int r = wait_ready(fd, wake, POLLIN, deadline_ms);

		if (r < 0)
			return r;
		n = recv(fd, out + len, 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return 0;
		if (out[len] == '\n') {
			out[len] = '\0';
			return 1;
		}
		if (out[len] == '\0')
			return ERR_PROTO;
		if (++len >= cap)
			return ERR_LIMIT;
	}
}

int cli_control_write(int fd, const void *data, size_t len, int64_t deadline_ms)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n;
		int r = wait_ready(fd, -1, POLLOUT, deadline_ms);

		if (r < 0)
			return r;
		n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return ERR_IO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
