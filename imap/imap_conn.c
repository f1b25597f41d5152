/* SPDX-License-Identifier: MIT */
#include "imap_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "imap_conn_priv.h"
#include "mem.h"

#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_STEP_S 15
#define KEEPALIVE_TRIES 4
#define TUNNEL_ENDS_MS 300 /* after that it is killed */

static void set_option(int fd, int level, int name, int value)
{
	/* a socket that is not TCP has none of these, and works without */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void tune(int fd, int dead_ms)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_STEP_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES);
	if (dead_ms > 0)
		set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, dead_ms);
}

struct imap_conn *imap_conn_adopt(int fd, const struct imap_conn_options *opt)
{
	struct imap_conn *c = mem_alloc(sizeof(*c));

	c->fd = fd;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->cancel_fd = opt->cancel_fd;
	c->host = mem_strdup(opt->host);
	c->cafile = mem_strdup(opt->cafile);
	c->cert = mem_strdup(opt->cert);
	c->key = mem_strdup(opt->key);
	c->pin = mem_strdup(opt->pin);
	tune(fd, opt->dead_ms);
	return c;
}

int imap_conn_open(const struct imap_conn_options *opt, int64_t deadline_ms, struct imap_conn **out,
                   struct err_reason *why)
{
	struct imap_conn *c;
	pid_t tunnel = 0;
	int fd = opt->tunnel != NULL ? imap_conn_dig(opt->tunnel, &tunnel, why)
	                             : imap_conn_dial(opt, deadline_ms, why);

	if (fd < 0)
		return fd;
	c = imap_conn_adopt(fd, opt);
	c->tunnel = tunnel;
	if (c->wake_fd < 0) {
		imap_conn_free(&c);
		return err_set(why, ERR_OFFLINE, "no file descriptor is left");
	}
	*out = c;
	return 0;
}

void imap_conn_free(struct imap_conn **conn)
{
	struct imap_conn *c = *conn;

	*conn = NULL;
	if (c == NULL)
		return;
	imap_conn_deflate_free(c);
	imap_conn_tls_free(c);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	close(c->fd);
	if (c->tunnel > 0)
		(void)child_end(c->tunnel, TUNNEL_ENDS_MS);
	free(c->host);
	free(c->cafile);
	free(c->cert);
	free(c->key);
	free(c->pin);
	free(c->refused);
	free(c);
}

void imap_conn_cut(struct imap_conn *c)
{
	if (!c->cut)
		(void)shutdown(c->fd, SHUT_RDWR);
	c->cut = true;
}

int imap_conn_lost(struct imap_conn *c, const char *why)
{
	c->cut = true;
	if (c->problem[0] == '\0')
		snprintf(c->problem, sizeof(c->problem), "%s", why);
	return ERR_OFFLINE;
}

const char *imap_conn_problem(const struct imap_conn *c)
{
	return c->problem[0] != '\0' ? c->problem : "connection is closed";
}

bool imap_conn_is_tls(const struct imap_conn *c)
{
	return c->ssl != NULL;
}

bool imap_conn_is_loopback(const struct imap_conn *c)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&addr)->sin6_addr;

	if (getpeername(c->fd, (struct sockaddr *)&addr, &len) < 0)
		return false;
	if (addr.ss_family == AF_UNIX)
		return true;
	if (addr.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return addr.ss_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(v6) ||
	        (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET));
}

void imap_conn_forget_cancel(struct imap_conn *c)
{
	c->cancel_fd = -1;
}

/* What a recv() or send() that failed means. */
static int64_t io_failed(struct imap_conn *c)
{
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	return imap_conn_lost(c, errno == EPIPE || errno == ECONNRESET
	                                 ? "server closed the connection"
	                                 : strerror(errno));
}

int64_t imap_conn_raw_read(struct imap_conn *c, void *dst, size_t cap)
{
	ssize_t n;

	if (c->ssl != NULL)
		return imap_conn_tls_read(c, dst, cap);
	n = recv(c->fd, dst, cap, MSG_DONTWAIT);
	if (n == 0)
		return imap_conn_lost(c, "server closed the connection");
	return n > 0 ? n : io_failed(c);
}

int64_t imap_conn_raw_write(struct imap_conn *c, const void *src, size_t len)
{
	ssize_t n;

	if (c->ssl != NULL)
		return imap_conn_tls_write(c, src, len);
	n = send(c->fd, src, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n >= 0 ? n : io_failed(c);
}

int64_t imap_conn_read(struct imap_conn *c, void *dst, size_t cap)
{
	if (c->cut)
		return ERR_OFFLINE;
	return c->deflate != NULL ? imap_conn_deflate_read(c, dst, cap)
	                          : imap_conn_raw_read(c, dst, cap);
}

int64_t imap_conn_write(struct imap_conn *c, const void *src, size_t len)
{
	if (c->cut)
		return ERR_OFFLINE;
	return c->deflate != NULL ? imap_conn_deflate_write(c, src, len)
	                          : imap_conn_raw_write(c, src, len);
}

/* The flag is set before the descriptor becomes readable, so that whoever finds the flag
 * may leave the descriptor as it is: a wait that finds only that ignores it. */
void imap_conn_wake(struct imap_conn *c)
{
	uint64_t one = 1;

	atomic_store(&c->woken, true);
	(void)!write(c->wake_fd, &one, sizeof(one));
}

bool imap_conn_woken(struct imap_conn *c)
{
	return atomic_load(&c->woken) && atomic_exchange(&c->woken, false);
}

static int conn_events(const struct imap_conn *c, bool writing)
{
	int events = c->read_needs_out ? POLLOUT : POLLIN;

	if (writing)
		events |= c->write_needs_in ? POLLIN : POLLOUT;
	return events;
}

int imap_conn_wait(struct imap_conn *c, bool writing, int64_t deadline_ms)
{
	struct pollfd fds[] = {
		{ .fd = c->fd,
		  .events = (short)conn_events(c, writing || imap_conn_deflate_has_output(c)) },
		{ .fd = c->wake_fd, .events = POLLIN },
		{ .fd = c->cancel_fd, .events = POLLIN },
	};
	uint64_t count;

	for (;;) {
		int left = clock_left_ms(deadline_ms), n;

		if (imap_conn_woken(c))
			return ERR_CANCELED;
		if (c->cut || imap_conn_deflate_has_input(c) ||
		    (c->ssl != NULL && !c->drained && SSL_has_pending(c->ssl)))
			return 1;
		n = poll(fds, 3, left);
		if (n > 0 && fds[1].revents != 0)
			(void)!read(c->wake_fd, &count, sizeof(count));
		if (n > 0 && fds[2].revents != 0)
			return ERR_CANCELED;
		if (n > 0 && fds[0].revents != 0)
			return imap_conn_woken(c) ? ERR_CANCELED : 1;
		if (left == 0 && n == 0)
			return 0;
	}
}
