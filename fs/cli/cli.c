/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum cli_exit cli_exit_of(int err)
{
	if (err >= 0)
		return CLI_OK;
	switch ((enum err)err) {
	case ERR_OK:
		return CLI_OK;
	case ERR_AUTH:
		return CLI_AUTH;
	case ERR_TLS:
		return CLI_TLS;
	case ERR_LOCKED:
		return CLI_LOCKED;
	case ERR_INVAL:
		return CLI_CONFIG;
	case ERR_IO:
	case ERR_NOSPACE:
	case ERR_VERSION:
		return CLI_STATE;
	case ERR_PROTO:
	case ERR_LIMIT:
	case ERR_OFFLINE:
	case ERR_NOTFOUND:
	case ERR_EXISTS:
	case ERR_PERM:
	case ERR_QUOTA:
	case ERR_CONFLICT:
	case ERR_REFUSED:
	case ERR_TIMEOUT:
	case ERR_TOOBIG:
	case ERR_NOTEMPTY:
	case ERR_BUSY:
	case ERR_ACCESS:
	case ERR_READONLY:
	case ERR_CANCELED:
	case ERR_BLOCKED:
		return CLI_UNREACHABLE;
	}
	return CLI_UNREACHABLE;
}

void cli_complain(const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	(void)fprintf(stderr, "imapfs: %s\n", line);
}

const char *cli_reason(int err, const struct err_reason *why)
{
	return why != NULL && why->text[0] != '\0' ? why->text : err_text(err);
}
