/* SPDX-License-Identifier: MIT */
#include "cli_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_value.h"
#include "mem.h"
#include "store_mailbox.h"
#include "store_message.h"
#include "sync.h"
#include "wordset.h"

#define OPTION_NAME_MAX 32
#define OPTION_VALUE_MAX 4096

struct choice {
	const char *word;
	int value;
};

/* How a value is read, and what kind of field it goes to. */
enum kind {
	KIND_ON,       /* bool: true, or yes and no */
	KIND_OFF,      /* bool: false */
	KIND_TEXT,     /* char * */
	KIND_PATH,     /* char *, made absolute, ~ expanded */
	KIND_NUMBER,   /* int within min..max */
	KIND_ID,       /* int64_t: uid or gid */
	KIND_OCTAL,    /* uint32_t */
	KIND_DURATION, /* int: ms within min..max */
	KIND_SIZE,     /* uint64_t */
	KIND_CHOICE,   /* int: one of `choices` */
	KIND_WORDS,    /* char *: words separated by colons, a wordset */
	KIND_PASSED,   /* told to the kernel as it is */
	KIND_IGNORED,  /* of fstab, means nothing here */
};

struct option {
	const char *name;
	enum kind kind;
	bool bare_ignored; /* without a value it is a word of fstab */
	size_t offset;
	int64_t min, max;
	const struct choice *choices;
};

static const struct choice tls_choices[] = {
	{ "implicit", SYNC_TLS_IMPLICIT },
	{ "starttls", SYNC_TLS_STARTTLS },
	{ "none", SYNC_TLS_NONE },
	{ NULL, 0 },
};

static const struct choice layout_choices[] = {
	{ "plain", 0 },
	{ "maildir", 1 },
	{ NULL, 0 },
};

static const struct choice names_choices[] = {
	{ "uid", 0 },
	{ "subject", 1 },
	{ NULL, 0 },
};

static const struct choice delete_choices[] = {
	{ "trash", STORE_DELETE_TRASH },
	{ "expunge", STORE_DELETE_EXPUNGE },
	{ "flag", STORE_DELETE_FLAG },
	{ NULL, 0 },
};

static const struct choice profile_choices[] = {
	{ "full", STORE_PROFILE_FULL },         { "headers", STORE_PROFILE_HEADERS },
	{ "new-only", STORE_PROFILE_NEW_ONLY }, { "blind", STORE_PROFILE_BLIND },
	{ "none", STORE_PROFILE_NONE },         { NULL, 0 },
};

static const struct choice missing_choices[] = {
	{ "ask", SYNC_POLICY_ASK },
	{ "recreate", SYNC_POLICY_RECREATE },
	{ "lost+found", SYNC_POLICY_LOST_FOUND },
	{ "abort", SYNC_POLICY_ABORT },
	{ NULL, 0 },
};

static const struct choice failed_choices[] = {
	{ "ask", SYNC_POLICY_ASK },
	{ "lost+found", SYNC_POLICY_LOST_FOUND },
	{ "abort", SYNC_POLICY_ABORT },
	{ NULL, 0 },
};

static const struct choice conflict_choices[] = {
	{ "merge", SYNC_CONFLICT_MERGE },
	{ "mine", SYNC_CONFLICT_MINE },
	{ "theirs", SYNC_CONFLICT_THEIRS },
	{ "ask", SYNC_CONFLICT_ASK },
	{ NULL, 0 },
};

static const struct choice mailboxes_choices[] = {
	{ "all", 0 },
	{ "subscribed", 1 },
	{ NULL, 0 },
};

#define AT(field) .offset = offsetof(struct cli_options, field)
#define SECONDS(n) ((int64_t)(n)*1000)

static const struct option options[] = {
	{ "host", KIND_TEXT, AT(host) },
	{ "user", KIND_TEXT, AT(user), .bare_ignored = true },
	{ "port", KIND_NUMBER, AT(port), .min = 1, .max = 65535 },
	{ "tls", KIND_CHOICE, AT(tls), .choices = tls_choices },
	{ "insecure", KIND_ON, AT(insecure) },
	{ "cafile", KIND_PATH, AT(cafile) },
	{ "cert", KIND_PATH, AT(cert) },
	{ "key", KIND_PATH, AT(key) },
	{ "pin", KIND_TEXT, AT(pin) },
	{ "tunnel", KIND_TEXT, AT(tunnel) },
	{ "auth", KIND_TEXT, AT(auth) },
	{ "token-command", KIND_TEXT, AT(token_command) },
	{ "disable", KIND_WORDS, AT(disable) },
	{ "password-command", KIND_TEXT, AT(password_command) },
	{ "password-file", KIND_PATH, AT(password_file) },
	{ "config", KIND_PATH, AT(config) },
	{ "state-dir", KIND_PATH, AT(state_dir) },
	{ "cache-dir", KIND_PATH, AT(cache_dir) },
	{ "layout", KIND_CHOICE, AT(maildir), .choices = layout_choices },
	{ "separator", KIND_TEXT, AT(separator) },
	{ "names", KIND_CHOICE, AT(subjects), .choices = names_choices },
	{ "delete", KIND_CHOICE, AT(delete_mode), .choices = delete_choices },
	{ "conflict", KIND_CHOICE, AT(conflict), .choices = conflict_choices },
	{ "conflict-tries", KIND_NUMBER, AT(conflict_tries), .min = 3, .max = 100 },
	{ "sync", KIND_CHOICE, AT(profile), .choices = profile_choices, .bare_ignored = true },
	{ "mailboxes", KIND_CHOICE, AT(mailboxes), .choices = mailboxes_choices },
	{ "max-size", KIND_SIZE, AT(max_size) },
	{ "max-age", KIND_NUMBER, AT(max_age_days), .min = 0, .max = 100000 },
	{ "on-missing-mailbox", KIND_CHOICE, AT(on_missing_mailbox), .choices = missing_choices },
	{ "on-conflict", KIND_CHOICE, AT(on_conflict), .choices = failed_choices },
	{ "on-refused", KIND_CHOICE, AT(on_refused), .choices = failed_choices },
	{ "connections", KIND_NUMBER, AT(connections), .min = 1, .max = 8 },
	{ "hold", KIND_DURATION, AT(hold_ms), .min = 0, .max = SECONDS(3600) },
	{ "poll", KIND_DURATION, AT(poll_ms), .min = SECONDS(1), .max = SECONDS(86400) },
	{ "timeout", KIND_DURATION, AT(timeout_ms), .min = SECONDS(1), .max = SECONDS(3600) },
	{ "offline", KIND_ON, AT(offline) },
	{ "foreground", KIND_ON, AT(foreground) },
	{ "f", KIND_ON, AT(foreground) },
	{ "debug", KIND_ON, AT(debug) },
	{ "d", KIND_ON, AT(debug) },
	{ "help", KIND_ON, AT(help) },
	{ "h", KIND_ON, AT(help) },
	{ "version", KIND_ON, AT(version) },
	{ "V", KIND_ON, AT(version) },
	{ "ro", KIND_ON, AT(read_only) },
	{ "rw", KIND_OFF, AT(read_only) },
	{ "allow-other", KIND_ON, AT(allow_other) },
	{ "default-permissions", KIND_ON, AT(default_permissions) },
	{ "nonempty", KIND_ON, AT(nonempty) },
	{ "uid", KIND_ID, AT(uid) },
	{ "gid", KIND_ID, AT(gid) },
	{ "umask", KIND_OCTAL, AT(umask) },
	{ "fmask", KIND_OCTAL, AT(fmask) },
	{ "dmask", KIND_OCTAL, AT(dmask) },
	{ "fsname", KIND_TEXT, AT(fsname) },
	{ "subtype", KIND_TEXT, AT(subtype) },
	{ "nosuid", KIND_PASSED },
	{ "nodev", KIND_PASSED },
	{ "noexec", KIND_PASSED },
	{ "noatime", KIND_PASSED },
	{ "auto", KIND_IGNORED },
	{ "noauto", KIND_IGNORED },
	{ "nofail", KIND_IGNORED },
	{ "defaults", KIND_IGNORED },
	{ "users", KIND_IGNORED },
	{ "nouser", KIND_IGNORED },
	{ "owner", KIND_IGNORED },
	{ "group", KIND_IGNORED },
	{ "-netdev", KIND_IGNORED },
	{ "netdev", KIND_IGNORED },
	{ "comment", KIND_IGNORED },
	{ "suid", KIND_IGNORED },
	{ "dev", KIND_IGNORED },
	{ "exec", KIND_IGNORED },
	{ "atime", KIND_IGNORED },
	{ "relatime", KIND_IGNORED },
	{ "norelatime", KIND_IGNORED },
	{ "strictatime", KIND_IGNORED },
	{ "nostrictatime", KIND_IGNORED },
	{ "lazytime", KIND_IGNORED },
	{ "nolazytime", KIND_IGNORED },
	{ "diratime", KIND_IGNORED },
	{ "nodiratime", KIND_IGNORED },
	{ "async", KIND_IGNORED },
	{ "dirsync", KIND_IGNORED },
	{ "silent", KIND_IGNORED },
	{ "loud", KIND_IGNORED },
};

void cli_options_init(struct cli_options *o)
{
	*o = (struct cli_options){
		.tls = CLI_TLS_UNSAID,
		.delete_mode = STORE_DELETE_TRASH,
		.profile = STORE_PROFILE_FULL,
		.connections = 2,
		.hold_ms = 2000,
		.poll_ms = 300000,
		.timeout_ms = 30000,
		.uid = -1,
		.gid = -1,
		.umask = 077,
		.fmask = CLI_MASK_UNSET,
		.dmask = CLI_MASK_UNSET,
	};
}

void cli_options_release(struct cli_options *o)
{
	free(o->account);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].kind == KIND_TEXT || options[i].kind == KIND_PATH ||
		    options[i].kind == KIND_WORDS)
			free(*(char **)((char *)o + options[i].offset));
	free(o->extra);
	memset(o, 0, sizeof(*o));
}

/* The name as the table spells it; false: too long to be one. */
static bool canonical_name(const char *name, char out[OPTION_NAME_MAX])
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if (i + 1 >= OPTION_NAME_MAX)
			return false;
		out[i] = name[i] == '_' ? '-' : name[i];
	}
	out[i] = '\0';
	return true;
}

static const struct option *find_option(const char *name)
{
	static const struct option fstab_private = { "x-", KIND_IGNORED };
	char canonical[OPTION_NAME_MAX];

	if (strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0)
		return &fstab_private;
	if (!canonical_name(name, canonical))
		return NULL;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(options[i].name, canonical) == 0)
			return &options[i];
	return NULL;
}

static bool takes_value(const struct option *opt)
{
	switch (opt->kind) {
	case KIND_ON:
	case KIND_OFF:
	case KIND_PASSED:
	case KIND_IGNORED:
		return false;
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_NUMBER:
	case KIND_ID:
	case KIND_OCTAL:
	case KIND_DURATION:
	case KIND_SIZE:
	case KIND_CHOICE:
	case KIND_WORDS:
		return true;
	}
	return false;
}

/* ---- Reading values ---- */

static int set_choice(const struct option *opt, int *field, const char *value,
                      struct err_reason *why)
{
	char known[ERR_REASON_MAX] = "";
	size_t at = 0;

	for (const struct choice *c = opt->choices; c->word != NULL; c++) {
		if (strcasecmp(c->word, value) == 0) {
			*field = c->value;
			return 0;
		}
		for (const char *p = at > 0 ? ", " : ""; *p != '\0' && at + 1 < sizeof(known); p++)
			known[at++] = *p;
		for (const char *p = c->word; *p != '\0' && at + 1 < sizeof(known); p++)
			known[at++] = *p;
	}
	return err_set(why, ERR_INVAL, "%s=%s: must be one of %s", opt->name, value, known);
}

static int set_path(char **field, const char *name, const char *value, struct err_reason *why)
{
	const char *home = getenv("HOME");
	char *cwd = NULL, *path;

	if (value[0] == '\0')
		return err_set(why, ERR_INVAL, "%s= needs a path", name);
	if (strncmp(value, "~/", 2) == 0 && home != NULL && home[0] == '/') {
		path = mem_printf("%s%s", home, value + 1);
	} else if (value[0] == '/') {
		path = mem_strdup(value);
	} else {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL)
			return err_set(why, ERR_INVAL, "%s=%s: %s", name, value, strerror(errno));
		path = mem_printf("%s/%s", cwd, value);
		free(cwd);
	}
	free(*field);
	*field = path;
	return 0;
}

static int set_words(char **field, const char *value)
{
	char *words = mem_strdup(value);

	for (char *p = words; *p != '\0'; p++)
		if (*p == ':')
			*p = ' ';
	free(*field);
	*field = wordset_canon(words);
	free(words);
	return 0;
}

static int set_integer(const struct option *opt, void *field, const char *value)
{
	const char *end = "";
	int64_t n = 0;
	uint64_t u = 0;
	int r;

	if (opt->kind == KIND_DURATION)
		r = cli_duration_parse(value, &n);
	else if (opt->kind == KIND_SIZE)
		return cli_size_parse(value, field);
	else if (opt->kind == KIND_OCTAL)
		r = cli_number_parse(value, 8, 0777, &u, &end);
	else
		r = cli_number_parse(value, 10, INT_MAX, &u, &end);
	if (r < 0 || *end != '\0')
		return ERR_INVAL;
	if (opt->kind != KIND_DURATION)
		n = (int64_t)u;
	if (opt->max != 0 && (n < opt->min || n > opt->max))
		return ERR_INVAL;
	if (opt->kind == KIND_OCTAL)
		*(uint32_t *)field = (uint32_t)n;
	else if (opt->kind == KIND_ID)
		*(int64_t *)field = n;
	else
		*(int *)field = (int)n;
	return 0;
}

static int set_value(const struct option *opt, struct cli_options *o, const char *value,
                     struct err_reason *why)
{
	void *field = (char *)o + opt->offset;

	switch (opt->kind) {
	case KIND_TEXT:
		if (value[0] == '\0')
			return err_set(why, ERR_INVAL, "%s= is empty", opt->name);
		free(*(char **)field);
		*(char **)field = mem_strdup(value);
		return 0;
	case KIND_PATH:
		return set_path(field, opt->name, value, why);
	case KIND_WORDS:
		return set_words(field, value);
	case KIND_CHOICE:
		return set_choice(opt, field, value, why);
	case KIND_NUMBER:
	case KIND_ID:
	case KIND_OCTAL:
	case KIND_DURATION:
	case KIND_SIZE:
		if (set_integer(opt, field, value) == 0)
			return 0;
		return err_set(why, ERR_INVAL, "%s=%s: not a value for this option", opt->name,
		               value);
	case KIND_ON:
	case KIND_OFF:
	case KIND_PASSED:
	case KIND_IGNORED:
		break;
	}
	return 0;
}

static int set_switch(const struct option *opt, struct cli_options *o, const char *value,
                      struct err_reason *why)
{
	bool on = true;
	char *extra;

	if (opt->kind == KIND_IGNORED)
		return 0;
	if (value != NULL && cli_bool_parse(value, &on) < 0)
		return err_set(why, ERR_INVAL, "%s=%s: must be yes or no", opt->name, value);
	if (opt->kind == KIND_PASSED && on) {
		extra = o->extra != NULL ? mem_printf("%s,%s", o->extra, opt->name)
		                         : mem_strdup(opt->name);
		free(o->extra);
		o->extra = extra;
	} else if (opt->kind != KIND_PASSED) {
		*(bool *)((char *)o + opt->offset) = opt->kind == KIND_ON ? on : !on;
	}
	return 0;
}

int cli_option_set(struct cli_options *o, const char *name, const char *value,
                   struct err_reason *why)
{
	const struct option *opt;

	if (value != NULL && strlen(value) > OPTION_VALUE_MAX)
		return err_set(why, ERR_INVAL, "%.32s: value is too long", name);
	if (strcmp(name, "password") == 0 || strcmp(name, "pass") == 0)
		return err_set(why, ERR_INVAL,
		               "a password here could be seen by everyone: use password-command=, "
		               "password-file= or IMAPFS_PASSWORD");
	opt = find_option(name);
	if (opt == NULL)
		return err_set(why, ERR_INVAL, "unknown option %.64s", name);
	if (!takes_value(opt))
		return set_switch(opt, o, value, why);
	if (value == NULL && opt->bare_ignored)
		return 0;
	if (value == NULL)
		return err_set(why, ERR_INVAL, "%s needs a value", opt->name);
	if (strcmp(opt->name, "separator") == 0 &&
	    (strlen(value) != 1 || strchr(":;!+=^~", *value) == NULL))
		return err_set(why, ERR_INVAL, "separator is one of : ; ! + = ^ ~");
	return set_value(opt, o, value, why);
}

int cli_options_finish(struct cli_options *o, struct err_reason *why)
{
	if (o->host == NULL)
		return err_set(why, ERR_INVAL, "account %s has no host",
		               o->account != NULL ? o->account : "");
	/* the other end of a tunnel is wherever its command says */
	if (o->tls == CLI_TLS_UNSAID)
		o->tls = o->tunnel != NULL ? SYNC_TLS_NONE : SYNC_TLS_IMPLICIT;
	if (o->port == 0)
		o->port = o->tls == SYNC_TLS_IMPLICIT ? 993 : 143;
	if (o->allow_other)
		o->default_permissions = true; /* mail: the modes must hold for the others */
	if (o->debug)
		o->foreground = true;
	return 0;
}

bool cli_option_takes_value(const char *name)
{
	const struct option *opt = find_option(name);

	if (opt == NULL)
		return false;
	return takes_value(opt) && !opt->bare_ignored;
}
