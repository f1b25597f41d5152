/* SPDX-License-Identifier: MIT */
#include "mount_ahead.h"

int64_t ahead_seq_saw(struct ahead_seq *q, int64_t dir, int64_t id, int steps)
{
	bool pushed = q->dir == dir && q->until != 0 && id > q->last && id <= q->until;
	bool follows = q->dir == dir && (pushed || steps > 0 || id == q->until);

	if (dir == q->dir && id == q->last)
		return -1;
	q->run = follows ? q->run + 1 : 0;
	if (!follows)
		q->until = 0;
	q->dir = dir;
	q->last = id;
	if (q->run < AHEAD_RUN)
		return -1;
	if (!pushed)
		return id;
	return id >= q->mark ? q->until : -1;
}
