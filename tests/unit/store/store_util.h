/* SPDX-License-Identifier: MIT */
#ifndef TEST_STORE_UTIL_H
#define TEST_STORE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "store_mailbox.h"
#include "store_message.h"
#include "store_op.h"
#include "store_priv.h"
#include "store_pull.h"

/* A store of its own in a fresh directory, with INBOX, Work and Trash. */
struct world {
	char dir[64];
	char *state, *cache;
	struct store *s;
	int64_t inbox, work, trash;
};

int world_up(void **state);
int world_down(void **state);
void world_reopen(struct world *w);

/* The server has a message: pulled; the id. */
int64_t world_pull(struct world *w, int64_t mailbox, uint32_t uid, const char *flags);
void world_body(struct world *w, int64_t id, const char *text);

/* A file with this text, uploaded; the id. */
int64_t world_upload(struct world *w, int64_t mailbox, const char *name, const char *text);
int64_t world_file(struct world *w, int64_t parent, const char *name, const char *text);

/* How many actions; the only one, asserted to be of `kind`. */
size_t world_ops(struct world *w);
struct store_op world_op(struct world *w, size_t index, enum store_op_kind kind);
char *world_flags(struct world *w, int64_t id);

#define OK(e) assert_int_equal((e), 0)

#endif
