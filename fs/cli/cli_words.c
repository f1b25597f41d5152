/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "cli_options.h"
#include "mem.h"

#define WORDS_MAX 256

void cli_words_release(struct cli_words *w)
{
	for (size_t i = 0; i < w->count; i++) {
		free(w->list[i].name);
		if (w->list[i].value != NULL)
			mem_wipe(w->list[i].value, strlen(w->list[i].value));
		free(w->list[i].value);
	}
	free(w->list);
	free(w->operands[0]);
	free(w->operands[1]);
	memset(w, 0, sizeof(*w));
}

/* Takes "name" or "name=value" of `len` bytes in. */
static int add_word(struct cli_words *w, const char *text, size_t len, struct err_reason *why)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - text) : len;

	if (name_len == 0)
		return err_set(why, ERR_INVAL, "an option without a name");
	if (w->count >= WORDS_MAX)
		return err_set(why, ERR_INVAL, "more than %d options", WORDS_MAX);
	w->list = mem_realloc(w->list, w->count + 1, sizeof(*w->list));
	w->list[w->count].name = mem_strndup(text, name_len);
	w->list[w->count].value = equals != NULL ? mem_strndup(equals + 1, len - name_len - 1)
	                                         : NULL;
	w->count++;
	return 0;
}

/* `a,b=c`: a comma within a value is written `\,`, a backslash `\\`. */
static int add_list(struct cli_words *w, const char *list, struct err_reason *why)
{
	_cleanup_free_ char *word = mem_alloc(strlen(list) + 1);
	size_t len = 0;
	int r;

	for (const char *p = list;; p++) {
		if (*p == '\\' && (p[1] == ',' || p[1] == '\\')) {
			word[len++] = *++p;
		} else if (*p != ',' && *p != '\0') {
			word[len++] = *p;
		} else {
			r = len > 0 ? add_word(w, word, len, why) : 0;
			if (r < 0 || *p == '\0')
				return r;
			len = 0;
		}
	}
}

static int add_operand(struct cli_words *w, const char *text, struct err_reason *why)
{
	if (w->operand_count >= 2)
		return err_set(why, ERR_INVAL, "too many arguments: %s", text);
	w->operands[w->operand_count++] = mem_strdup(text);
	return 0;
}

/* `-f`, `-d`, `-V`, `-h`, also several in one. */
static int add_letters(struct cli_words *w, const char *letters, struct err_reason *why)
{
	int r = 0;

	for (const char *p = letters; *p != '\0' && r == 0; p++) {
		if (strchr("fdVh", *p) == NULL)
			return err_set(why, ERR_INVAL, "unknown option -%c", *p);
		r = add_word(w, p, 1, why);
	}
	return r;
}

/* One argument, and the next one when it is this one's value; *i moves past both. */
static int take_argument(struct cli_words *w, int argc, char *const argv[], int *i,
                         struct err_reason *why)
{
	const char *arg = argv[(*i)++];
	struct cli_word *word;
	int r;

	if (arg[0] != '-' || arg[1] == '\0')
		return add_operand(w, arg, why);
	if (strncmp(arg, "-o", 2) == 0) {
		if (arg[2] != '\0')
			return add_list(w, arg + 2, why);
		if (*i >= argc)
			return err_set(why, ERR_INVAL, "-o needs a value");
		return add_list(w, argv[(*i)++], why);
	}
	if (arg[1] != '-')
		return add_letters(w, arg + 1, why);
	r = add_word(w, arg + 2, strlen(arg + 2), why);
	if (r < 0)
		return r;
	word = &w->list[w->count - 1];
	if (word->value == NULL && *i < argc && cli_option_takes_value(word->name))
		word->value = mem_strdup(argv[(*i)++]);
	return 0;
}

int cli_words_parse(int argc, char *const argv[], struct cli_words *out, struct err_reason *why)
{
	struct cli_words w = { 0 };
	bool only_operands = false;
	int r = 0;

	for (int i = 0; i < argc && r == 0;) {
		if (!only_operands && strcmp(argv[i], "--") == 0) {
			only_operands = true;
			i++;
		} else if (only_operands) {
			r = add_operand(&w, argv[i++], why);
		} else {
			r = take_argument(&w, argc, argv, &i, why);
		}
	}
	if (r < 0)
		cli_words_release(&w);
	else
		*out = w;
	return r;
}

int cli_words_apply(const struct cli_words *w, struct cli_options *o, struct err_reason *why)
{
	int r = 0;

	for (size_t i = 0; i < w->count && r == 0; i++)
		r = cli_option_set(o, w->list[i].name, w->list[i].value, why);
	return r;
}

const char *cli_words_value(const struct cli_words *w, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->list[i].name, name) == 0)
			found = w->list[i].value;
	return found;
}

static int set_port(struct cli_options *o, const char *text, struct err_reason *why)
{
	if (cli_option_set(o, "port", text, NULL) < 0)
		return err_set(why, ERR_INVAL, "%s is no port", text);
	return 0;
}

int cli_address_parse(const char *text, struct cli_options *o, struct err_reason *why)
{
	const char *at = strrchr(text, '@'), *host = at != NULL ? at + 1 : text;
	const char *end = host + strcspn(host, host[0] == '[' ? "]" : ":");
	bool brackets = host[0] == '[';
	const char *rest = brackets && *end == ']' ? end + 1 : end;

	if (brackets) {
		if (*end != ']' || (*rest != '\0' && *rest != ':'))
			return err_set(why, ERR_INVAL, "%s: an address in [ ] that does not end",
			               text);
		host++;
	} else if (*end == ':' && strchr(end + 1, ':') != NULL) {
		return err_set(why, ERR_INVAL, "%s: an IPv6 address goes in [ ]", text);
	}
	if (end == host || at == text)
		return err_set(why, ERR_INVAL, "%s: not of the form user@host:port", text);
	if (*rest == ':' && set_port(o, rest + 1, why) < 0)
		return ERR_INVAL;
	free(o->host);
	o->host = mem_strndup(host, (size_t)(end - host));
	if (at != NULL) {
		free(o->user);
		o->user = mem_strndup(text, (size_t)(at - text));
	}
	return 0;
}
