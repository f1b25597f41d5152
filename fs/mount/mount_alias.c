/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include "mem.h"

/*
 * A file that became the content of a message: the kernel has its inode at the name, and maybe
 * programs have it open.  It stays the kernel's inode of that message for as long as the kernel
 * knows it, so that all see the same pages; what is shown as its number is the message's own.
 *
 * When that ends is told by FORGET.  How often the kernel had been given the inode before is not
 * known, but at least once: it has forgotten it when it gave back more than it got since.
 */
#define ALIAS_HASH 256

struct alias {
	int64_t file, message;
	uint64_t given, back;
	struct alias *next_file, *next_message; /* the newest first */
};

struct mount_aliases {
	struct alias *file[ALIAS_HASH], *message[ALIAS_HASH];
	size_t count;
};

int mount_alias_start(struct mount *m)
{
	m->aliases = mem_alloc(sizeof(*m->aliases));
	return 0;
}

void mount_alias_free(struct mount_aliases **aliases)
{
	for (size_t i = 0; *aliases && i < ALIAS_HASH; i++) {
		struct alias *a, *next;

		for (a = (*aliases)->file[i]; a; a = next) {
			next = a->next_file;
			free(a);
		}
	}
	free(*aliases);
	*aliases = NULL;
}

static struct alias **by_file(struct mount_aliases *all, int64_t file)
{
	struct alias **p = &all->file[(uint64_t)file % ALIAS_HASH];

	while (*p && (*p)->file != file)
		p = &(*p)->next_file;
	return p;
}

static struct alias *by_message(struct mount_aliases *all, int64_t message)
{
	struct alias *a = all->message[(uint64_t)message % ALIAS_HASH];

	while (a && a->message != message)
		a = a->next_message;
	return a;
}

void mount_alias_add(struct mount *m, int64_t file, int64_t message)
{
	struct mount_aliases *all = m->aliases;
	struct alias *a = mem_alloc(sizeof(*a));

	a->file = file;
	a->message = message;
	mount_files_lock(m);
	a->next_file = all->file[(uint64_t)file % ALIAS_HASH];
	all->file[(uint64_t)file % ALIAS_HASH] = a;
	a->next_message = all->message[(uint64_t)message % ALIAS_HASH];
	all->message[(uint64_t)message % ALIAS_HASH] = a;
	all->count++;
	mount_files_unlock(m);
}

int64_t mount_alias_real(struct mount *m, fuse_ino_t ino)
{
	int64_t id = (int64_t)ino;
	struct alias *a;

	mount_files_lock(m);
	a = m->aliases->count > 0 ? *by_file(m->aliases, id) : NULL;
	if (a)
		id = a->message;
	mount_files_unlock(m);
	return id;
}

fuse_ino_t mount_alias_give(struct mount *m, int64_t id)
{
	struct alias *a;

	mount_files_lock(m);
	a = m->aliases->count > 0 ? by_message(m->aliases, id) : NULL;
	if (a) {
		a->given++;
		id = a->file;
	}
	mount_files_unlock(m);
	return (fuse_ino_t)id;
}

size_t mount_alias_list(struct mount *m, int64_t id, int64_t *out, size_t max)
{
	size_t n = 0;

	mount_files_lock(m);
	for (struct alias *a = m->aliases->count > 0 ? by_message(m->aliases, id) : NULL;
	     a && n < max; a = a->next_message) {
		if (a->message == id)
			out[n++] = a->file;
	}
	mount_files_unlock(m);
	return n;
}

void mount_alias_forgotten(struct mount *m, fuse_ino_t ino, uint64_t nlookup)
{
	struct mount_aliases *all = m->aliases;
	struct alias **p, **q, *a;

	mount_files_lock(m);
	p = by_file(all, (int64_t)ino);
	a = *p;
	if (a) {
		a->back += nlookup;
		if (a->back > a->given) {
			q = &all->message[(uint64_t)a->message % ALIAS_HASH];
			while (*q != a)
				q = &(*q)->next_message;
			*q = a->next_message;
			*p = a->next_file;
			all->count--;
			free(a);
		}
	}
	mount_files_unlock(m);
}
