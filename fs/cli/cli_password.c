/* SPDX-License-Identifier: MIT */
#include "cli_password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli_command.h"
#include "cli_password_priv.h"
#include "mem.h"

/* Only main() runs while this is filled and emptied. */
static char *from_environment;

void cli_password_take_env(void)
{
	char *value = getenv("IMAPFS_PASSWORD");

	if (value == NULL)
		return;
	if (value[0] != '\0' && strlen(value) < CLI_PASSWORD_MAX)
		from_environment = mem_strdup(value);
	mem_wipe(value, strlen(value));
	(void)unsetenv("IMAPFS_PASSWORD");
}

/* Reads a line from the terminal without showing it; false: no terminal, or nothing. */
static bool ask_terminal(const char *prompt, char *out, size_t cap)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios before, quiet;
	ssize_t n;

	if (fd < 0)
		return false;
	if (tcgetattr(fd, &before) < 0) {
		close(fd);
		return false;
	}
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON;
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	(void)dprintf(fd, "Password for %s: ", prompt);
	do
		n = read(fd, out, cap - 1);
	while (n < 0 && errno == EINTR);
	(void)tcsetattr(fd, TCSAFLUSH, &before);
	(void)dprintf(fd, "\n");
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return out[0] != '\0';
}

struct cli_password *cli_password_new(const struct cli_options *o, bool ask, const char *prompt)
{
	struct cli_password *p = mem_alloc(sizeof(*p));

	(void)mlock(p->token, sizeof(p->token));
	(void)mlock(p->text, sizeof(p->text)); /* a limit may forbid it: then it is not locked */
	pthread_mutex_init(&p->lock, NULL);
	p->command = mem_strdup(o->password_command);
	p->file = mem_strdup(o->password_file);
	p->token_command = mem_strdup(o->token_command);
	p->state_dir = mem_strdup(o->state_dir != NULL ? o->state_dir : ".");
	if (p->command == NULL && p->file == NULL && from_environment != NULL) {
		memcpy(p->text, from_environment, strlen(from_environment) + 1);
		p->kept = true;
	}
	if (from_environment != NULL)
		mem_wipe(from_environment, strlen(from_environment));
	free(from_environment);
	from_environment = NULL;
	if (!cli_password_have(p) && ask && cli_password_needed(o))
		p->kept = ask_terminal(prompt, p->text, sizeof(p->text));
	return p;
}

void cli_password_free(struct cli_password **p)
{
	if (*p == NULL)
		return;
	mem_wipe((*p)->token, sizeof((*p)->token));
	(void)munlock((*p)->token, sizeof((*p)->token));
	mem_wipe((*p)->text, sizeof((*p)->text));
	(void)munlock((*p)->text, sizeof((*p)->text));
	pthread_mutex_destroy(&(*p)->lock);
	free((*p)->command);
	free((*p)->file);
	free((*p)->token_command);
	free((*p)->state_dir);
	free(*p);
	*p = NULL;
}

bool cli_password_have(const struct cli_password *p)
{
	return p->command != NULL || p->file != NULL || p->kept;
}

void cli_password_cancel(struct cli_password *p)
{
	atomic_store(&p->cancel, true);
}

static int check_file(int fd, const char *path, const char *what, struct err_reason *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(why, ERR_AUTH, "%s file %s is not a file", what, path);
	if (st.st_uid != geteuid())
		return err_set(why, ERR_AUTH, "%s file %s belongs to another user", what, path);
	if ((st.st_mode & 077) != 0)
		return err_set(why, ERR_AUTH, "%s file %s can be read by others: chmod 600", what,
		               path);
	return 0;
}

int cli_password_check_file(const char *path, const char *what, struct err_reason *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return err_set(why, ERR_AUTH, "%s file %s: %s", what, path, strerror(errno));
	r = check_file(fd, path, what, why);
	close(fd);
	return r;
}

static int read_file(const char *path, char *out, size_t cap, struct err_reason *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;
	int r;

	if (fd < 0)
		return err_set(why, ERR_AUTH, "password file %s: %s", path, strerror(errno));
	r = check_file(fd, path, "password", why);
	if (r == 0)
		n = read(fd, out, cap - 1);
	close(fd);
	if (r < 0)
		return r;
	out[n > 0 ? n : 0] = '\0';
	if ((size_t)(n > 0 ? n : 0) == cap - 1 && strpbrk(out, "\r\n") == NULL)
		return err_set(why, ERR_AUTH, "password file %s: first line is too long", path);
	return 0;
}

int cli_password_first_line(const char *source, char *out, size_t cap, struct err_reason *why)
{
	out[strcspn(out, "\r\n")] = '\0';
	if (out[0] != '\0')
		return 0;
	mem_wipe(out, cap);
	return err_set(why, ERR_AUTH, "the %s gave nothing", source);
}

int cli_password_get(void *password, char *out, size_t cap, struct err_reason *why)
{
	struct cli_password *p = password;
	int r;

	if (p->command != NULL) {
		pthread_mutex_lock(&p->lock);
		r = cli_command_output(p->command, CLI_PASSWORD_COMMAND_MS, &p->cancel, out, cap,
		                       why);
		pthread_mutex_unlock(&p->lock);
		return r < 0 ? r : cli_password_first_line("password command", out, cap, why);
	}
	if (p->file != NULL) {
		r = read_file(p->file, out, cap, why);
		return r < 0 ? r : cli_password_first_line("password file", out, cap, why);
	}
	if (!p->kept)
		return err_set(why, ERR_AUTH,
		               "no password: use password-command=, password-file= "
		               "or IMAPFS_PASSWORD");
	if (strlen(p->text) >= cap)
		return err_set(why, ERR_AUTH, "the password is too long");
	memcpy(out, p->text, strlen(p->text) + 1);
	return 0;
}
