/* SPDX-License-Identifier: MIT */
#ifndef IMAP_CMD_H
#define IMAP_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A command under construction: a list of text pieces and literals, without its
 * tag.  The session adds the tag, and decides by what the server offers whether a
 * literal waits for "+" (RFC 7888).  Building never fails: an argument that
 * cannot be sent is remembered and imap_session_send() answers ERR_INVAL.
 */
struct imap_cmd;

/* Starts with `verb` exactly as given, e.g. "UID FETCH", "NOOP". */
struct imap_cmd *imap_cmd_new(const char *verb);
void imap_cmd_free(struct imap_cmd **cmd);

/* " text" as it is: for item lists and keywords that this program made itself. */
void imap_cmd_raw(struct imap_cmd *cmd, const char *text);
void imap_cmd_rawf(struct imap_cmd *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* " " and an astring: atom, quoted or literal as its bytes need.  The `name` of a
 * mailbox is the wire form that LIST gave, or imap_utf7_encode()'s result. */
void imap_cmd_astring(struct imap_cmd *cmd, const char *s, size_t len);
void imap_cmd_mailbox(struct imap_cmd *cmd, const char *name);

/* " " and a secret astring: shown as *** in debug output, wiped when freed. */
void imap_cmd_secret(struct imap_cmd *cmd, const char *s, size_t len);

/* " (flags)": words that are no valid flag make the command unsendable. */
void imap_cmd_flags(struct imap_cmd *cmd, const char *wordset);

/* The same for flags that came from a server: what no client may send is left out. */
void imap_cmd_flags_kept(struct imap_cmd *cmd, const char *wordset);

/* " set" of ascending, unique UIDs folded into ranges. */
void imap_cmd_uids(struct imap_cmd *cmd, const uint32_t *uids, size_t count);
void imap_cmd_range(struct imap_cmd *cmd, uint32_t first, uint32_t last);

/* " "date-time"" in quotes, day padded with a space (RFC 3501 date-time). */
void imap_cmd_datetime(struct imap_cmd *cmd, int64_t seconds, int zone_min);

/* The search key of RFC 7162 3.1.5: what has changed at `modseq` or later; with a flag, of that flag
 * as far as the server knows. */
void imap_cmd_modseq(struct imap_cmd *cmd, const char *flag, uint64_t modseq);

/* " d-Mon-yyyy" as SEARCH takes it. */
void imap_cmd_date(struct imap_cmd *cmd, int64_t seconds, int zone_min);

/*
 * " {len}" and the bytes that `read` gives while they are being sent: at most
 * `cap` bytes from `offset` into `dst`, returns how many (> 0) or ERR_IO.  `ctx`
 * stays the caller's and must outlive the command.
 */
typedef int64_t (*imap_literal_fn)(void *ctx, uint64_t offset, char *dst, size_t cap);
void imap_cmd_literal(struct imap_cmd *cmd, uint64_t len, imap_literal_fn read, void *ctx);

/* " UTF8 (~{len}" and the same bytes, ")": a message with UTF-8 in its header (RFC 6855 section 4). */
void imap_cmd_literal_utf8(struct imap_cmd *cmd, uint64_t len, imap_literal_fn read, void *ctx);

/* How long the command line is without its literals' bytes: to bound sets. */
size_t imap_cmd_line_length(const struct imap_cmd *cmd);

#endif
