/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "imap_session.h"
#include "sync_link_priv.h"
#include "sync_priv.h"

/* One connection, to tell a person what it comes to. */

struct probe {
	uint32_t uidvalidity;
	int64_t found;
};

static void on_data(void *ctx, const struct imap_resp *r)
{
	struct probe *p = ctx;

	if (r->kind == IMAP_RESP_COND && r->code == IMAP_CODE_UIDVALIDITY)
		p->uidvalidity = (uint32_t)r->code_number;
	else if (r->kind == IMAP_RESP_SEARCH)
		p->found += (int64_t)r->search.count;
}

/* How many have changed; -1: the server does not say. */
static int64_t count_changes(struct imap_session *session, struct probe *p, const char *flag,
                             uint64_t modseq)
{
	struct imap_cmd *cmd = imap_cmd_new("UID SEARCH");

	p->found = 0;
	imap_cmd_modseq(cmd, flag, modseq + 1);
	return imap_session_exec(session, &cmd, NULL, NULL) == 0 ? p->found : -1;
}

static void look_for_changes(struct imap_session *session, struct sync_probe_facts *f)
{
	struct probe p = { 0 };
	struct imap_cmd *cmd;

	f->changed = f->changed_seen = -1;
	if (f->modseq == 0 || !imap_session_has(session, "CONDSTORE"))
		return;
	imap_session_set_handler(session, (struct imap_handler){ .data = on_data, .ctx = &p });
	cmd = imap_cmd_new("EXAMINE");
	imap_cmd_raw(cmd, "INBOX (CONDSTORE)");
	if (imap_session_exec(session, &cmd, NULL, NULL) == 0 && p.uidvalidity == f->uidvalidity) {
		f->changed = count_changes(session, &p, NULL, f->modseq);
		f->changed_seen = count_changes(session, &p, "\\Seen", f->modseq);
	}
	imap_session_set_handler(session, (struct imap_handler){ 0 });
}

static void take_facts(const struct imap_session *session, struct sync_probe_facts *out)
{
	struct imap_facts facts;

	imap_session_facts(session, &facts);
	memcpy(out->tls, facts.tls, sizeof(out->tls));
	memcpy(out->pin, facts.pin, sizeof(out->pin));
	memcpy(out->mechanism, facts.mechanism, sizeof(out->mechanism));
}

int sync_probe(const struct sync_config *cfg, struct sync_probe_facts *facts,
               struct err_reason *why)
{
	struct imap_session *session = NULL;
	struct imap_options opt;
	int r;

	sync_link_options(cfg, &opt);
	r = imap_session_open(&opt, &session, why);
	if (r == 0 && facts) {
		take_facts(session, facts);
		look_for_changes(session, facts);
	}
	imap_session_close(&session);
	return r;
}
