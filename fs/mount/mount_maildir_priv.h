/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_MAILDIR_PRIV_H
#define MOUNT_MAILDIR_PRIV_H

#include "mount_file_priv.h"
#include "mount_lf.h"
#include "mount_maildir.h"

/*
 * `-o layout=maildir`: the same store, seen as Maildirs.  A mailbox M is a directory with cur/,
 * new/ and tmp/ and its child mailboxes.  Requests are translated: their directory and name into
 * those that the store has, and then done by the same functions as in the plain layout.
 *
 *   cur/, new/  the messages and files of M; which of them, the mark of each says
 *   tmp/        a local directory in M, made when first needed: nothing in it is a message
 *
 * Inode numbers: a node has its own.  The three directories have M's with the part above it.  A
 * name that a message had until another client changed its flags leads to an alias of it, because
 * the kernel takes a rename between two names of one inode for done.
 */
#define MAILDIR_PART_SHIFT 53
#define MAILDIR_ALIAS ((fuse_ino_t)1 << 55)
#define MAILDIR_TMP_NAME ".maildir.tmp"            /* a scratch name: stays on this machine */
#define MAILDIR_WAS_NS ((int64_t)600 * 1000000000) /* how long the name before is good */
#define MAILDIR_LEFT 32

enum maildir_part {
	MAILDIR_NODE, /* no part: a node of the store */
	MAILDIR_CUR,
	MAILDIR_NEW,
	MAILDIR_TMP,
};

struct mount_maildir {
	char separator;
	struct mount_lf_place place; /* of the loop's last read, which was of this message: */
	int64_t place_of;
	/* Names in tmp/ that were linked to a real name and not removed yet. */
	struct maildir_left {
		int64_t dir, node;
		char name[STORE_NAME_MAX + 1];
	} left[MAILDIR_LEFT];
	size_t next_left;
};

static inline enum maildir_part maildir_part(fuse_ino_t ino)
{
	return (enum maildir_part)(((uint64_t)ino >> MAILDIR_PART_SHIFT) & 3);
}

static inline fuse_ino_t maildir_ino(int64_t mailbox, enum maildir_part part)
{
	return (fuse_ino_t)mailbox | (fuse_ino_t)part << MAILDIR_PART_SHIFT;
}

/* The node behind an inode number: of an alias its message, of a part its mailbox. */
static inline int64_t maildir_id(fuse_ino_t ino)
{
	return (int64_t)ino & (((int64_t)1 << MAILDIR_PART_SHIFT) - 1);
}

/* What a name in a directory leads to. */
struct maildir_found {
	struct store_node n;      /* n.id is a part's inode number for cur/, new/ and tmp/ */
	struct maildir_name name; /* in cur/ and new/ */
	bool alias;               /* the name is the one it had before */
};

/* Inode -> node, as it is to be shown; parts too. */
int maildir_node(struct mount *m, struct store *s, fuse_ino_t ino, struct store_node *n);

/* Directory and name as the kernel knows them -> node.  With `any` by whatever name it had. */
int maildir_find(struct mount *m, fuse_ino_t dir, const char *name, bool any,
                 struct maildir_found *out);

/* tmp/ of a mailbox; `make`: makes it.  ERR_NOTFOUND. */
int maildir_tmp(struct mount *m, struct store *s, int64_t mailbox, bool make, int64_t *id);

/* Where a node is shown: the part of its mailbox. */
enum maildir_part maildir_part_of(const struct store_node *n);

void maildir_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void maildir_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void maildir_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void maildir_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void maildir_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void maildir_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void maildir_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                       const char *newname, unsigned int flags);
void maildir_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi);

#endif
