/* SPDX-License-Identifier: MIT */
#ifndef CLI_INFO_H
#define CLI_INFO_H

/* `imapfs info FILE`: prints what a message or mailbox says of itself, a line per
 * attribute.  Returns the exit status. */
int cli_info(const char *path);

#endif
