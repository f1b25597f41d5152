/* SPDX-License-Identifier: MIT */
#ifndef IMAP_AUTH_PRIV_H
#define IMAP_AUTH_PRIV_H

#include "imap_session_priv.h"

/* What a mechanism tells whoever listens, or plays the server. */
enum imap_rank {
	IMAP_RANK_CLEAR = 1, /* the secret itself */
	IMAP_RANK_PROOF,     /* that we know it, and enough to guess at it */
	IMAP_RANK_MUTUAL,    /* the same, and the server has to prove that it knows it, too */
	IMAP_RANK_BOUND,     /* and that nobody sits between us and it */
};

enum imap_need { IMAP_NEED_PASSWORD, IMAP_NEED_TOKEN, IMAP_NEED_CERT, IMAP_NEED_TICKET };

struct imap_mech {
	const char *name;
	const char *word; /* the capability that offers it; NULL: the command LOGIN */
	enum imap_need need;
	enum imap_rank rank;
};

/* What there is to choose from. */
struct imap_choice {
	const struct imap_session *s;
	const struct imap_options *opt;
	bool shielded;        /* nobody can listen: TLS or a tunnel */
	bool can_bind;        /* the connection has something to bind to */
	enum imap_rank floor; /* where somebody could sit between, nothing below it */
};

/* The best mechanism that comes after `after` (NULL: of all) and can be used; or NULL. */
const struct imap_mech *imap_mech_next(const struct imap_choice *c, const struct imap_mech *after);

/* NULL: no such mechanism. */
const struct imap_mech *imap_mech_find(const char *name);

/* Why there is none to begin with: ERR_AUTH. */
int imap_mech_none(const struct imap_choice *c, struct err_reason *why);

#endif
