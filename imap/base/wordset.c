/* SPDX-License-Identifier: MIT */
#include "wordset.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mem.h"

/* A word that points into somebody's text; `order` is its place there. */
struct word {
	const char *s;
	size_t len;
	size_t order;
};

struct words {
	struct word *items;
	size_t count, cap;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int word_cmp(const struct word *a, const struct word *b)
{
	size_t n = a->len < b->len ? a->len : b->len;

	for (size_t i = 0; i < n; i++) {
		int d = lower(a->s[i]) - lower(b->s[i]);

		if (d != 0)
			return d;
	}
	return (a->len > b->len) - (a->len < b->len);
}

static int word_cmp_stable(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	int d = word_cmp(x, y);

	return d != 0 ? d : (x->order > y->order) - (x->order < y->order);
}

const char *wordset_next(const char **pos, size_t *len)
{
	const char *p = *pos, *start;

	if (p == NULL)
		return NULL;
	while (is_blank(*p))
		p++;
	start = p;
	while (*p != '\0' && !is_blank(*p))
		p++;
	*pos = p;
	if (p == start)
		return NULL;
	*len = (size_t)(p - start);
	return start;
}

static void words_add(struct words *w, const char *text)
{
	const char *pos = text, *s;
	size_t len;

	while ((s = wordset_next(&pos, &len)) != NULL) {
		if (w->count == w->cap) {
			w->cap = w->cap > 0 ? w->cap * 2 : 16;
			w->items = mem_realloc(w->items, w->cap, sizeof(*w->items));
		}
		w->items[w->count] = (struct word){ s, len, w->count };
		w->count++;
	}
}

static void words_sort(struct words *w)
{
	size_t kept = 0;

	if (w->count == 0)
		return;
	qsort(w->items, w->count, sizeof(*w->items), word_cmp_stable);
	for (size_t i = 0; i < w->count; i++)
		if (i == 0 || word_cmp(&w->items[kept - 1], &w->items[i]) != 0)
			w->items[kept++] = w->items[i];
	w->count = kept;
}

/* Takes the sorted words of `b` out of the sorted words of `a`. */
static void words_subtract(struct words *a, const struct words *b)
{
	size_t kept = 0, j = 0;

	for (size_t i = 0; i < a->count; i++) {
		while (j < b->count && word_cmp(&b->items[j], &a->items[i]) < 0)
			j++;
		if (j == b->count || word_cmp(&b->items[j], &a->items[i]) != 0)
			a->items[kept++] = a->items[i];
	}
	a->count = kept;
}

static char *words_join(const struct words *w)
{
	size_t total = 1;
	char *out, *p;

	for (size_t i = 0; i < w->count; i++)
		total += w->items[i].len + 1;
	out = p = mem_alloc(total);
	for (size_t i = 0; i < w->count; i++) {
		if (i > 0)
			*p++ = ' ';
		memcpy(p, w->items[i].s, w->items[i].len);
		p += w->items[i].len;
	}
	return out;
}

static char *words_finish(struct words *w)
{
	char *out = words_join(w);

	free(w->items);
	return out;
}

char *wordset_canon(const char *words)
{
	return wordset_union(words, NULL);
}

char *wordset_union(const char *a, const char *b)
{
	struct words w = { 0 };

	words_add(&w, a);
	words_add(&w, b);
	words_sort(&w);
	return words_finish(&w);
}

char *wordset_minus(const char *a, const char *b)
{
	struct words w = { 0 }, gone = { 0 };

	words_add(&w, a);
	words_sort(&w);
	words_add(&gone, b);
	words_sort(&gone);
	words_subtract(&w, &gone);
	free(gone.items);
	return words_finish(&w);
}

bool wordset_has(const char *words, const char *word)
{
	struct word want = { word, strlen(word), 0 };
	const char *pos = words, *s;
	size_t len;

	while ((s = wordset_next(&pos, &len)) != NULL)
		if (word_cmp(&want, &(struct word){ s, len, 0 }) == 0)
			return true;
	return false;
}

bool wordset_equal(const char *a, const char *b)
{
	_cleanup_free_ char *x = wordset_canon(a);
	_cleanup_free_ char *y = wordset_canon(b);

	return strcasecmp(x, y) == 0;
}

size_t wordset_count(const char *words)
{
	struct words w = { 0 };
	size_t n;

	words_add(&w, words);
	words_sort(&w);
	n = w.count;
	free(w.items);
	return n;
}
