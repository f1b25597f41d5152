/* SPDX-License-Identifier: MIT */
#include "store_db_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include "log.h"
#include "mem.h"

#define BUSY_MS 5000

static int pragmas(struct store_db *db)
{
	int r = store_db_script(db, "PRAGMA journal_mode=WAL");

	if (r < 0)
		return r;
	return store_db_script(db, "PRAGMA synchronous=NORMAL;"
	                           "PRAGMA temp_store=MEMORY;"
	                           /* mapped pages count as resident: not more with more mail */
	                           "PRAGMA mmap_size=67108864;"
	                           "PRAGMA wal_autocheckpoint=4000;"
	                           "PRAGMA journal_size_limit=67108864;");
}

static bool is_damaged(int rc)
{
	return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

static int cannot_open(struct store_db *db, const char *path, int r, struct err_reason *why)
{
	int rc = sqlite3_errcode(db->h);

	if (is_damaged(rc))
		err_set(why, r,
		        "%s is damaged (%s): move it away to begin anew; what was not sent is "
		        "then in lost+found",
		        path, sqlite3_errstr(rc));
	else
		err_set(why, r, "cannot use %s: %s", path, sqlite3_errmsg(db->h));
	store_db_close(db);
	return r;
}

int store_db_open(struct store_db *db, const char *path, struct err_reason *why)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc = sqlite3_open_v2(path, &db->h, flags, NULL);
	int r;

	if (rc != SQLITE_OK) {
		r = db->h ? store_db_error(db, rc) : ERR_IO;
		err_set(why, r, "cannot open %s: %s", path, sqlite3_errstr(rc));
		store_db_close(db);
		return r;
	}
	sqlite3_busy_timeout(db->h, BUSY_MS);
	r = pragmas(db);
	if (r < 0)
		return cannot_open(db, path, r, why);
	db->opened = true;
	return 0;
}

void store_db_close(struct store_db *db)
{
	for (int i = 0; i < STORE_DB_SLOTS; i++)
		sqlite3_finalize(db->slot[i].st);
	sqlite3_close(db->h);
	memset(db, 0, sizeof(*db));
}

static bool is_full(int sys)
{
	return sys == ENOSPC || sys == EFBIG || sys == EDQUOT;
}

/* Only ENOSPC becomes SQLITE_FULL; of the rest the file knows what the system said. */
static bool file_is_full(sqlite3_file *f)
{
	int sys = 0;

	if (f && f->pMethods)
		f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &sys);
	return is_full(sys);
}

/* Callers can say no more than that the disk has failed. */
static void tell_damage(struct store_db *db, int rc)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	if (db->opened && !atomic_flag_test_and_set(&told))
		log_error("%s is damaged (%s): move it away while nothing is mounted",
		          sqlite3_db_filename(db->h, "main"), sqlite3_errstr(rc));
}

int store_db_error(struct store_db *db, int rc)
{
	sqlite3_file *main_file = NULL, *wal = NULL;

	if (is_damaged(rc))
		tell_damage(db, rc);
	if ((rc & 0xff) == SQLITE_FULL)
		return ERR_NOSPACE;
	if ((rc & 0xff) != SQLITE_IOERR)
		return ERR_IO;
	sqlite3_file_control(db->h, "main", SQLITE_FCNTL_FILE_POINTER, &main_file);
	sqlite3_file_control(db->h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	return file_is_full(wal) || file_is_full(main_file) ? ERR_NOSPACE : ERR_IO;
}

int store_db_script(struct store_db *db, const char *sql)
{
	int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_db_error(db, rc);
}

static int prepare(struct store_db *db, const char *sql, sqlite3_stmt **st)
{
	size_t i = ((uintptr_t)sql >> 3) * 2654435761u % STORE_DB_SLOTS;
	int rc;

	while (db->slot[i].sql && db->slot[i].sql != sql)
		i = (i + 1) % STORE_DB_SLOTS;
	if (db->slot[i].sql) {
		*st = db->slot[i].st;
		return 0;
	}
	if (db->used >= STORE_DB_SLOTS - 1)
		return ERR_LIMIT;
	rc = sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
	if (rc != SQLITE_OK)
		return store_db_error(db, rc);
	db->slot[i].sql = sql;
	db->slot[i].st = *st;
	db->used++;
	return 0;
}

static void bind_all(sqlite3_stmt *st, const char *types, va_list ap)
{
	for (int i = 1; *types; i++, types++) {
		int64_t n;
		const char *s;

		if (*types == 's') {
			s = va_arg(ap, const char *);
			sqlite3_bind_text(st, i, s, -1, SQLITE_TRANSIENT);
			continue;
		}
		n = va_arg(ap, int64_t);
		if (*types == 'z' && n == 0)
			sqlite3_bind_null(st, i);
		else
			sqlite3_bind_int64(st, i, n);
	}
}

int store_db_next(struct store_db *db, sqlite3_stmt **st)
{
	int rc = sqlite3_step(*st);
	int r;

	if (rc == SQLITE_ROW)
		return 1;
	r = rc == SQLITE_DONE ? 0 : store_db_error(db, rc);
	store_db_reset(st);
	return r;
}

void store_db_reset(sqlite3_stmt **st)
{
	if (*st)
		sqlite3_reset(*st);
	*st = NULL;
}

static int start(struct store_db *db, sqlite3_stmt **st, const char *sql, const char *types,
                 va_list ap)
{
	int r;

	*st = NULL;
	if (!db->h)
		return ERR_IO;
	r = prepare(db, sql, st);
	if (r < 0)
		return r;
	bind_all(*st, types, ap);
	return store_db_next(db, st);
}

int store_db_row(struct store_db *db, sqlite3_stmt **st, const char *sql, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(db, st, sql, types, ap);
	va_end(ap);
	return r;
}

int store_db_run(struct store_db *db, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(db, &st, sql, types, ap);
	va_end(ap);
	store_db_reset(&st);
	return r < 0 ? r : 0;
}

int store_db_int(struct store_db *db, int64_t *out, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(db, &st, sql, types, ap);
	va_end(ap);
	if (r == 1)
		*out = sqlite3_column_int64(st, 0);
	store_db_reset(&st);
	return r;
}

int store_db_text(struct store_db *db, char **out, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(db, &st, sql, types, ap);
	va_end(ap);
	if (r == 1)
		*out = store_db_dup(st, 0);
	store_db_reset(&st);
	return r;
}

int store_db_ids(struct store_db *db, struct store_ids *out, const char *sql, const char *types,
                 ...)
{
	struct store_ids ids = { 0 };
	size_t cap = 0;
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(db, &st, sql, types, ap);
	va_end(ap);
	for (; r == 1; r = store_db_next(db, &st)) {
		if (ids.n == cap) {
			cap = cap ? cap * 2 : 16;
			ids.v = mem_realloc(ids.v, cap, sizeof(*ids.v));
		}
		ids.v[ids.n++] = sqlite3_column_int64(st, 0);
	}
	if (r < 0)
		store_ids_release(&ids);
	else
		*out = ids;
	return r;
}

void store_ids_release(struct store_ids *ids)
{
	free(ids->v);
	ids->v = NULL;
	ids->n = 0;
}

char *store_db_dup(sqlite3_stmt *st, int col)
{
	return mem_strdup((const char *)sqlite3_column_text(st, col));
}
