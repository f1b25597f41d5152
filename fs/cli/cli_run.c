/* SPDX-License-Identifier: MIT */
#include "cli_run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli_account.h"
#include "cli_control.h"
#include "cli_daemon.h"
#include "cli_log.h"
#include "cli_mountpoint.h"
#include "cli_owner.h"
#include "cli_view.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#define TICK_MS 5000        /* how often the service manager is told how it goes */
#define ANNOUNCE_TICK_MS 50 /* how often it is asked whether the mount can be announced */
#define FIRST_LIST_MS 15000 /* how long the first mount of an account waits for its tree */

/* The running program: what cli_run() puts together and takes apart. */
struct run {
	struct cli_options *o;
	char *mountpoint, *title;
	struct cli_daemon daemon;
	struct cli_password *password;
	struct cli_log *log;
	struct cli_control *control;
	struct cli_view view;
	struct mount *mount;
	struct sync *sync;
	int lock_fd;
	sigset_t signals;
	pthread_t signal_thread;
	bool has_signal_thread;
	bool known;            /* an earlier mount has left a tree to show */
	atomic_bool answering; /* the file system does */
	atomic_bool leaving;
};

/* ---- Signals: one thread waits for them, all others have them blocked ---- */

static void tell_manager(struct run *run, enum sync_state *last)
{
	struct sync_status st;
	char line[128];

	sync_get_status(run->sync, &st);
	if (st.state == *last)
		return;
	*last = st.state;
	(void)snprintf(line, sizeof(line), "STATUS=%s", cli_sync_phrase(st.state));
	cli_control_notify(line);
}

/* Whoever mounts an account for the first time and looks at once should see something:
 * the mount is announced when its mailboxes are there, or it is clear that this takes time. */
static bool can_announce(const struct run *run, int64_t begun_ms)
{
	struct sync_status st;

	if (!atomic_load(&run->answering))
		return false;
	if (run->known || clock_left_ms(begun_ms + FIRST_LIST_MS) == 0)
		return true;
	sync_get_status(run->sync, &st);
	return st.state == SYNC_IN_STEP || st.state == SYNC_PAUSED || st.last_pass_ms != 0 ||
	       st.next_try_ms != 0 || cli_account_listed(run->o);
}

static void announce(struct run *run)
{
	if (!cli_daemon_ready(&run->daemon)) {
		log_info("interrupted while mounting");
		mount_stop(run->mount);
		return;
	}
	cli_control_notify("READY=1");
}

static void *signal_thread(void *arg)
{
	struct run *run = arg;
	enum sync_state last = SYNC_OFFLINE;
	int64_t begun_ms = clock_mono_ms();
	bool announced = false;

	while (!atomic_load(&run->leaving)) {
		int ms = announced ? TICK_MS : ANNOUNCE_TICK_MS;
		struct timespec tick = { ms / 1000, ms % 1000 * 1000000L };
		int sig = sigtimedwait(&run->signals, NULL, &tick);

		if (sig == SIGHUP)
			sync_kick(run->sync);
		else if (sig == SIGTERM || sig == SIGINT)
			mount_stop(run->mount);
		else if (announced && cli_control_notify_wanted())
			tell_manager(run, &last);
		if (!announced && can_announce(run, begun_ms)) {
			announce(run);
			announced = true;
		}
	}
	return NULL;
}

static void block_signals(struct run *run)
{
	sigemptyset(&run->signals);
	sigaddset(&run->signals, SIGTERM);
	sigaddset(&run->signals, SIGINT);
	sigaddset(&run->signals, SIGHUP);
	sigaddset(&run->signals, SIGUSR2); /* ends the thread itself */
	(void)pthread_sigmask(SIG_BLOCK, &run->signals, NULL);
}

/* ---- Up ---- */

static enum cli_exit fail(int err, enum cli_exit status, const struct err_reason *why)
{
	cli_complain("%s", cli_reason(err, why));
	return status;
}

static enum cli_exit open_state(struct run *run)
{
	struct err_reason why = { "" };
	int r;

	run->known = cli_account_known(run->o);
	r = cli_account_open(run->o, run->password, &run->lock_fd, &why);

	if (r == 0)
		r = cli_log_open(run->o->state_dir, CLI_LOG_MAX_BYTES, run->o->foreground,
		                 run->o->debug, &run->log, &why);
	return r < 0 ? fail(r, cli_exit_of(r), &why) : CLI_OK;
}

static enum cli_exit open_mount(struct run *run)
{
	const struct cli_options *o = run->o;
	struct err_reason why = { "" };
	struct mount_config cfg = {
		.mountpoint = run->mountpoint,
		.fsname = o->fsname != NULL ? o->fsname : run->title,
		.subtype = o->subtype != NULL ? o->subtype : "imapfs",
		.state_dir = o->state_dir,
		.cache_dir = o->cache_dir,
		.delete_mode = (enum store_delete)o->delete_mode,
		.subjects = o->subjects,
		.maildir = o->maildir,
		.separator = o->separator != NULL ? *o->separator : 0,
		.hold_ms = o->hold_ms,
		.timeout_ms = o->timeout_ms,
		.read_only = o->read_only,
		.allow_other = o->allow_other,
		.default_permissions = o->default_permissions,
		.debug = false, /* libfuse's own trace names every byte of every request */
		.uid = o->uid,
		.gid = o->gid,
		.fmask = o->fmask == CLI_MASK_UNSET ? o->umask : o->fmask,
		.dmask = o->dmask == CLI_MASK_UNSET ? o->umask : o->dmask,
		.extra = o->extra,
	};
	int r;

	cfg.virtuals = cli_view_files(&run->view, &cfg.virtual_count);
	r = mount_open(&cfg, &run->mount, &why);
	if (r < 0)
		return fail(r, r == ERR_EXISTS || r == ERR_NOTEMPTY ? CLI_MOUNTPOINT : CLI_FUSE,
		            &why);
	run->view.mount = run->mount;
	return CLI_OK;
}

static enum cli_exit start_sync(struct run *run)
{
	struct err_reason why = { "" };
	struct sync_config cfg;
	int r;

	cli_account_sync_config(run->o, run->password, &cfg);
	cfg.on_change = mount_on_change;
	cfg.on_change_ctx = run->mount;
	r = sync_start(&cfg, &run->sync, &why);
	if (r < 0)
		return fail(r, cli_exit_of(r), &why);
	mount_set_sync(run->mount, run->sync);
	run->view.sync = run->sync;
	return CLI_OK;
}

static enum cli_exit start_threads(struct run *run)
{
	if (cli_control_start(run->control, cli_view_request, &run->view) < 0 ||
	    pthread_create(&run->signal_thread, NULL, signal_thread, run) != 0) {
		cli_complain("no threads to be had");
		return CLI_FUSE;
	}
	run->has_signal_thread = true;
	return CLI_OK;
}

static void on_ready(void *ctx)
{
	struct run *run = ctx;

	log_info("%s mounted on %s", run->title, run->mountpoint);
	atomic_store(&run->answering, true);
}

static enum cli_exit bring_up(struct run *run)
{
	struct err_reason why = { "" };
	enum cli_exit status = open_state(run);
	int r;

	if (status != CLI_OK)
		return status;
	(void)cli_control_notify_wanted(); /* looks at the environment while there is one thread */
	block_signals(run);
	run->view = (struct cli_view){
		.account = run->title,
		.mountpoint = run->mountpoint,
		.state_dir = run->o->state_dir,
		.cache_dir = run->o->cache_dir,
		.log = run->log,
	};
	r = cli_control_open(run->mountpoint, &run->control, &why);
	if (r < 0)
		return fail(r, CLI_STATE, &why);
	status = open_mount(run);
	if (status == CLI_OK)
		status = start_sync(run);
	if (status == CLI_OK)
		status = start_threads(run);
	return status;
}

/* ---- Down ---- */

static void take_down(struct run *run)
{
	cli_control_notify("STOPPING=1");
	if (run->password != NULL)
		cli_password_cancel(run->password);
	if (run->has_signal_thread) {
		atomic_store(&run->leaving, true);
		(void)pthread_kill(run->signal_thread, SIGUSR2);
		(void)pthread_join(run->signal_thread, NULL);
	}
	if (run->sync != NULL)
		sync_pause(run->sync, true); /* whoever waits for it in the control socket goes */
	cli_control_close(&run->control);
	sync_stop(&run->sync); /* it tells the mount of changes until it has ended */
	mount_close(&run->mount);
	log_info("ended");
	cli_log_close(&run->log);
	if (run->lock_fd >= 0)
		close(run->lock_fd);
	cli_password_free(&run->password);
	free(run->mountpoint);
	free(run->title);
}

/* ---- The whole ---- */

static enum cli_exit prepare(struct run *run, const char *mountpoint)
{
	struct err_reason why = { "" };
	struct cli_options *o = run->o;
	int r = cli_mountpoint_check(o, mountpoint, &run->mountpoint, &why);

	if (r < 0)
		return fail(r, CLI_MOUNTPOINT, &why);
	r = cli_mountpoint_check_inside(o, run->mountpoint, &why);
	if (r < 0)
		return fail(r, CLI_CONFIG, &why);
	run->title = cli_account_title(o);
	run->password = cli_password_new(o, true, run->title);
	if (!cli_password_have(run->password) && cli_password_needed(o) && !o->offline) {
		cli_complain("no password for %s: use password-command=, password-file= or "
		             "IMAPFS_PASSWORD",
		             run->title);
		return CLI_AUTH;
	}
	if (!o->foreground && !cli_daemon_fork(&run->daemon)) {
		cli_complain("cannot go to the background: %s", strerror(errno));
		return CLI_FUSE;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (!o->foreground && chdir("/") < 0)
		cli_complain("/: %s", strerror(errno));
	return CLI_OK;
}

enum cli_exit cli_run(struct cli_options *o, const char *mountpoint)
{
	struct run run = { .o = o, .daemon = CLI_DAEMON_FOREGROUND, .lock_fd = -1 };
	enum cli_exit status = prepare(&run, mountpoint);

	if (status == CLI_OK)
		status = bring_up(&run);
	if (status == CLI_OK && mount_run(run.mount, on_ready, &run) < 0) {
		cli_complain("%s: the file system ended with an error", run.mountpoint);
		status = CLI_FUSE;
	}
	take_down(&run);
	return status;
}

static void show_facts(const struct sync_probe_facts *facts)
{
	(void)printf("encryption: %s\n", facts->tls[0] != '\0' ? facts->tls : "none");
	if (facts->pin[0] != '\0')
		(void)printf("key of the server: %s\n", facts->pin);
	(void)printf("signed in by: %s\n", facts->mechanism);
	if (facts->changed >= 0)
		(void)printf("changed in INBOX since the last look: %lld messages",
		             (long long)facts->changed);
	if (facts->changed >= 0 && facts->changed_seen >= 0)
		(void)printf(", read or unread: %lld", (long long)facts->changed_seen);
	if (facts->changed >= 0)
		(void)printf("\n");
}

/* What is known of the INBOX here; nothing of another account's. */
static void recall_inbox(const struct cli_options *o, struct sync_probe_facts *facts)
{
	struct store_mailbox inbox;
	struct store *s = NULL;
	int64_t id = 0;

	if (!cli_account_known(o) || cli_owner_check(o->state_dir, o->user, o->host, NULL) < 0 ||
	    store_open_again(o->state_dir, o->cache_dir, &s, NULL) < 0)
		return;
	if (store_mailbox_by_wire(s, "INBOX", &id) == 0 && store_mailbox_get(s, id, &inbox) == 0) {
		facts->uidvalidity = inbox.uidvalidity;
		facts->modseq = inbox.highestmodseq;
		store_mailbox_release(&inbox);
	}
	store_close(&s);
}

enum cli_exit cli_doctor(struct cli_options *o)
{
	_cleanup_free_ char *title = cli_account_title(o);
	struct cli_password *password = cli_password_new(o, true, title);
	struct err_reason why = { "" };
	enum cli_exit status = CLI_OK;
	struct sync_probe_facts facts = { "" };
	struct sync_config cfg;
	struct store *s = NULL;
	int r;

	recall_inbox(o, &facts);
	cli_account_sync_config(o, password, &cfg);
	r = sync_probe(&cfg, &facts, &why);
	(void)printf("connection and sign-in to %s: %s\n", title,
	             r < 0 ? cli_reason(r, &why) : "ok");
	if (r < 0)
		status = cli_exit_of(r);
	else
		show_facts(&facts);
	cli_password_free(&password);
	if (!cli_account_known(o)) {
		(void)printf("local state in %s: none yet\n", o->state_dir);
		return status;
	}
	why.text[0] = '\0';
	r = cli_owner_check(o->state_dir, o->user, o->host, &why);
	if (r == 0)
		r = store_open(o->state_dir, o->cache_dir, &s, &why);
	store_close(&s);
	(void)printf("local state in %s: %s\n", o->state_dir, r < 0 ? cli_reason(r, &why) : "ok");
	return status == CLI_OK && r < 0 ? CLI_STATE : status;
}
