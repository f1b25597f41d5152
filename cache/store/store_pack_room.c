/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <fcntl.h>
#include <unistd.h>

/* The room of dropped bodies, given back to the file system. */
#define DROP_AGE_MS 60000
#define PUNCH_BATCH 256

static int punch(struct store *s, int64_t pack, int64_t off, int64_t len)
{
	_cleanup_free_ char *path = store_pack_path(s, pack);
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
		r = store_pack_begin(s);
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
