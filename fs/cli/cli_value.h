/* SPDX-License-Identifier: MIT */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* Reading the values of options.  Each gives 0, or ERR_INVAL with its results untouched. */

/* Digits up to *end, at most `max`. */
int cli_number_parse(const char *text, int base, uint64_t max, uint64_t *out, const char **end);

/* "2s", "5m", "500ms", "1h", "1d"; without a unit seconds. */
int cli_duration_parse(const char *text, int64_t *ms);

/* "4096", "10M": K, M, G and T are powers of 1024. */
int cli_size_parse(const char *text, uint64_t *bytes);

/* yes, no, true, false, on, off, 1, 0. */
int cli_bool_parse(const char *text, bool *out);

#endif
