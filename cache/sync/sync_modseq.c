/* SPDX-License-Identifier: MIT */
#include "log.h"
#include "sync_pass_priv.h"
#include "wordset.h"

/* CONDSTORE and QRESYNC (RFC 7162): what is asked of which server and mailbox. */

bool sync_modseq_offered(const struct sync_link *l)
{
	if (l->plain || !l->session || imap_session_shuns(l->session, "CONDSTORE"))
		return false;
	return sync_link_has(l, "CONDSTORE") || sync_link_has(l, "QRESYNC");
}

/* Right after signing in, in front of any SELECT (3.2.3); it goes along with what follows, unless
 * UTF-8 is enabled with it: names in front of the answer could be read two ways. */
void sync_modseq_enable(struct sync_link *l)
{
	const char *words[3] = { NULL };
	size_t count = 0;
	struct imap_cmd *cmd;

	l->qresync = l->plain = false;
	if (!sync_link_has(l, "ENABLE"))
		return;
	if (sync_modseq_offered(l))
		words[count++] = sync_link_has(l, "QRESYNC") ? "QRESYNC" : "CONDSTORE";
	if (sync_link_has(l, "IMAP4rev2") && sync_link_has(l, "IMAP4rev1"))
		words[count++] = "IMAP4rev2";
	if (sync_link_has(l, "UTF8=ACCEPT"))
		words[count++] = "UTF8=ACCEPT";
	if (count == 0)
		return;
	cmd = imap_cmd_new("ENABLE");
	for (size_t i = 0; i < count; i++)
		imap_cmd_raw(cmd, words[i]);
	sync_link_send(l, &cmd, NULL, NULL, NULL);
}

/* The word of the tagged OK is not enough: iCloud says that and does not mean it. */
void sync_modseq_note(struct sync_link *l, const struct imap_resp *r)
{
	if (r->kind == IMAP_RESP_ENABLED && wordset_has(r->caps, "QRESYNC") &&
	    sync_link_has(l, "QRESYNC"))
		l->qresync = true;
}

/* What the store knows is a state of the mailbox that STATUS speaks of: the same UIDs, and not
 * of a later time, as it is when the server was restored from a backup. */
bool sync_modseq_follows(const struct sync_link *l, const struct store_mailbox *m,
                         const struct imap_status *seen)
{
	return sync_modseq_offered(l) && m->highestmodseq > 0 && m->uidvalidity && m->uidnext > 1 &&
	       seen && seen->has_uidvalidity && seen->uidvalidity == m->uidvalidity &&
	       seen->has_uidnext && seen->uidnext >= m->uidnext && seen->has_highestmodseq &&
	       seen->highestmodseq <= INT64_MAX && seen->highestmodseq >= m->highestmodseq;
}

struct sync_box *sync_modseq_select(struct sync_link *l, const struct store_mailbox *m,
                                    const struct imap_status *seen)
{
	bool resync = l->qresync && sync_modseq_follows(l, m, seen) &&
	              !sync_profile_new_only(l->sync, m);

	return resync ? sync_link_resync(l, m) : sync_link_select(l, m);
}
