/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "log.h"
#include "mem.h"
#include "store_partial.h"
#include "sync_outline_priv.h"
#include "sync_pass_priv.h"
#include "sync_uids_priv.h"

/*
 * Parts of large messages (RFC 4549 4.3.2, 4.3.3): one command brings the BODYSTRUCTURE of several,
 * then one for each its header, the MIME headers and the texts.
 */
enum { AT_A_TIME = 16, VIEW_MAX = 2 * SYNC_PARTS_BYTES };

struct large {
	struct store_missing is;
	struct sync_outline *outline;
	bool told; /* its structure came */
};

struct parts {
	struct large list[AT_A_TIME];
	size_t count;
};

static struct large *find(struct parts *p, uint32_t uid)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].is.uid == uid)
			return &p->list[i];
	return NULL;
}

static void on_data(void *ctx, struct sync_box *box, const struct imap_resp *r)
{
	struct large *m;

	if (r->kind != IMAP_RESP_FETCH)
		return;
	m = find(ctx, sync_box_uid(box, r));
	if (!m)
		return;
	if (r->fetch->has_structure && !m->told) {
		m->told = true;
		m->outline = sync_outline_new(r->fetch->structure);
	}
	for (size_t i = 0; m->outline && i < r->fetch->body_count; i++)
		sync_outline_take(m->outline, &r->fetch->bodies[i]);
}

static int by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int ask_structures(struct sync_link *l, struct sync_box *box, struct parts *p)
{
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
	uint32_t uids[AT_A_TIME];

	for (size_t i = 0; i < p->count; i++)
		uids[i] = p->list[i].is.uid;
	qsort(uids, p->count, sizeof(uids[0]), by_uid);
	imap_cmd_uids(cmd, uids, p->count);
	imap_cmd_raw(cmd, "(UID BODYSTRUCTURE)");
	sync_link_send(l, &cmd, box, NULL, NULL);
	return sync_link_run(l, 0);
}

static int ask_parts(struct sync_link *l, struct sync_box *box, struct parts *p)
{
	for (size_t i = 0; i < p->count; i++) {
		_cleanup_free_ char *items = NULL;
		struct imap_cmd *cmd;

		if (!p->list[i].outline)
			continue;
		items = sync_outline_items(p->list[i].outline);
		cmd = imap_cmd_new("UID FETCH");
		imap_cmd_uids(cmd, &p->list[i].is.uid, 1);
		imap_cmd_raw(cmd, items);
		sync_link_send(l, &cmd, box, NULL, NULL);
	}
	return sync_link_run(l, 0);
}

static int keep(struct sync_link *l, const struct large *m)
{
	struct buf view = BUF_INIT(VIEW_MAX);
	bool any = m->outline && sync_outline_write(m->outline, m->is.size, &view);
	int r = store_partial_put(l->store, m->is.id, view.data, any ? view.len : 0);

	buf_release(&view);
	return r;
}

static int fetch(struct sync_link *l, struct sync_box *box, struct parts *p)
{
	int r;

	box->data = on_data;
	box->ctx = p;
	r = ask_structures(l, box, p);
	if (r == 0)
		r = ask_parts(l, box, p);
	box->data = NULL;
	for (size_t i = 0; i < p->count && r == 0; i++) {
		int kept = keep(l, &p->list[i]);

		if (kept < 0) {
			log_warn("sync: parts of a message cannot be kept: %s", err_text(kept));
			return ERR_IO;
		}
	}
	return r;
}

int sync_parts_pull(struct sync_link *l, int64_t mailbox)
{
	struct parts p = { .count = 0 };
	struct store_missing missing[AT_A_TIME];
	struct sync_box *box = NULL;
	int n = store_partial_missing(l->store, mailbox, 0, l->sync->cfg.max_size,
	                              sync_profile_since(l->sync), missing, AT_A_TIME);
	int r;

	if (n <= 0)
		return 0;
	for (int i = 0; i < n; i++)
		p.list[p.count++].is = missing[i];
	r = sync_link_open_box(l, mailbox, &box, NULL);
	if (r == 0)
		r = fetch(l, box, &p);
	sync_box_unref(&box);
	for (size_t i = 0; i < p.count; i++)
		sync_outline_free(&p.list[i].outline);
	if (!sync_link_up(l))
		return r < 0 ? r : ERR_OFFLINE;
	return r == 0 && n == AT_A_TIME;
}
