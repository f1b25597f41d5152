/* SPDX-License-Identifier: MIT */
#include <strings.h>

#include "clock.h"
#include "log.h"
#include "sync_pass_priv.h"

/*
 * NOTIFY (RFC 5465): while one mailbox is selected, STATUS tells of changes in the others, LIST of
 * mailboxes that come, go or are renamed.  Any of them calls for a pass, which asks for the numbers of
 * all in one command and opens those that have moved; bursts make one pass every other second.
 */
enum { CALM_MS = 2000 };

#define MESSAGES "MessageNew MessageExpunge FlagChange"

/* Says no, or does not know an event: it is asked every few minutes, as without. */
static void on_done(void *ctx, const struct imap_result *res)
{
	struct sync_link *l = ctx;

	if (res->err < 0)
		log_debug("sync: no NOTIFY: %s", err_text(res->err));
	else
		l->notify = SYNC_NOTIFY_ON;
}

void sync_notify_ask(struct sync_link *l)
{
	struct imap_cmd *cmd;

	if (l->notify != SYNC_NOTIFY_UNASKED || !sync_link_has(l, "NOTIFY"))
		return;
	l->notify = SYNC_NOTIFY_ASKED;
	cmd = imap_cmd_new("NOTIFY");
	imap_cmd_raw(cmd, "SET (SELECTED-DELAYED (" MESSAGES "))");
	imap_cmd_raw(cmd, "(PERSONAL (" MESSAGES " MailboxName SubscriptionChange))");
	sync_link_send(l, &cmd, NULL, on_done, l);
}

static bool is_overflow(const struct imap_resp *r)
{
	return r->kind == IMAP_RESP_COND && r->code == IMAP_CODE_UNKNOWN && r->code_text &&
	       strcasecmp(r->code_text, "NOTIFICATIONOVERFLOW") == 0;
}

void sync_notify_note(struct sync_link *l, const struct imap_resp *r)
{
	if (l->notify != SYNC_NOTIFY_ON)
		return;
	if (is_overflow(r))
		l->notify =
			SYNC_NOTIFY_UNASKED; /* the server tells nothing any more (section 5.8) */
	else if (r->kind != IMAP_RESP_STATUS && r->kind != IMAP_RESP_LIST)
		return;
	l->news = true;
}

int sync_notify_pass_on(struct sync_link *l, int max_ms)
{
	int64_t now = clock_mono_ms(), left = l->passed_on_ms + CALM_MS - now;

	if (!l->news)
		return max_ms;
	if (l->passed_on_ms && left > 0)
		return left < max_ms ? (int)left : max_ms;
	l->news = false;
	l->passed_on_ms = now;
	sync_refresh(l->sync);
	return max_ms;
}
