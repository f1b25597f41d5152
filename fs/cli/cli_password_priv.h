/* SPDX-License-Identifier: MIT */
#ifndef CLI_PASSWORD_PRIV_H
#define CLI_PASSWORD_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli_password.h"

#define CLI_PASSWORD_MAX 4096
#define CLI_TOKEN_MAX 16384
#define CLI_PASSWORD_COMMAND_MS 30000

struct cli_password {
	char *command, *file, *token_command, *state_dir;
	bool kept;
	atomic_bool cancel;
	pthread_mutex_t lock; /* one command at a time; the token; the mechanism */
	char mechanism[SYNC_MECHANISM_MAX];
	char text[CLI_PASSWORD_MAX];
	char token[CLI_TOKEN_MAX];
};

/* What came from outside becomes the secret: its first line. */
int cli_password_first_line(const char *source, char *out, size_t cap, struct err_reason *why);

#endif
