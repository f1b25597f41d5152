/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "imap_sasl_priv.h"

/* RFC 5801 section 4: a name in a GS2 header. */
static int put_name(struct buf *out, const char *name)
{
	int r = 0;

	for (; r == 0 && *name != '\0'; name++)
		r = *name == ','   ? buf_puts(out, "=2C")
		    : *name == '=' ? buf_puts(out, "=3D")
		                   : buf_putc(out, *name);
	return r;
}

static bool is_bearer(const char *mechanism)
{
	return strcasecmp(mechanism, "OAUTHBEARER") == 0;
}

bool imap_sasl_is_token(const char *mechanism)
{
	return is_bearer(mechanism) || strcasecmp(mechanism, "XOAUTH2") == 0;
}

int imap_sasl_token_message(const char *mechanism, const struct imap_sasl_identity *id,
                            struct buf *out)
{
	int r;

	if (is_bearer(mechanism)) {
		r = buf_puts(out, "n,a=");
		if (r == 0)
			r = put_name(out, id->user);
		if (r == 0)
			r = buf_printf(out, ",\001host=%s\001port=%u", id->host, id->port);
	} else {
		r = buf_printf(out, "user=%s", id->user);
	}
	return r == 0 ? buf_printf(out, "\001auth=Bearer %s\001\001", id->token) : r;
}

const char *imap_sasl_token_resign(const char *mechanism)
{
	return is_bearer(mechanism) ? "\001" : "";
}

void imap_sasl_token_status(const char *json, size_t len, char *out, size_t cap)
{
	static const char key[] = "\"status\"";
	const char *end = json + len, *p = memmem(json, len, key, sizeof(key) - 1);
	size_t n = 0;

	out[0] = '\0';
	if (p == NULL)
		return;
	p += sizeof(key) - 1;
	while (p < end && strchr(" \t:", *p) != NULL && *p != '\0')
		p++;
	if (p == end || *p++ != '"')
		return;
	for (; p < end && (isalnum((unsigned char)*p) || *p == '_' || *p == '-') && n + 1 < cap;
	     p++)
		out[n++] = *p;
	out[n] = '\0';
}
