/* SPDX-License-Identifier: MIT */
#include <gsasl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap_sasl_priv.h"
#include "mem.h"

#define ROUNDS_MAX 8
/* A server that asks for more wants this machine to be busy, not to be sure of the password:
 * it is about a second's work. */
#define ITERATIONS_MAX 1000000

struct imap_sasl {
	const struct imap_sasl_identity *id;
	const char *mechanism;
	bool token, first, scram, bound;
	Gsasl *lib;
	Gsasl_session *run;
	int rounds;
	bool complete;
	struct err_reason problem;
};

void imap_sasl_wipe(struct buf *secret)
{
	if (secret->data != NULL)
		mem_wipe(secret->data, secret->cap);
	buf_release(secret);
}

/* ---- The library ---- */

static const char *property(const struct imap_sasl *s, Gsasl_property prop)
{
	const struct imap_sasl_identity *id = s->id;
	bool external = strcasecmp(s->mechanism, "EXTERNAL") == 0;

	if (prop == GSASL_AUTHID)
		return id->user;
	if (prop == GSASL_AUTHZID)
		return external ? id->user : NULL;
	if (prop == GSASL_PASSWORD)
		return id->password;
	if (prop == GSASL_SERVICE)
		return "imap";
	if (prop == GSASL_HOSTNAME)
		return id->host;
	if (prop == GSASL_QOPS)
		return "qop-auth";
	if (prop == GSASL_CB_TLS_EXPORTER || prop == GSASL_CB_TLS_UNIQUE) {
		bool exporter = prop == GSASL_CB_TLS_EXPORTER;

		return s->bound && id->binding_kind != NULL &&
		                       (strcmp(id->binding_kind, "tls-exporter") == 0) == exporter
		               ? id->binding
		               : NULL;
	}
	return NULL;
}

static int on_property(Gsasl *lib, Gsasl_session *run, Gsasl_property prop)
{
	const char *value = property(gsasl_callback_hook_get(lib), prop);

	if (value == NULL)
		return GSASL_NO_CALLBACK;
	return gsasl_property_set(run, prop, value);
}

static int start_library(struct imap_sasl *s, struct err_reason *why)
{
	int r = gsasl_init(&s->lib);

	if (r == GSASL_OK) {
		gsasl_callback_hook_set(s->lib, s);
		gsasl_callback_set(s->lib, on_property);
		r = gsasl_client_start(s->lib, s->mechanism, &s->run);
	}
	if (r == GSASL_OK)
		return 0;
	return err_set(why, ERR_AUTH, "cannot sign in by %s: %s", s->mechanism, gsasl_strerror(r));
}

int imap_sasl_new(const char *mechanism, const struct imap_sasl_identity *id,
                  struct imap_sasl **out, struct err_reason *why)
{
	struct imap_sasl *s = mem_alloc(sizeof(*s));
	int r = 0;

	s->id = id;
	s->mechanism = mechanism;
	s->token = imap_sasl_is_token(mechanism);
	s->scram = strncasecmp(mechanism, "SCRAM-", 6) == 0;
	/* the library refuses SCRAM without -PLUS where it is given something to bind to */
	s->bound = s->scram && strlen(mechanism) > 5 &&
	           strcasecmp(mechanism + strlen(mechanism) - 5, "-PLUS") == 0;
	s->first = strcasecmp(mechanism, "LOGIN") != 0 && strcasecmp(mechanism, "CRAM-MD5") != 0;
	if (s->token && id->token == NULL)
		r = err_set(why, ERR_AUTH, "%s needs a token", mechanism);
	else if (!s->token)
		r = start_library(s, why);
	if (r < 0)
		imap_sasl_free(&s);
	else
		*out = s;
	return r;
}

void imap_sasl_free(struct imap_sasl **sasl)
{
	struct imap_sasl *s = *sasl;

	*sasl = NULL;
	if (s == NULL)
		return;
	if (s->run != NULL)
		gsasl_finish(s->run);
	if (s->lib != NULL)
		gsasl_done(s->lib);
	free(s);
}

bool imap_sasl_speaks_first(const struct imap_sasl *s)
{
	return s->first;
}

bool imap_sasl_is_complete(const struct imap_sasl *s)
{
	return s->complete;
}

const char *imap_sasl_problem(const struct imap_sasl *s)
{
	return s->problem.text[0] != '\0' ? s->problem.text : NULL;
}

/* ---- One round ---- */

static int to_base64(const void *data, size_t len, struct buf *line)
{
	char *dst = buf_reserve(line, (len + 2) / 3 * 4 + 1);

	if (dst == NULL)
		return ERR_LIMIT;
	line->len += (size_t)EVP_EncodeBlock((unsigned char *)dst, data, (int)len);
	return 0;
}

static int from_base64(const char *text, struct buf *out)
{
	size_t len = strlen(text), pad = 0;
	char *dst;
	int n;

	if (len == 0)
		return 0;
	if (len % 4 != 0 || (dst = buf_reserve(out, len / 4 * 3)) == NULL)
		return ERR_PROTO;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	if (strcspn(text, "=") < len - pad)
		return ERR_PROTO;
	n = EVP_DecodeBlock((unsigned char *)dst, (const unsigned char *)text, (int)len);
	if (n < (int)pad)
		return ERR_PROTO;
	out->len += (size_t)n - pad;
	out->data[out->len] = '\0';
	return 0;
}

/* RFC 5802 section 5.1: "r=...,s=...,i=COUNT".  What is no count is left to the library. */
static bool asks_too_much(const struct buf *challenge)
{
	const char *at = challenge->data != NULL ? strstr(challenge->data, ",i=") : NULL;

	return at != NULL && strtoull(at + 3, NULL, 10) > ITERATIONS_MAX;
}

static int give_up(struct imap_sasl *s, const char *text)
{
	s->complete = false;
	return err_set(&s->problem, ERR_AUTH, "%s", text);
}

static int token_round(struct imap_sasl *s, const struct buf *challenge, struct buf *answer)
{
	const char *resign;
	char status[40];

	if (s->rounds == 1) {
		s->complete = true;
		if (imap_sasl_token_message(s->mechanism, s->id, answer) < 0)
			return give_up(s, "the token is too long");
		return 0;
	}
	imap_sasl_token_status(challenge->data != NULL ? challenge->data : "", challenge->len,
	                       status, sizeof(status));
	(void)err_set(&s->problem, ERR_AUTH, "server does not accept the token%s%s",
	              status[0] != '\0' ? ": " : "", status);
	s->complete = false;
	resign = imap_sasl_token_resign(s->mechanism);
	return buf_puts(answer, resign);
}

static int library_round(struct imap_sasl *s, const struct buf *challenge, struct buf *answer)
{
	char *out = NULL;
	size_t len = 0;
	int r;

	if (s->scram && s->rounds == 2 && asks_too_much(challenge))
		return give_up(s, "server asks for too many rounds of SCRAM");
	r = gsasl_step(s->run, challenge->data, challenge->len, &out, &len);
	if (r == GSASL_OK || r == GSASL_NEEDS_MORE) {
		s->complete = r == GSASL_OK;
		r = buf_append(answer, out != NULL ? out : "", len) < 0 ? GSASL_MALLOC_ERROR : 0;
	}
	if (out != NULL)
		mem_wipe(out, len);
	gsasl_free(out);
	if (r == GSASL_OK)
		return 0;
	if (s->scram && s->rounds > 2)
		return give_up(s, "server cannot prove that it knows the password");
	return give_up(s, gsasl_strerror(r));
}

int imap_sasl_answer(struct imap_sasl *s, const char *challenge, struct buf *line)
{
	struct buf in = BUF_INIT(IMAP_SASL_LINE_MAX), out = BUF_INIT(IMAP_SASL_LINE_MAX);
	int r;

	/* the server's word for "begin" */
	if (s->first && s->rounds == 0)
		challenge = "";
	if (s->rounds++ >= ROUNDS_MAX || (s->complete && !s->token))
		return give_up(s, "server asks for more than there is to say");
	if (from_base64(challenge, &in) < 0) {
		imap_sasl_wipe(&in);
		return give_up(s, "server's challenge is no base64");
	}
	r = s->token ? token_round(s, &in, &out) : library_round(s, &in, &out);
	if (r == 0 && to_base64(out.data != NULL ? out.data : "", out.len, line) < 0)
		r = give_up(s, "the answer is too long");
	imap_sasl_wipe(&out);
	imap_sasl_wipe(&in);
	return r;
}
