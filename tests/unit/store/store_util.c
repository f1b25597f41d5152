/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <unistd.h>

static void open_world(struct world *w)
{
	struct err_reason why = { "" };

	if (store_open(w->state, w->cache, &w->s, &why) != 0)
		fail_msg("store_open: %s", why.text);
}

int world_up(void **state)
{
	static const struct store_list_entry list[] = {
		{ "INBOX", "INBOX", '/', "", true },
		{ "Work", "Work", '/', "", true },
		{ "Trash", "Trash", '/', "\\Trash", true },
	};
	static const struct store_selected sel = { 7, false, false, true, "\\*" };
	struct world *w = mem_alloc(sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/store-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->state = mem_printf("%s/state", w->dir);
	w->cache = mem_printf("%s/cache", w->dir);
	open_world(w);
	OK(store_pull_list(w->s, list, 3, true));
	OK(store_mailbox_by_wire(w->s, "INBOX", &w->inbox));
	OK(store_mailbox_by_wire(w->s, "Work", &w->work));
	OK(store_mailbox_by_use(w->s, "\\Trash", &w->trash));
	OK(store_pull_selected(w->s, w->inbox, &sel));
	OK(store_pull_selected(w->s, w->work, &sel));
	OK(store_pull_selected(w->s, w->trash, &sel));
	*state = w;
	return 0;
}

int world_down(void **state)
{
	struct world *w = *state;
	char *cmd = mem_printf("rm -rf '%s'", w->dir);

	store_close(&w->s);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(w->state);
	free(w->cache);
	free(w);
	return 0;
}

void world_reopen(struct world *w)
{
	store_close(&w->s);
	open_world(w);
}

int64_t world_pull(struct world *w, int64_t mailbox, uint32_t uid, const char *flags)
{
	struct store_descriptor d = {
		.uid = uid, .flags = flags, .size = 100, .date = 1700000000, .modseq = 5
	};
	int64_t id = 0;

	OK(store_pull_descriptor(w->s, mailbox, &d));
	OK(store_message_by_uid(w->s, mailbox, uid, &id));
	return id;
}

void world_body(struct world *w, int64_t id, const char *text)
{
	struct store_body_writer *b = NULL;

	OK(store_body_begin(w->s, id, strlen(text), &b));
	OK(store_body_part(b, text, strlen(text)));
	OK(store_body_end(&b));
	assert_null(b);
}

int64_t world_file(struct world *w, int64_t parent, const char *name, const char *text)
{
	struct store_node n;
	int64_t spool = 0;
	int fd;

	OK(store_node_create(w->s, parent, name, STORE_KIND_FILE, 0600, NULL, &n));
	OK(store_spool_writable(w->s, n.id, &spool));
	fd = store_spool_open(w->s, spool, 0);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	n.size = (int64_t)strlen(text);
	OK(store_node_set(w->s, n.id, STORE_SET_SIZE, &n));
	return n.id;
}

int64_t world_upload(struct world *w, int64_t mailbox, const char *name, const char *text)
{
	int64_t id = world_file(w, mailbox, name, text);

	OK(store_message_upload(w->s, id, "\\Seen", "<a@b>"));
	return id;
}

size_t world_ops(struct world *w)
{
	struct store_op *l = NULL;
	size_t n = 0;

	OK(store_op_list(w->s, &l, &n));
	store_op_list_free(l, n);
	return n;
}

struct store_op world_op(struct world *w, size_t index, enum store_op_kind kind)
{
	struct store_op *l = NULL;
	struct store_op op;
	size_t n = 0;

	OK(store_op_list(w->s, &l, &n));
	assert_true(index < n);
	op = l[index];
	assert_int_equal(op.kind, kind);
	store_op_list_free(l, n);
	op.add = op.del = op.name = op.evidence = op.error = NULL;
	return op;
}

char *world_flags(struct world *w, int64_t id)
{
	struct store_message m;
	char *flags;

	OK(store_message_get(w->s, id, &m));
	flags = mem_strdup(m.flags);
	store_message_release(&m);
	return flags;
}
