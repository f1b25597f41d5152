/* SPDX-License-Identifier: MIT */
#include <strings.h>

#include "imap_auth_priv.h"

/* In the order of preference. */
static const struct imap_mech mechs[] = {
	{ "OAUTHBEARER", "AUTH=OAUTHBEARER", IMAP_NEED_TOKEN, IMAP_RANK_CLEAR },
	{ "XOAUTH2", "AUTH=XOAUTH2", IMAP_NEED_TOKEN, IMAP_RANK_CLEAR },
	{ "EXTERNAL", "AUTH=EXTERNAL", IMAP_NEED_CERT, IMAP_RANK_MUTUAL },
	{ "GSSAPI", "AUTH=GSSAPI", IMAP_NEED_TICKET, IMAP_RANK_MUTUAL },
	{ "SCRAM-SHA-256-PLUS", "AUTH=SCRAM-SHA-256-PLUS", IMAP_NEED_PASSWORD, IMAP_RANK_BOUND },
	{ "SCRAM-SHA-1-PLUS", "AUTH=SCRAM-SHA-1-PLUS", IMAP_NEED_PASSWORD, IMAP_RANK_BOUND },
	{ "SCRAM-SHA-256", "AUTH=SCRAM-SHA-256", IMAP_NEED_PASSWORD, IMAP_RANK_MUTUAL },
	{ "SCRAM-SHA-1", "AUTH=SCRAM-SHA-1", IMAP_NEED_PASSWORD, IMAP_RANK_MUTUAL },
	{ "CRAM-MD5", "AUTH=CRAM-MD5", IMAP_NEED_PASSWORD, IMAP_RANK_PROOF },
	{ "PLAIN", "AUTH=PLAIN", IMAP_NEED_PASSWORD, IMAP_RANK_CLEAR },
	{ "LOGIN", "AUTH=LOGIN", IMAP_NEED_PASSWORD, IMAP_RANK_CLEAR },
	{ "LOGIN", NULL, IMAP_NEED_PASSWORD, IMAP_RANK_CLEAR },
};

#define MECHS (sizeof(mechs) / sizeof(mechs[0]))

static bool is_offered(const struct imap_choice *c, const struct imap_mech *m)
{
	return m->word != NULL ? imap_session_has(c->s, m->word)
	                       : !imap_session_has(c->s, "LOGINDISABLED");
}

/* Whether there is what it takes.  A ticket is looked for only where that is asked for: it
 * may take its time. */
static bool is_possible(const struct imap_choice *c, const struct imap_mech *m)
{
	if (m->rank == IMAP_RANK_BOUND && !c->can_bind)
		return false;
	switch (m->need) {
	case IMAP_NEED_PASSWORD:
		return c->opt->token == NULL || c->opt->auth != NULL;
	case IMAP_NEED_TOKEN:
		return c->opt->token != NULL;
	case IMAP_NEED_CERT:
		return c->opt->cert != NULL && imap_conn_is_tls(c->s->conn);
	case IMAP_NEED_TICKET:
		return c->opt->auth != NULL;
	}
	return false;
}

static bool is_wanted(const struct imap_choice *c, const struct imap_mech *m)
{
	if (c->opt->auth != NULL)
		return strcasecmp(c->opt->auth, m->name) == 0;
	/* against who has a certificate that passes, only a binding helps: once there, it stays */
	if (c->shielded && (c->floor != IMAP_RANK_BOUND || m->need != IMAP_NEED_PASSWORD))
		return true;
	return m->rank >= c->floor;
}

const struct imap_mech *imap_mech_next(const struct imap_choice *c, const struct imap_mech *after)
{
	for (const struct imap_mech *m = after != NULL ? after + 1 : mechs; m < mechs + MECHS; m++)
		if (is_wanted(c, m) && is_possible(c, m) && is_offered(c, m))
			return m;
	return NULL;
}

const struct imap_mech *imap_mech_find(const char *name)
{
	for (size_t i = 0; i < MECHS; i++)
		if (strcasecmp(name, mechs[i].name) == 0)
			return &mechs[i];
	return NULL;
}

int imap_mech_none(const struct imap_choice *c, struct err_reason *why)
{
	struct imap_choice open = *c;

	open.floor = IMAP_RANK_CLEAR;
	if (c->opt->auth != NULL)
		return err_set(why, ERR_AUTH, "server does not offer to sign in by %s here",
		               c->opt->auth);
	if (imap_mech_next(&open, NULL) != NULL)
		return err_set(why, ERR_AUTH,
		               "server no longer offers what the account signed in by, only what "
		               "tells more of the password (auth= allows it)");
	return err_set(why, ERR_AUTH, "server offers no way to sign in with a %s here",
	               c->opt->token != NULL ? "token" : "password");
}
