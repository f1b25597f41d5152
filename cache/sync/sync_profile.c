/* SPDX-License-Identifier: MIT */
#include <strings.h>

#include "clock.h"
#include "sync_pass_priv.h"

/*
 * What is fetched of a mailbox unasked (RFC 4549 4.3 to 4.6):
 *
 *              descriptors   flags, expunges   bodies
 *   full       all           all               wanted ones: by size and age
 *   headers    all           all               none
 *   new-only   new ones      -                 wanted ones
 *   blind      new ones      -                 small ones of new messages in the same answer, so that
 *                                              one turnaround brings all; then as new-only
 *   none       -             -                 none
 *
 * The first pass over a mailbox brings all descriptors, except for "none".
 */
enum {
	BLIND_BYTES = 256 * 1024, /* of each body that is asked for before its size is known, */
	BLIND_MESSAGES = 100      /* when there are no more than so many */
};

/* By its own profile if it has one, else by the rules for all: the INBOX counts as subscribed. */
static enum store_profile profile_of(const struct sync *s, const struct store_mailbox *m)
{
	if (m->profile != STORE_PROFILE_DEFAULT)
		return m->profile;
	if (s->cfg.subscribed_only && !m->subscribed && m->wire_name &&
	    strcasecmp(m->wire_name, "INBOX") != 0)
		return STORE_PROFILE_NONE;
	return s->cfg.profile;
}

bool sync_profile_scans(const struct sync *s, const struct store_mailbox *m)
{
	return m->selectable && m->wire_name && !m->missing_since_ms &&
	       profile_of(s, m) != STORE_PROFILE_NONE;
}

bool sync_profile_bodies(const struct sync *s, const struct store_mailbox *m)
{
	switch (profile_of(s, m)) {
	case STORE_PROFILE_DEFAULT:
	case STORE_PROFILE_FULL:
	case STORE_PROFILE_NEW_ONLY:
	case STORE_PROFILE_BLIND:
		return sync_profile_scans(s, m);
	case STORE_PROFILE_HEADERS:
	case STORE_PROFILE_NONE:
		return false;
	}
	return false;
}

bool sync_profile_new_only(const struct sync *s, const struct store_mailbox *m)
{
	enum store_profile p = profile_of(s, m);

	return (p == STORE_PROFILE_NEW_ONLY || p == STORE_PROFILE_BLIND) && m->uidnext > 1;
}

uint64_t sync_profile_blind(const struct sync *s, const struct store_mailbox *m, uint32_t uidnext)
{
	uint64_t max = s->cfg.max_size;

	if (profile_of(s, m) != STORE_PROFILE_BLIND || m->uidnext <= 1 || uidnext <= m->uidnext ||
	    uidnext - m->uidnext > BLIND_MESSAGES)
		return 0;
	return max && max < BLIND_BYTES ? max : BLIND_BYTES;
}

int64_t sync_profile_since(const struct sync *s)
{
	int days = s->cfg.max_age_days;

	return days ? clock_wall_ns() / 1000000000 - (int64_t)days * 86400 : 0;
}
