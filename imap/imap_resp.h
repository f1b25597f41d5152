/* SPDX-License-Identifier: MIT */
#ifndef IMAP_RESP_H
#define IMAP_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One parsed server response.  All pointers live in the response's own memory
 * and are valid until imap_resp_release() or the return of the handler that was
 * given it.  Strings are NUL-terminated and carry their length where a peer may
 * put a NUL inside.
 */

struct imap_range {
	uint32_t first, last; /* first <= last; '*' is 0xffffffff */
};

/* A sequence set as sent, order kept, ranges normalised to first <= last.  In
 * COPYUID and APPENDUID the order of the set is the order of the messages. */
struct imap_set {
	struct imap_range *ranges;
	size_t count;
};

enum imap_resp_kind {
	IMAP_RESP_CONT,       /* "+ text" */
	IMAP_RESP_TAGGED,     /* tag, cond, code, text */
	IMAP_RESP_COND,       /* untagged OK NO BAD BYE PREAUTH: cond, code, text */
	IMAP_RESP_CAPABILITY, /* caps */
	IMAP_RESP_ENABLED,    /* caps */
	IMAP_RESP_LIST,       /* list (LIST and LSUB) */
	IMAP_RESP_STATUS,     /* status */
	IMAP_RESP_SEARCH,     /* search (SEARCH and ESEARCH) */
	IMAP_RESP_FLAGS,      /* flags */
	IMAP_RESP_EXISTS,     /* number */
	IMAP_RESP_RECENT,     /* number */
	IMAP_RESP_EXPUNGE,    /* number */
	IMAP_RESP_VANISHED,   /* vanished */
	IMAP_RESP_FETCH,      /* number (message number), fetch */
	IMAP_RESP_NAMESPACE,  /* namespaces */
	IMAP_RESP_QUOTA,      /* quota */
	IMAP_RESP_MYRIGHTS,   /* rights */
	IMAP_RESP_ID,         /* parsed and dropped */
	IMAP_RESP_UNKNOWN,    /* well-formed, of no known kind: ignore */
};

enum imap_cond { IMAP_COND_OK, IMAP_COND_NO, IMAP_COND_BAD, IMAP_COND_BYE, IMAP_COND_PREAUTH };

/* Response codes (RFC 3501 7.1, 4315, 5530, 7162, 4469, 8474...). */
enum imap_code {
	IMAP_CODE_NONE,
	IMAP_CODE_UNKNOWN, /* some atom we do not know: ignored (RFC 9051 7.1) */
	IMAP_CODE_ALERT,
	IMAP_CODE_CAPABILITY,
	IMAP_CODE_PARSE,
	IMAP_CODE_PERMANENTFLAGS, /* code_flags */
	IMAP_CODE_READ_ONLY,
	IMAP_CODE_READ_WRITE,
	IMAP_CODE_TRYCREATE,
	IMAP_CODE_UIDNEXT,       /* code_number */
	IMAP_CODE_UIDVALIDITY,   /* code_number */
	IMAP_CODE_UNSEEN,        /* code_number */
	IMAP_CODE_HIGHESTMODSEQ, /* code_number */
	IMAP_CODE_NOMODSEQ,
	IMAP_CODE_MODIFIED,  /* code_set */
	IMAP_CODE_APPENDUID, /* code_number = UIDVALIDITY, code_set = UIDs */
	IMAP_CODE_COPYUID,   /* code_number, code_set = source, code_set2 = target */
	IMAP_CODE_UIDNOTSTICKY,
	IMAP_CODE_CLOSED,
	IMAP_CODE_UNAVAILABLE,
	IMAP_CODE_AUTHENTICATIONFAILED,
	IMAP_CODE_AUTHORIZATIONFAILED,
	IMAP_CODE_EXPIRED,
	IMAP_CODE_PRIVACYREQUIRED,
	IMAP_CODE_CONTACTADMIN,
	IMAP_CODE_NOPERM,
	IMAP_CODE_INUSE,
	IMAP_CODE_EXPUNGEISSUED,
	IMAP_CODE_CORRUPTION,
	IMAP_CODE_SERVERBUG,
	IMAP_CODE_CLIENTBUG,
	IMAP_CODE_CANNOT,
	IMAP_CODE_LIMIT,
	IMAP_CODE_OVERQUOTA,
	IMAP_CODE_ALREADYEXISTS,
	IMAP_CODE_NONEXISTENT,
	IMAP_CODE_TOOBIG,
	IMAP_CODE_MAILBOXID, /* code_text */
	IMAP_CODE_BADCHARSET,
	IMAP_CODE_UNKNOWN_CTE,
};

struct imap_list_item {
	char *name; /* the wire bytes: the mailbox's identity on this server */
	size_t name_len;
	char delimiter;       /* 0: NIL, a flat name */
	char *attributes;     /* canonical wordset, with backslashes: "\HasChildren \Trash" */
	bool subscribed_only; /* came as LSUB */
};

/* STATUS items; has_* tells which came. */
struct imap_status {
	char *name;
	size_t name_len;
	bool has_messages, has_uidnext, has_uidvalidity, has_unseen, has_highestmodseq, has_size;
	bool has_appendlimit; /* false also for NIL: there is none (RFC 7889) */
	uint32_t messages, uidnext, uidvalidity, unseen;
	uint64_t highestmodseq, size, appendlimit;
	char *mailboxid; /* NULL: not sent, or no id (RFC 8474) */
};

struct imap_search {
	uint32_t *numbers; /* as sent, neither sorted nor unique; an ESEARCH ALL set is expanded */
	size_t count;
	bool has_modseq;
	uint64_t modseq;
	bool is_uid; /* ESEARCH said UID; SEARCH cannot tell */
};

struct imap_vanished {
	bool earlier;
	struct imap_set uids;
};

/* One address of an ENVELOPE; each part may be NULL (NIL). */
struct imap_address {
	char *name, *route, *mailbox, *host;
};

struct imap_address_list {
	struct imap_address *items;
	size_t count;
};

struct imap_envelope {
	char *date, *subject, *in_reply_to, *message_id;
	struct imap_address_list from, sender, reply_to, to, cc, bcc;
};

/* BODY or BODYSTRUCTURE: a tree; a part without children is a leaf. */
struct imap_part {
	char *type, *subtype; /* as sent; "multipart" for a node with children */
	char *params;         /* "key=value" pairs separated by '\n', or NULL */
	char *id, *description, *encoding, *disposition;
	char *disposition_params; /* as `params` */
	uint64_t size, lines;
	struct imap_part *children; /* multipart's parts, or message/rfc822's one body */
	size_t child_count;
	struct imap_envelope *envelope; /* message/rfc822 only */
};

/* One BODY[section]<origin> item. */
struct imap_body {
	char *section; /* text between the brackets, "" for the whole message */
	bool has_origin;
	uint64_t origin;
	bool nil;       /* the server said NIL: there is nothing */
	bool truncated; /* literal was over the limit and was skipped */
	const char *data;
	size_t len;
};

struct imap_fetch {
	uint32_t uid; /* 0: not sent */
	bool has_flags, has_size, has_date, has_modseq, has_envelope, has_structure;
	char *flags; /* canonical wordset with backslashes; \Recent is left out */
	uint64_t size;
	int64_t date;      /* INTERNALDATE, seconds since 1970 */
	int date_zone_min; /* its zone, minutes east */
	uint64_t modseq;
	struct imap_envelope *envelope;
	struct imap_part *structure;
	struct imap_body *bodies;
	size_t body_count;
	char *emailid, *threadid; /* NULL: not sent; Gmail's X-GM-MSGID and X-GM-THRID, too */
	char *labels;             /* X-GM-LABELS as sent, one a line; NULL: not sent */
};

struct imap_namespace_item {
	char *prefix;
	char delimiter;
};

struct imap_namespaces {
	struct imap_namespace_item *personal, *other, *shared;
	size_t personal_count, other_count, shared_count;
};

struct imap_quota {
	char *root;
	bool has_storage, has_messages;
	uint64_t storage_used_kb, storage_limit_kb, messages_used, messages_limit;
};

/* What the user may do in a mailbox (RFC 4314). */
struct imap_rights {
	char *name;
	size_t name_len;
	char *rights; /* letters */
};

struct imap_arena; /* the memory that all pointers live in */

struct imap_resp {
	enum imap_resp_kind kind;
	char *tag; /* IMAP_RESP_TAGGED */
	enum imap_cond cond;
	enum imap_code code;
	uint64_t code_number;
	struct imap_set code_set, code_set2;
	char *code_flags; /* wordset */
	char *code_text;  /* the code's raw argument text, or its unknown atom */
	char *text;       /* human text, never NULL for CONT TAGGED COND */
	char *caps;       /* wordset, upper case; CAPABILITY, ENABLED or [CAPABILITY] */
	uint32_t number;
	char *flags; /* wordset */
	struct imap_list_item list;
	struct imap_status status;
	struct imap_search search;
	struct imap_vanished vanished;
	struct imap_fetch *fetch;
	struct imap_namespaces *namespaces;
	struct imap_quota *quota;
	struct imap_rights rights;
	struct imap_arena *arena;
};

/* Ceilings on what one response may hold. */
struct imap_limits {
	size_t line_bytes;     /* text outside literals, per response */
	size_t literal_bytes;  /* one literal; over it the literal is skipped */
	size_t response_bytes; /* all literals of a response; those over it are skipped */
	size_t depth;          /* nested lists */
	size_t items;          /* elements of one response: list items, set ranges, numbers */
};

extern const struct imap_limits imap_limits_default;

/*
 * Parses one whole response: `text` is everything up to and including its last
 * CRLF (a bare LF is taken too), literals included as they came on the wire.
 * Returns 0 and fills *out (release it); ERR_PROTO: malformed beyond repair;
 * ERR_LIMIT: over a ceiling.  *out is untouched on error.  Tolerant where known
 * servers are wrong: a missing text after a code, "+" without a space, COPYUID
 * without "OK", items in any order, unknown items skipped by their syntax.
 */
int imap_resp_parse(const char *text, size_t len, const struct imap_limits *lim,
                    struct imap_resp *out);
void imap_resp_release(struct imap_resp *r);

/* Names of mailboxes that came in UTF-8 become modified UTF-7. */
void imap_resp_names_utf7(struct imap_resp *r);

/*
 * Finds where the first response in a stream ends, incrementally: feed it the
 * unconsumed bytes each time more have come, beginning with the same byte until a
 * response has been found and consumed.  Bytes already looked at are not looked at
 * again.
 *
 * A literal over a ceiling is not kept.  imap_framer_scan() then gives 0 with
 * `skip` > 0, and the literal's bytes, as far as they have come, begin at
 * data[scanned].  imap_framer_drop() takes them out of the buffer; call it before
 * each scan (it does nothing when there is nothing to drop), and memory stays bounded:
 *
 *     in.len = imap_framer_drop(&f, in.data, in.len);
 *     r = imap_framer_scan(&f, in.data, in.len, &len);
 *
 * until scan gives 0 and `skip` is 0 or `in.len` equals `scanned`.  The response's text
 * then has the literal's "{n}" CRLF with none of its bytes; imap_resp_parse(),
 * given the same limits, knows by the same rule that they are missing.
 */
struct imap_framer {
	struct imap_limits lim;
	size_t scanned; /* bytes of the current response already looked at */
	uint64_t skip;  /* bytes of an over-long literal still to be dropped */
	/* the rest is the framer's own */
	size_t literal_left, line_bytes, line_start;
	uint64_t kept;
	int state;
};

void imap_framer_init(struct imap_framer *f, const struct imap_limits *lim);

/* Returns 1 and the response's length in *len when `data` starts with a whole
 * one; 0: more bytes needed; ERR_LIMIT (a line, or a
 * literal of more than 64 GB), ERR_PROTO: the stream is lost. */
int imap_framer_scan(struct imap_framer *f, const char *data, size_t have, size_t *len);

/* Drops the bytes of an over-long literal from the middle of `data`; returns how many
 * of the `have` bytes are left there. */
size_t imap_framer_drop(struct imap_framer *f, char *data, size_t have);

/* True when the set holds `n`. */
bool imap_set_has(const struct imap_set *set, uint32_t n);

/* Number of members, or `max` + 1 when there are more than `max`. */
uint64_t imap_set_size(const struct imap_set *set, uint64_t max);

/* The i-th member in the order the server sent (COPYUID pairs by it); 0 past the end. */
uint32_t imap_set_nth(const struct imap_set *set, uint64_t i);

#endif
