/* SPDX-License-Identifier: MIT */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Receives one finished line without its newline.  May be called from any
 * thread; never re-enters itself. */
typedef void (*log_sink_fn)(void *ctx, enum log_level level, const char *line);

/* Sets the process's only log sink (NULL: stderr) and the most verbose level
 * that reaches it.  Call before threads start. */
void log_set_sink(log_sink_fn fn, void *ctx, enum log_level max);

/* True when a line of this level would reach the sink. */
int log_enabled(enum log_level level);

/* Formats one line (control characters replaced, 1,000 bytes at most).  The
 * layer that stops an error logs it once; a layer that returns it does not.
 * Secrets never come here. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
