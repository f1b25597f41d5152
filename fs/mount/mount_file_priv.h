/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_FILE_PRIV_H
#define MOUNT_FILE_PRIV_H

#include "mount_priv.h"

/*
 * Files whose content lies in a spool file: the open descriptors (a bounded number), and what
 * is newer here than in the store.  Under one lock, shared by the loop and the settle thread.
 * Whoever holds it may call the store, never the kernel's mount.
 */
struct mount_file {
	int64_t id, parent;
	int64_t spool;
	int fd; /* -1: closed meanwhile */
	int64_t size, mtime_ns;
	int64_t ctime_ns;        /* of the last change; 0: none yet */
	bool dirty;              /* size or mtime are newer here than in the store */
	bool write_ok;           /* the spool is this file's own */
	bool dated;              /* stands for a message and shows that one's date */
	bool copied;             /* dated because it is a copy, until it is written otherwise */
	bool candidate;          /* to be looked at when it rests */
	bool unlinked;           /* out of the tree, kept for those who still hold it */
	int64_t changed_ms;      /* monotonic, of the last change */
	int64_t look_ms;         /* monotonic, of the next look; 0: when the hold is over */
	unsigned int change;     /* counts changes */
	char *reason;            /* why it is no message */
	struct mount_file *next; /* of its hash chain */
	struct mount_file *newer, *older; /* of the open ones that can be opened again */
};

int mount_files_start(struct mount *m);
void mount_files_free(struct mount_files **f);
void mount_files_lock(struct mount *m);
void mount_files_unlock(struct mount *m);

/* ---- With the lock held ---- */

struct mount_file *mount_file_find(struct mount *m, int64_t id);
/* The entry of a node, made if there is none. */
struct mount_file *mount_file_get(struct mount *m, const struct store_node *n);
void mount_file_drop(struct mount *m, struct mount_file *f);
/* Opens its spool for reading, or makes it writable. */
int mount_file_open(struct mount *m, struct store *s, struct mount_file *f);
int mount_file_open_write(struct mount *m, struct store *s, struct mount_file *f);
/* The same for what is about to be cut to nothing. */
int mount_file_open_fresh(struct mount *m, struct store *s, struct mount_file *f);
void mount_file_written(struct mount *m, struct mount_file *f);
/* Its content changed by way of inode `ino`: the kernel's pages of the others it has are void. */
void mount_file_tell(struct mount *m, const struct mount_file *f, fuse_ino_t ino);
void mount_file_close(struct mount *m, struct mount_file *f);
void mount_file_touch(struct mount *m, struct mount_file *f);
/* Records what is newer here. */
int mount_file_record(struct store *s, struct mount_file *f);
/* Looks at the beginning of the file; sets the reason.  True: surely no message. */
bool mount_file_refused(struct mount_file *f);
/* Calls fn for each entry; fn may drop the one it is given. */
void mount_files_each(struct mount *m, void (*fn)(struct mount *m, struct mount_file *f, void *ctx),
                      void *ctx);

/* ---- Takes the lock ---- */

/* Shows in *n what is newer here. */
void mount_file_overlay(struct mount *m, struct store_node *n);
/* True and *n when an unlinked file is still held. */
bool mount_file_unlinked(struct mount *m, int64_t id, struct store_node *n);
/* Before a node leaves the tree: opens its content, and after that: keeps it for those who hold it.
 * The lock is held from the one to the other.  ERR_BUSY: too many are held. */
int mount_file_hold(struct mount *m, struct store *s, const struct store_node *n);
void mount_file_left(struct mount *m, int64_t id);
/* The file becomes the message's content and leaves; what is still done to it is done to the message. */
int mount_file_join(struct mount *m, struct store *s, const struct store_node *message,
                    int64_t file, enum store_edit how);
void mount_file_forgotten(struct mount *m, int64_t id);
/* The content of a message was changed by way of another file: looks at it when it rests. */
void mount_file_edited(struct mount *m, const struct store_node *message);
/* A name was made or changed: looks at it later if it can become a message. */
void mount_file_named(struct mount *m, const struct store_node *n);

/* The entry of a node with a spool that may be written; the lock is held. */
int mount_write_open(struct mount *m, int64_t id, struct mount_file **out);
int mount_write_all(int fd, const char *data, size_t size, off_t off, size_t *done);
/* 0, or why the content of this node may not be changed. */
int mount_write_allowed(struct mount *m, const struct store_node *n);

#endif
