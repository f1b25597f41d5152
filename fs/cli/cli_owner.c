/* SPDX-License-Identifier: MIT */
#include "cli_owner.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli_note.h"
#include "mem.h"

/* The case of a host says nothing, that of a user may. */
static bool same_account(const char *a, const char *b)
{
	const char *host_a = strrchr(a, '@'), *host_b = strrchr(b, '@');

	return host_a != NULL && host_b != NULL && host_a - a == host_b - b &&
	       memcmp(a, b, (size_t)(host_a - a)) == 0 && strcasecmp(host_a, host_b) == 0;
}

int cli_owner_check(const char *state_dir, const char *user, const char *host,
                    struct err_reason *why)
{
	_cleanup_free_ char *path = mem_printf("%s/account", state_dir);
	_cleanup_free_ char *mine = mem_printf("%s@%s", user, host);
	char noted[CLI_NOTE_MAX];
	int r = cli_note_read(path, noted, why);

	if (r <= 0 || same_account(noted, mine))
		return r < 0 ? r : 0;
	return err_set(why, ERR_INVAL,
	               "%s holds the state of %s; if that is this account under a new name, "
	               "remove its file account",
	               state_dir, noted);
}

int cli_owner_note(const char *state_dir, const char *user, const char *host,
                   struct err_reason *why)
{
	_cleanup_free_ char *path = mem_printf("%s/account", state_dir);
	_cleanup_free_ char *line = mem_printf("%s@%s", user, host);

	return access(path, F_OK) == 0 ? 0 : cli_note_write(path, line, why);
}
