/* SPDX-License-Identifier: MIT */
#ifndef FAKE_SYNC_H
#define FAKE_SYNC_H

#include "sync.h"

/* A sync without a network, told what to do by files in `dir`. */
struct sync *fake_sync_new(const char *dir, const char *state_dir, const char *cache_dir);
void fake_sync_free(struct sync *s);

/* What the mount asked of it so far. */
int fake_sync_kicks(struct sync *s);
int fake_sync_ahead(struct sync *s);
int fake_sync_waiting(struct sync *s);

#endif
