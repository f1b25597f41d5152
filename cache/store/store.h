/* SPDX-License-Identifier: MIT */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/*
 * The local copy of an account, and the log of changes that the server has not
 * confirmed (store_op.h).
 *
 *   STATE_DIR/state.db    tree, server facts, replay log        never thrown away
 *   STATE_DIR/spool/N     bytes written here and not yet on the server
 *   STATE_DIR/lock        held by the one daemon of the account
 *   CACHE_DIR/bodies.db   where each clean body lies            may be deleted
 *   CACHE_DIR/pack-N      clean bodies, append-only             may be deleted
 *
 * What a user sees = the server's columns with the pending actions on top; the two
 * are kept apart, so that a pull never undoes an unsent change and an action can be
 * taken back.  Each call that changes what is seen does so and logs its action in
 * one transaction.
 *
 * A handle belongs to one thread; several threads each open their own.  Readers
 * never wait for writers.  Calls that write wait at most a few seconds for another
 * handle's short transaction, then give ERR_IO.
 */
struct store;

/* Opens or creates; migrates an older schema.  ERR_VERSION: a newer schema, or an
 * action kind or state that this program does not know.  ERR_IO, ERR_NOSPACE. */
int store_open(const char *state_dir, const char *cache_dir, struct store **out,
               struct err_reason *why);
void store_close(struct store **s); /* safe on NULL */

/* The same in a program that has it open already: never makes a new one in its place.  ERR_IO: it
 * is gone. */
int store_open_again(const char *state_dir, const char *cache_dir, struct store **out,
                     struct err_reason *why);

/* Takes the account's lock until the descriptor in *fd is closed.  ERR_LOCKED: another
 * process has it (its pid is in the reason).  Creates the directory, mode 0700. */
int store_lock(const char *state_dir, int *fd, struct err_reason *why);

/* Once after store_lock() at each start: sizes of spool files after a crash, spool
 * files nobody refers to, scratch past its age, space of dropped bodies. */
int store_recover(struct store *s);

/* Makes everything committed so far survive power loss. */
int store_flush(struct store *s);

/* ---- What changed: told after the commit, by the handle that committed ---- */

enum store_change {
	STORE_CHANGE_ADDED,   /* name `name` appeared in directory `parent` */
	STORE_CHANGE_REMOVED, /* name `name` went from directory `parent` */
	STORE_CHANGE_ATTR,    /* attributes or xattrs of `node` */
	STORE_CHANGE_BODY,    /* size or content of `node` */
};

typedef void (*store_change_fn)(void *ctx, enum store_change what, int64_t node, int64_t parent,
                                const char *name);

/* The listener runs in the committing thread and must only take note. */
void store_set_listener(struct store *s, store_change_fn fn, void *ctx);

/* ---- The tree as the user sees it: nodes ---- */

#define STORE_ROOT ((int64_t)1)
#define STORE_NAME_MAX 255

/* Numbered on disk, never renumbered */
enum store_kind {
	STORE_KIND_ROOT = 1,
	STORE_KIND_MAILBOX = 2,
	STORE_KIND_MESSAGE = 3,
	STORE_KIND_FILE = 4,    /* local file: being written, or scratch for good */
	STORE_KIND_DIR = 5,     /* local scratch directory */
	STORE_KIND_SYMLINK = 6, /* local scratch symlink */
};

/* What a Maildir's file name says of a message, in the order in which it says it. */
enum store_mark {
	STORE_MARK_DRAFT = 1 << 0,
	STORE_MARK_FLAGGED = 1 << 1,
	STORE_MARK_PASSED = 1 << 2,
	STORE_MARK_REPLIED = 1 << 3,
	STORE_MARK_SEEN = 1 << 4,
	STORE_MARK_TRASHED = 1 << 5,
	STORE_MARK_FLAGS = (1 << 6) - 1,
	STORE_MARK_CUR = 1 << 8,  /* put into cur/ by a program */
	STORE_MARK_NEW = 1 << 9,  /* put into new/ although it has a flag */
	STORE_MARK_OWN = 1 << 10, /* in `was` only: changed by the handle that renames */
};

/* One file or directory.  `id` is its inode number's base: persistent, never reused. */
struct store_node {
	int64_t id;
	int64_t parent; /* 0: not in the tree (removed, or waiting for that) */
	enum store_kind kind;
	uint32_t mode; /* permission bits */
	int64_t size;
	bool size_exact; /* false: the server's word for a body that is not here */
	int64_t mtime_ns, ctime_ns;
	uint32_t subdirs; /* child directories, for st_nlink */
	int64_t spool;    /* != 0: content is STATE_DIR/spool/N */
	int64_t crlf;     /* line ends of two bytes in the content; -1: not counted */
	int64_t view_ns;  /* of a directory: when a mark below it changed last */
	uint32_t mark;    /* enum store_mark */
	uint32_t was;     /* the one before the last change of it */
	char name[STORE_NAME_MAX + 1];
};

/* ERR_NOTFOUND; ERR_IO. */
int store_node_get(struct store *s, int64_t id, struct store_node *out);
int store_node_lookup(struct store *s, int64_t parent, const char *name, struct store_node *out);

/* Fills up to `max` children of `parent` whose id is greater than `after`, by id.
 * Returns how many. */
int store_node_list(struct store *s, int64_t parent, int64_t after, struct store_node *out,
                    int max);

/* The same of those in one part of a Maildir; `new` takes as long as it has entries. */
enum store_part {
	STORE_PART_DIRS, /* mailboxes and local directories */
	STORE_PART_NEW,
	STORE_PART_CUR,
};
int store_node_list_part(struct store *s, int64_t parent, enum store_part part, int64_t after,
                         struct store_node *out, int max);

/* A program put the message or file into cur/, or into new/. */
int store_node_put(struct store *s, int64_t id, bool cur);

/* In new/: nobody has touched it, or a program says so. */
bool store_mark_fresh(uint32_t mark);

/* Pairs of CR LF in the next part of a text; *last is the byte before it, 0 at the beginning. */
int64_t store_crlf_count(const void *data, size_t len, char *last);

/* What changes marks by this handle are renames of files: nobody looks for the names before. */
void store_set_renames(struct store *s);

/* The line ends of two bytes in the content, counted if need be.  ERR_NOTFOUND: not here. */
int store_node_crlf(struct store *s, const struct store_node *n, int64_t *count);

/* "INBOX/Sent": the node's path from the root without a leading slash; caller frees. */
int store_node_path(struct store *s, int64_t id, char **out);

/* The node at a path such as "INBOX/Sent"; ERR_NOTFOUND. */
int store_node_by_path(struct store *s, const char *path, struct store_node *out);

/* Creates a local file, directory or symlink (`target`).  ERR_EXISTS, ERR_NOTFOUND. */
int store_node_create(struct store *s, int64_t parent, const char *name, enum store_kind kind,
                      uint32_t mode, const char *target, struct store_node *out);

int store_symlink_target(struct store *s, int64_t id, char **out);

/* Attributes that stay local: bits outside the mask are left alone. */
enum store_set {
	STORE_SET_MODE = 1 << 0,
	STORE_SET_SIZE = 1 << 1, /* local files: recorded after the spool was written */
	STORE_SET_MTIME =
		1 << 2, /* alone also a message's, while its upload is not on its way: goes
	                             along as INTERNALDATE.  With SIZE a message keeps its date */
};

/* ERR_NOTFOUND; ERR_PERM: the date is the server's by now. */
int store_node_set(struct store *s, int64_t id, unsigned int mask, const struct store_node *from);

/* Takes a local file, symlink or empty local directory out.  The spool of a file goes
 * when no action refers to it.  ERR_NOTEMPTY. */
int store_node_remove(struct store *s, int64_t id);

/* Renames within what is local: any local node, or a message within its mailbox (its
 * local name only; nothing is logged).  A local file or message at the target is
 * replaced when `replace`: a replaced message is removed as store_message_remove() does
 * with `mode`.  ERR_EXISTS, ERR_NOTEMPTY, ERR_INVAL (across mailboxes: store_message_move()). */
int store_node_rename(struct store *s, int64_t id, int64_t parent, const char *name, bool replace,
                      int delete_mode);

/* The scratch names: editor and desktop litter that never reaches the server. */
bool store_name_is_scratch(const char *name);

/* ---- Content ---- */

/* Opens a spool file (O_RDWR | O_CLOEXEC plus `flags`); -1 with errno. */
int store_spool_open(struct store *s, int64_t spool, int flags);

/* The file's content is about to change: gives it a spool, or a copy of its own when an
 * action has frozen the one it has.  *spool is the one to write to.  ERR_NOTFOUND: the body of a
 * message that is not here. */
int store_spool_writable(struct store *s, int64_t node, int64_t *spool);
/* The same when all there is will be cut off: it may be empty, and need not be here. */
int store_spool_fresh(struct store *s, int64_t node, int64_t *spool);

/* A clean body, mapped: valid until store_close().  ERR_NOTFOUND: not here. */
int store_body_get(struct store *s, int64_t message, const void **data, size_t *len);
bool store_body_have(struct store *s, int64_t message);

/* Where a body begins that is fetched in pieces: appended with _part, becomes visible
 * whole with _end, which records its size as exact; dropped with _abort.  Between _begin
 * and _end other calls may run, other writers too, of the same thread as well. */
struct store_body_writer;
int store_body_begin(struct store *s, int64_t message, uint64_t expected,
                     struct store_body_writer **out);
int store_body_part(struct store_body_writer *w, const void *data, size_t len);
int store_body_end(struct store_body_writer **w);
void store_body_abort(struct store_body_writer **w);

/* Makes the spooled bytes of a message that the server now holds its clean body. */
int store_body_adopt(struct store *s, int64_t message);

/* Batches: bodies and pulls between these become durable and visible together. */
int store_batch_begin(struct store *s);
int store_batch_commit(struct store *s);
void store_batch_abort(struct store *s);

#endif
