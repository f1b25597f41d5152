/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the directory and what is missing above it, mode 0700. */
static int make_dir(const char *path, struct err_reason *why)
{
	_cleanup_free_ char *p = mem_strdup(path);
	struct stat st;

	for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(p, 0700);
		*slash = '/';
	}
	if (mkdir(p, 0700) < 0 && errno != EEXIST) {
		int err = store_sys_error();

		return err_set(why, err, "cannot make %s: %s", path, strerror(errno));
	}
	if (stat(p, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(why, ERR_IO, "%s is not a directory", path);
	return 0;
}

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? ERR_IO : 0;

	if (fd >= 0 && fsync(fd) < 0)
		r = ERR_IO;
	if (fd >= 0)
		close(fd);
	return r;
}

static int open_state(struct store *s, struct err_reason *why)
{
	_cleanup_free_ char *spool = mem_printf("%s/spool", s->state_dir);
	_cleanup_free_ char *db = mem_printf("%s/state.db", s->state_dir);
	int r = make_dir(s->state_dir, why);

	if (r == 0)
		r = make_dir(spool, why);
	if (r == 0)
		r = store_db_open(&s->db, db, why);
	if (r == 0)
		r = store_schema_open(s, why);
	if (r == 0)
		r = sync_dir(s->state_dir);
	return r;
}

int store_open(const char *state_dir, const char *cache_dir, struct store **out,
               struct err_reason *why)
{
	struct store *s = mem_alloc(sizeof(*s));
	int r;

	s->state_dir = mem_strdup(state_dir);
	s->cache_dir = mem_strdup(cache_dir);
	s->out_fd = -1;
	r = open_state(s, why);
	if (r == 0)
		r = make_dir(cache_dir, why);
	if (r == 0)
		r = store_pack_open(s, why);
	if (r < 0) {
		store_close(&s);
		return r;
	}
	*out = s;
	return 0;
}

int store_open_again(const char *state_dir, const char *cache_dir, struct store **out,
                     struct err_reason *why)
{
	_cleanup_free_ char *db = mem_printf("%s/state.db", state_dir);

	if (access(db, F_OK) < 0)
		return err_set(why, ERR_IO, "%s: %s; put it back to where it was", db,
		               strerror(errno));
	return store_open(state_dir, cache_dir, out, why);
}

void store_close(struct store **sp)
{
	struct store *s = *sp;

	if (!s)
		return;
	if (s->depth > 0) {
		s->depth = 1;
		store_txn_end(s, ERR_CANCELED);
	}
	store_pack_close(s);
	store_db_close(&s->db);
	free(s->events);
	free(s->dead_spools.v);
	free(s->state_dir);
	free(s->cache_dir);
	free(s);
	*sp = NULL;
}

static int lock_taken(int fd, const char *path, struct err_reason *why)
{
	char pid[24] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	if (n > 0)
		pid[strcspn(pid, "\n")] = '\0';
	close(fd);
	return err_set(why, ERR_LOCKED, "%s is held by process %s", path, pid);
}

int store_lock(const char *state_dir, int *out, struct err_reason *why)
{
	_cleanup_free_ char *path = mem_printf("%s/lock", state_dir);
	int r = make_dir(state_dir, why);
	int fd;

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(why, store_sys_error(), "cannot open %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return lock_taken(fd, path, why);
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		r = err_set(why, store_sys_error(), "cannot write %s: %s", path, strerror(errno));
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

#define SCRATCH_AGE_NS (INT(7) * 24 * 3600 * 1000000000)

/* Forgotten litter of editors goes after a week without a change. */
static int purge_scratch(struct store *s)
{
	_cleanup_ids_ struct store_ids old = { 0 };
	int r = store_db_ids(&s->db, &old,
	                     "SELECT id FROM node WHERE kind IN (4, 6) AND parent IS NOT NULL"
	                     " AND max(mtime_ns, ctime_ns) < ?1",
	                     "i", store_now_ns() - SCRATCH_AGE_NS);

	for (size_t i = 0; r == 0 && i < old.n; i++) {
		struct store_node n;

		r = store_node_get(s, old.v[i], &n);
		if (r == 0 && store_name_is_scratch(n.name))
			r = store_node_remove(s, n.id);
	}
	return r;
}

/* Uploads that were done but whose bytes still lie in the spool: they are only moved to where
 * they take less, so a full disk is no error here. */
static int adopt_left(struct store *s)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	int r = store_db_ids(
		&s->db, &ids,
		"SELECT m.id FROM message m JOIN node n ON n.id = m.id WHERE"
		" m.clean_spool != 0 AND n.spool = m.clean_spool AND m.mailbox IS NOT NULL"
		" AND NOT EXISTS (SELECT 1 FROM op WHERE op.message = m.id OR"
		" op.copy = m.id)",
		"");

	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = store_body_adopt(s, ids.v[i]);
	return r < 0 && r != ERR_NOSPACE ? r : 0;
}

int store_recover(struct store *s)
{
	int r = store_txn_begin(s);

	if (r < 0)
		return r;
	r = store_spool_recover(s);
	if (r == 0)
		r = purge_scratch(s);
	if (r == 0)
		r = store_aside_purge(s);
	if (r == 0)
		r = store_pack_check(s);
	if (r == 0)
		r = store_partial_recover(s);
	r = store_txn_end(s, r);
	if (r == 0)
		r = adopt_left(s);
	if (r < 0)
		return r;
	return store_pack_reclaim(s, store_now_ms());
}

/* The WAL's own descriptor is SQLite's: opening and closing another one would be harmless for
 * the WAL, but this needs no path and no second descriptor. */
int store_flush(struct store *s)
{
	sqlite3_file *wal = NULL;
	int rc = sqlite3_file_control(s->db.h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

	if (rc != SQLITE_OK || !wal || !wal->pMethods)
		return ERR_IO;
	rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
	return rc == SQLITE_OK ? 0 : store_db_error(&s->db, rc);
}

void store_set_listener(struct store *s, store_change_fn fn, void *ctx)
{
	s->listener = fn;
	s->listener_ctx = ctx;
}
