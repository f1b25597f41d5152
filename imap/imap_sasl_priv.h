/* SPDX-License-Identifier: MIT */
#ifndef IMAP_SASL_PRIV_H
#define IMAP_SASL_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

/* The longest line of an exchange: challenge or answer, in base64. */
#define IMAP_SASL_LINE_MAX (32 << 10)

/* Who signs in, where, and with what.  NULL where there is none. */
struct imap_sasl_identity {
	const char *user, *host;
	uint16_t port;
	const char *password, *token;
	/* what the connection can be tied to: "tls-exporter" or "tls-unique", in base64 */
	const char *binding_kind, *binding;
};

/*
 * The client's side of one exchange (RFC 4422).  The identity has to outlive it.
 */
struct imap_sasl;

/* ERR_AUTH with the reason when `mechanism` is not to be had. */
int imap_sasl_new(const char *mechanism, const struct imap_sasl_identity *id,
                  struct imap_sasl **out, struct err_reason *why);
void imap_sasl_free(struct imap_sasl **s);

/* True when the client speaks first: its first answer may go with the command (RFC 4959). */
bool imap_sasl_speaks_first(const struct imap_sasl *s);

/* The answer to a challenge, both in base64, appended to `line`, which may stay empty.
 * ERR_AUTH: the exchange is to be broken off; imap_sasl_problem() says why. */
int imap_sasl_answer(struct imap_sasl *s, const char *challenge, struct buf *line);

/* True when the exchange has come to its end as it should, and nothing is left to prove. */
bool imap_sasl_is_complete(const struct imap_sasl *s);

/* Why the exchange was broken off, or what the server said about it; NULL: nothing. */
const char *imap_sasl_problem(const struct imap_sasl *s);

/* Bytes of secrets. */
void imap_sasl_wipe(struct buf *secret);

/* ---- imap_sasl_token.c: what the library does not have ---- */

bool imap_sasl_is_token(const char *mechanism);

/* RFC 7628 section 3.1, or Google's XOAUTH2.  ERR_LIMIT. */
int imap_sasl_token_message(const char *mechanism, const struct imap_sasl_identity *id,
                            struct buf *out);

/* What is answered to the server's account of an error, so that it ends the exchange. */
const char *imap_sasl_token_resign(const char *mechanism);

/* The "status" of the server's account of an error into `out`, or "". */
void imap_sasl_token_status(const char *json, size_t len, char *out, size_t cap);

#endif
