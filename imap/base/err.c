/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "text_priv.h"

bool err_is_final(int err)
{
	if (err > 0)
		return false;
	switch ((enum err)err) {
	case ERR_LIMIT:
	case ERR_NOTFOUND:
	case ERR_EXISTS:
	case ERR_PERM:
	case ERR_QUOTA:
	case ERR_REFUSED:
	case ERR_INVAL:
	case ERR_TOOBIG:
	case ERR_NOTEMPTY:
	case ERR_READONLY:
	case ERR_VERSION:
	case ERR_ACCESS:
		return true;
	case ERR_OK:
	case ERR_IO:
	case ERR_PROTO:
	case ERR_OFFLINE:
	case ERR_AUTH: /* the password is wrong, not the request */
	case ERR_CONFLICT:
	case ERR_TIMEOUT:
	case ERR_TLS:
	case ERR_NOSPACE:
	case ERR_BUSY:
	case ERR_CANCELED:
	case ERR_LOCKED:
	case ERR_BLOCKED:
		return false;
	}
	return false;
}

const char *err_text(int err)
{
	if (err > 0)
		return "success";
	switch ((enum err)err) {
	case ERR_OK:
		return "success";
	case ERR_IO:
		return "local disk or database failed";
	case ERR_PROTO:
		return "unreadable reply from the server";
	case ERR_LIMIT:
		return "over a limit";
	case ERR_OFFLINE:
		return "no connection";
	case ERR_AUTH:
		return "sign-in refused";
	case ERR_NOTFOUND:
		return "not found";
	case ERR_EXISTS:
		return "exists already";
	case ERR_PERM:
		return "not permitted";
	case ERR_QUOTA:
		return "over quota";
	case ERR_CONFLICT:
		return "changed on the server meanwhile";
	case ERR_REFUSED:
		return "refused by the server";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_TLS:
		return "no secure connection";
	case ERR_NOSPACE:
		return "local disk is full";
	case ERR_INVAL:
		return "invalid argument";
	case ERR_TOOBIG:
		return "too big for the server";
	case ERR_NOTEMPTY:
		return "not empty";
	case ERR_BUSY:
		return "server is busy";
	case ERR_READONLY:
		return "read-only";
	case ERR_CANCELED:
		return "canceled";
	case ERR_LOCKED:
		return "in use by another process";
	case ERR_VERSION:
		return "local state is of a newer version";
	case ERR_BLOCKED:
		return "waits for an action that failed";
	case ERR_ACCESS:
		return "no right to do that";
	}
	return "unknown error";
}

int err_set(struct err_reason *why, int err, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL)
		return err;
	va_start(ap, fmt);
	text_format_line(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return err;
}
