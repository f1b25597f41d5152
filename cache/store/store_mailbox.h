/* SPDX-License-Identifier: MIT */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "store.h"

/* Numbered on disk, never renumbered */
enum store_profile {
	STORE_PROFILE_DEFAULT = 0,
	STORE_PROFILE_FULL = 1,
	STORE_PROFILE_HEADERS = 2,
	STORE_PROFILE_NEW_ONLY = 3,
	STORE_PROFILE_BLIND = 4,
	STORE_PROFILE_NONE = 5,
};

/* A mailbox by identity: it keeps its id through renames.  Numbers are as last learned. */
struct store_mailbox {
	int64_t id;       /* node id */
	char *wire_name;  /* bytes the server knows it by; NULL: not created there yet */
	char delimiter;   /* 0: none */
	char *attributes; /* wordset: "\HasChildren \Noselect \Trash" */
	bool selectable, subscribed, read_only, uidnotsticky, keywords_ok;
	uint32_t uidvalidity;   /* 0: never selected */
	uint32_t uidnext;       /* 0: unknown.  Of the last complete pass */
	uint64_t highestmodseq; /* 0: none.  Of the last complete pass (RFC 7162 6) */
	uint32_t messages, unseen;
	int64_t size; /* of all messages, at the beginning of the last session; -1: unknown */
	char *permanent_flags;
	char *rights;    /* RFC 4314, as store_rights_check() reads them; NULL: unknown */
	char *mailboxid; /* RFC 8474; NULL */
	enum store_profile profile;
	int64_t missing_since_ms; /* 0: listed.  Else since when LIST does not name it */
};

int store_mailbox_get(struct store *s, int64_t id, struct store_mailbox *out);
void store_mailbox_release(struct store_mailbox *m);

/* All mailboxes, INBOX first, then by path; *list is the caller's, freed by _list_free. */
int store_mailbox_list(struct store *s, struct store_mailbox **list, size_t *count);
void store_mailbox_list_free(struct store_mailbox *list, size_t count);

/* By wire name; by special use ("\Trash"; where the server tells no use of any, the mailbox that is
 * called Trash).  ERR_NOTFOUND. */
int store_mailbox_by_wire(struct store *s, const char *wire_name, int64_t *id);
int store_mailbox_by_use(struct store *s, const char *use, int64_t *id);

/* May the user do what needs all of these rights (RFC 4314 4)?  0: yes, or not known; not a mailbox.
 * ERR_READONLY: it was opened read-only; ERR_ACCESS: a right is missing. */
int store_rights_check(struct store *s, int64_t mailbox, const char *letters);

int store_mailbox_set_profile(struct store *s, int64_t id, enum store_profile p);

/* Changes by the user: view and action in one transaction.  Names are UTF-8 file names.
 * ERR_EXISTS, ERR_NOTEMPTY, ERR_PERM, ERR_ACCESS. */
int store_mailbox_create(struct store *s, int64_t parent, const char *name, int64_t *id);
int store_mailbox_remove(struct store *s, int64_t id);
int store_mailbox_rename(struct store *s, int64_t id, int64_t parent, const char *name);
int store_mailbox_subscribe(struct store *s, int64_t id, bool on);

#endif
