/* SPDX-License-Identifier: MIT */
#include "cli_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "cli_account.h"
#include "cli_client.h"
#include "cli_options.h"
#include "cli_password.h"
#include "cli_run.h"
#include "log.h"

static const char help[] =
	"usage: imapfs [OPTIONS] [user@]host[:port] MOUNTPOINT\n"
	"       imapfs [OPTIONS] ACCOUNT MOUNTPOINT     a section of the configuration file\n"
	"       imapfs status [--json] PATH...          0: in step, 1: pending, 2: failed, 3: not "
	"mounted\n"
	"       imapfs sync [--timeout=TIME] PATH...    waits until all is sent and fetched\n"
	"       imapfs fetch [--flagged] [--timeout=TIME] FILE...  contents that are not here\n"
	"       imapfs queue PATH [show|retry|drop|recreate N | retarget N MAILBOX | abort | go]\n"
	"       imapfs pause | resume PATH...           offline on purpose, and back\n"
	"       imapfs log PATH                         the last lines of the log\n"
	"       imapfs info FILE...                     what is known of a message or mailbox\n"
	"       imapfs umount [--flush] PATH...         --flush: only once all is sent\n"
	"       imapfs doctor [OPTIONS] ACCOUNT         checks connection, sign-in, local state\n"
	"\n"
	"-o a,b=c and --a --b=c are the same.\n"
	"  -f, -d, -V, -h            foreground, debug (in the foreground), version, help\n"
	"  -o tls=                   implicit (port 993), starttls (143), none (loopback only)\n"
	"  -o insecure               tls=none to any host\n"
	"  -o cafile=FILE            certificate authorities to trust\n"
	"  -o password-command=CMD   what prints the password; -o password-file=FILE;\n"
	"                            IMAPFS_PASSWORD; else asked on the terminal\n"
	"  -o sync=                  full, headers, new-only, blind, none\n"
	"  -o max-size=SIZE, max-age=DAYS  of messages fetched unasked\n"
	"  -o on-missing-mailbox=    ask, recreate, lost+found, abort; on-conflict= and "
	"on-refused= so, "
	"too\n"
	"  -o delete=                trash, expunge, flag\n"
	"  -o conflict=              merge, mine, theirs, ask: a list of flags, others changed "
	"them\n"
	"  -o hold=2s, poll=5m, timeout=30s, connections=2\n"
	"  -o offline                mount without connecting; imapfs resume goes online\n"
	"  -o disable=WORD:WORD      capabilities of the server not to use\n"
	"  -o config=, state-dir=, cache-dir=\n"
	"  -o ro, allow_other, default_permissions, nonempty, uid=, gid=, umask=, fmask=, dmask=, "
	"fsname=\n";

/* Descriptors 0 to 2 are always there, so that no database lands on one of them. */
static void hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* -h and -V count whatever else is there. */
static bool asks_for(const struct cli_words *w, const char *letter, const char *word)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->list[i].name, letter) == 0 || strcmp(w->list[i].name, word) == 0)
			return true;
	return false;
}

static enum cli_exit mount_or_check(const struct cli_words *words, bool doctor)
{
	struct err_reason why = { "" };
	struct cli_options o;
	enum cli_exit status;

	if (words->operand_count != (doctor ? 1u : 2u)) {
		cli_complain("%s; see imapfs --help",
		             doctor ? "which account?" : "an account and a mount point are needed");
		return CLI_USAGE;
	}
	cli_options_init(&o);
	status = cli_account_load(words, &o, &why);
	if (status != CLI_OK)
		cli_complain("%s", why.text);
	else
		status = doctor ? cli_doctor(&o) : cli_run(&o, words->operands[1]);
	cli_options_release(&o);
	return status;
}

int cli_main(int argc, char *argv[])
{
	struct err_reason why = { "" };
	struct cli_words words;
	enum cli_exit status;
	bool doctor;

	hold_standard_descriptors();
	cli_password_take_env();
	(void)umask(077);
	if (argc > 1 && cli_client_is_command(argv[1]))
		return cli_client_run(argc - 1, argv + 1);
	doctor = argc > 1 && strcmp(argv[1], "doctor") == 0;
	if (argc > 0 && cli_words_parse(argc - 1 - doctor, argv + 1 + doctor, &words, &why) < 0) {
		cli_complain("%s; see imapfs --help", why.text);
		return CLI_USAGE;
	}
	if (asks_for(&words, "h", "help")) {
		(void)fputs(help, stdout);
		status = CLI_OK;
	} else if (asks_for(&words, "V", "version")) {
		(void)printf("imapfs %s\n", IMAPFS_VERSION);
		status = CLI_OK;
	} else {
		status = mount_or_check(&words, doctor);
	}
	cli_words_release(&words);
	return status;
}
