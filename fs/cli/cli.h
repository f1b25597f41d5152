/* SPDX-License-Identifier: MIT */
#ifndef CLI_H
#define CLI_H

#include "err.h"

/* What the program ends with; scripts rely on these numbers (README.md, imapfs.1). */
enum cli_exit {
	CLI_OK = 0,
	CLI_USAGE = 1,       /* the command line makes no sense */
	CLI_CONFIG = 2,      /* configuration file, or an option's value */
	CLI_MOUNTPOINT = 3,  /* missing, busy, not empty; or nothing is mounted there */
	CLI_UNREACHABLE = 4, /* no answer from the server, and the account is not known here */
	CLI_TLS = 5,         /* certificate or handshake */
	CLI_AUTH = 6,        /* password refused, or none to be had */
	CLI_LOCKED = 7,      /* another imapfs serves this account */
	CLI_STATE = 8,       /* local state: disk trouble, or of a newer version */
	CLI_FUSE = 9,        /* the file system could not be mounted, or does not answer */
};

/* What `imapfs status` ends with. */
enum cli_step {
	CLI_IN_STEP = 0,
	CLI_PENDING = 1, /* actions wait, or there is no connection */
	CLI_FAILED = 2,  /* an action waits for the user's choice */
	CLI_NOT_MOUNTED = 3,
};

/* The exit status for an error met while an account is opened. */
enum cli_exit cli_exit_of(int err);

/* One line "imapfs: ..." for the person who started the program. */
void cli_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The reason when there is one, else the error's own phrase. */
const char *cli_reason(int err, const struct err_reason *why);

#endif
