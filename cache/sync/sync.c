/* SPDX-License-Identifier: MIT */
#include "sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "sync_priv.h"

#define GOODBYE_MS 300

bool sync_should_leave(struct sync *s, uint64_t since)
{
	bool leave;

	pthread_mutex_lock(&s->lock);
	leave = s->stopping || s->paused || s->drop_links != since;
	pthread_mutex_unlock(&s->lock);
	return leave;
}

void sync_wake_link(struct sync *s, int which)
{
	if (s->links[which])
		sync_link_wake(s->links[which]);
	pthread_cond_broadcast(&s->changed);
}

void sync_drop_links_locked(struct sync *s)
{
	s->drop_links++;
	for (int i = 0; i < 2; i++)
		if (s->links[i])
			sync_link_interrupt(s->links[i]);
	pthread_cond_broadcast(&s->changed);
}

void sync_tell(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sync_rest_until(struct sync *s, int64_t deadline_ms)
{
	struct timespec t = { .tv_sec = deadline_ms / 1000,
		              .tv_nsec = deadline_ms % 1000 * 1000000 };

	if (clock_left_ms(deadline_ms) > 0)
		(void)pthread_cond_timedwait(&s->changed, &s->lock, &t);
}

/* ---- Start and stop ---- */

static void config_copy(struct sync_config *to, const struct sync_config *from)
{
	*to = *from;
	to->state_dir = mem_strdup(from->state_dir);
	to->cache_dir = mem_strdup(from->cache_dir);
	to->host = mem_strdup(from->host);
	to->user = mem_strdup(from->user);
	to->cafile = mem_strdup(from->cafile);
	to->cert = mem_strdup(from->cert);
	to->key = mem_strdup(from->key);
	to->pin = mem_strdup(from->pin);
	to->tunnel = mem_strdup(from->tunnel);
	to->auth = mem_strdup(from->auth);
	to->disable = mem_strdup(from->disable);
	if (to->timeout_ms == 0)
		to->timeout_ms = 30 * 1000;
	if (to->poll_ms == 0)
		to->poll_ms = 5 * 60 * 1000;
	if (to->connections == 0)
		to->connections = 2;
}

static void config_release(struct sync_config *c)
{
	free((char *)(uintptr_t)c->state_dir);
	free((char *)(uintptr_t)c->cache_dir);
	free((char *)(uintptr_t)c->host);
	free((char *)(uintptr_t)c->user);
	free((char *)(uintptr_t)c->cafile);
	free((char *)(uintptr_t)c->cert);
	free((char *)(uintptr_t)c->key);
	free((char *)(uintptr_t)c->pin);
	free((char *)(uintptr_t)c->tunnel);
	free((char *)(uintptr_t)c->auth);
	free((char *)(uintptr_t)c->disable);
}

static struct sync *sync_new(const struct sync_config *cfg)
{
	struct sync *s = mem_alloc(sizeof(*s));
	pthread_condattr_t attr;

	config_copy(&s->cfg, cfg);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	s->paused = cfg->offline;
	s->status.state = SYNC_CONNECTING;
	s->status.since_ms = clock_wall_ns() / 1000000;
	return s;
}

static void ended(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->running--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void *worker_main(void *arg)
{
	sync_worker_main(arg);
	ended(arg);
	return NULL;
}

static void *server_main(void *arg)
{
	sync_server_main(arg);
	ended(arg);
	return NULL;
}

int sync_start(const struct sync_config *cfg, struct sync **out, struct err_reason *why)
{
	struct sync *s = sync_new(cfg);
	struct sync_link *worker = mem_alloc(sizeof(*worker)), *server = mem_alloc(sizeof(*server));
	int r = sync_link_init(worker, s, "worker", why);

	if (r == 0)
		s->links[SYNC_WORKER] = worker;
	else
		free(worker);
	if (r == 0)
		r = sync_link_init(server, s, "server", why);
	if (r == 0)
		s->links[SYNC_SERVER] = server;
	else
		free(server);
	if (r == 0) {
		s->running = 2;
		s->teller_on = pthread_create(&s->teller, NULL, sync_teller_main, s) == 0;
		s->worker_on = pthread_create(&s->worker, NULL, worker_main, s) == 0;
		s->server_on = pthread_create(&s->server, NULL, server_main, s) == 0;
		if (!s->teller_on || !s->worker_on || !s->server_on)
			r = err_set(why, ERR_IO, "no thread can be started");
		s->running -= r < 0 ? !s->worker_on + !s->server_on : 0;
	}
	if (r < 0)
		sync_stop(&s);
	else
		*out = s;
	return r;
}

/* Asks both threads to end, which may say good-bye to their servers; those who wait for one
 * that does not answer are torn away.  The lock is held. */
static void end_threads(struct sync *s)
{
	int64_t deadline_ms = clock_mono_ms() + GOODBYE_MS;

	s->stopping = true;
	sync_drop_links_locked(s);
	while (s->running > 0 && clock_left_ms(deadline_ms) > 0)
		sync_rest_until(s, deadline_ms);
	for (int i = 0; i < 2; i++)
		if (s->links[i] && s->links[i]->session)
			imap_session_abort(s->links[i]->session);
}

void sync_stop(struct sync **sp)
{
	struct sync *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	end_threads(s);
	pthread_mutex_unlock(&s->lock);
	if (s->worker_on)
		pthread_join(s->worker, NULL);
	if (s->server_on)
		pthread_join(s->server, NULL);
	if (s->teller_on)
		pthread_join(s->teller, NULL);
	for (int i = 0; i < 2; i++) {
		if (s->links[i])
			sync_link_release(s->links[i]);
		free(s->links[i]);
	}
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	config_release(&s->cfg);
	free(s);
}

int sync_check_config(const struct sync_config *cfg, struct err_reason *why)
{
	struct imap_options opt;

	sync_link_options(cfg, &opt);
	return imap_options_check(&opt, why);
}

/* ---- Calls from other threads ---- */

void sync_kick(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->kicked = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sync_refresh(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->pull_wanted = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sync_pause(struct sync *s, bool pause)
{
	pthread_mutex_lock(&s->lock);
	s->paused = pause;
	s->kicked = true;
	s->retry_now = !pause;
	if (pause)
		sync_drop_links_locked(s);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* What has come of asking number `n`; 1: nothing yet.  The lock is held. */
static int wait_outcome(struct sync *s, uint64_t n, struct err_reason *why)
{
	if (s->paused)
		return err_set(why, ERR_OFFLINE, "paused");
	if (s->wait_failed >= n)
		return err_set(why, s->wait_err, "%s", s->status.reason);
	if (s->wait_done < n)
		return 1;
	if (s->stopped)
		return err_set(why, ERR_REFUSED, "sending was stopped: imapfs queue PATH go");
	if (s->parked > 0)
		return err_set(why, ERR_REFUSED, "%lld action%s refused by the server",
		               (long long)s->parked, s->parked == 1 ? "" : "s");
	return 0;
}

int sync_wait(struct sync *s, int64_t deadline_ms, struct err_reason *why)
{
	uint64_t n;
	int r;

	pthread_mutex_lock(&s->lock);
	n = ++s->wait_asked;
	if (s->status.state == SYNC_OFFLINE)
		s->retry_now = true;
	pthread_cond_broadcast(&s->changed);
	while ((r = wait_outcome(s, n, why)) == 1 && !s->stopping && clock_left_ms(deadline_ms) > 0)
		sync_rest_until(s, deadline_ms);
	pthread_mutex_unlock(&s->lock);
	if (r == 1)
		return err_set(why, ERR_TIMEOUT,
		               "not in step with the server within the time given");
	return r;
}
