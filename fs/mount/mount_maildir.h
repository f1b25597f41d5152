/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_MAILDIR_H
#define MOUNT_MAILDIR_H

#include "store.h"

/*
 * File names of a Maildir: `BASE:2,FLAGS` in cur/, mostly `BASE` alone in new/.  A message whose
 * name was made from its UID has a base that no other mailbox has; one that a program named keeps
 * the name that the program gave it.
 */

struct maildir_name {
	char base[STORE_NAME_MAX + 1];
	uint32_t marks;       /* the letters that mean something here */
	bool has_info;        /* there was a `:2,` */
	int64_t node, parent; /* the base is one we made; 0: it is not */
};

/* Takes a file name apart; a suffix that is none is part of the base. */
void maildir_parse(const char *name, char separator, struct maildir_name *out);

/* The name that the node has in its Maildir, with the letters of `mark`. */
void maildir_show(const struct store_node *n, uint32_t mark, char separator,
                  char out[STORE_NAME_MAX + 1]);

/* The base alone; true when the node is shown without any letters, under its own name. */
bool maildir_base(const struct store_node *n, char separator, char out[STORE_NAME_MAX + 1]);

/* The flags that letters stand for, as words of IMAP. */
char *maildir_flags(uint32_t marks);

/* Folders that a Maildir's own directories would hide: "cur" is shown as "%63ur", and back. */
void maildir_folder_show(const char *name, char out[STORE_NAME_MAX + 1]);
bool maildir_folder_read(const char *name, char out[STORE_NAME_MAX + 1]);

#endif
