/* SPDX-License-Identifier: MIT */
#include "cli_account.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_config.h"
#include "cli_owner.h"
#include "cli_paths.h"
#include "mem.h"
#include "store.h"
#include "store_mailbox.h"

static char *login_name(void)
{
	struct passwd pw, *found = NULL;
	char text[4096];

	if (getpwuid_r(getuid(), &pw, text, sizeof(text), &found) == 0 && found != NULL)
		return mem_strdup(pw.pw_name);
	return NULL;
}

/* A word without any of these is the name of an account, not an address. */
static bool looks_like_address(const char *text)
{
	return strpbrk(text, "@.:[") != NULL || strcmp(text, "localhost") == 0;
}

static enum cli_exit take_target(struct cli_options *o, const char *target, bool is_section,
                                 const char *config, struct err_reason *why)
{
	if (is_section) {
		free(o->account);
		o->account = mem_strdup(target);
		return CLI_OK;
	}
	if (looks_like_address(target))
		return cli_address_parse(target, o, why) < 0 ? CLI_USAGE : CLI_OK;
	err_set(why, ERR_INVAL, "no account %s in %s (an address is user@host)", target,
	        config != NULL ? config : "a configuration file");
	return CLI_CONFIG;
}

static int check_sign_in(const struct cli_options *o, struct err_reason *why)
{
	const char *key = o->key != NULL ? o->key : o->cert;
	struct sync_config cfg;
	int r;

	cli_account_sync_config(o, NULL, &cfg);
	r = sync_check_config(&cfg, why);
	return r == 0 && key != NULL ? cli_password_check_file(key, "key", why) : r;
}

/* What follows from the rest. */
static enum cli_exit complete(struct cli_options *o, struct err_reason *why)
{
	if (cli_options_finish(o, why) < 0)
		return CLI_CONFIG;
	if (o->user == NULL)
		o->user = login_name();
	if (o->user == NULL) {
		err_set(why, ERR_INVAL, "no user name: use user@%s", o->host);
		return CLI_USAGE;
	}
	return check_sign_in(o, why) < 0 || cli_paths_fill(o, why) < 0 ? CLI_CONFIG : CLI_OK;
}

enum cli_exit cli_account_load(const struct cli_words *words, struct cli_options *o,
                               struct err_reason *why)
{
	const char *target = words->operands[0], *given = cli_words_value(words, "config");
	_cleanup_free_ char *config = given != NULL ? mem_strdup(given) : cli_path_config();
	enum cli_exit status;
	int r = 0;

	if (given != NULL && access(given, R_OK) < 0) {
		err_set(why, ERR_INVAL, "%s cannot be read", given);
		return CLI_CONFIG;
	}
	if (config != NULL)
		r = cli_config_read(config, cli_config_is_name(target) ? target : NULL, o, why);
	if (r < 0)
		return CLI_CONFIG;
	status = take_target(o, target, r == 1, config, why);
	if (status == CLI_OK && cli_words_apply(words, o, why) < 0)
		status = CLI_USAGE;
	return status == CLI_OK ? complete(o, why) : status;
}

char *cli_account_title(const struct cli_options *o)
{
	bool ipv6 = strchr(o->host, ':') != NULL;

	return mem_printf("%s@%s%s%s:%d", o->user, ipv6 ? "[" : "", o->host, ipv6 ? "]" : "",
	                  o->port);
}

void cli_account_sync_config(const struct cli_options *o, struct cli_password *password,
                             struct sync_config *out)
{
	*out = (struct sync_config){
		.state_dir = o->state_dir,
		.cache_dir = o->cache_dir,
		.host = o->host,
		.user = o->user,
		.port = (uint16_t)o->port,
		.tls = (enum sync_tls)o->tls,
		.insecure = o->insecure,
		.cafile = o->cafile,
		.cert = o->cert,
		.key = o->key,
		.pin = o->pin,
		.tunnel = o->tunnel,
		.auth = o->auth,
		.disable = o->disable,
		.password = cli_password_get,
		.token = o->token_command != NULL ? cli_password_token : NULL,
		.recall = cli_password_recall,
		.note = cli_password_note,
		.password_ctx = password,
		.timeout_ms = o->timeout_ms,
		.poll_ms = o->poll_ms,
		.hold_ms = o->hold_ms,
		.conflict = (enum sync_conflict)o->conflict,
		.conflict_tries = o->conflict_tries,
		.connections = o->connections,
		.offline = o->offline,
		.profile = (enum store_profile)o->profile,
		.subscribed_only = o->mailboxes == 1,
		.max_size = o->max_size,
		.max_age_days = o->max_age_days,
		.on_missing_mailbox = (enum sync_policy)o->on_missing_mailbox,
		.on_conflict = (enum sync_policy)o->on_conflict,
		.on_refused = (enum sync_policy)o->on_refused,
	};
}

bool cli_account_known(const struct cli_options *o)
{
	_cleanup_free_ char *path = mem_printf("%s/state.db", o->state_dir);

	return access(path, F_OK) == 0;
}

bool cli_account_listed(const struct cli_options *o)
{
	struct store_mailbox *list = NULL;
	struct store *s = NULL;
	size_t count = 0;
	bool listed = false;

	if (store_open_again(o->state_dir, o->cache_dir, &s, NULL) < 0)
		return false;
	if (store_mailbox_list(s, &list, &count) == 0) {
		listed = count > 0 && (list[0].uidnext != 0 || !list[0].selectable);
		store_mailbox_list_free(list, count);
	}
	store_close(&s);
	return listed;
}

static int bring_up(const struct cli_options *o, struct cli_password *password,
                    struct err_reason *why)
{
	struct sync_config cfg;
	struct store *s = NULL;
	int r = 0;

	if (!cli_account_known(o) && !o->offline) {
		cli_account_sync_config(o, password, &cfg);
		r = sync_probe(&cfg, NULL, why);
	}
	if (r < 0)
		return r;
	r = store_open(o->state_dir, o->cache_dir, &s, why);
	if (r < 0)
		return r;
	r = store_recover(s);
	store_close(&s);
	return r < 0 ? err_set(why, r, "%s: %s", o->state_dir, err_text(r)) : 0;
}

int cli_account_open(const struct cli_options *o, struct cli_password *password, int *lock_fd,
                     struct err_reason *why)
{
	int fd = -1;
	int r = cli_make_dir(o->state_dir, why);

	if (r == 0)
		r = cli_make_dir(o->cache_dir, why);
	if (r == 0)
		r = store_lock(o->state_dir, &fd, why);
	if (r < 0)
		return r;
	r = cli_owner_check(o->state_dir, o->user, o->host, why);
	if (r == 0)
		r = bring_up(o, password, why);
	if (r == 0)
		r = cli_owner_note(o->state_dir, o->user, o->host, why);
	if (r < 0) {
		close(fd);
		return r;
	}
	*lock_fd = fd;
	return 0;
}
