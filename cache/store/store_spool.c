/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define TRIES 100 /* names for one file */

static char *spool_path(struct store *s, int64_t spool)
{
	return mem_printf("%s/spool/%lld", s->state_dir, (long long)spool);
}

int store_spool_open(struct store *s, int64_t spool, int flags)
{
	_cleanup_free_ char *path = spool_path(s, spool);

	return open(path, O_RDWR | O_CLOEXEC | flags, 0600);
}

void store_spool_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

int store_spool_new(struct store *s, int64_t *spool, int *fd)
{
	int64_t n;
	int r = store_count(s, "spool", 1, &n);

	if (r < 0)
		return r;
	*fd = store_spool_open(s, n, O_CREAT | O_TRUNC);
	if (*fd < 0)
		return store_sys_error();
	*spool = n;
	return 0;
}

int store_spool_used(struct store *s, int64_t spool)
{
	int64_t used;

	return store_db_int(&s->db, &used,
	                    "SELECT 1 FROM node WHERE spool = ?1 AND spool != 0 UNION ALL"
	                    " SELECT 1 FROM op WHERE spool = ?1 AND spool != 0 LIMIT 1",
	                    "i", spool);
}

int store_spool_release(struct store *s, int64_t spool)
{
	int r = store_spool_used(s, spool);

	if (r == 0)
		store_txn_kill_spool(s, spool);
	return r < 0 ? r : 0;
}

int store_spool_sync(struct store *s, int64_t spool, int64_t *size)
{
	_cleanup_free_ char *dir = mem_printf("%s/spool", s->state_dir);
	int fd = store_spool_open(s, spool, 0);
	int dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (fd < 0 || dfd < 0 || fdatasync(fd) < 0 || fsync(dfd) < 0 || fstat(fd, &st) < 0)
		r = store_sys_error();
	else
		*size = st.st_size;
	store_spool_close(fd);
	store_spool_close(dfd);
	return r;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return store_sys_error();
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int store_spool_from(struct store *s, const void *data, size_t len, int64_t *spool)
{
	int64_t n, size;
	int fd;
	int r = store_spool_new(s, &n, &fd);

	if (r < 0)
		return r;
	r = write_all(fd, data, len);
	store_spool_close(fd);
	if (r == 0)
		r = store_spool_sync(s, n, &size);
	if (r < 0) {
		_cleanup_free_ char *path = spool_path(s, n);

		unlink(path);
		return r;
	}
	*spool = n;
	return 0;
}

static int copy_fd(int in, int out)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(in, chunk, sizeof(chunk))) != 0) {
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? ERR_IO : write_all(out, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_spool(struct store *s, int64_t from, int64_t *spool)
{
	int in = store_spool_open(s, from, 0);
	int out = -1;
	int64_t n;
	int r;

	if (in < 0)
		return store_sys_error();
	r = store_spool_new(s, &n, &out);
	if (r == 0)
		r = copy_fd(in, out);
	if (r < 0 && out >= 0) {
		_cleanup_free_ char *path = spool_path(s, n);

		unlink(path);
	}
	store_spool_close(in);
	store_spool_close(out);
	if (r == 0)
		*spool = n;
	return r;
}

/* Somebody else needs the bytes as they are: an action, another node, or the promise that
 * they are the server's. */
static int is_frozen(struct store *s, int64_t node, int64_t spool)
{
	int64_t any;

	return store_db_int(
		&s->db, &any,
		"SELECT 1 FROM op WHERE spool = ?2 AND spool != 0"
		" UNION ALL SELECT 1 FROM node WHERE spool = ?2 AND spool != 0 AND id != ?1"
		" UNION ALL SELECT 1 FROM message WHERE id = ?1 AND clean_spool = ?2"
		" LIMIT 1",
		"ii", node, spool);
}

static int own_copy(struct store *s, const struct store_node *n, int64_t *spool)
{
	const void *data;
	size_t len;
	int r;

	if (n->spool != 0)
		return copy_spool(s, n->spool, spool);
	r = store_body_get(s, n->id, &data, &len);
	return r < 0 ? r : store_spool_from(s, data, len, spool);
}

static int writable_locked(struct store *s, int64_t node, bool keep, int64_t *spool)
{
	struct store_node n;
	int64_t mine;
	int r = store_node_get(s, node, &n);

	if (r < 0)
		return r;
	if (n.kind != STORE_KIND_FILE && n.kind != STORE_KIND_MESSAGE)
		return ERR_INVAL;
	if (n.spool != 0) {
		r = is_frozen(s, node, n.spool);
		if (r < 0)
			return r;
		if (r == 0) {
			*spool = n.spool;
			return 0;
		}
	}
	r = keep ? own_copy(s, &n, &mine) : store_spool_from(s, "", 0, &mine);
	if (r == 0)
		r = store_db_run(&s->db, "UPDATE node SET spool = ?2 WHERE id = ?1", "ii", node,
		                 mine);
	if (r == 0 && n.spool != 0)
		r = store_spool_release(s, n.spool);
	if (r == 0 && n.kind == STORE_KIND_MESSAGE)
		r = store_body_forget(s, node); /* or a read would find the old bytes first */
	if (r == 0)
		*spool = mine;
	return r;
}

static int writable(struct store *s, int64_t node, bool keep, int64_t *spool)
{
	int64_t mine = 0;
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_txn_end(s, writable_locked(s, node, keep, &mine));
	if (r == 0)
		*spool = mine;
	return r;
}

int store_spool_writable(struct store *s, int64_t node, int64_t *spool)
{
	return writable(s, node, true, spool);
}

int store_spool_fresh(struct store *s, int64_t node, int64_t *spool)
{
	return writable(s, node, false, spool);
}

/* Copies the spool to `dir`/`name`, durably: all of it or nothing. */
static int keep_copy(int in, int dir, const char *name)
{
	static const char tmp[] = ".new";
	int out = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = out < 0 ? store_sys_error() : copy_fd(in, out);

	if (r == 0 && (fsync(out) < 0 || renameat(dir, tmp, dir, name) < 0 || fsync(dir) < 0))
		r = store_sys_error();
	store_spool_close(out);
	return r;
}

/* Bytes that would else be lost: a copy in lost+found, under a name of its own. */
int store_spool_rescue(struct store *s, int64_t spool, const char *name)
{
	_cleanup_free_ char *path = mem_printf("%s/lost+found", s->state_dir);
	_cleanup_free_ char *kept = strlen(name) > STORE_NAME_MAX - 24
	                                    ? mem_printf("%lld.eml", (long long)spool)
	                                    : mem_printf("%lld-%s", (long long)spool, name);
	int in, dir, r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return store_sys_error();
	in = store_spool_open(s, spool, 0);
	if (in < 0)
		return errno == ENOENT ? 0 : store_sys_error();
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? store_sys_error() : keep_copy(in, dir, kept);
	store_spool_close(dir);
	store_spool_close(in);
	return r;
}

/* ---- after a crash ---- */

static int recover_size(struct store *s, int64_t node)
{
	struct store_node n;
	struct stat st;
	_cleanup_free_ char *path = NULL;
	int r = store_node_get(s, node, &n);

	if (r < 0)
		return r;
	path = spool_path(s, n.spool);
	if (stat(path, &st) < 0 || st.st_size == n.size)
		return 0;
	return store_db_run(&s->db, "UPDATE node SET size = ?2, size_exact = 1 WHERE id = ?1", "ii",
	                    node, (int64_t)st.st_size);
}

/* Bytes whose number the database has not given yet: it is a new one, or an older state of itself.
 * That is never our doing, so they are not ours to drop. */
static int keep_unknown(struct store *s, int spools, const char *number)
{
	_cleanup_free_ char *path = mem_printf("%s/lost+found", s->state_dir);
	struct stat st;
	int dir, r = -1;

	if (fstatat(spools, number, &st, 0) == 0 && st.st_size == 0)
		return 0;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return store_sys_error();
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; dir >= 0 && r < 0 && i < TRIES; i++) {
		_cleanup_free_ char *name = i == 0 ? mem_printf("%s-found.eml", number)
		                                   : mem_printf("%s-found-%d.eml", number, i);

		r = renameat2(spools, number, dir, name, RENAME_NOREPLACE);
		if (r < 0 && errno != EEXIST)
			break;
	}
	if (r < 0 || fsync(dir) < 0)
		r = store_sys_error();
	store_spool_close(dir);
	if (r == 0)
		log_warn("%s/spool/%s is not known to the database: kept in lost+found",
		         s->state_dir, number);
	return r;
}

static int sweep_one(struct store *s, int spools, const char *name, int64_t given, int64_t *highest)
{
	char *end;
	int64_t spool = strtoll(name, &end, 10);
	int r;

	if (spool > 0 && (strcmp(end, ".crlf") == 0 || strcmp(end, ".lf") == 0))
		(void)unlinkat(spools, name, 0); /* was to take its place */
	if (*end != '\0' || spool <= 0)
		return 0;
	r = store_spool_used(s, spool);
	if (r == 0 && spool > given)
		r = keep_unknown(s, spools, name);
	if (r == 0)
		r = store_spool_release(s, spool);
	if (spool > *highest)
		*highest = spool;
	return r < 0 ? r : 0;
}

/* A number that was given once is not given again, or lost+found would have two of a name. */
static int sweep(struct store *s, DIR *d)
{
	int64_t given = 0, highest;
	struct dirent *e;
	int r = store_count(s, "spool", 0, &given);

	highest = given;
	while (r == 0 && (e = readdir(d)) != NULL)
		r = sweep_one(s, dirfd(d), e->d_name, given, &highest);
	return r < 0 ? r : store_count(s, "spool", highest - given, NULL);
}

int store_spool_recover(struct store *s)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	_cleanup_free_ char *dir = mem_printf("%s/spool", s->state_dir);
	DIR *d;
	int r = store_db_ids(&s->db, &ids, "SELECT id FROM node WHERE spool != 0", "");

	for (size_t i = 0; r == 0 && i < ids.n; i++)
		r = recover_size(s, ids.v[i]);
	if (r < 0)
		return r;
	d = opendir(dir);
	if (!d)
		return ERR_IO;
	r = sweep(s, d);
	closedir(d);
	return r;
}
