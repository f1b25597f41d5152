/* SPDX-License-Identifier: MIT */
#include "store_util.h"

static void assert_flags(struct world *w, int64_t id, const char *want)
{
	char *have = world_flags(w, id);

	assert_string_equal(have, want);
	free(have);
}

static void assert_at(struct world *w, int64_t id, int64_t parent)
{
	struct store_node n;

	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, parent);
}

/* R069: only the delta; a pull in between touches neither it nor the view */
static void test_flags_view(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "\\Seen");

	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", "\\Seen"), 1);
	assert_flags(w, id, "\\Flagged");
	OK(store_pull_flags(w->s, w->inbox, 5, "\\Seen \\Answered", 9));
	assert_flags(w, id, "\\Answered \\Flagged");
	world_reopen(w);
	assert_flags(w, id, "\\Answered \\Flagged");
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_FLAGS).seq, NULL));
	assert_flags(w, id, "\\Answered \\Flagged");
	assert_int_equal(world_ops(w), 0);
}

/* R134: what cancels out leaves nothing; a sent action is never touched */
static void test_flags_fold(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");

	assert_int_equal(store_message_flag(w->s, id, "$x", ""), 1);
	assert_int_equal(store_message_flag(w->s, id, "$x", ""), 0);
	assert_int_equal(store_message_flag(w->s, id, "", "$x"), 1);
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_message_flag(w->s, id, "$x", ""), 1);
	OK(store_op_sent(w->s, world_op(w, 0, STORE_OP_FLAGS).seq, 1, "look"));
	assert_int_equal(store_message_flag(w->s, id, "", "$x"), 1);
	assert_int_equal(world_ops(w), 2);
	assert_int_equal(world_op(w, 1, STORE_OP_FLAGS).depends_on,
	                 world_op(w, 0, STORE_OP_FLAGS).seq);
}

static void assert_base(struct world *w, size_t index, const char *flags, uint64_t modseq)
{
	struct store_op *l = NULL;
	size_t n = 0;

	OK(store_op_list(w->s, &l, &n));
	assert_true(index < n);
	if (flags)
		assert_string_equal(l[index].base, flags);
	else
		assert_null(l[index].base);
	assert_true(l[index].base_modseq == modseq);
	store_op_list_free(l, n);
}

/* R195, R184: a whole list keeps what it was written on, and the mod-sequence that covers that: of the
 * last complete pass or the message's own; of another mailbox it means nothing */
static void test_flags_base(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, "\\Seen"), b = world_pull(w, w->inbox, 6, "$x");
	struct store_op_done moved = { .uidvalidity = 7, .uid = 9 };

	assert_int_equal(store_message_flag(w->s, a, "$y", ""), 1);
	assert_base(w, 0, NULL, 0);
	OK(store_pull_complete(w->s, w->inbox, 7, INT64_MAX - 1, 2, 0));
	assert_int_equal(store_message_set_flags(w->s, a, "\\Seen $y"), 0);
	assert_int_equal(store_message_set_flags(w->s, a, "\\Flagged"), 1);
	assert_base(w, 0, "\\Seen", INT64_MAX - 1);
	assert_flags(w, a, "\\Flagged");
	OK(store_pull_flags(w->s, w->inbox, 6, "", INT64_MAX));
	OK(store_message_move(w->s, b, w->work, "b.eml", false, 0));
	assert_int_equal(store_message_set_flags(w->s, b, "$z"), 1);
	world_reopen(w);
	assert_base(w, 2, "", INT64_MAX);
	OK(store_op_done(w->s, world_op(w, 1, STORE_OP_MOVE).seq, &moved));
	assert_base(w, 1, "", 0);
	assert_base(w, 0, "\\Seen", INT64_MAX - 1);
}

/* Folded away, or retried after a conflict, it is a plain change again */
static void test_base_ends(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, "\\Seen");
	int64_t seq;

	assert_int_equal(store_message_set_flags(w->s, a, ""), 1);
	assert_int_equal(store_message_set_flags(w->s, a, "\\Seen"), 1);
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_message_set_flags(w->s, a, "$x"), 1);
	seq = world_op(w, 0, STORE_OP_FLAGS).seq;
	OK(store_op_park(w->s, seq, ERR_PERM, "no"));
	OK(store_op_retry(w->s, seq));
	assert_base(w, 0, "\\Seen", 0);
	OK(store_op_park(w->s, seq, ERR_CONFLICT, "they are: $y"));
	OK(store_op_retry(w->s, seq));
	assert_base(w, 0, NULL, 0);
	assert_flags(w, a, "$x");
}

/* R162, R164: flag changes before an expunge go, but not those that a copy saw */
static void test_expunge_drops_flags(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, ""), b = world_pull(w, w->inbox, 6, ""), copy;

	store_message_flag(w->s, a, "\\Flagged", "");
	OK(store_message_remove(w->s, a, STORE_DELETE_EXPUNGE));
	assert_int_equal(world_ops(w), 1);
	store_message_flag(w->s, b, "\\Flagged", "");
	OK(store_message_copy(w->s, b, w->work, "kept.eml", &copy));
	OK(store_message_remove(w->s, b, STORE_DELETE_EXPUNGE));
	assert_int_equal(world_ops(w), 4);
	world_op(w, 1, STORE_OP_FLAGS);
	assert_int_equal(world_op(w, 2, STORE_OP_COPY).depends_on,
	                 world_op(w, 1, STORE_OP_FLAGS).seq);
	assert_int_equal(world_op(w, 3, STORE_OP_DELETE).depends_on,
	                 world_op(w, 2, STORE_OP_COPY).seq);
	assert_flags(w, copy, "\\Flagged");
}

/* R041, R042, R060: an upload has no UID, keeps node and name, takes flags along */
static void test_upload(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "hi.eml", "Subject: x\r\n\r\nhello");
	struct store_op op = world_op(w, 0, STORE_OP_APPEND);
	struct store_op_done done = { .uidvalidity = 7, .uid = 40 };
	struct store_message m;
	const void *data;
	size_t len;

	assert_int_equal(op.uid, 0);
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	assert_int_equal(world_ops(w), 1);
	OK(store_op_sent(w->s, op.seq, 1, "e"));
	OK(store_op_done(w->s, op.seq, &done));
	OK(store_message_get(w->s, id, &m));
	assert_int_equal(m.uid, 40);
	assert_string_equal(m.server_flags, "\\Flagged \\Seen");
	store_message_release(&m);
	OK(store_body_adopt(w->s, id));
	OK(store_body_get(w->s, id, &data, &len));
	assert_int_equal(len, 19);
	assert_memory_equal(data, "Subject: x\r\n\r\nhello", 19);
	assert_at(w, id, w->inbox);
	world_reopen(w);
	assert_true(store_body_have(w->s, id));
}

/* R060: flags set on a file before it is complete outlive a restart and go along */
static void test_file_flags(void **state)
{
	struct world *w = *state;
	int64_t id = world_file(w, w->inbox, "hi.eml", "x: y\r\n\r\nz");
	struct store_op *l = NULL;
	struct store_message m;
	size_t n = 0;

	assert_int_equal(store_message_get(w->s, id, &m), ERR_NOTFOUND);
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged $x", NULL), 0);
	assert_int_equal(store_message_flag(w->s, id, NULL, "$x"), 0);
	assert_int_equal(world_ops(w), 0);
	world_reopen(w);
	assert_flags(w, id, "\\Flagged");
	OK(store_node_rename(w->s, id, w->work, "hi.eml", false, 0));
	OK(store_message_upload(w->s, id, "\\Seen", NULL));
	assert_flags(w, id, "\\Flagged \\Seen");
	OK(store_op_list(w->s, &l, &n));
	assert_string_equal(l[0].add, "\\Flagged \\Seen");
	assert_int_equal(l[0].mailbox, w->work);
	store_op_list_free(l, n);
	id = world_file(w, w->inbox, "gone", "x");
	assert_int_equal(store_message_flag(w->s, id, "$x", NULL), 0);
	OK(store_node_remove(w->s, id));
	assert_int_equal(store_message_get(w->s, id, &m), ERR_NOTFOUND);
}

/* R040: a UID under another UIDVALIDITY is not attached */
static void test_upload_other_validity(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "hi.eml", "x: y\r\n\r\nz");
	struct store_op_done done = { .uidvalidity = 8, .uid = 40 };
	struct store_message m;

	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_APPEND).seq, &done));
	OK(store_message_get(w->s, id, &m));
	assert_int_equal(m.uid, 0);
	assert_int_equal(m.uidvalidity, 0);
	store_message_release(&m);
}

/* R131: a push between the upload and its answer does not show it twice */
static void test_upload_seen_by_pull(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "hi.eml", "x: y\r\n\r\nz");
	int64_t pulled = world_pull(w, w->inbox, 40, "\\Seen"), now;
	struct store_op_done done = { .uidvalidity = 7, .uid = 40 };
	struct store_node n[4];

	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_APPEND).seq, &done));
	assert_int_equal(store_node_get(w->s, pulled, n), ERR_NOTFOUND);
	OK(store_message_by_uid(w->s, w->inbox, 40, &now));
	assert_int_equal(now, id);
	assert_int_equal(store_node_list(w->s, w->inbox, 0, n, 4), 1);
}

/* R048, R054, R046: without an answer's UID the descriptor finds it, if only one fits */
static void test_upload_found_again(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "hi.eml", "x: y\r\n\r\nz");
	struct store_descriptor d = {
		.uid = 9, .flags = "", .size = 9, .date = 5, .message_id = "<a@b>"
	};
	int64_t now;

	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_APPEND).seq, NULL));
	assert_int_equal(store_pull_expects(w->s, w->inbox), 1);
	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 9, &now));
	assert_int_equal(now, id);
	assert_int_equal(store_pull_expects(w->s, w->inbox), 0);
}

/* R134: append then delete sends nothing */
static void test_upload_then_remove(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "hi.eml", "x: y\r\n\r\nz");
	struct store_op_counts c;
	struct store_node n;

	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	assert_int_equal(world_ops(w), 0);
	OK(store_op_counts(w->s, &c));
	assert_int_equal(c.cancelled_total, 1);
	assert_int_equal(store_node_get(w->s, id, &n), ERR_NOTFOUND);
	/* R137: but one whose outcome is unknown needs a delete of its own */
	id = world_upload(w, w->inbox, "hi.eml", "x: y\r\n\r\nz");
	OK(store_op_sent(w->s, world_op(w, 0, STORE_OP_APPEND).seq, 1, "e"));
	OK(store_message_remove(w->s, id, STORE_DELETE_EXPUNGE));
	assert_int_equal(world_ops(w), 2);
	assert_int_equal(world_op(w, 1, STORE_OP_DELETE).depends_on,
	                 world_op(w, 0, STORE_OP_APPEND).seq);
}

/* A pull never resurrects; R083: what the server still has when an expunge is taken back returns */
static void test_remove_and_pull(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	struct store_node n;

	OK(store_message_remove(w->s, id, STORE_DELETE_EXPUNGE));
	assert_int_equal(world_pull(w, w->inbox, 5, "\\Seen"), id);
	assert_at(w, id, 0);
	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_DELETE).seq, ERR_REFUSED, "no"));
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_DELETE).seq));
	assert_at(w, id, w->inbox);
	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	assert_at(w, id, w->trash);
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_DELETE).seq,
	                 &(struct store_op_done){ .uidvalidity = 7, .uid = 3 }));
	assert_int_equal(world_pull(w, w->trash, 3, ""), id);
	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_DELETE).seq, NULL));
	assert_int_equal(store_node_get(w->s, id, &n), ERR_NOTFOUND);
}

static void test_move_chain(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");

	/* R134: A -> B -> C is one move, and back home is none */
	OK(store_message_move(w->s, id, w->work, "5.eml", false, STORE_DELETE_TRASH));
	OK(store_message_move(w->s, id, w->trash, "5.eml", false, STORE_DELETE_TRASH));
	assert_int_equal(world_ops(w), 1);
	assert_int_equal(world_op(w, 0, STORE_OP_MOVE).target, w->trash);
	assert_int_equal(world_op(w, 0, STORE_OP_MOVE).mailbox, w->inbox);
	OK(store_message_move(w->s, id, w->inbox, "5.eml", false, STORE_DELETE_TRASH));
	assert_int_equal(world_ops(w), 0);
	assert_at(w, id, w->inbox);
	/* R047: the new UID binds to the same node */
	OK(store_message_move(w->s, id, w->work, "five.eml", false, STORE_DELETE_TRASH));
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_MOVE).seq,
	                 &(struct store_op_done){ .uidvalidity = 7, .uid = 1 }));
	assert_int_equal(world_pull(w, w->work, 1, ""), id);
}

/* R152, R153: what depends on a failed action waits with it, and runs after a retry */
static void test_park_cascade(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\nz"), copy;
	int64_t other = world_pull(w, w->inbox, 5, "");
	struct store_op op = { 0 };
	int64_t append = world_op(w, 0, STORE_OP_APPEND).seq;

	OK(store_message_copy(w->s, id, w->work, "b.eml", &copy));
	store_message_flag(w->s, other, "\\Seen", "");
	OK(store_op_park(w->s, append, ERR_QUOTA, "over quota"));
	assert_int_equal(world_op(w, 1, STORE_OP_COPY).err, ERR_BLOCKED);
	assert_int_equal(store_op_next(w->s, 0, 0, &op), 1);
	assert_int_equal(op.kind, STORE_OP_FLAGS);
	store_op_release(&op);
	store_message_flag(w->s, id, "$later", "");
	assert_int_equal(world_op(w, 3, STORE_OP_FLAGS).state, STORE_OP_PARKED);
	OK(store_op_retry(w->s, append));
	assert_int_equal(world_op(w, 3, STORE_OP_FLAGS).state, STORE_OP_QUEUED);
	assert_int_equal(store_op_next(w->s, 0, 0, &op), 1);
	assert_int_equal(op.seq, append);
	store_op_release(&op);
	assert_int_equal(store_op_next(w->s, append, 0, &op), 1);
	assert_int_equal(op.kind, STORE_OP_FLAGS);
	assert_int_equal(op.message, other);
	store_op_release(&op);
}

/* R154: bytes of a dropped upload go to lost+found */
static void test_drop_upload(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\nz");
	struct store_node n;
	char *cmd = mem_printf("grep -q 'x: y' %s/lost+found/*a.eml", w->state);

	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_APPEND).seq, ERR_REFUSED, "no"));
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_APPEND).seq));
	assert_int_equal(store_node_get(w->s, id, &n), ERR_NOTFOUND);
	assert_int_equal(system(cmd), 0);
	free(cmd);
}

/* R142: to another mailbox */
static void test_retarget(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "x: y\r\n\r\nz");

	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_APPEND).seq, ERR_NOTFOUND, "[TRYCREATE]"));
	OK(store_op_retarget(w->s, world_op(w, 0, STORE_OP_APPEND).seq, w->work));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).state, STORE_OP_QUEUED);
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).mailbox, w->work);
	assert_at(w, id, w->work);
}

/* R147: flag changes on an expunged message are done; R148: a move of one uploads it again */
static void test_expunged(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, ""), b = world_pull(w, w->inbox, 6, "\\Seen");
	int64_t c = world_pull(w, w->inbox, 7, "");
	struct store_node n;
	struct store_op op;

	store_message_flag(w->s, a, "\\Seen", "");
	world_body(w, b, "x: y\r\n\r\nbody");
	OK(store_message_move(w->s, b, w->work, "6.eml", false, STORE_DELETE_TRASH));
	OK(store_message_move(w->s, c, w->work, "7.eml", false, STORE_DELETE_TRASH));
	OK(store_pull_expunged(w->s, w->inbox, (uint32_t[]){ 5, 6, 7, 99 }, 4));
	assert_int_equal(store_node_get(w->s, a, &n), ERR_NOTFOUND);
	assert_int_equal(world_ops(w), 2);
	op = world_op(w, 0, STORE_OP_APPEND);
	assert_int_equal(op.message, b);
	assert_int_equal(op.mailbox, w->work);
	assert_true(op.spool != 0);
	assert_int_equal(world_op(w, 1, STORE_OP_MOVE).err, ERR_CONFLICT);
	assert_at(w, b, w->work);
}

/* R034, R036, R321, R322: a new UIDVALIDITY fails actions on UIDs, keeps uploads and bodies */
static void test_reset(void **state)
{
	struct world *w = *state;
	struct store_descriptor d = {
		.uid = 5, .flags = "", .size = 12, .date = 5, .message_id = "<m@n>"
	};
	struct store_selected sel = { .uidvalidity = 8 };
	int64_t id, now, up;

	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 5, &id));
	world_body(w, id, "x: y\r\n\r\nbody");
	store_message_flag(w->s, id, "\\Seen", "");
	up = world_upload(w, w->inbox, "new.eml", "x: y\r\n\r\nz");
	assert_int_equal(store_pull_selected(w->s, w->inbox, &sel), ERR_CONFLICT);
	OK(store_pull_reset(w->s, w->inbox, 8));
	assert_at(w, id, 0);
	assert_at(w, up, w->inbox);
	assert_int_equal(world_op(w, 0, STORE_OP_FLAGS).err, ERR_CONFLICT);
	assert_int_equal(world_op(w, 1, STORE_OP_APPEND).state, STORE_OP_QUEUED);
	d.uid = 77;
	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 77, &now));
	assert_int_equal(now, id);
	assert_true(store_body_have(w->s, id));
	assert_at(w, id, w->inbox);
}

/* R034, R322: the tree follows the server; the failed removal is listed and can be made again */
static void test_reset_shows_removed(void **state)
{
	struct world *w = *state;
	struct store_descriptor d = {
		.uid = 5, .flags = "", .size = 12, .date = 5, .message_id = "<m@n>"
	};
	int64_t id, now;

	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 5, &id));
	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	assert_at(w, id, w->trash);
	OK(store_pull_reset(w->s, w->inbox, 8));
	assert_at(w, id, 0);
	d.uid = 77;
	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 77, &now));
	assert_int_equal(now, id);
	assert_at(w, id, w->inbox);
	OK(store_op_retry(w->s, world_op(w, 0, STORE_OP_DELETE).seq));
	assert_at(w, id, w->trash);
	assert_int_equal(world_op(w, 0, STORE_OP_DELETE).uid, 77);
}

/* R127, R128: chains on what the server does not have yet wait for it, in order */
static void test_chain_on_new_mailbox(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), a, b;
	struct store_op op = { 0 };
	struct store_mailbox m;

	OK(store_mailbox_create(w->s, STORE_ROOT, "A", &a));
	OK(store_mailbox_create(w->s, a, "B", &b));
	OK(store_message_move(w->s, id, b, "5.eml", false, STORE_DELETE_TRASH));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_op_next(w->s, 0, 0, &op), 1);
		OK(store_op_done(w->s, op.seq, NULL));
		store_op_release(&op);
	}
	OK(store_mailbox_get(w->s, b, &m));
	assert_string_equal(m.wire_name, "A/B");
	store_mailbox_release(&m);
	assert_int_equal(world_ops(w), 0);
}

/* R135: a copy out of a mailbox comes before its removal, and holds it back when it fails */
static void test_copy_before_remove(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->work, 5, ""), copy;

	OK(store_message_copy(w->s, id, w->inbox, "c.eml", &copy));
	OK(store_message_remove(w->s, id, STORE_DELETE_EXPUNGE));
	OK(store_mailbox_remove(w->s, w->work));
	assert_int_equal(world_ops(w), 3);
	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_COPY).seq, ERR_QUOTA, "full"));
	assert_int_equal(world_op(w, 2, STORE_OP_REMOVE).state, STORE_OP_PARKED);
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_COPY).seq));
	assert_int_equal(world_op(w, 1, STORE_OP_REMOVE).state, STORE_OP_QUEUED);
}

static void test_rename_subtree(void **state)
{
	static const struct store_list_entry more = { "Work/Sub", "Work/Sub", '/', "", false };
	struct world *w = *state;
	int64_t sub, again;
	struct store_op_done done = { .wire_name = "Job" };
	char *path = NULL;

	OK(store_pull_list(w->s, &more, 1, false));
	OK(store_mailbox_by_wire(w->s, "Work/Sub", &sub));
	OK(store_mailbox_rename(w->s, w->work, STORE_ROOT, "Job"));
	OK(store_node_path(w->s, sub, &path));
	assert_string_equal(path, "Job/Sub");
	free(path);
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_RENAME).seq, &done));
	OK(store_mailbox_by_wire(w->s, "Job/Sub", &again));
	assert_int_equal(sub, again);
	assert_int_equal(store_mailbox_rename(w->s, w->inbox, STORE_ROOT, "X"), ERR_PERM);
}

/* R137: the answer to CREATE is lost, the user renames it, a LIST shows the name that was sent */
static void test_made_and_renamed(void **state)
{
	static const struct store_list_entry made = { "Box", "Box", '/', "", true };
	struct world *w = *state;
	int64_t box, found = 0;
	struct store_node n;

	OK(store_mailbox_create(w->s, STORE_ROOT, "Box", &box));
	OK(store_op_sent(w->s, world_op(w, 0, STORE_OP_CREATE).seq, 1, ""));
	OK(store_mailbox_rename(w->s, box, STORE_ROOT, "Job"));
	OK(store_pull_list(w->s, &made, 1, false));
	OK(store_mailbox_by_wire(w->s, "Box", &found));
	assert_int_equal(found, box);
	assert_int_equal(store_node_lookup(w->s, STORE_ROOT, "Box", &n), ERR_NOTFOUND);
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_CREATE).seq, NULL));
	OK(store_node_lookup(w->s, STORE_ROOT, "Job", &n));
	assert_int_equal(n.id, box);
}

/* R134: created and removed again, subscribed and back: nothing to send */
static void test_mailbox_cancels(void **state)
{
	struct world *w = *state;
	int64_t a;

	OK(store_mailbox_create(w->s, STORE_ROOT, "A", &a));
	OK(store_mailbox_rename(w->s, a, w->work, "B"));
	assert_int_equal(world_ops(w), 1);
	OK(store_mailbox_remove(w->s, a));
	assert_int_equal(world_ops(w), 0);
	OK(store_mailbox_subscribe(w->s, w->work, false));
	assert_int_equal(world_ops(w), 1);
	OK(store_mailbox_subscribe(w->s, w->work, true));
	assert_int_equal(world_ops(w), 0);
}

/* R130: of two saves only the newest is sent; R138: one in flight is frozen with its bytes */
static void test_draft(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "d.eml", "x: 1\r\n\r\n1"), spool, second;
	struct store_op op = world_op(w, 0, STORE_OP_APPEND);

	OK(store_spool_writable(w->s, id, &spool));
	assert_int_not_equal(spool, op.spool);
	OK(store_message_upload(w->s, id, "", NULL));
	assert_int_equal(world_ops(w), 1);
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).spool, spool);
	OK(store_op_sent(w->s, op.seq, 1, "e"));
	OK(store_spool_writable(w->s, id, &second));
	assert_int_not_equal(second, spool);
	OK(store_message_upload(w->s, id, "", NULL));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).spool, spool);
	assert_int_equal(world_op(w, 1, STORE_OP_REPLACE).spool, second);
	OK(store_op_done(w->s, op.seq, &(struct store_op_done){ .uidvalidity = 7, .uid = 4 }));
	assert_int_equal(world_op(w, 0, STORE_OP_REPLACE).uid, 4);
	assert_int_equal(store_body_adopt(w->s, id), ERR_CONFLICT);
}

/* R059: a date set before the upload leaves goes along; afterwards it is the server's */
static void test_upload_date(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "Subject: x\r\n\r\ny");
	struct store_node n;
	struct store_message m;

	OK(store_node_get(w->s, id, &n));
	n.mtime_ns = 1000000000LL * 1234567890;
	OK(store_node_set(w->s, id, STORE_SET_MTIME, &n));
	OK(store_message_get(w->s, id, &m));
	assert_int_equal(m.date, 1234567890);
	store_message_release(&m);
	OK(store_op_sent(w->s, world_op(w, 0, STORE_OP_APPEND).seq, 1, "e"));
	OK(store_node_set(w->s, id, STORE_SET_MTIME, &n));
	n.mtime_ns += 1000000000;
	assert_int_equal(store_node_set(w->s, id, STORE_SET_MTIME, &n), ERR_PERM);
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.mtime_ns / 1000000000, 1234567890);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
		T(test_flags_view),
		T(test_flags_base),
		T(test_base_ends),
		T(test_flags_fold),
		T(test_expunge_drops_flags),
		T(test_upload),
		T(test_file_flags),
		T(test_upload_other_validity),
		T(test_upload_seen_by_pull),
		T(test_upload_found_again),
		T(test_upload_then_remove),
		T(test_remove_and_pull),
		T(test_move_chain),
		T(test_park_cascade),
		T(test_drop_upload),
		T(test_retarget),
		T(test_expunged),
		T(test_reset),
		T(test_reset_shows_removed),
		T(test_chain_on_new_mailbox),
		T(test_copy_before_remove),
		T(test_rename_subtree),
		T(test_made_and_renamed),
		T(test_mailbox_cancels),
		T(test_draft),
		T(test_upload_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
