/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "imap_conn_priv.h"
#include "mem.h"

#define ADDRESSES_MAX 16
#define NEXT_ATTEMPT_MS 250 /* how long one address has before the next is tried beside it */

/*
 * A name look-up in a thread of its own, because getaddrinfo() keeps no deadline.  Whoever
 * loses interest leaves; the last of the two to leave frees.
 */
struct lookup {
	pthread_mutex_t lock;
	int refs;    /* by lock */
	int done_fd; /* readable when the fields below hold */
	int error;   /* of getaddrinfo() */
	struct addrinfo *found;
	char *host;
	char port[8];
};

static void lookup_leave(struct lookup *l)
{
	int left;

	pthread_mutex_lock(&l->lock);
	left = --l->refs;
	pthread_mutex_unlock(&l->lock);
	if (left > 0)
		return;
	pthread_mutex_destroy(&l->lock);
	close(l->done_fd);
	if (l->found != NULL)
		freeaddrinfo(l->found);
	free(l->host);
	free(l);
}

static void resolve(struct lookup *l, int flags)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
	struct addrinfo *found = NULL;

	l->error = getaddrinfo(l->host, l->port, &hints, &found);
	l->found = l->error == 0 ? found : NULL;
}

static void *lookup_main(void *arg)
{
	struct lookup *l = arg;
	uint64_t one = 1;

	resolve(l, 0);
	(void)!write(l->done_fd, &one, sizeof(one));
	lookup_leave(l);
	return NULL;
}

/* Signals stay with the threads of the program. */
static int start_thread(struct lookup *l)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t id;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	l->refs++;
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&id, &attr, lookup_main, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		l->refs--;
	return r;
}

/* 0; ERR_TIMEOUT or ERR_CANCELED. */
static int wait_lookup(struct lookup *l, int cancel_fd, int64_t deadline_ms)
{
	struct pollfd fds[] = { { .fd = l->done_fd, .events = POLLIN },
		                { .fd = cancel_fd, .events = POLLIN } };
	uint64_t count;

	for (;;) {
		int left = clock_left_ms(deadline_ms), n = poll(fds, 2, left);

		if (n > 0 && fds[1].revents != 0)
			return ERR_CANCELED;
		if (n > 0 && read(l->done_fd, &count, sizeof(count)) > 0)
			return 0;
		if (n == 0 && left == 0)
			return ERR_TIMEOUT;
	}
}

static struct lookup *lookup_new(const struct imap_conn_options *opt)
{
	struct lookup *l = mem_alloc(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->refs = 1;
	l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->host = mem_strdup(opt->host);
	snprintf(l->port, sizeof(l->port), "%u", opt->port);
	return l;
}

/* Fills l->found.  A numeric address needs no thread. */
static int look_up(struct lookup *l, const struct imap_conn_options *opt, int64_t deadline_ms,
                   struct err_reason *why)
{
	int r;

	resolve(l, AI_NUMERICHOST);
	if (l->error == 0)
		return 0;
	if (l->done_fd < 0 || start_thread(l) != 0)
		return err_set(why, ERR_OFFLINE, "cannot start the look-up of %s", opt->host);
	r = wait_lookup(l, opt->cancel_fd, deadline_ms);
	if (r == ERR_TIMEOUT)
		return err_set(why, r, "look-up of %s took too long", opt->host);
	if (r < 0)
		return err_set(why, r, "look-up of %s was interrupted", opt->host);
	if (l->error != 0)
		return err_set(why, ERR_OFFLINE, "cannot find %s: %s", opt->host,
		               gai_strerror(l->error));
	return 0;
}

/* The addresses in the order they are tried: as found, families taking turns. */
static size_t order_addresses(const struct addrinfo *found, const struct addrinfo **out)
{
	const struct addrinfo *same = found, *other = found;
	size_t n = 0;

	while (n < ADDRESSES_MAX) {
		while (same != NULL && same->ai_family != found->ai_family)
			same = same->ai_next;
		while (other != NULL && other->ai_family == found->ai_family)
			other = other->ai_next;
		if (same == NULL && other == NULL)
			break;
		if (same != NULL) {
			out[n++] = same;
			same = same->ai_next;
		}
		if (other != NULL && n < ADDRESSES_MAX) {
			out[n++] = other;
			other = other->ai_next;
		}
	}
	return n;
}

/* Attempts under way, several at a time. */
struct race {
	struct pollfd fds[ADDRESSES_MAX + 1]; /* [0]: cancel_fd */
	size_t started, running;
	int last_errno;
};

static void attempt_failed(struct race *race, size_t i, int error)
{
	race->last_errno = error;
	if (race->fds[i].fd >= 0) {
		close(race->fds[i].fd);
		race->fds[i].fd = -1;
		race->running--;
	}
}

static void start_attempt(struct race *race, const struct addrinfo *ai)
{
	size_t i = ++race->started;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	race->fds[i] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	if (fd < 0) {
		race->last_errno = errno;
		return;
	}
	race->running++;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS)
		attempt_failed(race, i, errno);
}

/* The socket of an attempt that has succeeded, taken out of the race; -1: none yet. */
static int take_winner(struct race *race)
{
	for (size_t i = 1; i <= race->started; i++) {
		int error = 0, fd = race->fds[i].fd;
		socklen_t len = sizeof(error);

		if (fd < 0 || race->fds[i].revents == 0)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
		if (error == 0) {
			race->fds[i].fd = -1;
			return fd;
		}
		attempt_failed(race, i, error);
	}
	return -1;
}

/* One turn: starts the next attempt when it is due, waits.  A socket, -1 to go on, or 0
 * when nothing is left to wait for. */
static int race_turn(struct race *race, const struct addrinfo **addrs, size_t count,
                     int64_t *next_ms, int64_t deadline_ms)
{
	int64_t until = deadline_ms;

	if (race->started < count && (race->running == 0 || clock_left_ms(*next_ms) == 0)) {
		start_attempt(race, addrs[race->started]);
		*next_ms = clock_mono_ms() + NEXT_ATTEMPT_MS;
	}
	if (race->running == 0)
		return race->started < count ? -1 : 0;
	if (race->started < count && *next_ms < until)
		until = *next_ms;
	for (size_t i = 0; i <= race->started; i++)
		race->fds[i].revents = 0;
	if (poll(race->fds, race->started + 1, clock_left_ms(until)) <= 0)
		return -1;
	return take_winner(race);
}

static int run_race(struct race *race, const struct addrinfo **addrs, size_t count,
                    const struct imap_conn_options *opt, int64_t deadline_ms,
                    struct err_reason *why)
{
	int64_t next_ms = 0;

	race->fds[0] = (struct pollfd){ .fd = opt->cancel_fd, .events = POLLIN };
	for (;;) {
		int fd = race_turn(race, addrs, count, &next_ms, deadline_ms);

		if (fd > 0)
			return fd;
		if (fd == 0)
			return err_set(why, ERR_OFFLINE, "cannot connect to %s port %u: %s",
			               opt->host, opt->port, strerror(race->last_errno));
		if (race->fds[0].revents != 0)
			return err_set(why, ERR_CANCELED, "connecting was interrupted");
		if (clock_left_ms(deadline_ms) == 0)
			return err_set(why, ERR_TIMEOUT, "%s port %u does not answer", opt->host,
			               opt->port);
	}
}

int imap_conn_dial(const struct imap_conn_options *opt, int64_t deadline_ms, struct err_reason *why)
{
	const struct addrinfo *addrs[ADDRESSES_MAX];
	struct race race = { .last_errno = EHOSTUNREACH };
	struct lookup *l = lookup_new(opt);
	int r = look_up(l, opt, deadline_ms, why);

	if (r == 0)
		r = run_race(&race, addrs, order_addresses(l->found, addrs), opt, deadline_ms, why);
	for (size_t i = 1; i <= race.started; i++)
		if (race.fds[i].fd >= 0)
			close(race.fds[i].fd);
	lookup_leave(l);
	return r;
}
