/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_control_priv.h"

/* Filled by the first call, from main()'s thread. */
static struct {
	bool known;
	socklen_t len; /* 0: no service manager */
	struct sockaddr_un address;
} manager;

static void find_manager(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	manager.known = true;
	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    !cli_control_address(path, &manager.address))
		return;
	manager.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		manager.address.sun_path[0] = '\0';
	else
		manager.len++;
	(void)unsetenv("NOTIFY_SOCKET");
}

bool cli_control_notify_wanted(void)
{
	if (!manager.known)
		find_manager();
	return manager.len > 0;
}

void cli_control_notify(const char *state)
{
	int fd;

	if (!cli_control_notify_wanted())
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
	             (const struct sockaddr *)&manager.address, manager.len);
	close(fd);
}
