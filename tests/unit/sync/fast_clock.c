/* SPDX-License-Identifier: MIT */
/*
 * Time that runs SYNC_DRIVE_SPEED times as fast, in place of imap/base/clock.c: pauses and back-off
 * of seconds pass in moments.  The linker sends what waits through here (--wrap).
 */
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
                                  const struct timespec *until);

static int64_t speed(void)
{
	static int64_t known;

	if (known == 0) {
		const char *given = getenv("SYNC_DRIVE_SPEED");

		known = given && atoi(given) > 0 ? atoi(given) : 1;
	}
	return known;
}

static int64_t real_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Since the first question of the process. */
static int64_t fast_ns(clockid_t id, int64_t *base)
{
	int64_t now = real_ns(id);

	if (*base == 0)
		*base = now;
	return *base + (now - *base) * speed();
}

static int64_t mono_base, boot_base, wall_base;

__attribute__((constructor)) static void begin(void)
{
	(void)fast_ns(CLOCK_MONOTONIC, &mono_base);
	(void)fast_ns(CLOCK_BOOTTIME, &boot_base);
	(void)fast_ns(CLOCK_REALTIME, &wall_base);
}

int64_t clock_mono_ms(void)
{
	return fast_ns(CLOCK_MONOTONIC, &mono_base) / 1000000;
}

/* Rates are those of the real world. */
int64_t clock_mono_us(void)
{
	return real_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_boot_ms(void)
{
	return fast_ns(CLOCK_BOOTTIME, &boot_base) / 1000000;
}

int64_t clock_wall_ns(void)
{
	return fast_ns(CLOCK_REALTIME, &wall_base);
}

int clock_left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_mono_ms();

	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return __real_poll(fds, count, timeout <= 0 ? timeout : (int)(timeout / speed()) + 1);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
                                  const struct timespec *until)
{
	int64_t fast = (int64_t)until->tv_sec * 1000000000 + until->tv_nsec;
	int64_t real = mono_base + (fast - mono_base) / speed();
	struct timespec t = { .tv_sec = real / 1000000000, .tv_nsec = real % 1000000000 };

	return __real_pthread_cond_timedwait(cond, lock, &t);
}
