/* SPDX-License-Identifier: MIT */
#include "sync_backoff_priv.h"

#include "clock.h"
#include "err.h"

#define LONG_MS (5 * 60 * 1000)
#define SHORT_MS 5000

/* A quarter less to a quarter more, so that clients do not come back in step. */
static int64_t jitter(struct sync_backoff *b, int64_t ms)
{
	if (b->seed == 0)
		b->seed = (uint32_t)clock_wall_ns() | 1;
	b->seed ^= b->seed << 13;
	b->seed ^= b->seed >> 17;
	b->seed ^= b->seed << 5;
	return ms - ms / 4 + (int64_t)(b->seed % (uint32_t)(ms / 2 + 1));
}

static int64_t doubled(int step, int64_t cap_ms)
{
	int64_t ms = 1000;

	for (int i = 0; i < step && ms < cap_ms; i++)
		ms *= 2;
	return ms < cap_ms ? ms : cap_ms;
}

void sync_backoff_reset(struct sync_backoff *b)
{
	b->step = 0;
}

int64_t sync_backoff_next(struct sync_backoff *b, int err)
{
	int64_t cap = LONG_MS;

	if (err == ERR_AUTH || err == ERR_TLS)
		return jitter(b, LONG_MS);
	if (err == ERR_OFFLINE || err == ERR_TIMEOUT)
		cap = SHORT_MS;
	return jitter(b, doubled(b->step++, cap));
}

int64_t sync_backoff_for_try(struct sync_backoff *b, int tries)
{
	return jitter(b, doubled(tries, LONG_MS));
}
