/* SPDX-License-Identifier: MIT */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli.h"
#include "cli_options.h"
#include "cli_password.h"
#include "sync.h"

/* Mounts and serves until unmounted or told to stop; without o->foreground in a child, the
 * calling process ending once the mount answers.  Complains itself. */
enum cli_exit cli_run(struct cli_options *o, const char *mountpoint);

/* `imapfs doctor`: connection, sign-in and local state, with a line each. */
enum cli_exit cli_doctor(struct cli_options *o);

#endif
