/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

int64_t store_now_ns(void)
{
	return clock_wall_ns();
}

int64_t store_now_ms(void)
{
	return clock_wall_ns() / 1000000;
}

int store_sys_error(void)
{
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_NOSPACE : ERR_IO;
}

/* What would be written to a database that no start will find again is refused.  All of its
 * handles are held open: should it come back, it goes on. */
static int check_place(struct store *s)
{
	static atomic_bool told;
	int moved = 0;

	sqlite3_file_control(s->db.h, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	if (moved && !atomic_exchange(&told, true))
		log_error("%s/state.db was moved or removed: nothing is written until it is back",
		          s->state_dir);
	else if (!moved && atomic_load_explicit(&told, memory_order_relaxed))
		atomic_store(&told, false);
	return moved ? ERR_IO : 0;
}

int store_txn_begin(struct store *s)
{
	int r = s->depth == 0 ? check_place(s) : 0;

	if (r < 0)
		return r;

	if (s->depth > 0 && s->broken)
		return ERR_IO;
	s->touched = s->viewed = 0;
	if (s->depth == 0)
		r = store_db_run(&s->db, "BEGIN IMMEDIATE", "");
	else
		r = store_db_run(&s->db, "SAVEPOINT inner", "");
	if (r == 0)
		s->depth++;
	return r;
}

static void forget_notes(struct store *s)
{
	for (size_t i = 0; i < s->event_count; i++)
		free(s->events[i].name);
	s->event_count = 0;
	s->dead_spools.n = 0;
}

static void unlink_spools(struct store *s)
{
	for (size_t i = 0; i < s->dead_spools.n; i++) {
		_cleanup_free_ char *path = mem_printf("%s/spool/%lld", s->state_dir,
		                                       (long long)s->dead_spools.v[i]);

		/* An inner call that released it may have been undone. */
		if (store_spool_used(s, s->dead_spools.v[i]) == 0)
			unlink(path);
	}
	s->dead_spools.n = 0;
}

static void tell(struct store *s)
{
	for (size_t i = 0; s->listener && i < s->event_count; i++) {
		const struct store_event *e = &s->events[i];

		s->listener(s->listener_ctx, e->what, e->node, e->parent, e->name);
	}
	forget_notes(s);
}

static int roll_back(struct store *s, int r)
{
	s->touched = s->viewed = 0;
	if (s->depth > 1) {
		s->depth--;
		if (sqlite3_get_autocommit(s->db.h)) {
			s->broken = true;
			return r;
		}
		store_db_run(&s->db, "ROLLBACK TO inner", "");
		store_db_run(&s->db, "RELEASE inner", "");
		return r;
	}
	if (!sqlite3_get_autocommit(s->db.h))
		store_db_run(&s->db, "ROLLBACK", "");
	store_pack_abort(s);
	forget_notes(s);
	s->depth = 0;
	s->broken = false;
	return r;
}

static int commit(struct store *s)
{
	int r = s->broken ? ERR_IO : store_mark_noted(s);

	if (r == 0)
		r = store_pack_sync(s);
	if (r == 0)
		r = store_db_run(&s->db, "COMMIT", "");
	if (r < 0)
		return roll_back(s, r);
	s->depth = 0;
	unlink_spools(s);
	r = store_pack_commit(s);
	tell(s);
	return r;
}

int store_txn_end(struct store *s, int r)
{
	int end;

	if (r < 0)
		return roll_back(s, r);
	if (s->depth > 1) {
		end = store_db_run(&s->db, "RELEASE inner", "");
		if (end < 0)
			return roll_back(s, end);
		s->depth--;
		return r;
	}
	end = commit(s);
	return end < 0 ? end : r;
}

/* Notes of an inner call that fails stay: what they tell is only "look again". */
void store_txn_note(struct store *s, enum store_change what, int64_t node, int64_t parent,
                    const char *name)
{
	struct store_event *e;

	if (s->event_count == s->event_cap) {
		s->event_cap = s->event_cap ? s->event_cap * 2 : 32;
		s->events = mem_realloc(s->events, s->event_cap, sizeof(*s->events));
	}
	e = &s->events[s->event_count++];
	*e = (struct store_event){ what, node, parent, mem_strdup(name) };
}

void store_txn_kill_spool(struct store *s, int64_t spool)
{
	if (s->dead_spools.n == s->dead_cap) {
		s->dead_cap = s->dead_cap ? s->dead_cap * 2 : 16;
		s->dead_spools.v = mem_realloc(s->dead_spools.v, s->dead_cap, sizeof(int64_t));
	}
	s->dead_spools.v[s->dead_spools.n++] = spool;
}

int store_count(struct store *s, const char *key, int64_t by, int64_t *value)
{
	int64_t v = 0;
	int r = store_db_int(&s->db, &v,
	                     "INSERT INTO meta VALUES (?1, ?2)"
	                     " ON CONFLICT (key) DO UPDATE SET value = value + ?2 RETURNING value",
	                     "si", key, by);

	if (r < 0)
		return r;
	if (value)
		*value = v;
	return 0;
}

int store_batch_begin(struct store *s)
{
	return store_txn_begin(s);
}

int store_batch_commit(struct store *s)
{
	return store_txn_end(s, 0);
}

void store_batch_abort(struct store *s)
{
	store_txn_end(s, ERR_CANCELED);
}
