/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_PRIV_H
#define MOUNT_PRIV_H

/*
 * The threads of a mount, each with its own store handle:
 *
 *   loop    mount_run()'s thread: takes requests from the kernel, answers from the store at
 *           once; never waits for the network, for sync or for another thread here
 *   park    answers reads that waited for a body, and those whose reader is gone; asks the
 *           loop in one rare case (mount_shrink.c)
 *   notify  tells the kernel what changed behind its back
 *   ahead   pushes bodies into the page cache before a sequential reader asks
 *   names   calls messages by their subject, where asked for
 *   settle  looks at files that rest after their last write, and makes messages of them
 *
 * The kernel may hold back `notify`, `ahead` and `settle` until the loop or `park` has answered
 * a request, so the loop never waits for another thread, `park` never for the other three, and no lock is held across a call
 * into the kernel that can come back as a request.
 */

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "mount.h"

/* Inode numbers: a node's id; the files of .imapfs have numbers that no node will reach. */
#define MOUNT_INO_VIRTUAL ((int64_t)1 << 56)
#define MOUNT_VIRTUAL_DIR ".imapfs"
#define MOUNT_INO_KEPT (MOUNT_INO_VIRTUAL + ((int64_t)1 << 48))
#define MOUNT_KEPT_DIRS 2
#define MOUNT_FILE_MAX ((int64_t)UINT32_MAX) /* IMAP counts a message's bytes in 32 bits */
#define MOUNT_GATHER_MS 200
#define MOUNT_FOREVER 86400000.0 /* seconds an entry or attribute holds: until told otherwise */

struct mount_notify;
struct mount_park;
struct mount_files;
struct mount_settle;
struct mount_ahead;
struct mount_dirs;
struct mount_virtuals;
struct mount_kepts;
struct mount_maildir;
struct mount_names;

/* An attribute's value whose size was just asked for: it is asked for itself next. */
struct mount_probed {
	uint64_t served;
	unsigned int changes;
	int64_t until_ms;
	fuse_ino_t ino;
	char name[64]; /* "": the list */
	char value[192];
	size_t len;
};

struct mount {
	struct mount_config cfg; /* its strings are ours */
	struct fuse_session *se;
	struct store *store; /* the loop's */
	struct sync *sync;
	int wake; /* eventfd: mount_stop() */
	atomic_bool stop;
	atomic_int threads; /* that may wait for the loop and have not ended */
	int running;        /* begun and not joined */
	bool mounted, init_done;
	bool expire; /* names can be expired without dropping what is below */
	uint64_t init_unique;
	uint64_t served;            /* requests so far */
	atomic_uint changes;        /* of the store, told so far */
	struct mount_probed probed; /* the loop's */
	struct mount_notify *notify;
	struct mount_park *park;
	struct mount_files *files;
	struct mount_aliases *aliases;
	struct mount_settle *settle;
	struct mount_ahead *ahead;
	struct mount_dirs *dirs;
	struct mount_virtuals *virtuals;
	struct mount_events *events;
	struct mount_kepts *kepts;
	struct mount_names *names;     /* NULL: names are as they are */
	struct mount_maildir *maildir; /* NULL: the plain layout */
	/* Names the request under way changes by the kernel's own hand. */
	struct mount_own {
		int64_t parent;
		const char *name;
	} own[2];
};

/* ---- mount_errno.c ---- */
int mount_errno(int err);

/* ---- mount_init.c: what is agreed with the kernel ---- */
void mount_op_init(void *m, struct fuse_conn_info *conn);
int mount_custom_io(struct fuse_session *se);

/* ---- mount_attr.c ---- */
void mount_stat(struct mount *m, const struct store_node *n, struct stat *st);
void mount_entry(struct mount *m, const struct store_node *n, struct fuse_entry_param *e);
void mount_reply_entry(struct mount *m, fuse_req_t req, const struct store_node *n);
void mount_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void mount_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void mount_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_op_access(fuse_req_t req, fuse_ino_t ino, int mask);
void mount_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
                      struct fuse_file_info *fi);
void mount_op_readlink(fuse_req_t req, fuse_ino_t ino);
void mount_op_statfs(fuse_req_t req, fuse_ino_t ino);

/* ---- mount_alias.c: inodes that the kernel has for a message beside its own ---- */
int mount_alias_start(struct mount *m);
void mount_alias_free(struct mount_aliases **aliases);
/* File `file`, which left the tree, is now known as `message`. */
void mount_alias_add(struct mount *m, int64_t file, int64_t message);
/* The node that the kernel's inode stands for. */
int64_t mount_alias_real(struct mount *m, fuse_ino_t ino);
/* The inode that the kernel is given for a node: once for each time that it is. */
fuse_ino_t mount_alias_give(struct mount *m, int64_t id);
/* The other inodes of a node; how many. */
size_t mount_alias_list(struct mount *m, int64_t id, int64_t *out, size_t max);
void mount_alias_forgotten(struct mount *m, fuse_ino_t ino, uint64_t nlookup);

/* ---- mount_dir.c ---- */
int mount_dirs_start(struct mount *m);
void mount_dirs_free(struct mount_dirs **d);
/* A file of directory `id` was read by request: its access time in the kernel is now void. */
void mount_dirs_count_read(struct mount_dirs *d, int64_t id);
/* All directories the kernel has listed, for a general invalidation; caller frees. */
int64_t *mount_dirs_listed(struct mount_dirs *d, size_t *count);
/* What the kernel is shown of a directory: as store_node_list(), and the name of one of these. */
int mount_dir_list(struct mount *m, struct store *s, int64_t id, int64_t after,
                   struct store_node *out, int max);
const char *mount_dir_name(struct mount *m, int64_t id, const struct store_node *n,
                           char buf[STORE_NAME_MAX + 1]);
void mount_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                      struct fuse_file_info *fi);
void mount_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                          struct fuse_file_info *fi);
void mount_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* ---- mount_read.c ---- */
void mount_op_open_none(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                   struct fuse_file_info *fi);
void mount_reply_range(fuse_req_t req, const void *data, size_t len, size_t size, off_t off);
/* A body as the layout shows it, and how long that is. */
void mount_reply_body(struct mount *m, fuse_req_t req, const void *data, size_t len, size_t size,
                      off_t off);
int64_t mount_shown_size(struct mount *m, const void *data, size_t len);

/* ---- mount_park.c: reads that wait for a body ---- */
int mount_park_start(struct mount *m);
int mount_park_run(struct mount *m);
void mount_park_ask(struct mount *m); /* all that wait are answered, none is taken any more */
void mount_park_join(struct mount *m);
void mount_park_free(struct mount_park **p);
/* `told`: the size that the kernel has been given for it. */
void mount_park_read(struct mount *m, fuse_req_t req, int64_t id, size_t size, off_t off,
                     int64_t told);

/* ---- mount_shrink.c ---- */
/* Sees to it that the kernel takes the file for no longer than `size`, before a waiting read
 * of it is answered.  Not for the loop. */
void mount_shrink(struct mount *m, struct store *s, int64_t id, int64_t size);

/* ---- mount_write.c ---- */
void mount_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                    struct fuse_file_info *fi);
void mount_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* ---- mount_copy.c ---- */
void mount_op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                              struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
                              struct fuse_file_info *fi_out, size_t len, int flags);

/* ---- mount_name.c, mount_rename.c ---- */
void mount_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void mount_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void mount_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void mount_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void mount_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                     const char *newname, unsigned int flags);
/* How long an action waits for others to go with it.  The hold of files that may not be whole yet
 * has passed before there is an action. */
static inline int mount_gather_ms(const struct mount *m)
{
	return m->cfg.hold_ms < MOUNT_GATHER_MS ? m->cfg.hold_ms : MOUNT_GATHER_MS;
}
/* Marks a name as changed by this request; cleared by mount_own_clear(). */
void mount_own_set(struct mount *m, int which, int64_t parent, const char *name);
void mount_own_clear(struct mount *m);
bool mount_name_reserved(int64_t parent, const char *name);
static inline bool mount_is_dir(const struct store_node *n)
{
	return n->kind == STORE_KIND_MAILBOX || n->kind == STORE_KIND_DIR ||
	       n->kind == STORE_KIND_ROOT;
}

/* ---- mount_xattr.c ---- */
void mount_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void mount_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                       size_t size, int flags);
void mount_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void mount_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ---- mount_virtual.c: .imapfs ---- */
int mount_virtuals_start(struct mount *m);
void mount_virtuals_free(struct mount_virtuals **v);
static inline bool mount_is_virtual(fuse_ino_t ino)
{
	return (int64_t)ino >= MOUNT_INO_VIRTUAL;
}
void mount_virtual_lookup(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_virtual_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino);
void mount_virtual_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off);
void mount_virtual_readdir(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           bool plus);
void mount_virtual_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup);
/* Owner and times, as all below .imapfs has them; `ns` -1: of the start. */
void mount_virtual_owner(struct mount *m, struct stat *st, int64_t ns);

/* ---- mount_events.c: .imapfs/events ---- */
#define MOUNT_EVENTS_NAME "events"
#define MOUNT_INO_EVENTS (MOUNT_INO_VIRTUAL + ((int64_t)1 << 47))
static inline bool mount_is_events(fuse_ino_t ino)
{
	return (int64_t)ino >= MOUNT_INO_EVENTS && (int64_t)ino < MOUNT_INO_KEPT;
}
int mount_events_start(struct mount *m);
void mount_events_free(struct mount_events **events);
void mount_events_lookup(struct mount *m, fuse_req_t req);
void mount_events_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino);
void mount_events_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off);
void mount_events_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup);
/* A change that did not come through the mount; the notify thread's. */
void mount_events_note(struct mount *m, enum store_change what, int64_t node, int64_t parent,
                       const char *name);

/* ---- mount_kept.c: directories below .imapfs ---- */
int mount_kepts_start(struct mount *m);
void mount_kepts_free(struct mount_kepts **k);
static inline bool mount_is_kept(fuse_ino_t ino)
{
	return (int64_t)ino >= MOUNT_INO_KEPT;
}
bool mount_kept_is_dir(fuse_ino_t ino);
const char *mount_kept_dir_name(int dir); /* below MOUNT_KEPT_DIRS */
/* False: no directory of that name, and nothing is answered. */
bool mount_kept_dir_lookup(struct mount *m, fuse_req_t req, const char *name);
void mount_kept_lookup(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_kept_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino);
void mount_kept_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off);
void mount_kept_readdir(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        bool plus);
void mount_kept_unlink(struct mount *m, fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_kept_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup);

/* ---- mount_maildir*.c: the other layout.  Each is called only where m->maildir is set ---- */
int mount_maildir_start(struct mount *m);
/* Nothing is served any more: empty tmp/ directories go, the plain layout would show them. */
void mount_maildir_end(struct mount *m);
void mount_maildir_free(struct mount_maildir **d);
/* Puts its own functions in place of those that take a name or show a content. */
void mount_maildir_ops(struct fuse_lowlevel_ops *ops);
/* As store_node_list() and the name in it, for a directory as the kernel knows it. */
int mount_maildir_list(struct mount *m, struct store *s, fuse_ino_t dir, int64_t after,
                       struct store_node *out, int max);
const char *mount_maildir_name(struct mount *m, fuse_ino_t dir, const struct store_node *n,
                               char buf[STORE_NAME_MAX + 1]);
/* Size and links of a node as they are shown. */
void mount_maildir_stat(struct mount *m, const struct store_node *n, struct stat *st);
/* A body with LF line ends, from a place that is kept for the next read (NULL: none). */
struct mount_lf_place;
void mount_maildir_reply(struct mount_lf_place *place, fuse_req_t req, const void *data, size_t len,
                         size_t size, off_t off);
/* By how many bytes it is shorter then; and all of it in memory of its own. */
int64_t mount_maildir_shorter(const void *data, size_t len);
char *mount_maildir_body(const void *data, size_t len, size_t *shown);
/* Whose listing a message belongs to. */
int64_t mount_maildir_listing(int64_t mailbox);
/* Its path below the mount point; the caller frees. */
int mount_maildir_path(struct mount *m, struct store *s, int64_t id, char **out);
/* The spool of a message that is about to be written gets LF line ends; *size is its new one. */
int mount_maildir_writable(struct mount *m, struct store *s, int64_t id, int64_t spool,
                           int64_t *size);
/* Tells the kernel of a change of the store. */
void mount_maildir_tell(struct mount *m, struct store *s, enum store_change what, int64_t node,
                        int64_t parent, const char *name);

/* mount_path.c: the same for either layout */
int mount_path(struct mount *m, struct store *s, int64_t id, char **out);

/*
 * ---- The threads ----
 * _start makes what others use, _run begins the thread once the kernel answers, _ask tells it
 * to end, _join waits for that, _free undoes _start.
 */
int mount_notify_start(struct mount *m);
int mount_notify_run(struct mount *m);
void mount_notify_ask(struct mount *m);
void mount_notify_join(struct mount *m);
void mount_notify_free(struct mount_notify **n);
/* The same as mount_on_change(), for changes of the mount's own. */
void mount_notify_add(struct mount *m, enum store_change what, int64_t node, int64_t parent,
                      const char *name);
/* Of one node, at once and with its aliases; from the thread that may wait for the kernel. */
void mount_notify_node(struct mount *m, int64_t node, off_t off);
/* The content of a node changed under the kernel's pages. */
void mount_notify_content(struct mount *m, int64_t node);

int mount_ahead_start(struct mount *m);
int mount_ahead_run(struct mount *m);
void mount_ahead_ask(struct mount *m);
void mount_ahead_join(struct mount *m);
void mount_ahead_free(struct mount_ahead **a);
/* File `id` was read from its beginning, by request. */
void mount_ahead_saw(struct mount_ahead *a, int64_t id);

int mount_settle_start(struct mount *m);
int mount_settle_run(struct mount *m);
void mount_settle_ask(struct mount *m);
void mount_settle_join(struct mount *m);
void mount_settle_free(struct mount_settle **s);
/* A file has to be looked at later. */
void mount_settle_wake(struct mount *m);

/* mount_names.c: names by subject */
int mount_names_start(struct mount *m);
int mount_names_run(struct mount *m);
void mount_names_ask(struct mount *m);
void mount_names_join(struct mount *m);
void mount_names_free(struct mount_names **n);
/* A body is here. */
void mount_names_body(struct mount *m, int64_t id);
/* As store_node_lookup() with the loop's store; a message by the other one of its names too. */
int mount_find(struct mount *m, int64_t parent, const char *name, struct store_node *n);

/* Said by each of them as the last thing. */
void mount_thread_ended(struct mount *m);

/* ---- mount_held.c ---- */
enum mount_held {
	MOUNT_HELD_NO,
	MOUNT_HELD_YES,     /* somebody can still write it, or it is on the move */
	MOUNT_HELD_UNKNOWN, /* this system does not say */
};
/* Does anybody hold the file open for writing?  Asks the kernel through the mount: never from
 * the loop, never with a lock. */
enum mount_held mount_held(struct mount *m, struct store *s, int64_t id);

/* ---- mount_stale.c ---- */
/* Unmounts what a dead daemon of our kind left at the mountpoint.  ERR_EXISTS: alive. */
int mount_clear_stale(const char *mountpoint, const char *subtype, struct err_reason *why);

#endif
