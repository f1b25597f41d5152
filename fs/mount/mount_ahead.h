/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_AHEAD_H
#define MOUNT_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Tells a reader who goes through a directory in its order (grep -r) from one who opens a
 * message here and there.  Pure: the caller tells where in the directory's order a file is.
 */
struct ahead_seq {
	int64_t dir;   /* where the last read was; 0: nowhere yet */
	int64_t last;  /* the file that was read */
	int run;       /* how many reads followed one another closely */
	int64_t until; /* the last file already pushed; 0: none */
	int64_t mark;  /* a read from here on, up to `until`, means that more is wanted */
};

#define AHEAD_NEAR 16 /* a reader may skip so many */
#define AHEAD_RUN 2   /* steps before it counts as one */
#define AHEAD_WINDOW 128

/* Notes a read of `id` in `dir`; `steps` files after the last one in the directory's order
 * (0 or less: not after it, or further than was looked).  Returns where to push from: the
 * file after which to begin, or -1 for nothing. */
int64_t ahead_seq_saw(struct ahead_seq *q, int64_t dir, int64_t id, int steps);

#endif
