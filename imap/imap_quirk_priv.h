/* SPDX-License-Identifier: MIT */
#ifndef IMAP_QUIRK_PRIV_H
#define IMAP_QUIRK_PRIV_H

/* The capabilities not to use with this server: those of `disable`, and what is known of `host` or of
 * whoever offers `caps`; the word QUIRKS in `disable` means that nothing is known.  The caller's. */
char *imap_quirk_disable(const char *host, const char *caps, const char *disable);

#endif
