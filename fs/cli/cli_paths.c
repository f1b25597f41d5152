/* SPDX-License-Identifier: MIT */
#include "cli_paths.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define ACCOUNT_DIR_MAX 200

/* $HOME, else the password database's; NULL: neither. */
static char *home_dir(void)
{
	const char *home = getenv("HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (home != NULL && home[0] == '/')
		return mem_strdup(home);
	if (getpwuid_r(getuid(), &pw, text, sizeof(text), &found) != 0 || found == NULL ||
	    pw.pw_dir == NULL || pw.pw_dir[0] != '/')
		return NULL;
	return mem_strdup(pw.pw_dir);
}

/* An XDG base directory's imapfs/ folder; a variable that is not absolute counts as unset. */
static char *xdg_dir(const char *variable, const char *below_home)
{
	const char *base = getenv(variable);
	_cleanup_free_ char *home = NULL;

	if (base != NULL && base[0] == '/')
		return mem_printf("%s/imapfs", base);
	home = home_dir();
	return home != NULL ? mem_printf("%s/%s/imapfs", home, below_home) : NULL;
}

char *cli_path_config(void)
{
	_cleanup_free_ char *dir = xdg_dir("XDG_CONFIG_HOME", ".config");

	return dir != NULL ? mem_printf("%s/config", dir) : NULL;
}

char *cli_account_dir(const struct cli_options *o)
{
	static const char hex[] = "0123456789ABCDEF";
	_cleanup_free_ char *plain = NULL;
	char *out, *p;

	if (o->account != NULL)
		return mem_strdup(o->account);
	plain = mem_printf("%s@%s:%d", o->user, o->host, o->port);
	out = p = mem_alloc(strlen(plain) * 3 + 1);
	for (const char *s = plain; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (isalnum(c) || strchr("@:_+-", c) != NULL || (c == '.' && p != out)) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	return out;
}

int cli_paths_fill(struct cli_options *o, struct err_reason *why)
{
	_cleanup_free_ char *account = cli_account_dir(o);
	_cleanup_free_ char *state = xdg_dir("XDG_STATE_HOME", ".local/state");
	_cleanup_free_ char *cache = xdg_dir("XDG_CACHE_HOME", ".cache");

	if (strlen(account) > ACCOUNT_DIR_MAX)
		return err_set(why, ERR_INVAL, "the account's name is too long");
	if (o->state_dir == NULL && state == NULL)
		return err_set(why, ERR_INVAL, "no home directory: use -o state-dir=");
	if (o->cache_dir == NULL && cache == NULL)
		return err_set(why, ERR_INVAL, "no home directory: use -o cache-dir=");
	if (o->state_dir == NULL)
		o->state_dir = mem_printf("%s/%s", state, account);
	if (o->cache_dir == NULL)
		o->cache_dir = mem_printf("%s/%s", cache, account);
	return 0;
}

int cli_make_dir(const char *path, struct err_reason *why)
{
	_cleanup_free_ char *part = mem_strdup(path);
	struct stat st;

	for (char *p = part + 1;; p++) {
		char kept = *p;

		if (kept != '/' && kept != '\0')
			continue;
		*p = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST && stat(part, &st) < 0)
			return err_set(why, ERR_IO, "%s: %s", part, strerror(errno));
		*p = kept;
		if (kept == '\0')
			break;
	}
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(why, ERR_IO, "%s is not a directory", path);
	return 0;
}

bool cli_path_inside(const char *path, const char *mountpoint)
{
	_cleanup_free_ char *part = mem_strdup(path);
	_cleanup_free_ char *real = NULL;
	size_t len = strlen(mountpoint);

	while ((real = cli_path_resolve(part)) == NULL) {
		char *slash = strrchr(part, '/');

		if (slash == NULL || slash == part)
			return false;
		*slash = '\0';
	}
	return strncmp(real, mountpoint, len) == 0 && (real[len] == '/' || real[len] == '\0');
}

char *cli_path_resolve(const char *path)
{
	_cleanup_free_ char *copy = NULL, *parent = NULL;
	char *real = realpath(path, NULL), *slash;
	size_t len;

	if (real != NULL || errno != ENOTCONN)
		return real;
	copy = mem_strdup(path);
	len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	parent = realpath(slash == NULL ? "." : slash == copy ? "/" : copy, NULL);
	if (parent == NULL)
		return NULL;
	return mem_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
	                  slash != NULL ? slash + 1 : copy);
}

void cli_run_dirs(uid_t uid, char *out[CLI_RUN_DIRS])
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	out[0] = xdg != NULL && xdg[0] == '/' ? mem_printf("%s/imapfs", xdg) : NULL;
	out[1] = mem_printf("/run/user/%u/imapfs", (unsigned int)uid);
	out[2] = mem_printf("/tmp/imapfs-%u", (unsigned int)uid);
}

char *cli_socket_path(const char *dir, const char *mountpoint)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (const char *p = mountpoint; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
	return mem_printf("%s/%016llx.sock", dir, (unsigned long long)hash);
}
