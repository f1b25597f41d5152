/* SPDX-License-Identifier: MIT */
#include "imap_resp.h"

bool imap_set_has(const struct imap_set *set, uint32_t n)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->ranges[i].first <= n && n <= set->ranges[i].last)
			return true;
	return false;
}

static uint64_t range_size(const struct imap_range *r)
{
	return (uint64_t)r->last - r->first + 1;
}

uint64_t imap_set_size(const struct imap_set *set, uint64_t max)
{
	uint64_t n = 0;

	for (size_t i = 0; i < set->count && n <= max; i++)
		n += range_size(&set->ranges[i]);
	return n > max ? max + 1 : n;
}

uint32_t imap_set_nth(const struct imap_set *set, uint64_t i)
{
	for (size_t k = 0; k < set->count; k++) {
		uint64_t n = range_size(&set->ranges[k]);

		if (i < n)
			return (uint32_t)(set->ranges[k].first + i);
		i -= n;
	}
	return 0;
}
