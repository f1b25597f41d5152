/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "imap_session.h"

/* What a NO or BAD with this code calls for; 0: the code says nothing about that. */
static const int errors[] = {
	[IMAP_CODE_READ_ONLY] = ERR_PERM,
	[IMAP_CODE_TRYCREATE] = ERR_NOTFOUND,
	[IMAP_CODE_MODIFIED] = ERR_CONFLICT,
	[IMAP_CODE_UNAVAILABLE] = ERR_BUSY,
	[IMAP_CODE_AUTHENTICATIONFAILED] = ERR_AUTH,
	[IMAP_CODE_AUTHORIZATIONFAILED] = ERR_AUTH,
	[IMAP_CODE_EXPIRED] = ERR_AUTH,
	[IMAP_CODE_PRIVACYREQUIRED] = ERR_AUTH,
	[IMAP_CODE_NOPERM] = ERR_PERM,
	[IMAP_CODE_INUSE] = ERR_BUSY,
	[IMAP_CODE_EXPUNGEISSUED] = ERR_CONFLICT,
	[IMAP_CODE_CORRUPTION] = ERR_BUSY,
	[IMAP_CODE_SERVERBUG] = ERR_BUSY,
	[IMAP_CODE_CLIENTBUG] = ERR_REFUSED,
	[IMAP_CODE_CANNOT] = ERR_REFUSED,
	[IMAP_CODE_LIMIT] = ERR_BUSY,
	[IMAP_CODE_OVERQUOTA] = ERR_QUOTA,
	[IMAP_CODE_ALREADYEXISTS] = ERR_EXISTS,
	[IMAP_CODE_NONEXISTENT] = ERR_NOTFOUND,
	[IMAP_CODE_TOOBIG] = ERR_TOOBIG,
	[IMAP_CODE_BADCHARSET] = ERR_REFUSED,
	[IMAP_CODE_UNKNOWN_CTE] = ERR_REFUSED,
};

/* How servers say "not now" where they give no code for it, or one that means else. */
static const char *const busy_texts[] = {
	"authenticated but not connected",
	"request is throttled",
	"[throttled]",
	"bandwidth limits",
	"too many simultaneous connections",
	"temporarily unavailable",
	"try again later",
};

static bool says_busy(const char *text)
{
	for (size_t i = 0; i < sizeof(busy_texts) / sizeof(busy_texts[0]); i++)
		if (strcasestr(text, busy_texts[i]) != NULL)
			return true;
	return false;
}

int imap_err_from_resp(const struct imap_resp *r, int otherwise)
{
	int err = 0;

	if (r == NULL)
		return otherwise;
	if (r->cond == IMAP_COND_OK || r->cond == IMAP_COND_PREAUTH)
		return 0;
	if ((size_t)r->code < sizeof(errors) / sizeof(errors[0]))
		err = errors[r->code];
	if ((err == 0 || err == ERR_QUOTA) && r->text != NULL && says_busy(r->text))
		return ERR_BUSY;
	return err != 0 ? err : otherwise;
}
