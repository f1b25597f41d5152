/* SPDX-License-Identifier: MIT */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "imap_session_priv.h"
#include "mem.h"

#define PASSWORD_MAX 1024
#define PLAIN_MAX 4096 /* the SASL message: NUL user NUL password */

static int ask_capabilities(struct imap_session *s, struct err_reason *why)
{
	struct imap_cmd *cmd = imap_cmd_new("CAPABILITY");
	int r = imap_session_transact(s, &cmd, IMAP_ENTRY_PLAIN, NULL, NULL, why);

	if (r == 0 && s->caps == NULL)
		return err_set(why, ERR_PROTO, "server does not tell its capabilities");
	return r;
}

/* RFC 4616 in base64; `out` is a buffer of secrets. */
static int plain_message(struct buf *out, const char *user, const char *password,
                         struct err_reason *why)
{
	size_t user_len = strlen(user), password_len = strlen(password);
	size_t len = user_len + password_len + 2;
	unsigned char text[PLAIN_MAX] = { 0 };
	char *dst;

	if (len > sizeof(text))
		return err_set(why, ERR_AUTH, "user name is too long");
	memcpy(text + 1, user, user_len);
	memcpy(text + 2 + user_len, password, password_len);
	dst = buf_reserve(out, (len + 2) / 3 * 4);
	if (dst != NULL)
		out->len += (size_t)EVP_EncodeBlock((unsigned char *)dst, text, (int)len);
	mem_wipe(text, sizeof(text));
	return dst != NULL ? 0 : err_set(why, ERR_AUTH, "user name is too long");
}

static void wipe(struct buf *secret)
{
	if (secret->data != NULL)
		mem_wipe(secret->data, secret->cap);
	buf_release(secret);
}

/* RFC 3501 section 6.2.2, RFC 4959. */
static int authenticate_plain(struct imap_session *s, const char *user, const char *password,
                              struct imap_resp *resp, struct err_reason *why)
{
	struct buf message = BUF_INIT(2 * PLAIN_MAX);
	struct imap_cmd *cmd;
	int r = plain_message(&message, user, password, why);

	if (r == 0) {
		cmd = imap_cmd_new("AUTHENTICATE");
		imap_cmd_raw(cmd, "PLAIN");
		if (imap_session_has(s, "SASL-IR")) {
			imap_cmd_secret(cmd, message.data, message.len);
			wipe(&message);
		}
		r = imap_session_transact(s, &cmd, IMAP_ENTRY_AUTH, &message, resp, why);
	}
	wipe(&message);
	return r;
}

static int login(struct imap_session *s, const char *user, const char *password,
                 struct imap_resp *resp, struct err_reason *why)
{
	struct imap_cmd *cmd;

	if (imap_session_has(s, "LOGINDISABLED"))
		return err_set(why, ERR_AUTH,
		               "server offers no way to sign in with a password here");
	cmd = imap_cmd_new("LOGIN");
	imap_cmd_astring(cmd, user, strlen(user));
	imap_cmd_secret(cmd, password, strlen(password));
	return imap_session_transact(s, &cmd, IMAP_ENTRY_PLAIN, NULL, resp, why);
}

/* A server that says BAD to AUTHENTICATE does not do what it offers; LOGIN may work. */
static int try_password(struct imap_session *s, const char *user, const char *password,
                        struct imap_resp *resp, struct err_reason *why)
{
	int r;

	if (!imap_session_has(s, "AUTH=PLAIN"))
		return login(s, user, password, resp, why);
	r = authenticate_plain(s, user, password, resp, why);
	if (r != ERR_REFUSED || resp->kind != IMAP_RESP_TAGGED || resp->cond != IMAP_COND_BAD ||
	    s->state == IMAP_STATE_CLOSED || imap_session_has(s, "LOGINDISABLED"))
		return r;
	imap_resp_release(resp);
	return login(s, user, password, resp, why);
}

static int sign_in_with(struct imap_session *s, const char *user, const char *password,
                        struct err_reason *why)
{
	struct imap_resp resp = { 0 };
	int r;

	s->caps_fresh = false;
	r = try_password(s, user, password, &resp, why);
	if (r == ERR_REFUSED && s->state != IMAP_STATE_CLOSED)
		r = ERR_AUTH; /* whatever else the server had to say, it did not let us in */
	imap_resp_release(&resp);
	if (r == 0)
		imap_session_set_state(s, IMAP_STATE_AUTHENTICATED);
	return r;
}

int imap_auth_sign_in(struct imap_session *s, const struct imap_options *opt,
                      struct err_reason *why)
{
	char password[PASSWORD_MAX] = { 0 };
	int r = s->caps == NULL ? ask_capabilities(s, why) : 0;

	if (r < 0 || s->state == IMAP_STATE_AUTHENTICATED)
		return r;
	r = opt->password(opt->password_ctx, password, sizeof(password), why);
	if (r == 0)
		r = sign_in_with(s, opt->user, password, why);
	mem_wipe(password, sizeof(password));
	/* what was offered before signing in does not hold any longer */
	if (r == 0 && !s->caps_fresh) {
		free(mem_steal(s->caps));
		r = ask_capabilities(s, why);
	}
	return r;
}
