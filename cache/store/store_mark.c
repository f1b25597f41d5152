/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "wordset.h"

/*
 * What a Maildir shows of a message, kept with its node so that listing 100,000 of them reads
 * nothing else: a bit for each letter behind ":2,", in which of new/ and cur/ it is, and how many
 * bytes it is longer on the server than here, where lines end in LF alone.
 */

static const struct {
	const char *flag;
	uint32_t mark;
} words[] = {
	{ "\\Draft", STORE_MARK_DRAFT },     { "\\Flagged", STORE_MARK_FLAGGED },
	{ "$Forwarded", STORE_MARK_PASSED }, { "\\Answered", STORE_MARK_REPLIED },
	{ "\\Seen", STORE_MARK_SEEN },       { "\\Deleted", STORE_MARK_TRASHED },
};

uint32_t store_mark_of(const char *flags)
{
	uint32_t mark = 0;

	for (size_t i = 0; flags && i < sizeof(words) / sizeof(words[0]); i++) {
		if (wordset_has(flags, words[i].flag))
			mark |= words[i].mark;
	}
	return mark;
}

bool store_mark_fresh(uint32_t mark)
{
	if (mark & (STORE_MARK_SEEN | STORE_MARK_CUR))
		return false;
	return (mark & STORE_MARK_NEW) || !(mark & STORE_MARK_FLAGS);
}

bool store_mark_is_fresh(enum store_kind kind, uint32_t mark)
{
	return (kind == STORE_KIND_MESSAGE || kind == STORE_KIND_FILE) && store_mark_fresh(mark);
}

/* What the directory shows changed, although none of its entries came or went. */
static int touch_view(struct store *s, int64_t parent)
{
	int r;

	if (parent == 0 || parent == s->viewed)
		return 0;
	r = store_db_run(&s->db, "UPDATE node SET view_ns = max(?2, view_ns + 1) WHERE id = ?1",
	                 "ii", parent, store_now_ns());
	s->viewed = parent;
	return r;
}

static int set_mark(struct store *s, const struct store_node *n, uint32_t mark)
{
	int r;

	if (mark == n->mark)
		return 0;
	r = store_db_run(&s->db, "UPDATE node SET mark = ?2, fresh = ?3, was = ?4 WHERE id = ?1",
	                 "iiii", n->id, INT(mark), INT(store_mark_is_fresh(n->kind, mark)),
	                 INT(n->mark | (s->renames ? STORE_MARK_OWN : 0)));
	return r < 0 ? r : touch_view(s, n->parent);
}

static int refresh(struct store *s, int64_t id)
{
	_cleanup_free_ char *flags = NULL;
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r < 0 || (n.kind != STORE_KIND_MESSAGE && n.kind != STORE_KIND_FILE))
		return r == ERR_NOTFOUND ? 0 : r;
	flags = store_message_view_flags(s, id, 0);
	return set_mark(s, &n, (n.mark & ~(uint32_t)STORE_MARK_FLAGS) | store_mark_of(flags));
}

int store_mark_noted(struct store *s)
{
	int r = 0;

	s->viewed = 0;
	for (size_t i = 0; r == 0 && i < s->event_count; i++) {
		const struct store_event *e = &s->events[i];

		if (e->what == STORE_CHANGE_ATTR)
			r = refresh(s, e->node);
	}
	return r;
}

int store_mark_all(struct store *s)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->db, &ids, "SELECT id FROM message", "");

	for (size_t i = 0; r == 0 && i < ids.n; i++)
		r = refresh(s, ids.v[i]);
	return r < 0 ? r
	             : store_db_script(&s->db, "UPDATE node SET fresh = 1 WHERE kind IN (3, 4)"
	                                       " AND mark = 0");
}

static int put_locked(struct store *s, int64_t id, bool cur)
{
	struct store_node n;
	uint32_t mark;
	int r = store_node_get(s, id, &n);

	if (r < 0)
		return r;
	mark = n.mark & ~(uint32_t)(STORE_MARK_CUR | STORE_MARK_NEW);
	mark |= cur ? STORE_MARK_CUR : STORE_MARK_NEW;
	store_txn_note(s, STORE_CHANGE_ATTR, id, 0, NULL);
	return set_mark(s, &n, mark);
}

void store_set_renames(struct store *s)
{
	s->renames = true;
}

int store_node_put(struct store *s, int64_t id, bool cur)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, put_locked(s, id, cur));
}

/* ---- line ends ---- */

int64_t store_crlf_count(const void *data, size_t len, char *last)
{
	const char *p = data, *end = p + len;
	int64_t count = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		count += (p == (const char *)data ? *last : p[-1]) == '\r';
		p++;
	}
	if (len > 0)
		*last = end[-1];
	return count;
}

static int count_spool(struct store *s, int64_t spool, int64_t *count)
{
	char chunk[65536], last = 0;
	int fd = store_spool_open(s, spool, 0);
	ssize_t n;

	if (fd < 0)
		return store_sys_error();
	*count = 0;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		*count += store_crlf_count(chunk, (size_t)n, &last);
	store_spool_close(fd);
	return n < 0 ? ERR_IO : 0;
}

int store_node_crlf(struct store *s, const struct store_node *n, int64_t *count)
{
	int64_t found = n->crlf;
	char last = 0;
	const void *data;
	size_t len;
	int r = 0;

	if (n->crlf < 0 && n->spool != 0)
		r = count_spool(s, n->spool, &found);
	else if (n->crlf < 0)
		r = store_pack_get(s, n->id, &data, &len);
	if (r < 0)
		return r;
	if (n->crlf < 0 && n->spool == 0)
		found = store_crlf_count(data, len, &last);
	if (n->crlf < 0) /* known the next time, unless somebody changed the content meanwhile */
		(void)store_db_run(&s->db,
		                   "UPDATE node SET crlf = ?2 WHERE id = ?1 AND size = ?3"
		                   " AND spool = ?4",
		                   "iiii", n->id, found, n->size, n->spool);
	*count = found;
	return 0;
}
