/* SPDX-License-Identifier: MIT */
#ifndef IMAP_PARSE_PRIV_H
#define IMAP_PARSE_PRIV_H

#include "imap_arena_priv.h"
#include "imap_lex_priv.h"
#include "imap_resp.h"

/*
 * The state of parsing one response: the current token and what is behind it.  Errors
 * stick in `err`; after one every token is IMAP_TOK_END, so that loops come to their
 * end and only the top has to look.
 */
struct imap_parse {
	struct imap_lex lex;
	struct imap_tok tok;
	int err;
	size_t items; /* counted against lim->items */
	const struct imap_limits *lim;
	struct imap_arena *arena;
	struct imap_resp *out;
};

/* Places to come back to, also from an error. */
struct imap_mark {
	struct imap_lex lex;
	struct imap_tok tok;
	size_t items;
};

void imap_parse_fail(struct imap_parse *p, int err);
void imap_parse_next(struct imap_parse *p);

/* Goes on with the bytes at `at`. */
void imap_parse_seek(struct imap_parse *p, const char *at);

struct imap_mark imap_parse_mark(const struct imap_parse *p);
void imap_parse_rewind(struct imap_parse *p, const struct imap_mark *m);

/* True when the current token is the atom `word`, letter case ignored. */
bool imap_parse_is(const struct imap_parse *p, const char *word);

/* As imap_parse_is(), and steps over it. */
bool imap_parse_accept(struct imap_parse *p, const char *word);
bool imap_parse_accept_type(struct imap_parse *p, enum imap_tok_type type);

/* True for an atom or a string (NIL is an atom, too). */
bool imap_parse_is_string(const struct imap_parse *p);

/* Zeroed memory of the response; NULL: err is set. */
void *imap_parse_alloc(struct imap_parse *p, size_t size);
char *imap_parse_copy(struct imap_parse *p, const char *s, size_t len);

/* Room for one more element behind the `count` there are, which may move; counts it
 * against the ceiling.  NULL: err is set. */
void *imap_parse_grow(struct imap_parse *p, void *items, size_t count, size_t size);

/* Takes a string off; NULL and err when there is none.  `len` may be NULL. */
char *imap_parse_string(struct imap_parse *p, size_t *len);

/* As above; NIL and a literal that was skipped are NULL without err. */
char *imap_parse_nstring(struct imap_parse *p);

/* An object's id: "(id)", or NIL; Gmail's numbers come bare (RFC 8474 5). */
char *imap_parse_id(struct imap_parse *p);

/* Takes a number off; false: there is none, nothing taken. */
bool imap_parse_number(struct imap_parse *p, uint64_t *n);
bool imap_parse_number32(struct imap_parse *p, uint32_t *n);

/* Reads the text of a sequence set; false: it is none.  `star`: "*" may be in it. */
bool imap_parse_set(struct imap_parse *p, const char *s, size_t len, bool star,
                    struct imap_set *set);

/* Takes a value off whose kind does not matter: a list with all that is in it, however deep,
 * or one token. */
void imap_parse_skip(struct imap_parse *p);

/* The same by its parentheses alone, for text whose quotes do not pair. */
void imap_parse_skip_raw(struct imap_parse *p);

/* Takes a list of words (or one word, or NIL) off as a canonical set without the words of
 * `without`.  Words that hold blanks or control characters are left out. */
char *imap_parse_words(struct imap_parse *p, const char *without);

/* Takes words off up to the line's end, in upper case, as a canonical set. */
char *imap_parse_caps(struct imap_parse *p);

/* The parts of the grammar.  Each begins at the token behind its keyword. */
void imap_parse_cond(struct imap_parse *p, const char *text);
void imap_parse_list(struct imap_parse *p, bool lsub);
void imap_parse_status(struct imap_parse *p);
void imap_parse_search(struct imap_parse *p);
void imap_parse_esearch(struct imap_parse *p);
void imap_parse_vanished(struct imap_parse *p);
void imap_parse_namespace(struct imap_parse *p);
void imap_parse_quota(struct imap_parse *p);
void imap_parse_myrights(struct imap_parse *p);
void imap_parse_fetch(struct imap_parse *p);

/* Each gives NULL when it cannot be understood; the caller then rewinds and skips. */
struct imap_envelope *imap_parse_envelope(struct imap_parse *p);
struct imap_part *imap_parse_structure(struct imap_parse *p);

#endif
