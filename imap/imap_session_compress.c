/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "imap_session_priv.h"
#include "log.h"

/*
 * When to compress.  It pays where the link is what is waited for: on a fast one the time
 * that both sides spend on it is longer than what is saved.  So the rate at which replies
 * come is measured, by the time spent waiting for the rest of one that has begun: then the
 * server has said what it has, and is not at work finding it.
 */

#define SAMPLE_BYTES (256 << 10)
#define SLOW_SAMPLES 2 /* one after the other: a stall is no slow link */
#define SLOW_BYTES_PER_S (4 << 20)
#define STALL_US 500000 /* a longer wait says no more than this one */

void imap_session_measure(struct imap_session *s, int64_t waited_us)
{
	if (waited_us > 0 && s->in.len > s->in_pos)
		s->waited_us += (uint64_t)(waited_us < STALL_US ? waited_us : STALL_US);
}

static void on_end(void *ctx, const struct imap_result *res)
{
	struct imap_session *s = ctx;

	if (res->resp == NULL || res->resp->cond != IMAP_COND_OK)
		return;
	/* from the next byte on the server compresses */
	s->compress_rest = true;
}

static void ask(struct imap_session *s, uint64_t rate)
{
	struct imap_cmd *cmd = imap_cmd_new("COMPRESS");

	log_debug("imap: %llu KB/s: compressing", (unsigned long long)rate >> 10);
	imap_cmd_raw(cmd, "DEFLATE");
	imap_entry_queue_own(s, &cmd, IMAP_ENTRY_ALONE, on_end, s);
	s->compress_asked = true;
}

void imap_session_weigh(struct imap_session *s, size_t received)
{
	uint64_t rate;

	if (s->compress_asked || s->state < IMAP_STATE_AUTHENTICATED ||
	    s->state == IMAP_STATE_CLOSED)
		return;
	s->measured += received;
	if (s->measured < SAMPLE_BYTES)
		return;
	rate = s->waited_us > 0 ? s->measured * 1000000 / s->waited_us : UINT64_MAX;
	s->measured = s->waited_us = 0;
	s->slow_samples = rate < SLOW_BYTES_PER_S ? s->slow_samples + 1 : 0;
	if (s->slow_samples >= SLOW_SAMPLES && imap_session_has(s, "COMPRESS=DEFLATE"))
		ask(s, rate);
}

int imap_session_start_compress(struct imap_session *s)
{
	int r = imap_conn_start_deflate(s->conn, s->in.data + s->in_pos, s->in.len - s->in_pos);

	s->compress_rest = false;
	if (r < 0)
		return imap_session_fail(s, r, "compression is not available");
	imap_session_drop_input(s);
	return 0;
}
