/* SPDX-License-Identifier: MIT */
#include "cli_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "err.h"

struct unit {
	const char *word;
	int worth;
};

int cli_number_parse(const char *text, int base, uint64_t max, uint64_t *out, const char **end)
{
	unsigned long long n;
	char *stop;

	if (!isdigit((unsigned char)text[0]))
		return ERR_INVAL;
	errno = 0;
	n = strtoull(text, &stop, base);
	if (errno != 0 || n > max)
		return ERR_INVAL;
	*out = n;
	*end = stop;
	return 0;
}

int cli_duration_parse(const char *text, int64_t *ms)
{
	static const struct unit units[] = {
		{ "", 1000 },     { "s", 1000 },     { "ms", 1 },      { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 }, { "min", 60000 }, { NULL, 0 },
	};
	const char *end;
	uint64_t n;

	if (cli_number_parse(text, 10, INT64_MAX / 86400000, &n, &end) < 0)
		return ERR_INVAL;
	for (const struct unit *u = units; u->word != NULL; u++)
		if (strcmp(end, u->word) == 0) {
			*ms = (int64_t)n * u->worth;
			return 0;
		}
	return ERR_INVAL;
}

int cli_size_parse(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t n;

	if (cli_number_parse(text, 10, UINT64_MAX >> 41, &n, &end) < 0)
		return ERR_INVAL;
	if (*end != '\0') {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL || end[1] != '\0')
			return ERR_INVAL;
		n <<= 10 * (unit - units + 1);
	}
	*bytes = n;
	return 0;
}

int cli_bool_parse(const char *text, bool *out)
{
	static const struct unit words[] = {
		{ "yes", 1 },   { "true", 1 }, { "on", 1 }, { "1", 1 },  { "no", 0 },
		{ "false", 0 }, { "off", 0 },  { "0", 0 },  { NULL, 0 },
	};

	for (const struct unit *w = words; w->word != NULL; w++)
		if (strcasecmp(text, w->word) == 0) {
			*out = w->worth != 0;
			return 0;
		}
	return ERR_INVAL;
}
