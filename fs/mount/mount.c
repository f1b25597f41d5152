/* SPDX-License-Identifier: MIT */
#include "mount_edit_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "store_op.h"

#define STOP_MS 1500 /* the threads have so long before the mount goes from under them */

static const struct fuse_lowlevel_ops ops = {
	.init = mount_op_init,
	.lookup = mount_op_lookup,
	.forget = mount_op_forget,
	.forget_multi = mount_op_forget_multi,
	.getattr = mount_op_getattr,
	.access = mount_op_access,
	.setattr = mount_op_setattr,
	.readlink = mount_op_readlink,
	.mknod = mount_op_mknod,
	.mkdir = mount_op_mkdir,
	.unlink = mount_op_unlink,
	.rmdir = mount_op_rmdir,
	.symlink = mount_op_symlink,
	.rename = mount_op_rename,
	.link = mount_op_link,
	.open = mount_op_open_none,
	.flush = mount_op_open_none,
	.read = mount_op_read,
	.write = mount_op_write,
	.fsync = mount_op_fsync,
	.copy_file_range = mount_op_copy_file_range,
	.opendir = mount_op_opendir,
	.readdir = mount_op_readdir,
	.readdirplus = mount_op_readdirplus,
	.releasedir = mount_op_releasedir,
	.fsyncdir = mount_op_fsyncdir,
	.statfs = mount_op_statfs,
	.setxattr = mount_op_setxattr,
	.getxattr = mount_op_getxattr,
	.listxattr = mount_op_listxattr,
	.removexattr = mount_op_removexattr,
};

static const char *own(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

static void copy_config(struct mount *m, const struct mount_config *cfg)
{
	struct mount_virtual *v = mem_alloc((cfg->virtual_count + 1) * sizeof(*v));

	m->cfg = *cfg;
	m->cfg.mountpoint = own(cfg->mountpoint);
	m->cfg.fsname = own(cfg->fsname ? cfg->fsname : "imapfs");
	m->cfg.subtype = own(cfg->subtype ? cfg->subtype : "imapfs");
	m->cfg.state_dir = own(cfg->state_dir);
	m->cfg.cache_dir = own(cfg->cache_dir);
	m->cfg.extra = own(cfg->extra);
	if (m->cfg.uid < 0)
		m->cfg.uid = (int64_t)getuid();
	if (m->cfg.gid < 0)
		m->cfg.gid = (int64_t)getgid();
	for (size_t i = 0; i < cfg->virtual_count; i++) {
		v[i] = cfg->virtuals[i];
		v[i].name = own(v[i].name);
	}
	m->cfg.virtuals = v;
	if (m->cfg.timeout_ms <= 0)
		m->cfg.timeout_ms = 30000;
	if (m->cfg.delete_mode == 0)
		m->cfg.delete_mode = STORE_DELETE_TRASH;
	m->sync = cfg->sync;
}

static void free_config(struct mount_config *c)
{
	const char *strings[] = { c->mountpoint, c->fsname,    c->subtype,
		                  c->state_dir,  c->cache_dir, c->extra };

	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		free((char *)(uintptr_t)strings[i]);
	for (size_t i = 0; c->virtuals && i < c->virtual_count; i++)
		free((char *)(uintptr_t)c->virtuals[i].name);
	free((struct mount_virtual *)(uintptr_t)c->virtuals);
}

/* The words that libfuse and the kernel take, a comma within a value escaped. */
static char *fuse_options(const struct mount_config *c)
{
	_cleanup_free_ char *fsname = mem_alloc(2 * strlen(c->fsname) + 1);
	size_t len = 0;

	for (const char *p = c->fsname; *p; p++) {
		if (*p == ',' || *p == '\\')
			fsname[len++] = '\\';
		fsname[len++] = *p;
	}
	return mem_printf("fsname=%s,subtype=%s%s%s%s%s%s", fsname, c->subtype,
	                  c->read_only ? ",ro" : "", c->allow_other ? ",allow_other" : "",
	                  c->default_permissions || c->allow_other ? ",default_permissions" : "",
	                  c->extra ? "," : "", c->extra ? c->extra : "");
}

static int session_new(struct mount *m, struct err_reason *why)
{
	_cleanup_free_ char *words = fuse_options(&m->cfg);
	char name[] = "imapfs", option[] = "-o", debug[] = "-d";
	char *argv[] = { name, option, words, debug };
	struct fuse_lowlevel_ops own_ops = ops;
	struct fuse_args args = FUSE_ARGS_INIT(m->cfg.debug ? 4 : 3, argv);
	int fd;

	if (m->maildir)
		mount_maildir_ops(&own_ops);
	m->se = fuse_session_new(&args, &own_ops, sizeof(own_ops), m);
	fuse_opt_free_args(&args);
	if (!m->se)
		return err_set(why, ERR_INVAL, "mount options not understood: %s", words);
	if (fuse_session_mount(m->se, m->cfg.mountpoint) != 0)
		return err_set(why, errno == EPERM || errno == EACCES ? ERR_PERM : ERR_IO,
		               "cannot mount at %s", m->cfg.mountpoint);
	m->mounted = true;
	fd = fuse_session_fd(m->se);
	if (mount_custom_io(m->se) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return err_set(why, ERR_IO, "cannot serve the mount: %s", strerror(errno));
	return 0;
}

static int start_parts(struct mount *m, struct err_reason *why)
{
	int r = store_open(m->cfg.state_dir, m->cfg.cache_dir, &m->store, why);

	if (r == 0)
		store_op_set_hold(m->store, mount_gather_ms(m));
	if (r == 0)
		r = mount_maildir_start(m);
	if (r == 0)
		r = mount_files_start(m);
	if (r == 0)
		r = mount_alias_start(m);
	if (r == 0)
		r = mount_dirs_start(m);
	if (r == 0)
		r = mount_virtuals_start(m);
	if (r == 0)
		r = mount_kepts_start(m);
	if (r == 0)
		r = mount_events_start(m);
	if (r == 0)
		r = mount_notify_start(m);
	if (r == 0)
		r = mount_ahead_start(m);
	if (r == 0)
		r = mount_settle_start(m);
	if (r == 0)
		r = mount_names_start(m);
	if (r == 0)
		r = mount_park_start(m);
	return r;
}

/* A lease that is broken while it is held sends a signal that would end the process. */
static void ignore_lease_signal(void)
{
	struct sigaction now;

	if (sigaction(SIGIO, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGIO, SIG_IGN);
}

int mount_open(const struct mount_config *cfg, struct mount **out, struct err_reason *why)
{
	struct mount *m = mem_alloc(sizeof(*m));
	int r;

	copy_config(m, cfg);
	m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ignore_lease_signal();
	err_set(why, 0, "%s", "");
	r = m->wake < 0 ? ERR_IO : mount_clear_stale(m->cfg.mountpoint, m->cfg.subtype, why);
	if (r == 0)
		r = start_parts(m, why);
	if (r == 0)
		r = session_new(m, why);
	if (r < 0) {
		if (why && !*why->text)
			err_set(why, r, "cannot prepare the mount: %s", err_text(r));
		mount_close(&m);
		return r;
	}
	*out = m;
	return 0;
}

void mount_set_sync(struct mount *m, struct sync *sync)
{
	m->sync = sync;
}

void mount_stop(struct mount *m)
{
	uint64_t one = 1;
	int saved = errno;

	atomic_store(&m->stop, true);
	(void)!write(m->wake, &one, sizeof(one));
	errno = saved;
}

void mount_thread_ended(struct mount *m)
{
	uint64_t one = 1;

	atomic_fetch_sub(&m->threads, 1);
	(void)!write(m->wake, &one, sizeof(one));
}

/* Handles one request, or waits for it; false when the mount is gone. */
static bool serve_one(struct mount *m, struct fuse_buf *buf, int wait_ms)
{
	struct pollfd fds[] = { { .fd = fuse_session_fd(m->se), .events = POLLIN },
		                { .fd = m->wake, .events = POLLIN } };
	uint64_t count;
	int n = fuse_session_receive_buf(m->se, buf);

	if (n > 0) {
		m->served++;
		fuse_session_process_buf(m->se, buf);
	} else if (n == -EAGAIN) {
		(void)poll(fds, 2, wait_ms);
		if (fds[1].revents)
			(void)!read(m->wake, &count, sizeof(count));
	} else if (n == 0 || n != -EINTR) {
		return false;
	}
	return !fuse_session_exited(m->se);
}

struct part {
	int (*run)(struct mount *m);
	void (*ask)(struct mount *m);
	void (*join)(struct mount *m);
};
static const struct part parts[] = {
	{ mount_park_run, mount_park_ask, mount_park_join },
	{ mount_notify_run, mount_notify_ask, mount_notify_join },
	{ mount_ahead_run, mount_ahead_ask, mount_ahead_join },
	{ mount_settle_run, mount_settle_ask, mount_settle_join },
	{ mount_names_run, mount_names_ask, mount_names_join },
};

/* The threads begin when the kernel answers. */
static int run_threads(struct mount *m)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		atomic_fetch_add(&m->threads, 1);
		if (parts[i].run(m) < 0) {
			atomic_fetch_sub(&m->threads, 1);
			return ERR_IO;
		}
		m->running++;
	}
	return 0;
}

static void ask_threads(struct mount *m)
{
	for (int i = 0; i < m->running; i++)
		parts[i].ask(m);
}

static void join_threads(struct mount *m)
{
	for (int i = 0; i < m->running; i++)
		parts[i].join(m);
	m->running = 0;
}

static void record_one(struct mount *m, struct mount_file *f, void *ctx)
{
	(void)ctx;
	(void)mount_file_record(m->store, f);
}

/* Sizes and times that nobody had looked at yet. */
static void record_files(struct mount *m)
{
	mount_files_lock(m);
	mount_files_each(m, record_one, NULL);
	mount_files_unlock(m);
	(void)store_flush(m->store);
}

static void unmount(struct mount *m)
{
	if (m->mounted)
		fuse_session_unmount(m->se);
	m->mounted = false;
}

int mount_run(struct mount *m, void (*ready)(void *ctx), void *ctx)
{
	struct fuse_buf buf = { 0 };
	bool alive = true;
	int64_t end;
	int r = 0;

	while (alive && r == 0 && !atomic_load(&m->stop)) {
		alive = serve_one(m, &buf, -1);
		if (m->init_done && m->running == 0) {
			r = run_threads(m);
			if (r == 0 && ready)
				ready(ctx);
		}
	}
	/* They may wait for the kernel, and it for us: served until they have ended. */
	atomic_store(&m->stop, true);
	ask_threads(m);
	end = clock_mono_ms() + STOP_MS;
	while (alive && atomic_load(&m->threads) > 0 && clock_left_ms(end) > 0)
		alive = serve_one(m, &buf, clock_left_ms(end));
	unmount(m);
	join_threads(m);
	record_files(m);
	if (m->maildir)
		mount_maildir_end(m);
	free(buf.mem);
	return r;
}

void mount_close(struct mount **mount)
{
	struct mount *m = *mount;

	if (!m)
		return;
	unmount(m);
	if (m->se)
		fuse_session_destroy(m->se);
	mount_park_free(&m->park);
	mount_settle_free(&m->settle);
	mount_ahead_free(&m->ahead);
	mount_notify_free(&m->notify);
	mount_kepts_free(&m->kepts);
	mount_events_free(&m->events);
	mount_virtuals_free(&m->virtuals);
	mount_names_free(&m->names);
	mount_maildir_free(&m->maildir);
	mount_dirs_free(&m->dirs);
	mount_alias_free(&m->aliases);
	mount_files_free(&m->files);
	store_close(&m->store);
	if (m->wake >= 0)
		close(m->wake);
	free_config(&m->cfg);
	free(m);
	*mount = NULL;
}
