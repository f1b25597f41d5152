/* SPDX-License-Identifier: MIT */
#include "imap_quirk_priv.h"

#include <string.h>
#include <strings.h>

#include "log.h"
#include "mem.h"
#include "wordset.h"

/*
 * What servers offer and had better not be asked for.  Everything else that they do otherwise is borne
 * by all of the code alike (a NO or BAD to an extension falls back, a liar is looked up): here stands
 * only what would do harm before it is noticed.
 */
static const struct quirk {
	const char *who;
	const char *hosts; /* ends of host names */
	const char *word;  /* a capability that is only theirs; NULL: none */
	const char *disable;
	const char *why;
} quirks[] = {
	{ "iCloud", "mail.me.com mail.icloud.com", "XAPPLELITERAL", "QRESYNC",
	  "its VANISHED and message numbers have made clients lose mail" },
	{ "GMX, WEB.DE and IONOS",
	  "gmx.net gmx.com gmx.de web.de mail.com 1und1.de ionos.de ionos.com", NULL,
	  "LIST-EXTENDED LIST-STATUS", "it leaves out mailboxes below INBOX" },
	{ "Strato", "strato.de strato.com rzone.de", NULL, "LIST-EXTENDED LIST-STATUS",
	  "it answers with nothing" },
	{ "Yahoo and AOL", "mail.yahoo.com mail.yahoo.co.jp imap.aol.com", "XYMHIGHESTMODSEQ",
	  "CONDSTORE QRESYNC", "HIGHESTMODSEQ is told without the rest" },
};

/* `host` is one of these, or within one. */
static bool is_host(const char *host, const char *names)
{
	const char *pos = names, *name;
	size_t host_len = strlen(host), len;

	while ((name = wordset_next(&pos, &len)) != NULL) {
		const char *end = host + host_len - len;

		if (host_len >= len && strncasecmp(end, name, len) == 0 &&
		    (host_len == len || end[-1] == '.'))
			return true;
	}
	return false;
}

char *imap_quirk_disable(const char *host, const char *caps, const char *disable)
{
	char *words = wordset_canon(disable);

	if (wordset_has(disable, "QUIRKS"))
		return words;
	for (size_t i = 0; i < sizeof(quirks) / sizeof(quirks[0]); i++) {
		const struct quirk *q = &quirks[i];
		char *more;

		if (!is_host(host, q->hosts) && (q->word == NULL || !wordset_has(caps, q->word)))
			continue;
		log_info("imap: this is %s: %s not used, since %s", q->who, q->disable, q->why);
		more = wordset_union(words, q->disable);
		free(words);
		words = more;
	}
	return words;
}
