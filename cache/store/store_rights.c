/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>
#include <strings.h>

#include "wordset.h"

/*
 * What the user may do in a mailbox (RFC 4314), as mode bits and as an answer before anything
 * is logged: what the server would refuse is refused at once.  It has the last word all the same.
 */
#define MODE_BOX 0700
#define MODE_BOX_FIXED 0500
#define MODE_MESSAGE 0600
#define MODE_MESSAGE_FIXED 0400

static bool has_any(const char *rights, const char *letters)
{
	return strpbrk(rights, letters) != NULL;
}

static bool has_all(const char *rights, const char *letters)
{
	return strspn(letters, rights) == strlen(letters);
}

char *store_rights_canon(const char *rights)
{
	bool modern = has_any(rights, "kxte");
	char *out = mem_alloc(strlen(rights) + 5);
	size_t n = 0;

	for (const char *p = rights; *p; p++)
		if ((*p >= 'a' && *p <= 'z' && *p != 'c' && *p != 'd') || (*p >= '0' && *p <= '9'))
			out[n++] = *p;
	if (!modern && has_any(rights, "c"))
		n += (size_t)(stpcpy(out + n, "kx") - (out + n));
	if (!modern && has_any(rights, "d"))
		n += (size_t)(stpcpy(out + n, "te") - (out + n));
	out[n] = '\0';
	return out;
}

static int get(struct store *s, int64_t mailbox, bool *read_only, char **rights)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st, "SELECT read_only, rights FROM mailbox WHERE id = ?1",
	                     "i", mailbox);

	if (r == 1) {
		*read_only = sqlite3_column_int(st, 0) != 0;
		*rights = store_db_dup(st, 1);
	}
	store_db_reset(&st);
	return r;
}

int store_rights_check(struct store *s, int64_t mailbox, const char *letters)
{
	_cleanup_free_ char *rights = NULL;
	bool read_only = false;
	int r = get(s, mailbox, &read_only, &rights);

	if (r <= 0)
		return r;
	if (read_only && has_any(letters, STORE_RIGHTS_MESSAGES))
		return ERR_READONLY;
	return rights && !has_all(rights, letters) ? ERR_ACCESS : 0;
}

int store_rights_check_flags(struct store *s, int64_t mailbox, const char *flags)
{
	char letters[4];
	char *end = letters;
	const char *pos = flags, *w;
	size_t len;

	while ((w = wordset_next(&pos, &len)) != NULL) {
		bool seen = len == 5 && strncasecmp(w, "\\Seen", len) == 0;
		bool deleted = len == 8 && strncasecmp(w, "\\Deleted", len) == 0;
		char letter = seen ? 's' : deleted ? 't' : 'w';

		if (!memchr(letters, letter, (size_t)(end - letters)))
			*end++ = letter;
	}
	*end = '\0';
	return end == letters ? 0 : store_rights_check(s, mailbox, letters);
}

int store_rights_mode(struct store *s, int64_t mailbox, uint32_t *box, uint32_t *message)
{
	_cleanup_free_ char *rights = NULL;
	bool read_only = false;
	int r = get(s, mailbox, &read_only, &rights);
	bool fill, mark;

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	fill = !read_only && (!rights || has_any(rights, "ik") || has_all(rights, "te"));
	mark = !read_only && (!rights || has_any(rights, "wst") || has_all(rights, "ite"));
	*box = fill ? MODE_BOX : MODE_BOX_FIXED;
	*message = mark ? MODE_MESSAGE : MODE_MESSAGE_FIXED;
	return 0;
}

/* The modes that we gave; what the user has set otherwise stays. */
static int set_modes(struct store *s, int64_t mailbox, uint32_t box, uint32_t message)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_run(&s->db,
	                     "UPDATE node SET mode = ?2 WHERE id = ?1 AND mode IN (448, 320)", "ii",
	                     mailbox, INT(box));

	if (r == 0)
		r = store_db_ids(&s->db, &ids,
		                 "UPDATE node SET mode = ?2 WHERE parent = ?1 AND kind = 3 AND"
		                 " mode IN (384, 256) AND mode != ?2 RETURNING id",
		                 "ii", mailbox, INT(message));
	if (r < 0)
		return r;
	store_txn_note(s, STORE_CHANGE_ATTR, mailbox, 0, NULL);
	for (size_t i = 0; i < ids.n; i++)
		store_txn_note(s, STORE_CHANGE_ATTR, ids.v[i], 0, NULL);
	return 0;
}

int store_rights_apply(struct store *s, int64_t mailbox)
{
	uint32_t box = 0, message = 0;
	struct store_node n;
	int r = store_rights_mode(s, mailbox, &box, &message);

	if (r == 0)
		r = store_node_get(s, mailbox, &n);
	return r < 0 ? r : set_modes(s, mailbox, box, message);
}
