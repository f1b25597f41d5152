/* SPDX-License-Identifier: MIT */
#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include "store.h"

/* What is known of a message.  Flags are canonical wordsets (wordset.h) as on the
 * wire: `\Flagged \Seen $Work`. */
struct store_message {
	int64_t id;
	int64_t mailbox;      /* where the server has it; 0: nowhere yet */
	uint32_t uidvalidity; /* of `uid`; 0: unknown */
	uint32_t uid;         /* 0: none yet */
	uint64_t modseq;      /* 0: unknown */
	int64_t date;         /* INTERNALDATE, seconds */
	int date_zone_min;
	uint64_t server_size; /* RFC822.SIZE; 0: unknown */
	bool body_here;
	bool partial; /* not here, but some of its parts (store_partial.h) */
	char *message_id, *emailid, *threadid; /* NULL: unknown */
	char *labels;                          /* Gmail's, one a line, with the pending changes;
	                                          NULL: unknown */
	char *server_flags;                    /* as last known */
	char *flags;                           /* with the pending changes on top */
	int pending;                           /* actions on it */
	char *error;                           /* why the last one failed; NULL */
};

/* ERR_NOTFOUND.  Release with store_message_release(). */
int store_message_get(struct store *s, int64_t id, struct store_message *out);
void store_message_release(struct store_message *m);

/* Its flags alone, with the pending changes on top; the caller frees.  ERR_NOTFOUND. */
int store_message_flags(struct store *s, int64_t id, char **out);

/* The message with this UID in the mailbox's present UIDVALIDITY; *id.  ERR_NOTFOUND. */
int store_message_by_uid(struct store *s, int64_t mailbox, uint32_t uid, int64_t *id);

/* ---- Changes by the user: view and action in one transaction ---- */

/* Sets and clears flags.  A local file keeps them for its upload, nothing is logged; it has no
 * store_message (ERR_NOTFOUND) before its first flag.  On a message:  What is already so is not logged.  Returns 1 when an action
 * was logged, 0 when nothing was to do.  ERR_PERM: keywords the mailbox cannot keep. */
int store_message_flag(struct store *s, int64_t id, const char *add, const char *del);

/* The same with the whole list; the action keeps what it was written on (store_op.h: base). */
int store_message_set_flags(struct store *s, int64_t id, const char *flags);

/* Sets Gmail's labels, UTF-8, one a line; returned as above.  ERR_NOTFOUND: they are not known;
 * ERR_INVAL: not UTF-8, or control characters; ERR_LIMIT: too many. */
int store_message_set_labels(struct store *s, int64_t id, const char *lines);

/* Labels as a wordset, which ignores the case as Gmail does, and back; the caller frees. */
char *store_labels_to_words(const char *lines);
char *store_labels_to_lines(const char *words);

/* Numbered on disk, never renumbered */
enum store_delete {
	STORE_DELETE_TRASH = 1, /* move to \Trash; where there is none, or in it: expunge */
	STORE_DELETE_EXPUNGE = 2,
	STORE_DELETE_FLAG = 3, /* \Deleted only; the file goes from the tree */
};

/* Takes it out of its directory (TRASH: into the trash mailbox's) and logs that.  One that
 * was never sent is just gone, with its upload. */
int store_message_remove(struct store *s, int64_t id, enum store_delete mode);

/* Moves to another mailbox.  ERR_EXISTS unless `replace`. */
int store_message_move(struct store *s, int64_t id, int64_t mailbox, const char *name, bool replace,
                       enum store_delete replaced_mode);

/* A second message with the same content there; *copy is its node. */
int store_message_copy(struct store *s, int64_t id, int64_t mailbox, const char *name,
                       int64_t *copy);

/* A complete local file in a mailbox directory becomes a message to be uploaded: node and
 * name stay, mtime becomes its INTERNALDATE, `flags` go along.  Its spool is synced to disk
 * first.  ERR_INVAL: not in a mailbox. */
int store_message_upload(struct store *s, int64_t node, const char *flags, const char *message_id);
/* On a message whose content was changed in place (store_spool_writable()) the same call logs
 * the edit: a REPLACE, or the newest bytes for an upload that is not sent yet. */

/* Messages that the server has as they are here, with this Message-ID and size; how many, `max` at
 * most. */
int store_message_twins(struct store *s, const char *message_id, int64_t size, int64_t *ids,
                        int max);
/* The local file becomes a message to be uploaded by copying `message`, whose bytes are the same: name and
 * node stay.  ERR_CONFLICT: that one cannot be copied any more, or not to there. */
int store_message_duplicate(struct store *s, int64_t file, int64_t message);

/* An edit by way of a second file: the local file `file` goes and its content becomes that of the
 * message `id`, whose node, flags and date stay.  Nothing is logged before store_message_upload().
 * ERR_INVAL: not a message and a file with content; ERR_READONLY, ERR_ACCESS. */
enum store_edit {
	STORE_EDIT_STAY, /* written elsewhere, renamed over: the message stays where it is */
	STORE_EDIT_MOVE, /* renamed away, written anew: the message takes the file's place and name */
	STORE_EDIT_KEEP, /* so too; its old bytes, if here, stay as a local file where it was */
};
int store_message_edit(struct store *s, int64_t id, int64_t file, enum store_edit how);

/*
 * A message that gets a scratch name within its mailbox is set aside: a file that takes its old name
 * soon after is meant to be its new content.  That is remembered, across a restart too, until
 * store_message_edit() or until one of them goes.
 */
/* The message that the file stands for; ERR_NOTFOUND. */
int store_aside_message(struct store *s, int64_t file, int64_t *message);
/* The file that stands for the message; ERR_NOTFOUND. */
int store_aside_file(struct store *s, int64_t message, int64_t *file);

#endif
