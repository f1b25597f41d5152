/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

/* Why an action failed, as its row says it: numbers of the disk alone, never changed or given anew,
 * so that an old log still means what it meant when `enum err` has moved on. */
static const struct {
	int err, disk;
} numbers[] = {
	{ ERR_OK, 0 },         { ERR_IO, -1 },        { ERR_PROTO, -2 },     { ERR_LIMIT, -3 },
	{ ERR_OFFLINE, -4 },   { ERR_AUTH, -5 },      { ERR_NOTFOUND, -6 },  { ERR_EXISTS, -7 },
	{ ERR_PERM, -8 },      { ERR_QUOTA, -9 },     { ERR_CONFLICT, -10 }, { ERR_REFUSED, -11 },
	{ ERR_TIMEOUT, -12 },  { ERR_TLS, -13 },      { ERR_NOSPACE, -14 },  { ERR_INVAL, -15 },
	{ ERR_TOOBIG, -16 },   { ERR_NOTEMPTY, -17 }, { ERR_BUSY, -18 },     { ERR_READONLY, -19 },
	{ ERR_CANCELED, -20 }, { ERR_LOCKED, -21 },   { ERR_VERSION, -22 },  { ERR_BLOCKED, -23 },
};

#define COUNT (sizeof(numbers) / sizeof(numbers[0]))

/* What is not in the table was refused, for all that is known: the reason stands beside it. */
#define UNKNOWN (-11)

int64_t store_err_to_disk(int err)
{
	for (size_t i = 0; i < COUNT; i++)
		if (numbers[i].err == err)
			return numbers[i].disk;
	return UNKNOWN;
}

int store_err_from_disk(int64_t disk)
{
	for (size_t i = 0; i < COUNT; i++)
		if (numbers[i].disk == disk)
			return numbers[i].err;
	return ERR_REFUSED;
}
