/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A body on its way into the pack: behind the end on record until store_body_end(). */
struct store_body_writer {
	struct store *s;
	int64_t message;
	struct store_extent at;
	int64_t crlf;
	char last;        /* byte of the part before */
	char head[65536]; /* the beginning, to find the Message-ID in */
	size_t head_len;
};

int store_body_get(struct store *s, int64_t message, const void **data, size_t *len)
{
	int64_t recorded = 0;
	int r = store_pack_get(s, message, data, len);

	if (r != ERR_NOTFOUND)
		return r;
	if (store_db_int(&s->db, &recorded, "SELECT body FROM message WHERE id = ?1", "i",
	                 message) <= 0 ||
	    !recorded)
		return r;
	store_pack_wait(s);
	return store_pack_get(s, message, data, len);
}

bool store_body_have(struct store *s, int64_t message)
{
	const void *data;
	size_t len;

	return store_pack_get(s, message, &data, &len) == 0;
}

int store_body_begin(struct store *s, int64_t message, uint64_t expected,
                     struct store_body_writer **out)
{
	struct store_body_writer *w;
	int64_t any;
	int r = store_db_int(&s->db, &any, "SELECT 1 FROM message WHERE id = ?1", "i", message);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	w = mem_alloc(sizeof(*w));
	w->s = s;
	w->message = message;
	r = store_pack_reserve(s, expected, &w->at);
	if (r < 0) {
		free(w);
		return r;
	}
	*out = w;
	return 0;
}

int store_body_part(struct store_body_writer *w, const void *data, size_t len)
{
	size_t keep = sizeof(w->head) - w->head_len;
	int r = store_pack_write(w->s, &w->at, data, len);

	if (r < 0)
		return r;
	w->crlf += store_crlf_count(data, len, &w->last);
	if (keep > len)
		keep = len;
	memcpy(w->head + w->head_len, data, keep);
	w->head_len += keep;
	return 0;
}

void store_body_abort(struct store_body_writer **w)
{
	if (*w)
		store_pack_return((*w)->s, &(*w)->at);
	free(*w);
	*w = NULL;
}

/* The start of the field's value in a header block, NULL when there is none. */
static const char *find_field(const char *p, const char *end, const char *field)
{
	size_t n = strlen(field);

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if (*p == '\n' || (*p == '\r' && p + 1 < end && p[1] == '\n'))
			return NULL;
		if ((size_t)(end - p) > n && strncasecmp(p, field, n) == 0)
			return p + n;
		if (!nl)
			return NULL;
		p = nl + 1;
	}
	return NULL;
}

/* "<...>" of a Message-ID field, without folding; the caller frees.  NULL: none. */
char *store_body_message_id(const char *data, size_t len)
{
	const char *end = data + len;
	const char *p = find_field(data, end, "Message-ID:");
	char *id;
	size_t n = 0;

	while (p && p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	if (!p || p >= end || *p != '<')
		return NULL;
	id = mem_alloc(1024);
	for (; p < end && *p != '>' && *p != '\n' && n < 1021; p++) {
		if ((unsigned char)*p > ' ')
			id[n++] = *p;
	}
	if (p < end && *p == '>') {
		id[n++] = '>';
		id[n] = '\0';
		return id;
	}
	free(id);
	return NULL;
}

/* `to` has the content of `from`, whose body is here. */
static int share(struct store *s, int64_t from, int64_t to)
{
	const void *data;
	size_t len;
	int r = store_pack_share(s, from, to);

	if (r == 0)
		r = store_pack_get(s, to, &data, &len);
	if (r < 0)
		return r == ERR_NOTFOUND ? 0 : r;
	r = store_db_run(&s->db, "UPDATE message SET body = 1 WHERE id = ?1", "i", to);
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE node SET size = ?2, size_exact = 1, crlf ="
		                 " (SELECT crlf FROM node WHERE id = ?3) WHERE id = ?1",
		                 "iii", to, (int64_t)len, from);
	if (r == 0)
		store_txn_note(s, STORE_CHANGE_BODY, to, 0, NULL);
	return r;
}

int store_body_share_in(struct store *s, int64_t message)
{
	int64_t from = 0;
	int r = store_db_int(&s->db, &from,
	                     "SELECT o.id FROM message m JOIN message o ON o.emailid = m.emailid"
	                     " AND o.server_size = m.server_size WHERE m.id = ?1 AND o.id != ?1"
	                     " AND o.body = 1 LIMIT 1",
	                     "i", message);

	return r == 1 ? share(s, from, message) : r;
}

/* To all that the server calls the same content (RFC 8474 5.1). */
static int share_out(struct store *s, int64_t message)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT o.id FROM message m JOIN message o ON o.emailid = m.emailid"
	                     " AND o.server_size = m.server_size JOIN node n ON n.id = o.id"
	                     " WHERE m.id = ?1 AND o.id != ?1 AND o.body = 0 AND n.spool = 0",
	                     "i", message);

	for (size_t i = 0; r == 0 && i < ids.n; i++)
		r = share(s, message, ids.v[i]);
	return r;
}

static int record(struct store_body_writer *w, const char *msgid)
{
	struct store *s = w->s;
	int64_t message = w->message;
	int64_t len = w->at.pos - w->at.start;
	int r = store_pack_index(s, message, &w->at);

	if (r == 0)
		r = store_db_run(
			&s->db,
			"UPDATE message SET body = 1, message_id = coalesce(?2, message_id)"
			" WHERE id = ?1",
			"is", message, msgid);
	if (r == 0 && sqlite3_changes(s->db.h) == 0)
		return ERR_NOTFOUND;
	if (r == 0)
		r = store_db_run(&s->db,
		                 "UPDATE node SET size = ?2, size_exact = 1, crlf = ?3"
		                 " WHERE id = ?1 AND spool = 0",
		                 "iii", message, len, w->crlf);
	if (r < 0)
		return r;
	store_txn_note(s, STORE_CHANGE_BODY, message, 0, NULL);
	return share_out(s, message);
}

/* The user has changed the message meanwhile: these bytes are the past. */
static int is_edited(struct store *s, int64_t message)
{
	int64_t any;

	return store_db_int(&s->db, &any, "SELECT 1 FROM node WHERE id = ?1 AND spool != 0", "i",
	                    message);
}

int store_body_end(struct store_body_writer **wp)
{
	struct store_body_writer *w = *wp;
	struct store *s = w->s;
	_cleanup_free_ char *msgid = store_body_message_id(w->head, w->head_len);
	int r = store_txn_begin(s);
	int edited = r < 0 ? r : is_edited(s, w->message);

	if (r == 0)
		r = store_txn_end(s, edited != 0 ? edited : record(w, msgid));
	if (r == 0)
		w->at.start = w->at.pos; /* these bytes stay */
	store_body_abort(wp);
	if (r == 0 && s->depth == 0)
		store_pack_reclaim_old(s);
	return r < 0 ? r : 0;
}

int store_body_forget(struct store *s, int64_t message)
{
	int r = store_pack_drop(s, message);

	return r < 0 ? r
	             : store_db_run(&s->db, "UPDATE message SET body = 0 WHERE id = ?1", "i",
	                            message);
}

static int append_spool(struct store *s, struct store_body_writer *w, int64_t spool)
{
	char chunk[65536];
	int fd = store_spool_open(s, spool, 0);
	ssize_t n = fd < 0 ? -1 : 1;
	int r = 0;

	while (r == 0 && n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0)
			r = store_body_part(w, chunk, (size_t)n);
	}
	store_spool_close(fd);
	return r < 0 ? r : n < 0 ? ERR_IO : 0;
}

static int adopt_locked(struct store *s, int64_t message)
{
	struct store_body_writer *w = NULL;
	struct store_node n;
	int64_t clean = 0;
	int r = store_node_get(s, message, &n);

	if (r == 0)
		r = store_db_int(&s->db, &clean, "SELECT clean_spool FROM message WHERE id = ?1",
		                 "i", message);
	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	if (clean == 0 || clean != n.spool)
		return ERR_CONFLICT;
	r = store_body_begin(s, message, (uint64_t)n.size, &w);
	if (r < 0)
		return r;
	r = append_spool(s, w, clean);
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE node SET spool = 0 WHERE id = ?1", "i", message);
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE message SET clean_spool = 0 WHERE id = ?1", "i",
		                 message);
	if (r == 0)
		r = store_spool_release(s, clean);
	if (r == 0)
		return store_body_end(&w);
	store_body_abort(&w);
	return r;
}

int store_body_adopt(struct store *s, int64_t message)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, adopt_locked(s, message));
}
