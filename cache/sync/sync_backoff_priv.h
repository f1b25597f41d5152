/* SPDX-License-Identifier: MIT */
#ifndef SYNC_BACKOFF_PRIV_H
#define SYNC_BACKOFF_PRIV_H

#include <stdint.h>

/* How long to wait before the next attempt. */
struct sync_backoff {
	int step;
	uint32_t seed;
};

void sync_backoff_reset(struct sync_backoff *b);

/*
 * After a failed attempt with `err`: milliseconds, with jitter.  While nothing answers at all the
 * wait doubles from 1 s to 5 s, so that a network that is back is noticed at once; a server that
 * spoke and refused is left alone, doubling to 5 min; wrong credentials or certificates
 * wait 5 min, because each attempt may cost the account a penalty.
 */
int64_t sync_backoff_next(struct sync_backoff *b, int err);

/* The same for an action that was refused for now, by how often it was tried. */
int64_t sync_backoff_for_try(struct sync_backoff *b, int tries);

#endif
