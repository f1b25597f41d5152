/* SPDX-License-Identifier: MIT */
#ifndef BASE_WORDSET_H
#define BASE_WORDSET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A set of words kept as one text: words separated by single spaces, sorted
 * byte-wise by their lower-case form, no duplicates (ASCII case is ignored, the
 * first spelling wins).  Two equal sets that were spelled alike have equal text.
 * The project keeps a message's flags so: `$Work \Flagged \Seen`.
 *
 * All functions take canonical or loose text (any run of blanks separates) and
 * give canonical text that the caller frees.  NULL counts as the empty set.
 */
char *wordset_canon(const char *words);
bool wordset_has(const char *words, const char *word);
bool wordset_equal(const char *a, const char *b);
char *wordset_union(const char *a, const char *b);
char *wordset_minus(const char *a, const char *b);
size_t wordset_count(const char *words);

/* Steps through a set: `*pos` starts as the text; returns the next word's start
 * and its length, NULL at the end. */
const char *wordset_next(const char **pos, size_t *len);

#endif
