/* SPDX-License-Identifier: MIT */
#include "cli_info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "cli.h"
#include "mem.h"

#define VALUE_MAX 65536

/* All attributes that answer by name; a message has some, a mailbox others. */
static const char *const names[] = {
	"flags", "labels",     "uid",           "uidvalidity", "modseq", "internaldate",
	"size",  "message-id", "emailid",       "threadid",    "body",   "pending",
	"error", "uidnext",    "highestmodseq", "messages",    "unseen", "special-use",
	"sync",  "subscribed", "mailboxid",     "rights",
};

static void print_line(const char *name, char *value, ssize_t len)
{
	for (ssize_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			value[i] = value[i] == '\n' ? ',' : '?';
	(void)printf("%s: %.*s\n", name, (int)len, value);
}

int cli_info(const char *path)
{
	_cleanup_free_ char *value = mem_alloc(VALUE_MAX);
	int found = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[64];
		ssize_t len;

		(void)snprintf(name, sizeof(name), "user.imap.%s", names[i]);
		len = getxattr(path, name, value, VALUE_MAX);
		if (len < 0 && errno != ENODATA && errno != EOPNOTSUPP) {
			cli_complain("%s: %s", path, strerror(errno));
			return errno == ENOENT ? CLI_USAGE : CLI_FUSE;
		}
		if (len >= 0) {
			print_line(names[i], value, len);
			found++;
		}
	}
	if (found == 0) {
		cli_complain("%s is neither a message nor a mailbox", path);
		return CLI_NOT_MOUNTED;
	}
	return CLI_OK;
}
