/* SPDX-License-Identifier: MIT */
#include "mount_xattr_priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "mem.h"
#include "wordset.h"

void mount_date_text(int64_t seconds, int zone_min, char out[MOUNT_DATE_MAX])
{
	time_t local = seconds + zone_min * 60;
	int zone = zone_min < 0 ? -zone_min : zone_min;
	struct tm tm = { 0 };
	size_t n;

	gmtime_r(&local, &tm);
	n = strftime(out, MOUNT_DATE_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, MOUNT_DATE_MAX - n, "%c%02d:%02d", zone_min < 0 ? '-' : '+',
	         zone / 60 % 100, zone % 60);
}

char *mount_special_use(const char *attributes)
{
	static const char *const uses[] = { "All",       "Archive", "Drafts", "Flagged",
		                            "Important", "Junk",    "Sent",   "Trash" };
	struct buf out = BUF_INIT(256);

	for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++) {
		_cleanup_free_ char *word = mem_printf("\\%s", uses[i]);

		if (wordset_has(attributes, word))
			(void)buf_printf(&out, "%s%s", out.len ? " " : "", uses[i]);
	}
	return buf_detach(&out);
}

static const struct {
	enum store_profile profile;
	const char *name;
} profiles[] = {
	{ STORE_PROFILE_DEFAULT, "default" }, { STORE_PROFILE_FULL, "full" },
	{ STORE_PROFILE_HEADERS, "headers" }, { STORE_PROFILE_NEW_ONLY, "new-only" },
	{ STORE_PROFILE_BLIND, "blind" },     { STORE_PROFILE_NONE, "none" },
};

const char *mount_profile_name(enum store_profile p)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		if (profiles[i].profile == p)
			return profiles[i].name;
	}
	return "default";
}

/* What a shell adds at the end of a value does not count. */
static size_t trimmed(const char *word, size_t len)
{
	while (len > 0 && (word[len - 1] == '\n' || word[len - 1] == ' '))
		len--;
	return len;
}

int mount_profile_parse(const char *word, size_t len, enum store_profile *out)
{
	len = trimmed(word, len);
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		if (strlen(profiles[i].name) == len && memcmp(profiles[i].name, word, len) == 0) {
			*out = profiles[i].profile;
			return 0;
		}
	}
	return ERR_INVAL;
}

int mount_bool_parse(const char *word, size_t len, bool *out)
{
	static const char *const words[] = { "0", "1", "no", "yes", "false", "true" };

	len = trimmed(word, len);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strlen(words[i]) == len && strncasecmp(words[i], word, len) == 0) {
			*out = i % 2 == 1;
			return 0;
		}
	}
	return ERR_INVAL;
}
