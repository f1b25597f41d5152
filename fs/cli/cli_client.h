/* SPDX-License-Identifier: MIT */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>

/* True when `word` is one of the commands that ask a running daemon. */
bool cli_client_is_command(const char *word);

/* Runs it: argv[0] is the command's name.  Returns the exit status. */
int cli_client_run(int argc, char *const argv[]);

#endif
