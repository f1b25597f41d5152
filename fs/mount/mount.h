/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_H
#define MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "store.h"
#include "store_message.h"
#include "sync.h"

/*
 * The FUSE front end: turns kernel requests into store calls.  It knows inodes and
 * errno, no SQL and no IMAP.
 */
struct mount;

/* Text of a file below .imapfs/, made at look-up; caller frees *out. */
typedef int (*mount_virtual_fn)(void *ctx, char **out, size_t *len);

struct mount_virtual {
	const char *name; /* "status" */
	mount_virtual_fn make;
	void *ctx;
};

struct mount_config {
	const char *mountpoint; /* absolute, resolved */
	const char *fsname;     /* user@host, shown in /proc/mounts */
	const char *subtype;    /* imapfs */
	const char *state_dir, *cache_dir;
	struct sync *sync; /* set by mount_set_sync() when NULL here */
	enum store_delete delete_mode;
	int hold_ms;
	int timeout_ms; /* longest wait of a read for a body */
	bool read_only, allow_other, default_permissions, debug;
	int64_t uid, gid;      /* -1: the caller's */
	uint32_t fmask, dmask; /* permission bits that files and directories never have */
	bool subjects;         /* messages are named by sender and subject */
	bool maildir;          /* each mailbox is shown as a Maildir */
	char separator;        /* before the flags in its names; 0: ':' */
	const char *extra;     /* further words for libfuse's -o, or NULL */
	const struct mount_virtual *virtuals;
	size_t virtual_count;
};

/* Mounts.  ERR_EXISTS: something is mounted there; ERR_NOTEMPTY is the caller's check;
 * ERR_PERM, ERR_IO with a reason.  *out is the caller's. */
int mount_open(const struct mount_config *cfg, struct mount **out, struct err_reason *why);

/* The sync whose store_change_fn is mount_on_change(); before mount_run(). */
void mount_set_sync(struct mount *m, struct sync *sync);

/* For sync_config.on_change: takes note, a thread of the mount tells the kernel. */
void mount_on_change(void *mount, enum store_change what, int64_t node, int64_t parent,
                     const char *name);

/* Serves until unmounted or mount_stop(); `ready` is called once when the file system
 * answers.  Returns 0 after a clean unmount. */
int mount_run(struct mount *m, void (*ready)(void *ctx), void *ctx);

/* Makes mount_run() return soon.  Async-signal-safe. */
void mount_stop(struct mount *m);

/* Unmounts if still mounted, within two seconds, and frees all.  Safe on NULL. */
void mount_close(struct mount **m);

/* Files closed and rested that have not been queued yet are queued now: for `imapfs sync`. */
void mount_settle(struct mount *m);

/* Waits, no longer than that, until the kernel has been told of all that changed before the call: it
 * answers what it knows without asking, and is told by a thread of its own. */
void mount_await_told(struct mount *m, int64_t deadline_ms);

/* Files written and not yet uploads, for status. */
int64_t mount_open_files(struct mount *m);

#endif
