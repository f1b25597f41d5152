/* SPDX-License-Identifier: MIT */
#ifndef STORE_PRIV_H
#define STORE_PRIV_H

#include "mem.h"
#include "store.h"
#include "store_db_priv.h"
#include "store_mailbox.h"
#include "store_message.h"
#include "store_op.h"
#include "store_pull.h"

struct store_pack_map;

struct store_event {
	enum store_change what;
	int64_t node, parent;
	char *name;
};

struct store {
	struct store_db db;     /* STATE_DIR/state.db */
	struct store_db bodies; /* CACHE_DIR/bodies.db */
	char *state_dir, *cache_dir;
	int hold_ms;
	bool renames;    /* store_set_renames() */
	int64_t discard; /* this spool's bytes are not kept when their action is dropped */
	bool plain_log;  /* the optimiser is off: for tests of what it proves */

	/* The transaction: how deep calls nest in it, what to do after its commit. */
	int depth;
	bool broken;     /* SQLite rolled all of it back by itself */
	int64_t touched; /* directory whose times this transaction has already moved */
	int64_t viewed;  /* the same of `view_ns` */
	struct store_event *events;
	size_t event_count, event_cap;
	struct store_ids dead_spools;
	size_t dead_cap;
	store_change_fn listener;
	void *listener_ctx;

	/* Packs (store_pack*.c): mapped ones, the one being written, what waits for a commit. */
	struct store_pack_map *maps;
	size_t map_count;
	int64_t mapped_bytes;           /* gone through since the maps were let go of */
	int64_t mapped_pack, mapped_to; /* where the last look at a body ended */
	int64_t out_pack;
	int out_fd;
	int64_t out_end;  /* behind all that is written or being written there */
	bool out_dirty;   /* bytes not synced, index rows not committed */
	bool bodies_open; /* a transaction of `bodies` is open */
};

/* For variable arguments of the store_db calls. */
#define INT(x) ((int64_t)(x))

/* ---- store_txn.c ---- */

/* Calls nest; only the outermost commits, an inner one that fails undoes its own part. */
int store_txn_begin(struct store *s);

/* Ends what _begin began: commits when `r` >= 0, else undoes.  Returns `r`, or the error of
 * the commit. */
int store_txn_end(struct store *s, int r);
void store_txn_note(struct store *s, enum store_change what, int64_t node, int64_t parent,
                    const char *name);
void store_txn_kill_spool(struct store *s, int64_t spool);
/* After a failed system call: ERR_NOSPACE or ERR_IO. */
int store_sys_error(void);
int64_t store_now_ns(void);
int64_t store_now_ms(void);

/* Adds `by` to a counter of `meta`; *value (may be NULL) is the new one. */
int store_count(struct store *s, const char *key, int64_t by, int64_t *value);

/* ---- store_err.c: how the log's rows say why ---- */
int64_t store_err_to_disk(int err);
int store_err_from_disk(int64_t disk);

/* ---- store_schema.c ---- */
int store_schema_open(struct store *s, struct err_reason *why);

/* ---- store_node.c: pieces for callers inside a transaction ---- */
int store_node_insert(struct store *s, int64_t parent, const char *name, const struct store_node *n,
                      const char *target, int64_t *id);

/* Moves to another place (parent 0: out of the tree); the name must be free.  Tells. */
int store_node_place(struct store *s, int64_t id, int64_t parent, const char *name);

/* The same under a name that is free there: `name`, or `stem-2.ext`. */
int store_node_place_free(struct store *s, int64_t id, int64_t parent, const char *name);
int store_node_free_name(struct store *s, int64_t parent, const char *name, int64_t self,
                         char out[STORE_NAME_MAX + 1]);
int store_node_delete(struct store *s, int64_t id);
int store_node_touch(struct store *s, int64_t id);                      /* ctime, and tells */
int store_node_check_loop(struct store *s, int64_t id, int64_t parent); /* ERR_INVAL: into itself */
int store_mailbox_add(struct store *s, int64_t parent, const char *name, int64_t *id);
bool store_name_valid(const char *name);

/* What stands at the target of a move: ERR_EXISTS unless it may go and `replace`. */
int store_node_clear(struct store *s, int64_t parent, const char *name, int64_t self, bool replace,
                     int delete_mode);

/* ---- store_mark.c ---- */
uint32_t store_mark_of(const char *flags);
bool store_mark_is_fresh(enum store_kind kind, uint32_t mark);
int store_mark_noted(struct store *s); /* before the commit: of all that were noted as changed */
int store_mark_all(struct store *s);   /* of a database that had none */

/* ---- store_spool.c ---- */
int store_spool_new(struct store *s, int64_t *spool, int *fd);
void store_spool_close(int fd);

int store_spool_used(struct store *s, int64_t spool); /* 1: a node or action needs it */

/* Unlinks it after the commit when nothing refers to it any more. */
int store_spool_release(struct store *s, int64_t spool);
int store_spool_sync(struct store *s, int64_t spool, int64_t *size);
int store_spool_rescue(struct store *s, int64_t spool, const char *name);
int store_spool_from(struct store *s, const void *data, size_t len, int64_t *spool);
int store_spool_recover(struct store *s);

/* ---- store_pack.c: the index ---- */

/* Room for one body being written; several may be open, each in room of its own. */
struct store_extent {
	int fd;
	int64_t pack, start, pos, limit;
};
int store_pack_open(struct store *s, struct err_reason *why);
void store_pack_close(struct store *s);
int store_pack_begin(struct store *s);
void store_pack_wait(struct store *s);  /* a transaction, if none is open */
int store_pack_commit(struct store *s); /* after the state's commit */
void store_pack_abort(struct store *s);
int store_pack_index(struct store *s, int64_t message, struct store_extent *e);
int store_pack_share(struct store *s, int64_t from, int64_t to);
int store_pack_drop(struct store *s, int64_t message);
int store_pack_check(struct store *s); /* at a start: index, packs and state agree */
char *store_pack_path(struct store *s, int64_t pack);

/* ---- store_pack_read.c ---- */
int store_pack_get(struct store *s, int64_t message, const void **data, size_t *len);
void store_pack_unmap(struct store *s);

/* ---- store_pack_write.c ---- */
int store_pack_reserve(struct store *s, uint64_t expected, struct store_extent *e);
int store_pack_write(struct store *s, struct store_extent *e, const void *data, size_t len);
void store_pack_return(struct store *s, struct store_extent *e);
int store_pack_sync(struct store *s); /* before the state's commit */
void store_pack_leave(struct store *s);

/* ---- store_pack_room.c ---- */
int store_pack_reclaim(struct store *s, int64_t dropped_before_ms);
int store_pack_reclaim_old(struct store *s); /* dropped a minute ago or earlier */

/* ---- store_choice.c ---- */
/* Drops the action, and the bytes of this spool with it. */
int store_op_discard(struct store *s, int64_t seq, int64_t spool);

/* ---- store_partial.c ---- */
int store_partial_recover(struct store *s);

/* ---- store_body.c ---- */
char *store_body_message_id(const char *data, size_t len);
/* The body of another message that the server calls the same content, if it is here. */
int store_body_share_in(struct store *s, int64_t message);
int store_body_forget(struct store *s, int64_t message); /* it is not here any more */

/* ---- store_rights.c ---- */

/* Rights that are about what is in a mailbox, not about its place in the tree. */
#define STORE_RIGHTS_MESSAGES "istew"
/* Letters of RFC 4314: those of RFC 2086 alone are spelled out.  The caller frees. */
char *store_rights_canon(const char *rights);
/* For these (wordset) flags.  As store_rights_check(). */
int store_rights_check_flags(struct store *s, int64_t mailbox, const char *flags);
int store_rights_mode(struct store *s, int64_t mailbox, uint32_t *box, uint32_t *message);
int store_rights_apply(struct store *s, int64_t mailbox); /* to all modes, after a change */

/* ---- store_change.c ---- */
bool store_change_may_fold(struct store *s, const struct store_op *op);
/* Merges a delta of words into an action that is one, too; `base`: the words without it. */
int store_change_fold(struct store *s, const struct store_op *op, const char *base, const char *add,
                      const char *del);

/* ---- store_message.c ---- */
char *store_message_view_flags(struct store *s, int64_t id, int64_t before_seq);
char *store_message_view_labels(struct store *s, int64_t id, int64_t before_seq); /* words */

/* Forgets a message: node, row, body, spool. */
int store_message_forget(struct store *s, int64_t id);

/* The date of an upload that is not on its way yet.  ERR_PERM: it is, or was. */
int store_upload_set_date(struct store *s, int64_t id, int64_t mtime_ns);

/* The server has it in `mailbox` now, with this UID when it counts there. */
int store_message_settle(struct store *s, int64_t id, int64_t mailbox, uint32_t uidvalidity,
                         uint32_t uid);

/* Shows it where what is left of the log puts it; `name` NULL: as it is called now. */
int store_message_restore(struct store *s, int64_t message, const char *name);

/* Where the pending actions up to seq put it; 0: nowhere. */
int store_message_place(struct store *s, int64_t id, int64_t *parent);

/* ---- store_log.c: writing the log, inside a transaction ---- */
int store_log_insert(struct store *s, const struct store_op *op, int64_t old_parent,
                     const char *old_name, int64_t *seq);
int store_log_need(struct store *s, int64_t seq, int64_t needs);
int store_log_need_mailbox(struct store *s, int64_t seq, int64_t mailbox);

/* Those that are parked only because what they need is: QUEUED where that is so no more. */
int store_log_unblock(struct store *s, int64_t seq);
int store_log_unblock_all(struct store *s, const struct store_ids *ids);
int store_log_released(struct store *s, int64_t seq); /* it is parked no more */

/* Removes the row; what needed it needs what it needed. */
int store_log_remove(struct store *s, int64_t seq);
int store_log_cancel(struct store *s, int64_t seq); /* the same, counted, its spool released */

/* The last unfinished action on a message, as its own copy: 1, 0, <0. */
int store_log_last(struct store *s, int64_t message, int64_t before, struct store_op *op);
int store_log_get(struct store *s, int64_t seq, struct store_op *op);
int store_log_finish(struct store *s, int64_t seq, const struct store_op_done *result);
int store_edit_id(struct store *s,
                  const struct store_op *op); /* an edit's Message-ID is the message's */
int store_mailbox_forget(struct store *s, int64_t mailbox);
int store_log_park(struct store *s, int64_t seq, int err, const char *reason);
int store_log_set_state(struct store *s, int64_t seq, enum store_op_state state, int err,
                        const char *reason);
/* Makes an upload of a copy or move whose source is gone.  ERR_CONFLICT: its bytes are not here. */
int store_gone_to_upload(struct store *s, int64_t seq);
int store_log_dependents(struct store *s, int64_t seq, struct store_ids *ids);

/* ---- store_edit.c: messages that editors rename away ---- */

/* Node `n` is about to get this place. */
int store_aside_moved(struct store *s, const struct store_node *n, int64_t parent,
                      const char *name);
/* A file has been made there. */
int store_aside_placed(struct store *s, int64_t file, int64_t parent, const char *name);
/* What cannot be meant any more goes. */
int store_aside_purge(struct store *s);

#endif
