/* SPDX-License-Identifier: MIT */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "cli_options.h"

/*
 * The configuration file:
 *
 *     hold = 5s                  # before the first section: for every account
 *     [work]                     # imapfs work ~/Mail
 *     host = imap.example.org
 *     user = alice@example.org
 *     password-command = pass show mail/work
 *
 * A key is an option's name.  A line is a section, `key = value`, or begins with `#` or
 * `;`.  The whole file is checked, whichever account is asked for.
 */

/* Applies the general part and, when there is one, section `account` to *o.  Returns 1
 * when the section is there, 0 when it is not or there is no file; ERR_INVAL with
 * "FILE:LINE: what"; ERR_IO. */
int cli_config_read(const char *path, const char *account, struct cli_options *o,
                    struct err_reason *why);

/* A name that may stand between the brackets. */
bool cli_config_is_name(const char *name);

#endif
