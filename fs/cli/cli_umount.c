/* SPDX-License-Identifier: MIT */
#include "cli_umount.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "cli_control.h"
#include "mem.h"

#define LEAVE_MS 10000
#define END_MS 10000

extern char **environ;

/* fusermount3 is set-uid, so that ordinary users may; a lazy unmount always succeeds. */
static bool run_fusermount(const char *point, bool lazy)
{
	char program[] = "fusermount3", quiet[] = "-uq", lazily[] = "-uqz", end[] = "--";
	_cleanup_free_ char *path = mem_strdup(point);
	char *argv[] = { program, lazy ? lazily : quiet, end, path, NULL };
	int status = 0;
	pid_t pid;

	if (getenv("PATH") == NULL)
		(void)setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) != 0)
		return umount2(point, lazy ? MNT_DETACH : 0) == 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

int cli_umount(const struct cli_mount *m)
{
	struct cli_answer answer = { .stream = -1 };
	int status = CLI_OK;
	int r = cli_control_ask(m->point, m->owner, "leave", LEAVE_MS, &answer);

	if (!run_fusermount(m->point, r < 0)) {
		cli_complain("%s is in use, or not yours to unmount", m->point);
		status = CLI_MOUNTPOINT;
	} else if (r == 0) {
		(void)fwrite(answer.text.data != NULL ? answer.text.data : "", 1, answer.text.len,
		             stdout);
		if (!cli_control_wait_gone(answer.stream, END_MS))
			cli_complain("%s: the daemon is still ending", m->point);
	} else {
		cli_complain("%s: the daemon did not answer; unmounted all the same", m->point);
	}
	if (r == 0) {
		buf_release(&answer.text);
		close(answer.stream);
	}
	return status;
}
