/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli_command.h"
#include "cli_note.h"
#include "cli_password_priv.h"
#include "mem.h"

bool cli_password_needed(const struct cli_options *o)
{
	if (o->auth != NULL && o->token_command == NULL)
		return strcasecmp(o->auth, "EXTERNAL") != 0 && strcasecmp(o->auth, "GSSAPI") != 0;
	return o->token_command == NULL && o->tunnel == NULL && o->cert == NULL;
}

/* ---- The token ---- */

/* The lock is held: two who want one at the same time share it. */
static int renew(struct cli_password *p, struct err_reason *why)
{
	int r = cli_command_output(p->token_command, CLI_PASSWORD_COMMAND_MS, &p->cancel, p->token,
	                           sizeof(p->token), why);

	if (r == 0)
		r = cli_password_first_line("token command", p->token, sizeof(p->token), why);
	if (r < 0)
		mem_wipe(p->token, sizeof(p->token));
	return r;
}

int cli_password_token(void *password, bool refused, char *out, size_t cap, struct err_reason *why)
{
	struct cli_password *p = password;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	/* by now the other connection may have a new one */
	if (p->token[0] == '\0' || (refused && strcmp(p->token, out) == 0))
		r = renew(p, why);
	if (r == 0 && strlen(p->token) >= cap)
		r = err_set(why, ERR_AUTH, "the token is too long");
	if (r == 0)
		memcpy(out, p->token, strlen(p->token) + 1);
	pthread_mutex_unlock(&p->lock);
	return r;
}

/* ---- The mechanism ---- */

static char *note_path(const struct cli_password *p)
{
	return mem_printf("%s/sign-in", p->state_dir);
}

void cli_password_recall(void *password, char out[SYNC_MECHANISM_MAX])
{
	struct cli_password *p = password;
	_cleanup_free_ char *path = note_path(p);
	char line[CLI_NOTE_MAX] = "";

	pthread_mutex_lock(&p->lock);
	if (p->mechanism[0] == '\0' && cli_note_read(path, line, NULL) > 0)
		(void)snprintf(p->mechanism, sizeof(p->mechanism), "%s", line);
	memcpy(out, p->mechanism, SYNC_MECHANISM_MAX);
	pthread_mutex_unlock(&p->lock);
}

void cli_password_note(void *password, const char *mechanism)
{
	struct cli_password *p = password;
	_cleanup_free_ char *path = note_path(p);

	pthread_mutex_lock(&p->lock);
	if (strcmp(p->mechanism, mechanism) != 0) {
		(void)snprintf(p->mechanism, sizeof(p->mechanism), "%s", mechanism);
		/* where it cannot be written, it is known until the end of this program */
		(void)cli_note_write(path, mechanism, NULL);
	}
	pthread_mutex_unlock(&p->lock);
}
