/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "store_pull.h"

static mode_t type_of(enum store_kind kind)
{
	switch (kind) {
	case STORE_KIND_ROOT:
	case STORE_KIND_MAILBOX:
	case STORE_KIND_DIR:
		return S_IFDIR;
	case STORE_KIND_MESSAGE:
	case STORE_KIND_FILE:
		return S_IFREG;
	case STORE_KIND_SYMLINK:
		return S_IFLNK;
	}
	return S_IFREG;
}

static struct timespec from_ns(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	if (t.tv_nsec < 0) {
		t.tv_sec--;
		t.tv_nsec += 1000000000;
	}
	return t;
}

static uint32_t mask_of(const struct mount *m, const struct store_node *n)
{
	return mount_is_dir(n) ? m->cfg.dmask : m->cfg.fmask;
}

void mount_stat(struct mount *m, const struct store_node *n, struct stat *st)
{
	mode_t type = type_of(n->kind);

	*st = (struct stat){ .st_ino = (ino_t)n->id, .st_blksize = 4096 };
	st->st_mode = type | (n->mode & 0777 & ~mask_of(m, n));
	st->st_nlink = type == S_IFDIR ? 2 + n->subdirs : 1;
	st->st_uid = (uid_t)m->cfg.uid;
	st->st_gid = (gid_t)m->cfg.gid;
	/* A reader asks no content of a file that it takes for empty. */
	st->st_size = !n->size_exact && n->size == 0 && n->kind == STORE_KIND_MESSAGE ? 1 : n->size;
	st->st_blocks = st->st_size / 512 + (st->st_size % 512 != 0);
	st->st_mtim = from_ns(n->mtime_ns);
	st->st_atim = st->st_mtim;
	st->st_ctim = from_ns(n->ctime_ns);
	if (m->maildir)
		mount_maildir_stat(m, n, st);
}

/* A size that is only the server's word is asked for again whenever it matters; that of an
 * edited message too: who writes to the file it was may not be seen by who just looks it up;
 * and that of a file, which line ends may be added to as it becomes a message. */
static double attr_timeout(const struct store_node *n)
{
	bool may_change = n->kind == STORE_KIND_FILE ||
	                  (n->kind == STORE_KIND_MESSAGE && (!n->size_exact || n->spool != 0));

	return may_change ? 0 : MOUNT_FOREVER;
}

void mount_entry(struct mount *m, const struct store_node *n, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){ .ino = mount_alias_give(m, n->id), .generation = 1 };
	e->entry_timeout = MOUNT_FOREVER;
	e->attr_timeout = attr_timeout(n);
	mount_stat(m, n, &e->attr);
}

void mount_reply_entry(struct mount *m, fuse_req_t req, const struct store_node *n)
{
	struct fuse_entry_param e;

	mount_entry(m, n, &e);
	fuse_reply_entry(req, &e);
}

void mount_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = fuse_req_userdata(req);
	struct fuse_entry_param none = { .entry_timeout = MOUNT_FOREVER };
	struct fuse_entry_param e;
	struct store_node n;
	int r;

	if (mount_is_virtual(parent) || mount_name_reserved((int64_t)parent, name)) {
		mount_virtual_lookup(m, req, parent, name);
		return;
	}
	if (strlen(name) > STORE_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	r = mount_find(m, (int64_t)parent, name, &n);
	if (r == ERR_NOTFOUND) {
		fuse_reply_entry(req, &none);
	} else if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
	} else {
		mount_file_overlay(m, &n);
		mount_entry(m, &n, &e);
		if (strcmp(n.name, name) != 0) /* found by another name than it is shown with */
			e.entry_timeout = 0;
		fuse_reply_entry(req, &e);
	}
}

static void forget_one(struct mount *m, fuse_ino_t ino, uint64_t nlookup)
{
	if (mount_is_virtual(ino))
		mount_virtual_forget(m, ino, nlookup);
	else
		mount_file_forgotten(m, (int64_t)ino);
	if (!mount_is_virtual(ino))
		mount_alias_forgotten(m, ino, nlookup);
}

void mount_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget_one(fuse_req_userdata(req), ino, nlookup);
	fuse_reply_none(req);
}

void mount_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_one(fuse_req_userdata(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static int node_now(struct mount *m, fuse_ino_t ino, struct store_node *n)
{
	int64_t id = mount_alias_real(m, ino);
	int r;

	if (mount_file_unlinked(m, id, n))
		return 0;
	r = store_node_get(m->store, id, n);
	if (r == 0)
		mount_file_overlay(m, n);
	return r;
}

static void reply_attr(struct mount *m, fuse_req_t req, const struct store_node *n)
{
	struct stat st;

	mount_stat(m, n, &st);
	if (n->parent == 0 && n->kind != STORE_KIND_ROOT)
		st.st_nlink = 0;
	fuse_reply_attr(req, &st, attr_timeout(n));
}

void mount_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	int r;

	(void)fi;
	if (mount_is_virtual(ino)) {
		mount_virtual_getattr(m, req, ino);
		return;
	}
	r = node_now(m, ino, &n);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		reply_attr(m, req, &n);
}

/* The caller is the owner or root: for others the kernel compares the modes itself. */
void mount_op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	struct stat st;
	int may, r;

	if (mount_is_virtual(ino)) {
		fuse_reply_err(req, 0);
		return;
	}
	r = node_now(m, ino, &n);
	if (r < 0) {
		fuse_reply_err(req, mount_errno(r));
		return;
	}
	mount_stat(m, &n, &st);
	may = st.st_mode >> 6 & 7;
	if (fuse_req_ctx(req)->uid == 0)
		may = R_OK | W_OK | (S_ISDIR(st.st_mode) || st.st_mode & 0111 ? X_OK : 0);
	fuse_reply_err(req, mask & ~may ? EACCES : 0);
}

static int set_size(struct mount *m, fuse_ino_t ino, struct store_node *n, off_t size)
{
	struct mount_file *f;
	int r;

	if (size < 0)
		return ERR_INVAL;
	if (size > MOUNT_FILE_MAX)
		return ERR_TOOBIG;
	if (n->kind == STORE_KIND_MESSAGE && n->size_exact && n->size == size)
		return 0;
	r = mount_write_allowed(m, n);
	if (r < 0)
		return r;
	mount_files_lock(m);
	f = mount_file_get(m, n);
	r = size == 0 ? mount_file_open_fresh(m, m->store, f)
	              : mount_file_open_write(m, m->store, f);
	if (r == 0 && ftruncate(f->fd, size) != 0)
		r = errno == ENOSPC ? ERR_NOSPACE : errno == EFBIG ? ERR_TOOBIG : ERR_IO;
	if (r == 0) {
		f->size = n->size = size;
		mount_file_written(m, f);
		mount_file_tell(m, f, ino);
		if (n->kind == STORE_KIND_FILE)
			n->mtime_ns = f->mtime_ns;
	}
	mount_files_unlock(m);
	return r;
}

/* The date of a message that the server has is the server's. */
static bool date_is_ours(struct mount *m, const struct store_node *n)
{
	struct store_message msg;
	bool ours = false;

	if (n->kind != STORE_KIND_MESSAGE)
		return true;
	if (store_message_get(m->store, n->id, &msg) == 0) {
		ours = msg.uid == 0;
		store_message_release(&msg);
	}
	return ours;
}

static int set_mtime(struct mount *m, struct store_node *n, int64_t ns)
{
	struct mount_file *f;
	bool unlinked;

	/* There a time set back would hide from an indexer what came in meanwhile. */
	if (m->maildir && (n->kind == STORE_KIND_ROOT || n->kind == STORE_KIND_MAILBOX))
		return 0;
	if (!date_is_ours(m, n))
		return ns / 1000000000 == n->mtime_ns / 1000000000 ? 0 : ERR_PERM;
	n->mtime_ns = ns;
	mount_files_lock(m);
	f = mount_file_find(m, n->id);
	if (f) {
		f->mtime_ns = ns;
		f->changed_ms = clock_mono_ms();
	}
	unlinked = f && f->unlinked;
	mount_files_unlock(m);
	return unlinked ? 0 : store_node_set(m->store, n->id, STORE_SET_MTIME, n);
}

/* Owner bits are kept here; what others may do is not ours to say about a message. */
static int set_mode(struct mount *m, struct store_node *n, mode_t mode)
{
	bool local = n->kind == STORE_KIND_FILE || n->kind == STORE_KIND_DIR;

	mode &= 0777;
	if (mode == (n->mode & 0777 & ~mask_of(m, n)))
		return 0;
	if (!local && ((mode ^ n->mode) & 0077 & ~mask_of(m, n)) != 0)
		return ERR_PERM;
	n->mode = mode;
	return n->parent == 0 ? 0 : store_node_set(m->store, n->id, STORE_SET_MODE, n);
}

static int set_owner(struct mount *m, const struct store_node *n, const struct stat *attr, int set)
{
	struct stat now;

	mount_stat(m, n, &now);
	if ((set & FUSE_SET_ATTR_UID) && attr->st_uid != now.st_uid)
		return ERR_PERM;
	if ((set & FUSE_SET_ATTR_GID) && attr->st_gid != now.st_gid)
		return ERR_PERM;
	return 0;
}

static int set_attrs(struct mount *m, fuse_ino_t ino, struct store_node *n, const struct stat *attr,
                     int set)
{
	int64_t ns = attr->st_mtim.tv_sec * (int64_t)1000000000 + attr->st_mtim.tv_nsec;
	int r = set_owner(m, n, attr, set);

	if (r == 0 && (set & FUSE_SET_ATTR_MODE))
		r = set_mode(m, n, attr->st_mode);
	if (r == 0 && (set & FUSE_SET_ATTR_SIZE))
		r = set_size(m, ino, n, attr->st_size);
	if (r == 0 && (set & FUSE_SET_ATTR_MTIME_NOW))
		r = set_mtime(m, n, clock_wall_ns());
	else if (r == 0 && (set & FUSE_SET_ATTR_MTIME))
		r = set_mtime(m, n, ns);
	return r;
}

void mount_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
                      struct fuse_file_info *fi)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_node n;
	int r;

	(void)fi;
	if (mount_is_virtual(ino)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	r = node_now(m, ino, &n);
	if (r == 0)
		r = set_attrs(m, ino, &n, attr, set);
	if (r == 0 && n.parent != 0)
		r = node_now(m, ino, &n);
	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		reply_attr(m, req, &n);
}

void mount_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *m = fuse_req_userdata(req);
	_cleanup_free_ char *target = NULL;
	int r = store_symlink_target(m->store, (int64_t)ino, &target);

	if (r < 0)
		fuse_reply_err(req, mount_errno(r));
	else
		fuse_reply_readlink(req, target);
}

void mount_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_quota q = { 0 };
	struct statvfs st;

	(void)ino;
	if (statvfs(m->cfg.state_dir, &st) != 0) {
		fuse_reply_err(req, EIO);
		return;
	}
	st.f_namemax = STORE_NAME_MAX;
	if (store_quota_get(m->store, &q) == 0 && q.known && q.storage_limit_kb > 0) {
		uint64_t used = q.storage_used_kb < q.storage_limit_kb ? q.storage_used_kb
		                                                       : q.storage_limit_kb;

		st.f_bsize = st.f_frsize = 1024;
		st.f_blocks = q.storage_limit_kb;
		st.f_bfree = st.f_bavail = q.storage_limit_kb - used;
	}
	if (st.f_ffree == 0)
		st.f_files = st.f_ffree = st.f_favail = 1 << 30;
	fuse_reply_statfs(req, &st);
}
