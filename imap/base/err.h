/* SPDX-License-Identifier: MIT */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

/*
 * The one error type of the project, graded by remedy: what the caller should
 * do next decides which value a failure gets.  Functions return 0 or a positive
 * answer on success and one of these on failure.  An unknown value means "keep
 * the work and try later".  The values never reach a disk.
 */
enum err {
	ERR_OK = 0,
	ERR_IO = -1,        /* local disk or database failed */
	ERR_PROTO = -2,     /* unparseable reply: drop the connection */
	ERR_LIMIT = -3,     /* over one of our limits: drop the item */
	ERR_OFFLINE = -4,   /* no connection, or it died: try later */
	ERR_AUTH = -5,      /* server refused our credentials: tell the user */
	ERR_NOTFOUND = -6,  /* no such mailbox, message, node or action */
	ERR_EXISTS = -7,    /* the name is taken */
	ERR_PERM = -8,      /* ACL, read-only mailbox, or not ours to change */
	ERR_QUOTA = -9,     /* over the account's quota */
	ERR_CONFLICT = -10, /* server moved on (UIDVALIDITY, expunge): replan */
	ERR_REFUSED = -11,  /* tagged NO or BAD without a code we know */
	ERR_TIMEOUT = -12,  /* the deadline passed */
	ERR_TLS = -13,      /* certificate or handshake refused: tell the user */
	ERR_NOSPACE = -14,  /* local disk is full */
	ERR_INVAL = -15,    /* the argument makes no sense here */
	ERR_TOOBIG = -16,   /* over the server's APPENDLIMIT, or [TOOBIG] */
	ERR_NOTEMPTY = -17, /* directory or mailbox still holds something */
	ERR_BUSY = -18,     /* transient refusal: BYE, [INUSE], [UNAVAILABLE], [LIMIT] */
	ERR_READONLY = -19, /* mounted or opened read-only */
	ERR_CANCELED = -20, /* the one who asked no longer wants it */
	ERR_LOCKED = -21,   /* another process holds the account's state */
	ERR_VERSION = -22,  /* on-disk state is of a newer version: refused, not guessed */
	ERR_BLOCKED = -23,  /* an action this one depends on has failed */
	ERR_ACCESS = -24,   /* the server gives us no right to it (ACL) */
};

/* True: this request will never succeed as it stands, so stop asking.  False
 * for all else, unknown values too: the caller keeps the work and tries later. */
bool err_is_final(int err);

/* A short English phrase for `err` ("no connection"); never NULL. */
const char *err_text(int err);

#define ERR_REASON_MAX 256

/* Why something failed, for a person: one line, no secrets, no trailing dot. */
struct err_reason {
	char text[ERR_REASON_MAX];
};

/* Writes the reason, truncating; control characters become '?'.  `why` may be
 * NULL.  Returns `err`, so that a failing function ends with
 * `return err_set(why, ERR_TLS, "certificate of %s has expired", host);` */
int err_set(struct err_reason *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
