/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "buf.h"
#include "clock.h"
#include "mem.h"
#include "mount_flags.h"
#include "mount_xattr_priv.h"
#include "wordset.h"

#define PREFIX "user.imap."
#define FLAG_PREFIX "user.imap.flag."
#define FLAGS_NAME "user.imap.flags"
#define VALUE_MAX 65536
#define PROBED_MS 10

/* Two requests for one value: the second, if it comes at once, gets what the first has measured.
 * `changes`: from before it was read. */
static void probed_keep(struct mount *m, unsigned int changes, fuse_ino_t ino, const char *name,
                        const char *value, size_t len)
{
	struct mount_probed *p = &m->probed;

	if (strlen(name) >= sizeof(p->name) || len > sizeof(p->value))
		return;
	p->served = m->served;
	p->changes = changes;
	p->until_ms = clock_mono_ms() + PROBED_MS;
	p->ino = ino;
	strcpy(p->name, name);
	memcpy(p->value, value, len);
	p->len = len;
}

static bool probed_reply(struct mount *m, fuse_req_t req, fuse_ino_t ino, const char *name,
                         size_t size)
{
	const struct mount_probed *p = &m->probed;

	if (p->ino != ino || p->served + 1 != m->served || size < p->len || size == 0 ||
	    strcmp(p->name, name) != 0 || p->changes != atomic_load(&m->changes) ||
	    clock_left_ms(p->until_ms) <= 0)
		return false;
	fuse_reply_buf(req, p->value, p->len);
	return true;
}

/* Answers a get or a list by the rules of size probing. */
static void reply_value(fuse_req_t req, unsigned int changes, fuse_ino_t ino, const char *name,
                        const char *value, size_t len, size_t size)
{
	if (size == 0)
		probed_keep(fuse_req_userdata(req), changes, ino, name, value, len);
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, len);
}

/* 0 and the node, or the errno. */
static int find_node(struct mount *m, fuse_ino_t ino, const char *name, struct store_node *n)
{
	if (name && strncmp(name, "user.", 5) != 0)
		return EOPNOTSUPP;
	if (mount_is_virtual(ino))
		return name ? ENODATA : 0;
	return mount_errno(store_node_get(m->store, mount_alias_real(m, ino), n));
}

/* The flags in the server's spelling; caller frees. */
static int flags_now(struct mount *m, const struct store_node *n, char **out)
{
	int r = store_message_flags(m->store, n->id, out);

	if (r == ERR_NOTFOUND && n->kind == STORE_KIND_FILE) {
		*out = mem_strdup("");
		return 0;
	}
	return r;
}

static bool has_flags(const struct store_node *n)
{
	return n->kind == STORE_KIND_MESSAGE || n->kind == STORE_KIND_FILE;
}

/* `user.imap.flag.NAME`: present, and empty, while the flag is set. */
static int get_flag(struct mount *m, const struct store_node *n, const char *word)
{
	_cleanup_free_ char *flag = mount_flag_to_wire(word, strlen(word));
	_cleanup_free_ char *flags = NULL;
	int r;

	if (!flag || !has_flags(n))
		return ENODATA;
	r = flags_now(m, n, &flags);
	if (r < 0)
		return mount_errno(r);
	return wordset_has(flags, flag) ? 0 : ENODATA;
}

static int put_flags(const char *flags, struct buf *out)
{
	_cleanup_free_ char *words = mount_flags_to_words(flags);

	return mount_errno(buf_puts(out, words));
}

/* What has flags that it was given needs no look at the node. */
static int get_flags(struct mount *m, fuse_ino_t ino, struct buf *out)
{
	_cleanup_free_ char *flags = NULL;
	struct store_node n = { .kind = STORE_KIND_DIR };
	int r = mount_is_virtual(ino)
	                ? ERR_NOTFOUND
	                : store_message_flags(m->store, mount_alias_real(m, ino), &flags);

	if (r == 0)
		return put_flags(flags, out);
	r = r == ERR_NOTFOUND ? find_node(m, ino, FLAGS_NAME, &n) : mount_errno(r);
	return r != 0 || n.kind == STORE_KIND_FILE ? r : ENODATA;
}

static int get_value(struct mount *m, fuse_ino_t ino, const char *name, struct buf *out)
{
	struct store_node n;
	int code;

	if (strcmp(name, FLAGS_NAME) == 0)
		return get_flags(m, ino, out);
	code = find_node(m, ino, name, &n);
	if (code != 0)
		return code;
	if (strncmp(name, FLAG_PREFIX, strlen(FLAG_PREFIX)) == 0)
		return get_flag(m, &n, name + strlen(FLAG_PREFIX));
	if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
		return mount_xattr_fact(m, &n, name + strlen(PREFIX), out);
	return ENODATA;
}

void mount_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct mount *m = fuse_req_userdata(req);
	struct buf value = BUF_INIT(VALUE_MAX);
	unsigned int changes = atomic_load(&m->changes);
	int code;

	if (probed_reply(m, req, ino, name, size))
		return;
	code = get_value(m, ino, name, &value);
	if (code != 0)
		fuse_reply_err(req, code);
	else
		reply_value(req, changes, ino, name, value.data ? value.data : "", value.len, size);
	buf_release(&value);
}

/* A message always, so that a copy of one without flags takes flags away, too; a file once it has some. */
static bool lists_flags(struct mount *m, const struct store_node *n)
{
	_cleanup_free_ char *flags = NULL;

	if (n->kind != STORE_KIND_FILE)
		return n->kind == STORE_KIND_MESSAGE;
	return flags_now(m, n, &flags) == 0 && *flags;
}

void mount_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n = { .kind = STORE_KIND_DIR };
	unsigned int changes = atomic_load(&m->changes);
	int code;

	if (probed_reply(m, req, ino, "", size))
		return;
	code = find_node(m, ino, NULL, &n);
	if (code != 0)
		fuse_reply_err(req, code);
	else if (lists_flags(m, &n))
		reply_value(req, changes, ino, "", FLAGS_NAME, sizeof(FLAGS_NAME), size);
	else
		reply_value(req, changes, ino, "", "", 0, size);
}

static int change_flags(struct mount *m, const struct store_node *n, const char *add,
                        const char *del)
{
	int r = store_message_flag(m->store, n->id, add, del);

	if (r > 0)
		sync_kick(m->sync);
	return r;
}

static int set_flags(struct mount *m, const struct store_node *n, const char *value, size_t len)
{
	_cleanup_free_ char *add = NULL, *del = NULL;
	bool absolute;
	int r = mount_flags_parse(value, len, &absolute, &add, &del);

	if (r < 0 || !absolute)
		return r < 0 ? r : change_flags(m, n, add, del);
	r = store_message_set_flags(m->store, n->id, add);
	if (r > 0)
		sync_kick(m->sync);
	return r;
}

/* Sets or removes `user.imap.flag.NAME`; `flags` as of setxattr(2).  Returns an errno. */
static int set_flag(struct mount *m, const struct store_node *n, const char *word, bool on,
                    int flags)
{
	_cleanup_free_ char *flag = mount_flag_to_wire(word, strlen(word));
	int now;

	if (!flag)
		return EINVAL;
	now = get_flag(m, n, word);
	if (now != 0 && now != ENODATA)
		return now;
	if (now == 0 && (flags & XATTR_CREATE))
		return EEXIST;
	if (now != 0 && (!on || (flags & XATTR_REPLACE)))
		return ENODATA;
	return mount_errno(change_flags(m, n, on ? flag : NULL, on ? NULL : flag));
}

void mount_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                       size_t size, int flags)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	int code = find_node(m, ino, name, &n);

	if (mount_is_virtual(ino))
		code = EPERM;
	else if (code == 0 && has_flags(&n) && strncmp(name, FLAG_PREFIX, strlen(FLAG_PREFIX)) == 0)
		code = set_flag(m, &n, name + strlen(FLAG_PREFIX), true, flags);
	else if (code == 0 && has_flags(&n) && strcmp(name, FLAGS_NAME) == 0)
		code = (flags & XATTR_CREATE) && lists_flags(m, &n)
		               ? EEXIST
		               : mount_errno(set_flags(m, &n, value, size));
	else if (code == 0 && strncmp(name, PREFIX, strlen(PREFIX)) == 0)
		code = mount_xattr_set_fact(m, &n, name + strlen(PREFIX), value, size);
	else if (code == 0)
		code = EOPNOTSUPP;
	fuse_reply_err(req, code);
}

void mount_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	int code = find_node(m, ino, name, &n);

	if (mount_is_virtual(ino))
		code = code ? code : EPERM;
	else if (code == 0 && has_flags(&n) && strncmp(name, FLAG_PREFIX, strlen(FLAG_PREFIX)) == 0)
		code = set_flag(m, &n, name + strlen(FLAG_PREFIX), false, 0);
	else if (code == 0 && has_flags(&n) && strcmp(name, FLAGS_NAME) == 0)
		code = mount_errno(set_flags(m, &n, "", 0));
	else if (code == 0 && strcmp(name, PREFIX MOUNT_LABELS) == 0)
		code = mount_xattr_set_fact(m, &n, MOUNT_LABELS, "", 0);
	else if (code == 0)
		code = strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? EPERM : ENODATA;
	fuse_reply_err(req, code);
}
