/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A handle writes at the end of one pack, which it has locked. */
#define PACK_BYTES (INT(256) << 20)

void store_pack_leave(struct store *s)
{
	store_spool_close(s->out_fd);
	s->out_fd = -1;
	s->out_pack = 0;
}

/* `create`: it is new.  A known one that is lost is not made again: what the index has in it
 * would read as zeros. */
static int take_pack(struct store *s, int64_t pack, int create)
{
	_cleanup_free_ char *path = store_pack_path(s, pack);
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
		store_pack_leave(s);
	}
	return r;
}

static int new_pack(struct store *s, int64_t need)
{
	int64_t id = 0;
	bool mine = !s->bodies_open;
	int r = store_pack_begin(s);

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
	store_pack_leave(s);
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
