/* SPDX-License-Identifier: MIT */
#ifndef IMAP_CMD_PRIV_H
#define IMAP_CMD_PRIV_H

#include "buf.h"
#include "imap_cmd.h"

/*
 * What the session sees of a command: pieces in the order they are sent.
 *
 *   tag SP  TEXT/SECRET...  LITERAL  TEXT...  CRLF
 *
 * The first piece is a TEXT that begins with the verb.  Before a LITERAL the session
 * writes "{length}" CRLF, or "{length+}" CRLF; the space before it is in the piece
 * that precedes.  The session writes the CRLF that ends the command.
 */
enum imap_piece_kind {
	IMAP_PIECE_TEXT,    /* bytes */
	IMAP_PIECE_SECRET,  /* bytes, never shown */
	IMAP_PIECE_LITERAL, /* from `read` when it is set, else from bytes */
};

struct imap_piece {
	enum imap_piece_kind kind;
	bool secret;      /* of a literal: its bytes are never shown */
	bool binary;      /* of a literal: it is a literal8 (RFC 3516), "~{length}" */
	char *name;       /* it is this mailbox's, in modified UTF-7 */
	struct buf bytes; /* the bytes themselves; of a LITERAL with `read`: empty */
	uint64_t length;  /* LITERAL: how many bytes it announces */
	imap_literal_fn read;
	void *ctx;
};

/* 0, or ERR_INVAL (an argument cannot be sent), ERR_LIMIT (line too long). */
int imap_cmd_error(const struct imap_cmd *cmd);

size_t imap_cmd_piece_count(const struct imap_cmd *cmd);
const struct imap_piece *imap_cmd_piece(const struct imap_cmd *cmd, size_t i);

/* True when the command's verb is `verb`, letter case ignored. */
bool imap_cmd_is(const struct imap_cmd *cmd, const char *verb);

/* The names of mailboxes in UTF-8 instead of modified UTF-7, where they are that. */
void imap_cmd_names_utf8(struct imap_cmd *cmd);

/* The name last given to imap_cmd_mailbox(); NULL: none. */
const char *imap_cmd_mailbox_name(const struct imap_cmd *cmd);

/* The command for a debug line: secrets are ***, literals "{length}".  The caller's. */
char *imap_cmd_show(const struct imap_cmd *cmd);

#endif
