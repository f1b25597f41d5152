/* SPDX-License-Identifier: MIT */
#include "cli_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

#define TAIL_MAX (64L << 10)

struct cli_log {
	pthread_mutex_t lock;
	char *path, *old_path;
	int fd;
	long size, max_bytes;
	bool to_stderr;
	enum log_level stderr_max;
};

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

static int open_file(struct cli_log *log)
{
	struct stat st;

	log->fd = open(log->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log->fd < 0)
		return ERR_IO;
	log->size = fstat(log->fd, &st) == 0 ? (long)st.st_size : 0;
	return 0;
}

/* The lock is held. */
static void rotate(struct cli_log *log)
{
	if (rename(log->path, log->old_path) < 0)
		return;
	close(log->fd);
	(void)open_file(log);
}

static void write_line(void *ctx, enum log_level level, const char *line)
{
	struct cli_log *log = ctx;
	char stamp[40], text[1200];
	time_t now = time(NULL);
	struct tm tm;
	int len;

	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&now, &tm));
	len = snprintf(text, sizeof(text), "%s %s: %s\n", stamp, level_word(level), line);
	if (len < 0)
		return;
	if (len >= (int)sizeof(text))
		len = (int)sizeof(text) - 1;
	pthread_mutex_lock(&log->lock);
	if (log->size + len > log->max_bytes)
		rotate(log);
	if (log->fd >= 0 && write(log->fd, text, (size_t)len) == len)
		log->size += len;
	pthread_mutex_unlock(&log->lock);
	if (log->to_stderr && level <= log->stderr_max)
		(void)fprintf(stderr, "imapfs: %s\n", line);
}

int cli_log_open(const char *state_dir, long max_bytes, bool to_stderr, bool debug,
                 struct cli_log **out, struct err_reason *why)
{
	struct cli_log *log = mem_alloc(sizeof(*log));

	pthread_mutex_init(&log->lock, NULL);
	log->path = mem_printf("%s/log", state_dir);
	log->old_path = mem_printf("%s/log.1", state_dir);
	log->max_bytes = max_bytes;
	log->to_stderr = to_stderr;
	log->stderr_max = debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;
	if (open_file(log) < 0) {
		err_set(why, ERR_IO, "%s: %s", log->path, strerror(errno));
		cli_log_close(&log);
		return ERR_IO;
	}
	log_set_sink(write_line, log, debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	*out = log;
	return 0;
}

void cli_log_close(struct cli_log **log)
{
	if (*log == NULL)
		return;
	log_set_sink(NULL, NULL, LOG_LEVEL_WARN);
	if ((*log)->fd >= 0)
		close((*log)->fd);
	pthread_mutex_destroy(&(*log)->lock);
	free((*log)->path);
	free((*log)->old_path);
	free(*log);
	*log = NULL;
}

int cli_log_tail(struct cli_log *log, char **out, size_t *len)
{
	long start, want;
	char *text, *line;
	ssize_t n;

	pthread_mutex_lock(&log->lock);
	start = log->size > TAIL_MAX ? log->size - TAIL_MAX : 0;
	want = log->size - start;
	text = mem_alloc((size_t)want + 1);
	n = log->fd >= 0 ? pread(log->fd, text, (size_t)want, start) : -1;
	pthread_mutex_unlock(&log->lock);
	if (n < 0) {
		free(text);
		return ERR_IO;
	}
	line = start > 0 ? memchr(text, '\n', (size_t)n) : NULL;
	if (line != NULL) { /* begins within a line */
		n -= line + 1 - text;
		memmove(text, line + 1, (size_t)n);
	}
	text[n] = '\0';
	*out = text;
	*len = (size_t)n;
	return 0;
}
