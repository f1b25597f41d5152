/* SPDX-License-Identifier: MIT */
#include "mount_flags.h"

#include <string.h>
#include <strings.h>

#include "buf.h"
#include "err.h"
#include "mem.h"
#include "wordset.h"

#define FLAGS_VALUE_MAX 65536

static const char *const system_flags[] = { "\\Answered", "\\Deleted", "\\Draft", "\\Flagged",
	                                    "\\Seen" };

static bool is_atom_char(unsigned char c)
{
	return c > 0x20 && c < 0x7f && !strchr("(){%*\"\\]", c);
}

char *mount_flag_to_wire(const char *word, size_t len)
{
	if (len > 0 && word[0] == '\\') {
		word++;
		len--;
	}
	if (len == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(system_flags) / sizeof(*system_flags); i++) {
		const char *name = system_flags[i] + 1;

		if (strlen(name) == len && strncasecmp(name, word, len) == 0)
			return mem_strdup(system_flags[i]);
	}
	if (len == 6 && strncasecmp(word, "Recent", len) == 0)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (!is_atom_char((unsigned char)word[i]))
			return NULL;
	}
	return mem_strndup(word, len);
}

char *mount_flags_to_words(const char *wire)
{
	struct buf out = BUF_INIT(FLAGS_VALUE_MAX);
	const char *pos = wire, *word;
	size_t len;

	while (wire && (word = wordset_next(&pos, &len)) != NULL) {
		if (len == 7 && strncasecmp(word, "\\Recent", len) == 0)
			continue;
		if (*word == '\\') {
			word++;
			len--;
		}
		if (out.len > 0)
			(void)buf_putc(&out, ' ');
		(void)buf_append(&out, word, len);
	}
	return buf_detach(&out);
}

/* Adds one word to the set it belongs to; `sign` is 0, '+' or '-'. */
static int add_word(const char *word, size_t len, char sign, char **add, char **del)
{
	_cleanup_free_ char *flag = mount_flag_to_wire(word, len);
	char **set = sign == '-' ? del : add;
	char *more;

	if (!flag)
		return ERR_INVAL;
	more = wordset_union(*set, flag);
	free(*set);
	*set = more;
	return 0;
}

/* The next run of non-blanks of the value; false at its end. */
static bool next_word(const char **p, const char *end, const char **word, size_t *len)
{
	while (*p < end && strchr(" \t\r\n", **p))
		(*p)++;
	*word = *p;
	while (*p < end && !strchr(" \t\r\n", **p))
		(*p)++;
	*len = (size_t)(*p - *word);
	return *len > 0;
}

int mount_flags_parse(const char *value, size_t len, bool *absolute, char **add, char **del)
{
	_cleanup_free_ char *plus = mem_strdup(""), *minus = mem_strdup("");
	const char *p = value, *end = value + len, *word;
	size_t words = 0, signs = 0, n;

	if (len > FLAGS_VALUE_MAX || memchr(value, '\0', len))
		return ERR_INVAL;
	while (next_word(&p, end, &word, &n)) {
		char sign = *word == '+' || *word == '-' ? *word : 0;

		words++;
		signs += sign != 0;
		if (add_word(word + (sign != 0), n - (sign != 0), sign, &plus, &minus) < 0)
			return ERR_INVAL;
	}
	if (signs != 0 && signs != words)
		return ERR_INVAL;
	*absolute = signs == 0;
	*add = mem_steal(plus);
	*del = mem_steal(minus);
	return 0;
}
