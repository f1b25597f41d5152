/* SPDX-License-Identifier: MIT */
#include "mount_maildir.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define INFO_MAX 9 /* ":2,DFPRST" */

static const char letters[] = "DFPRST"; /* in the order of the bits of enum store_mark */

static const char *const words[] = { "\\Draft",    "\\Flagged", "$Forwarded",
	                             "\\Answered", "\\Seen",    "\\Deleted" };

static const char *const parts[] = { "cur", "new", "tmp" };

/* Where the suffix begins; NULL: there is none. */
static const char *find_info(const char *name, char separator)
{
	const char *info = strrchr(name, separator);

	if (!info || info == name || strncmp(info + 1, "2,", 2) != 0)
		return NULL;
	for (const char *p = info + 3; *p; p++) {
		if (!isalpha((unsigned char)*p))
			return NULL;
	}
	return info;
}

static uint32_t read_letters(const char *p)
{
	uint32_t marks = 0;

	for (; *p; p++) {
		const char *found = strchr(letters, *p);

		if (found)
			marks |= 1u << (found - letters);
	}
	return marks;
}

/* "0000001042.B3.imapfs" */
static void read_made(struct maildir_name *out)
{
	char again[64];
	char *end;

	if (!isdigit((unsigned char)out->base[0]))
		return;
	out->node = strtoll(out->base, &end, 10);
	if (strncmp(end, ".B", 2) == 0 && isdigit((unsigned char)end[2]))
		out->parent = strtoll(end + 2, &end, 10);
	(void)snprintf(again, sizeof(again), "%010lld.B%lld.imapfs", (long long)out->node,
	               (long long)out->parent);
	if (strcmp(again, out->base) != 0)
		out->node = out->parent = 0;
}

void maildir_parse(const char *name, char separator, struct maildir_name *out)
{
	const char *info = find_info(name, separator);

	*out = (struct maildir_name){ .has_info = info != NULL };
	(void)snprintf(out->base, sizeof(out->base), "%.*s",
	               info ? (int)(info - name) : STORE_NAME_MAX, name);
	if (info)
		out->marks = read_letters(info + 3);
	read_made(out);
}

/* "12.eml", and "12-2.eml" where that was taken. */
static bool is_uid_name(const char *name)
{
	const char *p = name + strspn(name, "0123456789");

	if (p != name && *p == '-')
		p += 1 + strspn(p + 1, "0123456789");
	return p != name && strcmp(p, ".eml") == 0;
}

/* Some programs take no file that begins with a dot for a message. */
static bool is_own_name(const struct store_node *n, char separator)
{
	return !is_uid_name(n->name) && n->name[0] != '.' && !strchr(n->name, separator) &&
	       strlen(n->name) + INFO_MAX <= STORE_NAME_MAX;
}

bool maildir_base(const struct store_node *n, char separator, char out[STORE_NAME_MAX + 1])
{
	bool message = n->kind == STORE_KIND_MESSAGE;
	bool plain = n->kind != STORE_KIND_MESSAGE && n->kind != STORE_KIND_FILE;

	plain = plain || store_name_is_scratch(n->name) ||
	        (!message && (n->name[0] == '.' || strchr(n->name, separator)));
	if (plain || is_own_name(n, separator))
		(void)snprintf(out, STORE_NAME_MAX + 1, "%s", n->name);
	else
		(void)snprintf(out, STORE_NAME_MAX + 1, "%010lld.B%lld.imapfs", (long long)n->id,
		               (long long)n->parent);
	return plain;
}

void maildir_show(const struct store_node *n, uint32_t mark, char separator,
                  char out[STORE_NAME_MAX + 1])
{
	bool plain = maildir_base(n, separator, out);
	size_t len = strlen(out);

	if (plain || (store_mark_fresh(mark) && !(mark & STORE_MARK_FLAGS)))
		return;
	if (len > STORE_NAME_MAX - INFO_MAX)
		len = STORE_NAME_MAX - INFO_MAX;
	out[len++] = separator;
	out[len++] = '2';
	out[len++] = ',';
	for (size_t i = 0; i < sizeof(letters) - 1; i++) {
		if (mark & (1u << i))
			out[len++] = letters[i];
	}
	out[len] = '\0';
}

char *maildir_flags(uint32_t marks)
{
	char *out = mem_strdup("");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char *longer;

		if (!(marks & (1u << i)))
			continue;
		longer = mem_printf("%s%s%s", out, *out ? " " : "", words[i]);
		free(out);
		out = longer;
	}
	return out;
}

void maildir_folder_show(const char *name, char out[STORE_NAME_MAX + 1])
{
	bool taken = false;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		taken = taken || strcmp(name, parts[i]) == 0;
	if (taken)
		(void)snprintf(out, STORE_NAME_MAX + 1, "%%%02X%s", (unsigned char)name[0],
		               name + 1);
	else
		(void)snprintf(out, STORE_NAME_MAX + 1, "%s", name);
}

bool maildir_folder_read(const char *name, char out[STORE_NAME_MAX + 1])
{
	char shown[STORE_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(name, parts[i]) == 0)
			return false;
		maildir_folder_show(parts[i], shown);
		if (strcmp(name, shown) == 0) {
			(void)snprintf(out, STORE_NAME_MAX + 1, "%s", parts[i]);
			return true;
		}
	}
	(void)snprintf(out, STORE_NAME_MAX + 1, "%s", name);
	return true;
}
