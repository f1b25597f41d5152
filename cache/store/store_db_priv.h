/* SPDX-License-Identifier: MIT */
#ifndef STORE_DB_PRIV_H
#define STORE_DB_PRIV_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* One SQLite connection with its statements.  Each statement is prepared once; it is known
 * by the address of its text, so the text must be a literal. */
#define STORE_DB_SLOTS 512

struct store_db {
	sqlite3 *h;
	bool opened; /* damage is found later, by someone who cannot say so */
	struct {
		const char *sql;
		sqlite3_stmt *st;
	} slot[STORE_DB_SLOTS];
	int used;
};

/* Opens or creates in WAL mode; ERR_IO, ERR_NOSPACE. */
int store_db_open(struct store_db *db, const char *path, struct err_reason *why);
void store_db_close(struct store_db *db);

/* The enum err for the connection's last failure. */
int store_db_error(struct store_db *db, int rc);

/* Runs SQL without parameters that is not worth keeping prepared. */
int store_db_script(struct store_db *db, const char *sql);

/*
 * All that follow take one letter per parameter:
 *   i  int64_t        z  int64_t, 0 becomes NULL        s  const char *, NULL becomes NULL
 */

/* To the end; 0. */
int store_db_run(struct store_db *db, const char *sql, const char *types, ...);

/* First row: 1 and *st, to be given back with store_db_reset(); 0: none; <0. */
int store_db_row(struct store_db *db, sqlite3_stmt **st, const char *sql, const char *types, ...);

/* The next row of *st: 1; 0 or <0: it was given back. */
int store_db_next(struct store_db *db, sqlite3_stmt **st);
void store_db_reset(sqlite3_stmt **st);
#define _cleanup_stmt_ __attribute__((cleanup(store_db_reset)))

/* First column of the first row: 1; 0: none; <0. */
int store_db_int(struct store_db *db, int64_t *out, const char *sql, const char *types, ...);
int store_db_text(struct store_db *db, char **out, const char *sql, const char *types, ...);

/* First column of all rows; free `v`. */
struct store_ids {
	int64_t *v;
	size_t n;
};
int store_db_ids(struct store_db *db, struct store_ids *out, const char *sql, const char *types,
                 ...);
void store_ids_release(struct store_ids *ids);
#define _cleanup_ids_ __attribute__((cleanup(store_ids_release)))

/* A text column as the caller's string, NULL for NULL. */
char *store_db_dup(sqlite3_stmt *st, int col);

#endif
