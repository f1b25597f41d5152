/* SPDX-License-Identifier: MIT */
#include "cli_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_control_priv.h"
#include "cli_paths.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#define REQUEST_MS 5000 /* for a client to say what it wants */
#define ANSWER_MS 10000 /* for a client to take the answer */
#define ANSWER_MAX (64u << 20)

struct cli_control {
	char *path;
	char *link; /* to it, from where one looks without XDG_RUNTIME_DIR; NULL: not needed */
	int fd;
	int wake[2]; /* readable once stopping, for all threads */
	bool started;
	pthread_t thread;
	cli_control_fn fn;
	void *ctx;
	pthread_mutex_t lock; /* of `clients` */
	pthread_cond_t gone;
	int clients;
};

struct client {
	struct cli_control *control;
	int fd;
};

/* ---- One client ---- */

static void answer(struct cli_control *c, int fd, const char *request)
{
	struct buf text = BUF_INIT(ANSWER_MAX);
	char head[32];
	int64_t deadline = clock_mono_ms() + ANSWER_MS;
	int status, len;

	if (cli_control_write(fd, "+\n", 2, deadline) < 0)
		return;
	status = c->fn(c->ctx, request, &text);
	len = snprintf(head, sizeof(head), "%d\n", status);
	deadline = clock_mono_ms() + ANSWER_MS;
	if (cli_control_write(fd, head, (size_t)len, deadline) == 0)
		(void)cli_control_write(fd, text.data, text.len, deadline);
	buf_release(&text);
}

/* The client learns by the end of the stream that this process is gone: its end is left
 * open for the kernel to close. */
static void hold_until_the_end(struct cli_control *c, int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
		               { .fd = c->wake[0], .events = POLLIN } };

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (p[1].revents == 0)
		close(fd);
}

static void *client_thread(void *arg)
{
	struct client *cl = arg;
	struct cli_control *c = cl->control;
	char request[CLI_CONTROL_LINE_MAX];
	int fd = cl->fd;
	int r = cli_control_read_line(fd, c->wake[0], clock_mono_ms() + REQUEST_MS, request,
	                              sizeof(request));

	free(cl);
	if (r == 1)
		answer(c, fd, request);
	if (r == 1 && strcmp(request, "leave") == 0)
		hold_until_the_end(c, fd);
	else
		close(fd);
	pthread_mutex_lock(&c->lock);
	c->clients--;
	pthread_cond_signal(&c->gone);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static bool start_client(struct cli_control *c, int fd)
{
	struct client *cl = mem_alloc(sizeof(*cl));
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	*cl = (struct client){ .control = c, .fd = fd };
	pthread_mutex_lock(&c->lock);
	ok = c->clients < CLI_CONTROL_CLIENTS;
	c->clients += ok;
	pthread_mutex_unlock(&c->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (ok && pthread_create(&thread, &attr, client_thread, cl) != 0) {
		pthread_mutex_lock(&c->lock);
		c->clients--;
		pthread_mutex_unlock(&c->lock);
		ok = false;
	}
	pthread_attr_destroy(&attr);
	if (!ok)
		free(cl);
	return ok;
}

static void *accept_thread(void *arg)
{
	static const char busy[] = "+\n9\ntoo many requests at once, try again\n";
	struct cli_control *c = arg;
	struct pollfd p[2] = { { .fd = c->fd, .events = POLLIN },
		               { .fd = c->wake[0], .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents != 0)
			break;
		fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			(void)poll(NULL, 0, errno == EMFILE || errno == ENFILE ? 100 : 0);
			continue;
		}
		if (!may_ask(fd)) {
			log_warn("control: a request of another user was refused");
			close(fd);
		} else if (!start_client(c, fd)) {
			(void)send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			close(fd);
		}
	}
	return NULL;
}

/* ---- The socket ---- */

/* A directory that is ours alone. */
static bool own_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return false;
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return false;
	return (st.st_mode & 077) == 0 || chmod(dir, 0700) == 0;
}

/* What an earlier daemon left at the path is removed: the mount point is free by now. */
static int listen_at(const char *path)
{
	struct sockaddr_un address;
	int fd;

	if (!cli_control_address(path, &address))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)unlink(path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0600) < 0 || listen(fd, CLI_CONTROL_CLIENTS) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Tries one candidate: the first good one gets the socket, the first good one after those
 * that the environment names a link to it. */
static void try_dir(struct cli_control *c, const char *dir, bool fixed, const char *mountpoint)
{
	char *path;

	if ((c->fd >= 0 && (!fixed || c->link != NULL)) || !own_dir(dir))
		return;
	path = cli_socket_path(dir, mountpoint);
	if (c->fd < 0) {
		c->fd = listen_at(path);
		c->path = c->fd >= 0 ? mem_strdup(path) : NULL;
		c->link = fixed && c->fd >= 0 ? mem_strdup(path) : NULL; /* found there as it is */
	} else if (strcmp(path, c->path) != 0) {
		(void)unlink(path);
		c->link = symlink(c->path, path) == 0 ? mem_strdup(path) : NULL;
	}
	free(path);
}

int cli_control_open(const char *mountpoint, struct cli_control **out, struct err_reason *why)
{
	struct cli_control *c = mem_alloc(sizeof(*c));
	char *dirs[CLI_RUN_DIRS];

	c->fd = -1;
	cli_run_dirs(geteuid(), dirs);
	for (int i = 0; i < CLI_RUN_DIRS; i++) {
		if (dirs[i] != NULL)
			try_dir(c, dirs[i], i > 0, mountpoint);
		free(dirs[i]);
	}
	if (c->fd < 0 || pipe2(c->wake, O_CLOEXEC) < 0) {
		if (c->fd >= 0)
			close(c->fd);
		free(c->path);
		free(c->link);
		free(c);
		return err_set(why, ERR_IO, "no place for the control socket: set XDG_RUNTIME_DIR");
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->gone, NULL);
	*out = c;
	return 0;
}

/* The path goes, and its directory when it was the last. */
static void remove_path(char *path)
{
	char *slash;

	if (path == NULL)
		return;
	(void)unlink(path);
	slash = strrchr(path, '/');
	*slash = '\0';
	(void)rmdir(path);
	free(path);
}

int cli_control_start(struct cli_control *c, cli_control_fn fn, void *ctx)
{
	c->fn = fn;
	c->ctx = ctx;
	if (pthread_create(&c->thread, NULL, accept_thread, c) != 0)
		return ERR_IO;
	c->started = true;
	return 0;
}

void cli_control_close(struct cli_control **control)
{
	struct cli_control *c = *control;

	if (c == NULL)
		return;
	*control = NULL;
	close(c->wake[1]); /* the other end is readable from now on */
	if (c->started)
		(void)pthread_join(c->thread, NULL);
	remove_path(c->link);
	remove_path(c->path);
	close(c->fd);
	pthread_mutex_lock(&c->lock);
	while (c->clients > 0)
		pthread_cond_wait(&c->gone, &c->lock);
	pthread_mutex_unlock(&c->lock);
	close(c->wake[0]);
	pthread_cond_destroy(&c->gone);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
