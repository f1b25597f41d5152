/* SPDX-License-Identifier: MIT */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap_auth_priv.h"
#include "log.h"
#include "mem.h"

#define PASSWORD_MAX 1024
#define TOKEN_MAX (16 << 10)
/* Servers bound the line before sign-in, some at 4 KB: a token longer than this waits for "+". */
#define TOKEN_AT_ONCE_MAX 1400
#define UNBOUND " unbound" /* remembered with a mechanism: the server could not do -PLUS */

/* One sign-in, over its attempts. */
struct auth {
	struct imap_session *s;
	const struct imap_options *opt;
	struct imap_choice choice;
	struct imap_sasl_identity id;
	char password[PASSWORD_MAX];
	char *token;
	bool renewed; /* the token has been asked for again */
	bool unbound; /* the server offers to bind a sign-in to the connection, and cannot */
	unsigned char binding_bytes[IMAP_BINDING_MAX];
	char binding[2 * IMAP_BINDING_MAX];
};

static int ask_capabilities(struct imap_session *s, struct err_reason *why)
{
	struct imap_cmd *cmd = imap_cmd_new("CAPABILITY");
	int r = imap_session_transact(s, &cmd, IMAP_ENTRY_PLAIN, NULL, NULL, why);

	if (r == 0 && s->caps == NULL)
		return err_set(why, ERR_PROTO, "server does not tell its capabilities");
	return r;
}

/* ---- Secrets ---- */

static int get_token(struct auth *a, bool refused, struct err_reason *why)
{
	int r;

	if (a->token == NULL)
		a->token = mem_alloc(TOKEN_MAX);
	r = a->opt->token(a->opt->password_ctx, refused, a->token, TOKEN_MAX, why);
	/* what is no token must not reach the places between its separators (RFC 6750) */
	for (const char *p = a->token; r == 0 && *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			r = err_set(why, ERR_AUTH, "the token has a character that no token has");
	a->id.token = a->token;
	return r;
}

static int get_secret(struct auth *a, const struct imap_mech *m, struct err_reason *why)
{
	int r = 0;

	if (m->need == IMAP_NEED_TOKEN && a->id.token == NULL)
		return get_token(a, false, why);
	if (m->need == IMAP_NEED_PASSWORD && a->id.password == NULL) {
		r = a->opt->password(a->opt->password_ctx, a->password, sizeof(a->password), why);
		if (r == 0)
			a->id.password = a->password;
	}
	return r;
}

static void wipe_secrets(struct auth *a)
{
	mem_wipe(a->password, sizeof(a->password));
	if (a->token != NULL)
		mem_wipe(a->token, TOKEN_MAX);
	free(a->token);
}

/* ---- One attempt ---- */

static int login(struct auth *a, struct imap_resp *resp, struct err_reason *why)
{
	struct imap_cmd *cmd = imap_cmd_new("LOGIN");

	imap_cmd_astring(cmd, a->id.user, strlen(a->id.user));
	imap_cmd_secret(cmd, a->id.password, strlen(a->id.password));
	return imap_session_transact(a->s, &cmd, IMAP_ENTRY_PLAIN, NULL, resp, why);
}

static bool begins_at_once(const struct auth *a, const struct imap_sasl *sasl)
{
	if (!imap_sasl_speaks_first(sasl) ||
	    (a->id.token != NULL && strlen(a->id.token) > TOKEN_AT_ONCE_MAX))
		return false;
	return imap_session_has(a->s, "SASL-IR") || imap_session_has(a->s, "IMAP4REV2");
}

/* RFC 3501 section 6.2.2, RFC 4959. */
static int authenticate(struct auth *a, const struct imap_mech *m, struct imap_sasl *sasl,
                        struct imap_resp *resp, struct err_reason *why)
{
	struct imap_cmd *cmd = imap_cmd_new("AUTHENTICATE");
	struct buf first = BUF_INIT(2 * IMAP_SASL_LINE_MAX);

	imap_cmd_raw(cmd, m->name);
	if (begins_at_once(a, sasl) && imap_sasl_answer(sasl, "", &first) == 0)
		imap_cmd_secret(cmd, first.len > 0 ? first.data : "=",
		                first.len > 0 ? first.len : 1);
	imap_sasl_wipe(&first);
	if (imap_sasl_problem(sasl) != NULL) {
		imap_cmd_free(&cmd);
		return err_set(why, ERR_AUTH, "%s", imap_sasl_problem(sasl));
	}
	return imap_session_transact(a->s, &cmd, IMAP_ENTRY_AUTH, sasl, resp, why);
}

/* The server has answered: is it as the mechanism wants it?  `r` is what the answer says. */
static int judge(struct auth *a, const struct imap_mech *m, const struct imap_sasl *sasl, int r,
                 struct err_reason *why)
{
	const char *problem = imap_sasl_problem(sasl);

	if (r == 0 && !imap_sasl_is_complete(sasl))
		return imap_session_fail(
			a->s,
			err_set(why, ERR_AUTH, "server lets us in before %s is over", m->name),
			"%s", why->text);
	if (r == 0 || problem == NULL || a->s->state == IMAP_STATE_CLOSED)
		return r;
	(void)err_set(why, ERR_AUTH, "%s", problem);
	/* a server that fails to prove itself is not offered another way to the password */
	return m->need == IMAP_NEED_TOKEN ? r : ERR_AUTH;
}

/* The password or whatever else the server had to say: it did not let us in. */
static int refused(const struct auth *a, const struct imap_resp *resp, int r)
{
	return r == ERR_AUTH && a->s->state != IMAP_STATE_CLOSED && resp->kind == IMAP_RESP_TAGGED
	               ? ERR_REFUSED
	               : r;
}

/* ERR_REFUSED, and what has been answered in *resp: another one may be tried. */
static int attempt(struct auth *a, const struct imap_mech *m, struct imap_resp *resp,
                   struct err_reason *why)
{
	struct imap_sasl *sasl = NULL;
	int r = get_secret(a, m, why);

	if (r < 0)
		return r;
	a->s->caps_fresh = false;
	log_debug("imap: signing in by %s", m->name);
	if (m->word == NULL)
		return refused(a, resp, login(a, resp, why));
	r = imap_sasl_new(m->name, &a->id, &sasl, why);
	if (r < 0)
		return r;
	r = refused(a, resp, authenticate(a, m, sasl, resp, why));
	r = judge(a, m, sasl, r, why);
	imap_sasl_free(&sasl);
	return r;
}

/* ---- The order of attempts ---- */

/* The mechanism that worked last, and whether a binding did not; NULL: none is known. */
static const struct imap_mech *recall_mech(const struct auth *a, bool *unbound)
{
	char known[IMAP_MECHANISM_MAX] = "";
	char *end;

	if (a->opt->memory.recall != NULL)
		a->opt->memory.recall(a->opt->memory.ctx, known);
	end = strchr(known, ' ');
	*unbound = end != NULL && strcmp(end, UNBOUND) == 0;
	if (*unbound)
		*end = '\0';
	return imap_mech_find(known);
}

static bool has_worked(const struct auth *a, const struct imap_mech *m)
{
	bool unbound;
	const struct imap_mech *known = recall_mech(a, &unbound);

	return known != NULL && strcmp(known->name, m->name) == 0;
}

/*
 * A binding that does not hold may mean that somebody sits in between.  Where none has held
 * yet, the server may as well offer what it cannot do: Cyrus does so within TLS 1.3,
 * mailutils always.  Then there is one more attempt, by what tells no password to whom
 * does not know it.
 */
static const struct imap_mech *after_binding(struct auth *a, const struct imap_mech *m)
{
	const struct imap_mech *next;

	if (a->choice.floor == IMAP_RANK_BOUND || a->opt->auth != NULL)
		return NULL;
	a->choice.can_bind = false;
	next = imap_mech_next(&a->choice, m);
	a->unbound = next != NULL && next->rank == IMAP_RANK_MUTUAL;
	return a->unbound ? next : NULL;
}

/*
 * What to try when `m` was refused; NULL: nothing.  BAD means that the server does not do
 * what it offers.  NO may mean that it has the password in no form that suits the mechanism:
 * where nobody listens, it is told in the clear, once.  So a wrong password counts as two at
 * most.
 */
static const struct imap_mech *after_refusal(struct auth *a, const struct imap_mech *m,
                                             const struct imap_resp *resp, struct err_reason *why)
{
	const struct imap_mech *next = imap_mech_next(&a->choice, m);
	struct err_reason none = { "" };

	if (m->need == IMAP_NEED_TOKEN) {
		if (a->renewed)
			return NULL;
		a->renewed = true;
		return get_token(a, true, why) == 0 ? m : NULL;
	}
	if (m->need == IMAP_NEED_CERT)
		return next != NULL && get_secret(a, next, &none) == 0 ? next : NULL;
	if (m->rank == IMAP_RANK_BOUND)
		return after_binding(a, m);
	while (next != NULL && ((next->rank < m->rank && !a->choice.shielded) ||
	                        (resp->cond != IMAP_COND_BAD && next->rank != IMAP_RANK_CLEAR)))
		next = imap_mech_next(&a->choice, next);
	if (a->unbound)
		return NULL;
	if (resp->cond == IMAP_COND_BAD)
		return next;
	return m->rank != IMAP_RANK_CLEAR && !has_worked(a, m) ? next : NULL;
}

static int try_in_turn(struct auth *a, struct err_reason *why)
{
	const struct imap_mech *m = imap_mech_next(&a->choice, NULL);
	struct imap_resp resp = { 0 };
	int r;

	if (m == NULL)
		return imap_mech_none(&a->choice, why);
	do {
		r = attempt(a, m, &resp, why);
		if (r == 0)
			snprintf(a->s->mechanism, sizeof(a->s->mechanism), "%s", m->name);
		m = r == ERR_REFUSED && a->s->state != IMAP_STATE_CLOSED
		            ? after_refusal(a, m, &resp, why)
		            : NULL;
		imap_resp_release(&resp);
	} while (m != NULL);
	return r == ERR_REFUSED ? ERR_AUTH : r;
}

/* ---- The whole ---- */

static void find_binding(struct auth *a)
{
	size_t len = 0;

	a->id.binding_kind = imap_conn_binding(a->s->conn, a->binding_bytes, &len);
	a->choice.can_bind = a->id.binding_kind != NULL;
	if (!a->choice.can_bind)
		return;
	(void)EVP_EncodeBlock((unsigned char *)a->binding, a->binding_bytes, (int)len);
	a->id.binding = a->binding;
}

static void recall(struct auth *a)
{
	const struct imap_mech *m = recall_mech(a, &a->unbound);

	if (a->unbound && a->opt->auth == NULL)
		a->choice.can_bind = false;
	a->choice.floor = m != NULL ? m->rank : IMAP_RANK_CLEAR;
	if (a->choice.floor == IMAP_RANK_BOUND && !a->choice.can_bind)
		a->choice.floor = IMAP_RANK_MUTUAL;
}

static void note(const struct auth *a)
{
	char known[IMAP_MECHANISM_MAX];
	bool bound = imap_mech_find(a->s->mechanism)->rank == IMAP_RANK_BOUND;

	if (a->opt->memory.note == NULL)
		return;
	snprintf(known, sizeof(known), "%s%s", a->s->mechanism,
	         a->unbound && !bound ? UNBOUND : "");
	a->opt->memory.note(a->opt->memory.ctx, known);
}

static int sign_in(struct imap_session *s, const struct imap_options *opt, struct err_reason *why)
{
	struct auth a = {
		.s = s,
		.opt = opt,
		.choice = { .s = s, .opt = opt },
		.id = { .user = opt->user, .host = opt->host, .port = opt->port },
	};
	int r;

	a.choice.shielded = imap_conn_is_tls(s->conn) || imap_conn_is_tunnel(s->conn);
	find_binding(&a);
	recall(&a);
	r = try_in_turn(&a, why);
	wipe_secrets(&a);
	if (r == 0)
		note(&a);
	return r;
}

int imap_auth_sign_in(struct imap_session *s, const struct imap_options *opt,
                      struct err_reason *why)
{
	int r = s->caps == NULL ? ask_capabilities(s, why) : 0;

	if (r == 0 && s->state == IMAP_STATE_AUTHENTICATED)
		snprintf(s->mechanism, sizeof(s->mechanism), "PREAUTH");
	if (r < 0 || s->state == IMAP_STATE_AUTHENTICATED)
		return r;
	r = sign_in(s, opt, why);
	if (r < 0)
		return r;
	imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	/* what was offered before signing in does not hold any longer */
	if (!s->caps_fresh) {
		free(mem_steal(s->caps));
		r = ask_capabilities(s, why);
	}
	return r;
}

int imap_options_check(const struct imap_options *opt, struct err_reason *why)
{
	if (opt->auth != NULL && imap_mech_find(opt->auth) == NULL)
		return err_set(why, ERR_INVAL, "auth=%s: no mechanism that is known here",
		               opt->auth);
	if (opt->key != NULL && opt->cert == NULL)
		return err_set(why, ERR_INVAL, "key= is of no use without cert=");
	if (opt->tls == IMAP_TLS_NONE && (opt->cert != NULL || opt->pin != NULL))
		return err_set(why, ERR_INVAL, "cert= and pin= need TLS");
	return opt->pin != NULL ? imap_conn_check_pin(opt->pin, why) : 0;
}
