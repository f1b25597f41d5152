/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Clean bodies lie one behind the other in pack files; bodies.db says where.  A pack is
 * written by one handle at a time (flock) and only behind its recorded end, so what a reader
 * has mapped never changes.  Order at a commit: bytes synced, state committed and synced, index
 * committed: a body that is visible has its exact size on record.  The room of dropped
 * bodies is given back later than any reader can still look at it.
 */
#define PACK_BYTES (INT(256) << 20)
#define DROP_AGE_MS 60000
#define PUNCH_BATCH 256

/* One pack as this handle sees it: reserved in full, valid up to `size`. */
enum {
	MAPPED_STEP = 256 * 1024, /* the most that one look at a body counts for */
	MAPPED_MAX = 8 * 1024 * 1024,
};

struct store_pack_map {
	int64_t pack;
	char *base;
	int fd;
	int64_t reserved, size;
};

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

static char *pack_path(struct store *s, int64_t pack)
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

static void unmap(struct store_pack_map *m)
{
	if (m->base)
		munmap(m->base, (size_t)m->reserved);
	store_spool_close(m->fd);
}

void store_pack_close(struct store *s)
{
	store_pack_abort(s);
	for (size_t i = 0; i < s->map_count; i++)
		unmap(&s->maps[i]);
	free(s->maps);
	store_spool_close(s->out_fd);
	s->out_fd = -1;
	store_db_close(&s->bodies);
}

/* ---- reading ---- */

static int map_pack(struct store *s, int64_t pack, struct store_pack_map *m)
{
	_cleanup_free_ char *path = pack_path(s, pack);
	int64_t reserved = 0;
	int r = store_db_int(&s->bodies, &reserved, "SELECT reserved FROM pack WHERE id = ?1", "i",
	                     pack);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	*m = (struct store_pack_map){ .pack = pack, .reserved = reserved };
	m->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
	m->base = mmap(NULL, (size_t)reserved, PROT_READ, MAP_SHARED, m->fd, 0);
	if (m->base == MAP_FAILED) {
		m->base = NULL;
		unmap(m);
		return ERR_IO;
	}
	return 0;
}

static int find_map(struct store *s, int64_t pack, struct store_pack_map **out)
{
	struct store_pack_map m;
	int r;

	for (size_t i = 0; i < s->map_count; i++) {
		if (s->maps[i].pack == pack) {
			*out = &s->maps[i];
			return 0;
		}
	}
	r = map_pack(s, pack, &m);
	if (r < 0)
		return r;
	s->maps = mem_realloc(s->maps, s->map_count + 1, sizeof(*s->maps));
	s->maps[s->map_count++] = m;
	*out = &s->maps[s->map_count - 1];
	return 0;
}

/* What a reader went through is let go of, or a pass over the whole account would leave all of it
 * in this process's memory.  The pages stay in the system's cache, pointers stay good. */
static void count_mapped(struct store *s, int64_t len)
{
	s->mapped_bytes += len < MAPPED_STEP ? len : MAPPED_STEP;
	if (s->mapped_bytes < MAPPED_MAX)
		return;
	for (size_t i = 0; i < s->map_count; i++)
		(void)madvise(s->maps[i].base, (size_t)s->maps[i].reserved, MADV_DONTNEED);
	s->mapped_bytes = 0;
}

/* The extent in the map; ERR_NOTFOUND when the file has not got it. */
static int in_map(struct store *s, int64_t pack, int64_t off, int64_t len, const void **data)
{
	struct store_pack_map *m;
	struct stat st;
	int r = find_map(s, pack, &m);

	if (r < 0)
		return r;
	if (off < 0 || len < 0 || off > m->reserved - len)
		return ERR_NOTFOUND;
	if (off + len > m->size) {
		if (fstat(m->fd, &st) < 0)
			return ERR_IO;
		m->size = st.st_size;
	}
	if (off + len > m->size)
		return ERR_NOTFOUND;
	count_mapped(s, len);
	*data = m->base + off;
	return 0;
}

int store_pack_get(struct store *s, int64_t message, const void **data, size_t *len)
{
	sqlite3_stmt *st;
	int64_t pack, off, n;
	const void *p;
	int r = store_db_row(&s->bodies, &st, "SELECT pack, off, len FROM body WHERE message = ?1",
	                     "i", message);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	pack = sqlite3_column_int64(st, 0);
	off = sqlite3_column_int64(st, 1);
	n = sqlite3_column_int64(st, 2);
	store_db_reset(&st);
	r = in_map(s, pack, off, n, &p);
	if (r < 0)
		return r;
	*data = p;
	*len = (size_t)n;
	return 0;
}

/* ---- writing ---- */

static int begin_index(struct store *s)
{
	int r;

	if (s->bodies_open)
		return 0;
	r = store_db_run(&s->bodies, "BEGIN IMMEDIATE", "");
	if (r == 0)
		s->bodies_open = true;
	return r;
}

/* `create`: it is new.  A known one that is lost is not made again: what the index has in it
 * would read as zeros. */
static int take_pack(struct store *s, int64_t pack, int create)
{
	_cleanup_free_ char *path = pack_path(s, pack);
	int fd;

	if (create)
		mkdir(s->cache_dir, 0700); /* somebody may have cleaned it away */
	fd = open(path, O_RDWR | O_CLOEXEC | create, 0600);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : store_sys_error();
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return ERR_BUSY;
	}
	s->out_fd = fd;
	s->out_pack = pack;
	s->out_end = 0;
	return 0;
}

static void leave_pack(struct store *s)
{
	store_spool_close(s->out_fd);
	s->out_fd = -1;
	s->out_pack = 0;
}

/* A pack that nobody writes and that has room. */
static int reuse_pack(struct store *s, int64_t need)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(&s->bodies, &ids, "SELECT id FROM pack WHERE used + ?1 <= reserved",
	                     "i", need);

	for (size_t i = 0; r == 0 && i < ids.n; i++) {
		int64_t used = 0;

		r = take_pack(s, ids.v[i], 0);
		if (r == ERR_BUSY || r == ERR_NOTFOUND) {
			r = 0;
			continue;
		}
		/* Only now does its end stand still. */
		if (r == 0)
			r = store_db_int(
				&s->bodies, &used,
				"SELECT used FROM pack WHERE id = ?1 AND used + ?2 <= reserved",
				"ii", ids.v[i], need);
		if (r == 1) {
			s->out_end = used;
			return 1;
		}
		leave_pack(s);
	}
	return r;
}

static int new_pack(struct store *s, int64_t need)
{
	int64_t id = 0;
	bool mine = !s->bodies_open;
	int r = begin_index(s);

	if (r == 0)
		r = store_db_int(&s->bodies, &id,
		                 "INSERT INTO pack (reserved) VALUES (?1) RETURNING id", "i",
		                 need > PACK_BYTES ? need : PACK_BYTES);
	if (mine && s->bodies_open) {
		s->bodies_open = false;
		r = store_db_run(&s->bodies, r < 0 ? "ROLLBACK" : "COMMIT", "") < 0 ? ERR_IO : r;
	}
	return r < 0 ? r : take_pack(s, id, O_CREAT | O_EXCL);
}

static int64_t pack_room(struct store *s)
{
	int64_t reserved = 0;

	store_db_int(&s->bodies, &reserved, "SELECT reserved FROM pack WHERE id = ?1", "i",
	             s->out_pack);
	return reserved - s->out_end;
}

int store_pack_sync(struct store *s)
{
	if (!s->out_dirty || s->out_fd < 0)
		return 0;
	return fdatasync(s->out_fd) < 0 ? store_sys_error() : 0;
}

static bool is_unlinked(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_nlink == 0;
}

/* Makes the handle's pack one that has room for `need` bytes. */
static int choose_pack(struct store *s, int64_t need)
{
	int r;

	if (s->out_fd >= 0 && pack_room(s) >= need && !is_unlinked(s->out_fd))
		return 0;
	/* What this transaction wrote there must be on disk before its index is. */
	r = store_pack_sync(s);
	if (r < 0)
		return r;
	leave_pack(s);
	r = reuse_pack(s, need);
	return r != 0 ? (r < 0 ? r : 0) : new_pack(s, need);
}

int store_pack_reserve(struct store *s, uint64_t expected, struct store_extent *e)
{
	int64_t need = expected < INT64_MAX / 4 ? (int64_t)expected : INT64_MAX / 4;
	int r = choose_pack(s, need);

	if (r < 0)
		return r;
	e->fd = fcntl(s->out_fd, F_DUPFD_CLOEXEC, 0);
	if (e->fd < 0)
		return ERR_IO;
	e->pack = s->out_pack;
	e->start = e->pos = s->out_end;
	e->limit = s->out_end += need;
	return 0;
}

void store_pack_return(struct store *s, struct store_extent *e)
{
	if (e->pack == s->out_pack && e->limit == s->out_end)
		s->out_end = e->start;
	store_spool_close(e->fd);
	e->fd = -1;
}

/* More came than was announced: the bytes so far move to where there is room for them. */
static int move_extent(struct store *s, struct store_extent *e, size_t more)
{
	struct store_extent to;
	char chunk[65536];
	int64_t len = e->pos - e->start;
	int r = store_pack_reserve(s, (uint64_t)len * 2 + more, &to);

	for (int64_t done = 0; r == 0 && done < len;) {
		size_t want = len - done < INT(sizeof(chunk)) ? (size_t)(len - done)
		                                              : sizeof(chunk);
		ssize_t n = pread(e->fd, chunk, want, e->start + done);

		r = n <= 0 ? ERR_IO : store_pack_write(s, &to, chunk, (size_t)n);
		done += n > 0 ? n : 0;
	}
	if (r < 0)
		return r;
	store_spool_close(e->fd);
	*e = to;
	return 0;
}

static int make_room(struct store *s, struct store_extent *e, size_t len)
{
	int64_t more = e->pos + (int64_t)len - e->limit;

	if (more <= 0)
		return 0;
	if (e->pack != s->out_pack || e->limit != s->out_end || pack_room(s) < more)
		return move_extent(s, e, len);
	e->limit = s->out_end += more;
	return 0;
}

int store_pack_write(struct store *s, struct store_extent *e, const void *data, size_t len)
{
	const char *p = data;
	int r = make_room(s, e, len);

	while (r == 0 && len > 0) {
		ssize_t n = pwrite(e->fd, p, len, e->pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return store_sys_error();
		p += n;
		e->pos += n;
		len -= (size_t)n;
	}
	return r;
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
	int r = begin_index(s);

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
	int r = begin_index(s);

	if (r < 0)
		return r;
	return store_db_run(&s->bodies,
	                    "INSERT OR IGNORE INTO body SELECT ?2, pack, off, len FROM body"
	                    " WHERE message = ?1",
	                    "ii", from, to);
}

int store_pack_drop(struct store *s, int64_t message)
{
	int64_t any;
	int r = store_db_int(&s->bodies, &any, "SELECT 1 FROM body WHERE message = ?1", "i",
	                     message);

	if (r <= 0)
		return r;
	r = begin_index(s);
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
	leave_pack(s); /* a new one's row may be gone */
}

/* ---- after a start ---- */

/* Takes what lies in a pack that is lost, or behind its end, out of the index. */
static int check_pack(struct store *s, int64_t pack)
{
	_cleanup_free_ char *path = pack_path(s, pack);
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
	int r = begin_index(s);

	if (r == 0)
		r = store_db_ids(&s->bodies, &packs, "SELECT id FROM pack", "");
	for (size_t i = 0; r == 0 && i < packs.n; i++)
		r = check_pack(s, packs.v[i]);
	return r < 0 ? r : compare(s);
}

/* ---- giving room back ---- */

static int punch(struct store *s, int64_t pack, int64_t off, int64_t len)
{
	_cleanup_free_ char *path = pack_path(s, pack);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && len > 0)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	store_spool_close(fd);
	return store_db_run(&s->bodies, "DELETE FROM dropped WHERE pack = ?1 AND off = ?2", "ii",
	                    pack, off);
}

static int punch_some(struct store *s, int64_t before)
{
	struct {
		int64_t pack, off, len;
	} ext[PUNCH_BATCH];
	sqlite3_stmt *st;
	int n = 0;
	int r = store_db_row(&s->bodies, &st,
	                     "SELECT pack, off, len FROM dropped WHERE at_ms <= ?1 LIMIT 256", "i",
	                     before);

	for (; r == 1 && n < PUNCH_BATCH; r = store_db_next(&s->bodies, &st), n++) {
		ext[n].pack = sqlite3_column_int64(st, 0);
		ext[n].off = sqlite3_column_int64(st, 1);
		ext[n].len = sqlite3_column_int64(st, 2);
	}
	store_db_reset(&st);
	for (int i = 0; r >= 0 && i < n; i++)
		r = punch(s, ext[i].pack, ext[i].off, ext[i].len);
	return r < 0 ? r : n;
}

/* After a power cut the index must not show again a body whose room was given away: what it
 * dropped is on disk before the hole is. */
static int sync_index(struct store *s)
{
	return store_db_script(&s->bodies, "PRAGMA wal_checkpoint(PASSIVE)");
}

int store_pack_reclaim(struct store *s, int64_t dropped_before_ms)
{
	int r = s->bodies_open ? 0 : sync_index(s);

	if (r == 0)
		r = begin_index(s);
	if (r < 0)
		return r;
	do {
		r = punch_some(s, dropped_before_ms);
	} while (r == PUNCH_BATCH);
	if (r < 0) {
		store_pack_abort(s);
		return r;
	}
	return store_pack_commit(s);
}

int store_pack_reclaim_old(struct store *s)
{
	int64_t any;
	int64_t before = store_now_ms() - DROP_AGE_MS;
	int r = store_db_int(&s->bodies, &any, "SELECT 1 FROM dropped WHERE at_ms <= ?1 LIMIT 1",
	                     "i", before);

	return r == 1 ? store_pack_reclaim(s, before) : r;
}
