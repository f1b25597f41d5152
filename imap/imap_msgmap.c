/* SPDX-License-Identifier: MIT */
#include "imap_msgmap.h"

#include <string.h>

#include "mem.h"

/* The server may claim any count.  The UID comes with what it says as a rule, so that it is no loss
 * when numbers above this one stand for no UID. */
#define MAX_ENTRIES ((uint32_t)1 << 20)

struct imap_msgmap {
	uint32_t *uids; /* uids[number - 1]; 0 = unknown.  Known ones ascend */
	uint32_t count, cap;
};

struct imap_msgmap *imap_msgmap_new(void)
{
	return mem_alloc(sizeof(struct imap_msgmap));
}

void imap_msgmap_free(struct imap_msgmap **m)
{
	if (!*m)
		return;
	free((*m)->uids);
	free(*m);
	*m = NULL;
}

void imap_msgmap_clear(struct imap_msgmap *m)
{
	m->count = 0;
}

/* A server may claim any count: memory that is not there is a refusal, not an end. */
static bool make_room(struct imap_msgmap *m, uint32_t count)
{
	uint32_t *grown;
	uint32_t cap = m->cap ? m->cap : 64;

	if (count <= m->cap)
		return true;
	while (cap < count)
		cap = cap > MAX_ENTRIES / 2 ? MAX_ENTRIES : cap * 2;
	grown = realloc(m->uids, (size_t)cap * sizeof(*grown));
	if (!grown)
		return false;
	m->uids = grown;
	m->cap = cap;
	return true;
}

bool imap_msgmap_set_exists(struct imap_msgmap *m, uint32_t count)
{
	if (count < m->count || count > MAX_ENTRIES || !make_room(m, count))
		return false;
	if (count > m->count)
		memset(m->uids + m->count, 0, (size_t)(count - m->count) * sizeof(*m->uids));
	m->count = count;
	return true;
}

uint32_t imap_msgmap_count(const struct imap_msgmap *m)
{
	return m->count;
}

void imap_msgmap_set(struct imap_msgmap *m, uint32_t number, uint32_t uid)
{
	if (number > 0 && number <= m->count)
		m->uids[number - 1] = uid;
}

uint32_t imap_msgmap_uid(const struct imap_msgmap *m, uint32_t number)
{
	return number > 0 && number <= m->count ? m->uids[number - 1] : 0;
}

static void remove_at(struct imap_msgmap *m, uint32_t i)
{
	memmove(m->uids + i, m->uids + i + 1, (size_t)(m->count - i - 1) * sizeof(*m->uids));
	m->count--;
}

uint32_t imap_msgmap_expunge(struct imap_msgmap *m, uint32_t number)
{
	uint32_t uid = imap_msgmap_uid(m, number);

	if (number > 0 && number <= m->count)
		remove_at(m, number - 1);
	return uid;
}

/* Binary search over ascending UIDs; unknown entries are stepped over to the right. */
static bool find(const struct imap_msgmap *m, uint32_t uid, uint32_t *at)
{
	uint32_t low = 0, high = m->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2, probe = mid;

		while (probe < high && m->uids[probe] == 0)
			probe++;
		if (probe == high) {
			high = mid;
			continue;
		}
		if (m->uids[probe] == uid) {
			*at = probe;
			return true;
		}
		if (m->uids[probe] < uid)
			low = probe + 1;
		else
			high = mid;
	}
	return false;
}

bool imap_msgmap_vanish(struct imap_msgmap *m, uint32_t uid)
{
	uint32_t at;

	if (uid == 0 || !find(m, uid, &at))
		return false;
	remove_at(m, at);
	return true;
}
