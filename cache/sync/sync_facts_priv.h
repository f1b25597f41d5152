/* SPDX-License-Identifier: MIT */
#ifndef SYNC_FACTS_PRIV_H
#define SYNC_FACTS_PRIV_H

#include "sync_link_priv.h"

/* What FETCH answers say of one mailbox, gathered and written in short transactions. */
struct sync_fact;

struct sync_facts {
	struct sync_link *link;
	struct sync_fact *list;
	size_t count, bytes;
	bool recorded; /* SELECT's facts are in the store */
};

/* Keeps an answer that has flags; ERR_IO when all so far were to be written and could not be. */
int sync_facts_keep(struct sync_facts *f, struct sync_box *box, uint32_t uid,
                    const struct imap_fetch *fetch);
int sync_facts_flush(struct sync_facts *f, struct sync_box *box);
void sync_facts_release(struct sync_facts *f);

#endif
