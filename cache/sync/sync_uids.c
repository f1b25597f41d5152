/* SPDX-License-Identifier: MIT */
#include "sync_uids_priv.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* "4294967295," */
#define UID_BYTES 11

void sync_uids_add(struct sync_uids *u, uint32_t uid)
{
	if (u->count == u->cap) {
		u->cap = u->cap ? u->cap * 2 : 64;
		u->items = mem_realloc(u->items, u->cap, sizeof(*u->items));
	}
	u->items[u->count++] = uid;
}

void sync_uids_clear(struct sync_uids *u)
{
	u->count = 0;
}

void sync_uids_release(struct sync_uids *u)
{
	free(u->items);
	*u = (struct sync_uids){ 0 };
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void sync_uids_sort(struct sync_uids *u)
{
	size_t n = 0;

	if (u->count)
		qsort(u->items, u->count, sizeof(*u->items), compare);
	for (size_t i = 0; i < u->count; i++)
		if (u->items[i] != 0 && (n == 0 || u->items[n - 1] != u->items[i]))
			u->items[n++] = u->items[i];
	u->count = n;
}

bool sync_uids_index(const uint32_t *items, size_t count, uint32_t uid, size_t *index)
{
	const uint32_t *found = count ? bsearch(&uid, items, count, sizeof(*items), compare) : NULL;

	if (found)
		*index = (size_t)(found - items);
	return found != NULL;
}

size_t sync_uids_from(const uint32_t *items, size_t count, uint32_t uid)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (items[mid] < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void sync_uids_minus(struct sync_uids *u, const struct sync_uids *out)
{
	size_t n = 0, i;

	for (size_t k = 0; k < u->count; k++)
		if (!sync_uids_index(out->items, out->count, u->items[k], &i))
			u->items[n++] = u->items[k];
	u->count = n;
}

void sync_uids_drop_upto(struct sync_uids *u, uint32_t last)
{
	size_t n = 0;

	sync_uids_sort(u);
	while (n < u->count && u->items[n] <= last)
		n++;
	u->count -= n;
	if (n)
		memmove(u->items, u->items + n, u->count * sizeof(*u->items));
}

size_t sync_uids_chunk_before(const struct sync_uids *u, size_t end, size_t max, size_t bytes)
{
	size_t begin = end, cost = 0;

	while (begin > 0 && end - begin < max) {
		bool joins = begin < end && u->items[begin - 1] + 1 == u->items[begin];

		/* A run of neighbours costs its two ends. */
		if (!joins)
			cost += 2 * UID_BYTES;
		if (cost > bytes && begin < end)
			break;
		begin--;
	}
	return begin;
}
