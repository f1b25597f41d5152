/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "text_priv.h"

#define LINE_MAX_BYTES 1001

static void to_stderr(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "imapfs: %s\n", line);
}

static struct {
	log_sink_fn fn;
	void *ctx;
	enum log_level max;
} sink = { .fn = to_stderr, .max = LOG_LEVEL_WARN };

void log_set_sink(log_sink_fn fn, void *ctx, enum log_level max)
{
	sink.fn = fn != NULL ? fn : to_stderr;
	sink.ctx = ctx;
	sink.max = max;
}

int log_enabled(enum log_level level)
{
	return level <= sink.max;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static _Thread_local bool busy;
	char line[LINE_MAX_BYTES];
	int saved = errno;
	va_list ap;

	if (!log_enabled(level) || busy)
		return;
	va_start(ap, fmt);
	text_format_line(line, sizeof(line), fmt, ap);
	va_end(ap);
	busy = true;
	sink.fn(sink.ctx, level, line);
	busy = false;
	errno = saved;
}
