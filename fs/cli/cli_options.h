/* SPDX-License-Identifier: MIT */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/*
 * What the user asked for: the command line over the account's section of the
 * configuration file over that file's general part over the defaults.  Strings are
 * owned; NULL where nothing was said.
 */
#define CLI_TLS_UNSAID (-1)

#define CLI_MASK_UNSET UINT32_MAX

struct cli_options {
	char *account; /* section of the configuration file; NULL: an address was given */
	char *host, *user;
	int port; /* 0 until cli_options_finish() */
	int tls;  /* enum sync_tls; CLI_TLS_UNSAID until cli_options_finish() */
	bool insecure;
	char *cafile, *cert, *key, *pin, *tunnel;
	char *auth;    /* the only mechanism to sign in by */
	char *disable; /* wordset */
	char *password_command, *password_file, *token_command;
	char *config, *state_dir, *cache_dir;
	int subjects;    /* 1: -o names=subject */
	int maildir;     /* 1: -o layout=maildir */
	char *separator; /* before the flags in the names of a Maildir; NULL: ":" */
	int delete_mode; /* enum store_delete */
	int profile;     /* enum store_profile */
	int mailboxes;   /* 1: only those that are subscribed */
	uint64_t max_size;
	int max_age_days;
	int on_missing_mailbox, on_conflict, on_refused; /* enum sync_policy */
	int connections;
	int conflict; /* enum sync_conflict */
	int conflict_tries;
	int hold_ms, poll_ms, timeout_ms;
	bool offline;
	bool foreground, debug, help, version;
	bool read_only, allow_other, default_permissions, nonempty;
	int64_t uid, gid; /* -1: the caller's */
	uint32_t umask;
	uint32_t fmask, dmask; /* of files and directories alone; CLI_MASK_UNSET: as umask */
	char *fsname, *subtype;
	char *extra; /* words for the kernel's mount: "noexec,noatime" */
};

void cli_options_init(struct cli_options *o);
void cli_options_release(struct cli_options *o);

/* Sets one option by name, `_` counting as `-`; `value` NULL when it was named without
 * one.  ERR_INVAL with the reason. */
int cli_option_set(struct cli_options *o, const char *name, const char *value,
                   struct err_reason *why);

/* Whether `--name` takes the next argument as its value. */
bool cli_option_takes_value(const char *name);

/* Fills in what follows from the rest and checks that there is a host. */
int cli_options_finish(struct cli_options *o, struct err_reason *why);

/* ---- The command line, in words ---- */

struct cli_word {
	char *name, *value;
};

struct cli_words {
	struct cli_word *list;
	size_t count;
	char *operands[2]; /* account or address, mount point; NULL when not given */
	size_t operand_count;
};

/* Splits arguments (without the program's name) by sshfs's grammar; `-o a,b=c` and
 * `--a --b=c` give the same.  ERR_INVAL with the reason. */
int cli_words_parse(int argc, char *const argv[], struct cli_words *out, struct err_reason *why);
void cli_words_release(struct cli_words *w);

int cli_words_apply(const struct cli_words *w, struct cli_options *o, struct err_reason *why);

/* The last value given for a name, or NULL. */
const char *cli_words_value(const struct cli_words *w, const char *name);

/* `[user@]host[:port]`, an IPv6 address in brackets.  Puts in *o what is there. */
int cli_address_parse(const char *text, struct cli_options *o, struct err_reason *why);

#endif
