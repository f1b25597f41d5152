/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <sys/stat.h>
#include <unistd.h>

/*
 * Clean bodies lie one behind the other in pack files; bodies.db says where.  A pack is
 * written by one handle at a time (flock) and only behind its recorded end, so what a reader
 * has mapped never changes.  Order at a commit: bytes synced, state committed and synced, index
 * committed: a body that is visible has its exact size on record.  The room of dropped
 * bodies is given back later than any reader can still look at it.
 */
static const char schema[] = "CREATE TABLE IF NOT EXISTS identity (state INTEGER NOT NULL) STRICT;"
			     "CREATE TABLE IF NOT EXISTS pack ("
			     "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
			     "  used INTEGER NOT NULL DEFAULT 0,"
			     "  reserved INTEGER NOT NULL"
			     ") STRICT;"
			     "CREATE TABLE IF NOT EXISTS body ("
			     "  message INTEGER PRIMARY KEY,"
			     "  pack INTEGER NOT NULL,"
			     "  off INTEGER NOT NULL,"
			     "  len INTEGER NOT NULL"
			     ") STRICT;"
			     "CREATE INDEX IF NOT EXISTS body_place ON body (pack, off);"
			     "CREATE TABLE IF NOT EXISTS dropped ("
			     "  pack INTEGER NOT NULL,"
			     "  off INTEGER NOT NULL,"
			     "  len INTEGER NOT NULL,"
			     "  at_ms INTEGER NOT NULL,"
			     "  PRIMARY KEY (pack, off)"
			     ") STRICT, WITHOUT ROWID;";

char *store_pack_path(struct store *s, int64_t pack)
{
	return mem_printf("%s/pack-%lld", s->cache_dir, (long long)pack);
}

/* A cache of another state, or none: nothing in it is ours. */
static int adopt_cache(struct store *s, int64_t identity)
{
	int r = store_db_run(&s->bodies, "DELETE FROM identity", "");

	if (r == 0)
		r = store_db_run(&s->bodies, "DELETE FROM body", "");
	if (r == 0)
		r = store_db_run(&s->bodies, "DELETE FROM dropped", "");
	if (r == 0)
		r = store_db_run(&s->bodies, "UPDATE pack SET used = reserved", "");
	if (r == 0)
		r = store_db_run(&s->bodies, "INSERT INTO identity VALUES (?1)", "i", identity);
	if (r < 0)
		return r;
	return store_db_run(&s->db, "UPDATE message SET body = 0 WHERE body != 0", "");
}

static int check_identity(struct store *s)
{
	int64_t mine = 0, theirs = 0;
	int r = store_db_int(&s->db, &mine, "SELECT value FROM meta WHERE key = 'identity'", "");

	if (r <= 0)
		return r < 0 ? r : ERR_IO;
	r = store_db_run(&s->bodies, "BEGIN IMMEDIATE", "");
	if (r < 0)
		return r;
	r = store_db_script(&s->bodies, schema);
	if (r == 0)
		r = store_db_int(&s->bodies, &theirs, "SELECT state FROM identity", "");
	if (r >= 0 && (r == 0 || mine != theirs))
		r = adopt_cache(s, mine);
	if (r >= 0)
		return store_db_run(&s->bodies, "COMMIT", "");
	store_db_run(&s->bodies, "ROLLBACK", "");
	return r;
}

static int open_index(struct store *s, struct err_reason *why)
{
	_cleanup_free_ char *path = mem_printf("%s/bodies.db", s->cache_dir);
	int r = store_db_open(&s->bodies, path, why);

	return r < 0 ? r : check_identity(s);
}

static void remove_index(struct store *s)
{
	static const char *const tails[] = { "", "-wal", "-shm" };

	store_db_close(&s->bodies);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		_cleanup_free_ char *path = mem_printf("%s/bodies.db%s", s->cache_dir, tails[i]);

		unlink(path);
	}
}

int store_pack_open(struct store *s, struct err_reason *why)
{
	int r = open_index(s, why);

	if (r != ERR_IO)
		return r;
	/* It is a cache: what cannot be read is made anew. */
	remove_index(s);
	r = open_index(s, why);
	return r < 0 ? err_set(why, r, "cannot use the cache in %s", s->cache_dir) : 0;
}

void store_pack_close(struct store *s)
{
	store_pack_abort(s);
	store_pack_unmap(s);
	store_spool_close(s->out_fd);
	s->out_fd = -1;
	store_db_close(&s->bodies);
}

/* ---- the index ---- */

int store_pack_begin(struct store *s)
{
	int r;

	if (s->bodies_open)
		return 0;
	r = store_db_run(&s->bodies, "BEGIN IMMEDIATE", "");
	if (r == 0)
		s->bodies_open = true;
	return r;
}

/* Until another handle that has committed the state has committed the index, too. */
void store_pack_wait(struct store *s)
{
	if (!s->bodies_open && store_db_run(&s->bodies, "BEGIN IMMEDIATE", "") == 0)
		(void)store_db_run(&s->bodies, "ROLLBACK", "");
}

static int drop_row(struct store *s, int64_t message)
{
	int r = store_db_run(&s->bodies,
	                     "INSERT OR IGNORE INTO dropped SELECT pack, off, len, ?2 FROM body b"
	                     " WHERE message = ?1 AND NOT EXISTS (SELECT 1 FROM body"
	                     " WHERE pack = b.pack AND off = b.off AND message != ?1)",
	                     "ii", message, store_now_ms());

	return r < 0 ? r
	             : store_db_run(&s->bodies, "DELETE FROM body WHERE message = ?1", "i",
	                            message);
}

int store_pack_index(struct store *s, int64_t message, struct store_extent *e)
{
	int64_t len = e->pos - e->start;
	int r = store_pack_begin(s);

	if (r == 0)
		r = drop_row(s, message);
	if (r == 0)
		r = store_db_run(&s->bodies, "INSERT INTO body VALUES (?1, ?2, ?3, ?4)", "iiii",
		                 message, e->pack, e->start, len);
	if (r == 0)
		r = store_db_run(&s->bodies, "UPDATE pack SET used = max(used, ?2) WHERE id = ?1",
		                 "ii", e->pack, e->pos);
	if (r < 0)
		return r;
	s->out_dirty = true;
	if (e->pack != s->out_pack)
		return fdatasync(e->fd) < 0 ? store_sys_error() : 0;
	if (e->limit == s->out_end)
		s->out_end = e->limit = e->pos;
	return 0;
}

int store_pack_share(struct store *s, int64_t from, int64_t to)
{
	int r = store_pack_begin(s);

	if (r < 0)
		return r;
	return store_db_run(&s->bodies,
	                    "INSERT OR IGNORE INTO body SELECT ?2, pack, off, len FROM body"
	                    " WHERE message = ?1",
	                    "ii", from, to);
}

/* What is dropped may be on its way in. */
int store_pack_drop(struct store *s, int64_t message)
{
	int r = store_pack_begin(s);

	return r < 0 ? r : drop_row(s, message);
}

int store_pack_commit(struct store *s)
{
	int r = 0;

	if (!s->bodies_open)
		return 0;
	if (s->out_dirty)
		r = store_flush(s);
	if (r == 0)
		r = store_db_run(&s->bodies, "COMMIT", "");
	if (r < 0) {
		store_pack_abort(s);
		return r;
	}
	s->bodies_open = false;
	s->out_dirty = false;
	return 0;
}

void store_pack_abort(struct store *s)
{
	if (!s->bodies_open)
		return;
	if (!sqlite3_get_autocommit(s->bodies.h))
		store_db_run(&s->bodies, "ROLLBACK", "");
	s->bodies_open = false;
	s->out_dirty = false;
	store_pack_leave(s); /* a new one's row may be gone */
}

/* ---- after a start ---- */

/* Takes what lies in a pack that is lost, or behind its end, out of the index. */
static int check_pack(struct store *s, int64_t pack)
{
	_cleanup_free_ char *path = store_pack_path(s, pack);
	struct stat st;
	int64_t size = stat(path, &st) == 0 ? st.st_size : 0;

	return store_db_run(&s->bodies, "DELETE FROM body WHERE pack = ?1 AND off + len > ?2", "ii",
	                    pack, size);
}

/* Both sides list what they have in the same order: what the state has and the index has not
 * is to be fetched again. */
static int compare(struct store *s)
{
	_cleanup_ids_ struct store_ids state = { 0 };
	_cleanup_ids_ struct store_ids index = { 0 };
	int r = store_db_ids(&s->db, &state, "SELECT id FROM message WHERE body = 1 ORDER BY id",
	                     "");

	if (r == 0)
		r = store_db_ids(&s->bodies, &index, "SELECT message FROM body ORDER BY message",
		                 "");
	for (size_t i = 0, k = 0; r == 0 && i < state.n; i++) {
		while (k < index.n && index.v[k] < state.v[i])
			k++;
		if (k == index.n || index.v[k] != state.v[i])
			r = store_db_run(&s->db, "UPDATE message SET body = 0 WHERE id = ?1", "i",
			                 state.v[i]);
	}
	return r;
}

int store_pack_check(struct store *s)
{
	_cleanup_ids_ struct store_ids packs = { 0 };
	int r = store_pack_begin(s);

	if (r == 0)
		r = store_db_ids(&s->bodies, &packs, "SELECT id FROM pack", "");
	for (size_t i = 0; r == 0 && i < packs.n; i++)
		r = check_pack(s, packs.v[i]);
	return r < 0 ? r : compare(s);
}
