/* SPDX-License-Identifier: MIT */
#include "mount_maildir_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "store_mailbox.h"

/* How the store's nodes look as Maildirs: listings, names, sizes, paths, and what the kernel is
 * told of their changes. */

static const char *const part_names[] = {
	[MAILDIR_CUR] = "cur",
	[MAILDIR_NEW] = "new",
	[MAILDIR_TMP] = "tmp",
};

static int64_t last_id(int64_t after, const struct store_node *out, int count)
{
	return count > 0 ? out[count - 1].id : after;
}

/* Child mailboxes and directories first, by their ids; then the parts, whose numbers are higher. */
static int list_mailbox(struct mount *m, struct store *s, int64_t id, int64_t after,
                        struct store_node *out, int max)
{
	int count = 0, got = max;

	while (after < (int64_t)1 << MAILDIR_PART_SHIFT && got > 0 && count < max) {
		int kept = count;

		got = store_node_list_part(s, id, STORE_PART_DIRS, after, out + count, max - count);
		if (got < 0)
			return got;
		after = last_id(after, out + count, got);
		for (int i = count; i < count + got; i++) {
			if (strcmp(out[i].name, MAILDIR_TMP_NAME) != 0)
				out[kept++] = out[i];
		}
		count = kept;
	}
	for (int part = MAILDIR_CUR; part <= MAILDIR_TMP && count < max; part++) {
		int r;

		if ((int64_t)maildir_ino(id, (enum maildir_part)part) <= after)
			continue;
		r = maildir_node(m, s, maildir_ino(id, (enum maildir_part)part), &out[count]);
		if (r < 0)
			return r;
		count++;
	}
	return count;
}

int mount_maildir_list(struct mount *m, struct store *s, fuse_ino_t dir, int64_t after,
                       struct store_node *out, int max)
{
	int64_t id = maildir_id(dir), tmp;
	struct store_node n;
	int r;

	switch (maildir_part(dir)) {
	case MAILDIR_CUR:
		return store_node_list_part(s, id, STORE_PART_CUR, after, out, max);
	case MAILDIR_NEW:
		return store_node_list_part(s, id, STORE_PART_NEW, after, out, max);
	case MAILDIR_TMP:
		r = maildir_tmp(m, s, id, false, &tmp);
		if (r < 0)
			return r == ERR_NOTFOUND ? 0 : r;
		return store_node_list(s, tmp, after, out, max);
	case MAILDIR_NODE:
		break;
	}
	r = store_node_get(s, id, &n);
	if (r < 0)
		return r;
	return n.kind == STORE_KIND_MAILBOX ? list_mailbox(m, s, id, after, out, max)
	                                    : store_node_list(s, id, after, out, max);
}

const char *mount_maildir_name(struct mount *m, fuse_ino_t dir, const struct store_node *n,
                               char buf[STORE_NAME_MAX + 1])
{
	enum maildir_part part = maildir_part(dir);

	if (part == MAILDIR_TMP || dir == STORE_ROOT)
		return n->name;
	if (part != MAILDIR_NODE)
		maildir_show(n, n->mark, m->maildir->separator, buf);
	else if (maildir_part((fuse_ino_t)n->id) != MAILDIR_NODE)
		return part_names[maildir_part((fuse_ino_t)n->id)];
	else
		maildir_folder_show(n->name, buf);
	return buf;
}

void mount_maildir_stat(struct mount *m, const struct store_node *n, struct stat *st)
{
	int64_t crlf = 0, tmp;

	if (n->kind == STORE_KIND_MAILBOX) {
		st->st_nlink += maildir_tmp(m, m->store, n->id, false, &tmp) == 0 ? 2 : 3;
	} else if (n->kind == STORE_KIND_MESSAGE && n->size_exact &&
	           store_node_crlf(m->store, n, &crlf) == 0 && crlf <= st->st_size) {
		st->st_size -= crlf;
		st->st_blocks = (st->st_size + 511) / 512;
	}
}

int64_t mount_maildir_listing(int64_t mailbox)
{
	return (int64_t)maildir_ino(mailbox, MAILDIR_CUR);
}

/* ---- paths ---- */

/* The last part of a node's path; *parent is what the rest belongs to. */
static int path_step(struct mount *m, struct store *s, int64_t id, int64_t *parent, char **out)
{
	char name[STORE_NAME_MAX + 1];
	struct store_node n, up;
	int r = store_node_get(s, id, &n);

	if (r == 0)
		r = n.parent == 0 ? ERR_NOTFOUND : store_node_get(s, n.parent, &up);
	if (r < 0)
		return r;
	*parent = up.id;
	if (up.kind == STORE_KIND_DIR && strcmp(up.name, MAILDIR_TMP_NAME) == 0) {
		*parent = up.parent;
		*out = mem_printf("tmp/%s", n.name);
	} else if (up.kind == STORE_KIND_MAILBOX && n.kind != STORE_KIND_MAILBOX &&
	           n.kind != STORE_KIND_DIR) {
		maildir_show(&n, n.mark, m->maildir->separator, name);
		*out = mem_printf("%s/%s", part_names[maildir_part_of(&n)], name);
	} else {
		maildir_folder_show(n.name, name);
		*out = mem_strdup(up.kind == STORE_KIND_MAILBOX ? name : n.name);
	}
	return 0;
}

int mount_maildir_path(struct mount *m, struct store *s, int64_t id, char **out)
{
	_cleanup_free_ char *path = NULL;

	while (id != STORE_ROOT) {
		_cleanup_free_ char *rest = mem_steal(path);
		_cleanup_free_ char *step = NULL;
		int r = path_step(m, s, id, &id, &step);

		if (r < 0)
			return r;
		path = mem_printf("%s%s%s", step, rest ? "/" : "", rest ? rest : "");
	}
	*out = path ? mem_steal(path) : mem_strdup("");
	return 0;
}

/* ---- what the kernel is told ---- */

static void tell_name(struct mount *m, fuse_ino_t dir, const char *name)
{
	if (!m->expire || fuse_lowlevel_notify_expire_entry(m->se, dir, name, strlen(name),
	                                                    FUSE_LL_EXPIRE_ONLY) == -ENOSYS)
		(void)fuse_lowlevel_notify_inval_entry(m->se, dir, name, strlen(name));
}

static void tell_parts(struct mount *m, int64_t mailbox)
{
	(void)fuse_lowlevel_notify_inval_inode(m->se, maildir_ino(mailbox, MAILDIR_CUR), 0, 0);
	(void)fuse_lowlevel_notify_inval_inode(m->se, maildir_ino(mailbox, MAILDIR_NEW), 0, 0);
}

/* Gone, and nobody knows any more with which flags it was shown. */
static void tell_gone(struct mount *m, struct store_node *n)
{
	char name[STORE_NAME_MAX + 1];

	if (fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)n->id, -1, 0) == -ENOENT)
		return; /* the kernel never had it */
	for (uint32_t mark = 0; mark <= STORE_MARK_FLAGS; mark++) {
		maildir_show(n, mark | STORE_MARK_CUR, m->maildir->separator, name);
		tell_name(m, maildir_ino(n->parent, MAILDIR_CUR), name);
		maildir_show(n, mark | STORE_MARK_NEW, m->maildir->separator, name);
		tell_name(m, maildir_ino(n->parent, MAILDIR_NEW), name);
	}
}

/* The mark changed, or only something that no name shows. */
static void tell_changed(struct mount *m, struct store *s, struct store_node *n)
{
	char name[STORE_NAME_MAX + 1];
	uint32_t now = n->mark;

	(void)s;
	mount_notify_node(m, n->id, -1);
	n->mark = n->was & ~(uint32_t)STORE_MARK_OWN;
	maildir_show(n, n->mark, m->maildir->separator, name);
	tell_name(m, maildir_ino(n->parent, maildir_part_of(n)), name);
	n->mark = now;
	tell_parts(m, n->parent);
}

static void tell_member(struct mount *m, struct store *s, enum store_change what, int64_t node,
                        int64_t parent, const char *name)
{
	struct store_node n;
	char shown[STORE_NAME_MAX + 1];

	if (store_node_get(s, node, &n) < 0)
		n = (struct store_node){ .id = node, .kind = STORE_KIND_MESSAGE };
	(void)snprintf(n.name, sizeof(n.name), "%s", name);
	n.parent = parent;
	if (n.kind == STORE_KIND_MAILBOX || n.kind == STORE_KIND_DIR) {
		maildir_folder_show(name, shown);
		tell_name(m, (fuse_ino_t)parent, shown);
		(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)parent, 0, 0);
	}
	if (what == STORE_CHANGE_REMOVED)
		tell_gone(m, &n);
	tell_parts(m, parent);
}

/* In the root and in local directories names are as they are. */
static void tell_plain(struct mount *m, int64_t parent, const char *name)
{
	tell_name(m, (fuse_ino_t)parent, name);
	(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)parent, 0, 0);
}

void mount_maildir_tell(struct mount *m, struct store *s, enum store_change what, int64_t node,
                        int64_t parent, const char *name)
{
	struct store_node n;
	bool known = store_node_get(s, parent ? parent : node, &n) == 0;

	switch (what) {
	case STORE_CHANGE_ADDED:
	case STORE_CHANGE_REMOVED:
		if (!name)
			break;
		if (known && n.kind == STORE_KIND_DIR && strcmp(n.name, MAILDIR_TMP_NAME) == 0)
			tell_plain(m, (int64_t)maildir_ino(n.parent, MAILDIR_TMP), name);
		else if (known && n.kind != STORE_KIND_MAILBOX)
			tell_plain(m, parent, name);
		else
			tell_member(m, s, what, node, parent, name);
		break;
	case STORE_CHANGE_ATTR:
		if (known && n.parent != 0 &&
		    (n.kind == STORE_KIND_MESSAGE || n.kind == STORE_KIND_FILE))
			tell_changed(m, s, &n);
		else
			(void)fuse_lowlevel_notify_inval_inode(m->se, (fuse_ino_t)node, -1, 0);
		break;
	case STORE_CHANGE_BODY:
		break;
	}
}
