/* SPDX-License-Identifier: MIT */
#ifndef IMAP_MSGMAP_H
#define IMAP_MSGMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Message number to UID for one selected mailbox.  Unknown UIDs are 0. */
struct imap_msgmap;

struct imap_msgmap *imap_msgmap_new(void);
void imap_msgmap_free(struct imap_msgmap **m);
void imap_msgmap_clear(struct imap_msgmap *m);

/* EXISTS: grows with unknown UIDs; a smaller count than known is ignored and gives
 * false (a server may not shrink it so).  More than 2^20 gives false
 * too. */
bool imap_msgmap_set_exists(struct imap_msgmap *m, uint32_t count);
uint32_t imap_msgmap_count(const struct imap_msgmap *m);

/* Records what a FETCH said; numbers over EXISTS are ignored. */
void imap_msgmap_set(struct imap_msgmap *m, uint32_t number, uint32_t uid);
uint32_t imap_msgmap_uid(const struct imap_msgmap *m, uint32_t number);

/* EXPUNGE of a number: renumbers; returns its UID, 0 when unknown. */
uint32_t imap_msgmap_expunge(struct imap_msgmap *m, uint32_t number);

/* VANISHED without EARLIER: removes one UID and renumbers; false when unknown. */
bool imap_msgmap_vanish(struct imap_msgmap *m, uint32_t uid);

#endif
