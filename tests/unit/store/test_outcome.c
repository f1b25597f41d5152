/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <unistd.h>

#include "err.h"

/* What becomes of actions that were tried, and how that is written down. */

/* R323: the disk has numbers of its own for the reasons: an old log means what it meant, whatever
 * becomes of `enum err` */
static void test_numbers_on_disk(void **state)
{
	static const struct {
		int err, disk;
	} known[] = {
		{ ERR_OK, 0 },        { ERR_IO, -1 },        { ERR_PROTO, -2 },
		{ ERR_LIMIT, -3 },    { ERR_OFFLINE, -4 },   { ERR_AUTH, -5 },
		{ ERR_NOTFOUND, -6 }, { ERR_EXISTS, -7 },    { ERR_PERM, -8 },
		{ ERR_QUOTA, -9 },    { ERR_CONFLICT, -10 }, { ERR_REFUSED, -11 },
		{ ERR_TIMEOUT, -12 }, { ERR_TLS, -13 },      { ERR_NOSPACE, -14 },
		{ ERR_INVAL, -15 },   { ERR_TOOBIG, -16 },   { ERR_NOTEMPTY, -17 },
		{ ERR_BUSY, -18 },    { ERR_READONLY, -19 }, { ERR_CANCELED, -20 },
		{ ERR_LOCKED, -21 },  { ERR_VERSION, -22 },  { ERR_BLOCKED, -23 },
	};
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	int64_t disk = 0, seq;

	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	seq = world_op(w, 0, STORE_OP_FLAGS).seq;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		OK(store_op_park(w->s, seq, known[i].err, "why"));
		assert_int_equal(store_db_int(&w->s->db, &disk, "SELECT err FROM op WHERE seq = ?1",
		                              "i", seq),
		                 1);
		assert_int_equal(disk, known[i].disk);
		assert_int_equal(world_op(w, 0, STORE_OP_FLAGS).err, known[i].err);
	}
	OK(store_db_script(&w->s->db, "UPDATE op SET err = -999"));
	assert_int_equal(world_op(w, 0, STORE_OP_FLAGS).err, ERR_REFUSED);
}

static void assert_named(struct world *w, int64_t id, int64_t parent, const char *name)
{
	struct store_node n;

	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, parent);
	assert_string_equal(n.name, name);
}

/* R146: a removal or move that is taken back gives the message its own name again, not the one that it
 * was given where that name was taken */
static void test_drop_restores_the_name(void **state)
{
	struct world *w = *state;
	int64_t one, two, three;

	one = world_pull(w, w->trash, 2, "");
	two = world_pull(w, w->inbox, 2, "");
	three = world_pull(w, w->inbox, 3, "");
	assert_named(w, one, w->trash, "2.eml");
	OK(store_message_remove(w->s, two, STORE_DELETE_TRASH));
	assert_named(w, two, w->trash, "2-2.eml");
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_DELETE).seq));
	assert_named(w, two, w->inbox, "2.eml");
	OK(store_message_move(w->s, three, w->work, "other.eml", false, STORE_DELETE_TRASH));
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_MOVE).seq));
	assert_named(w, three, w->inbox, "3.eml");
	OK(store_message_remove(w->s, two, STORE_DELETE_EXPUNGE));
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_DELETE).seq));
	assert_named(w, two, w->inbox, "2.eml");
	assert_int_equal(world_ops(w), 0);
}

static void overwrite(struct world *w, int64_t spool, const char *text)
{
	int fd = store_spool_open(w->s, spool, 0);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	close(fd);
}

static char *read_spool(struct world *w, int64_t spool)
{
	char *text = mem_alloc(64);
	int fd = store_spool_open(w->s, spool, 0);

	assert_true(fd >= 0);
	assert_true(read(fd, text, 63) >= 0);
	close(fd);
	return text;
}

static void assert_spool(struct world *w, int64_t spool, const char *want)
{
	_cleanup_free_ char *have = read_spool(w, spool);

	assert_string_equal(have, want);
}

static void edit(struct world *w, int64_t id, const char *text, const char *message_id)
{
	int64_t spool;

	OK(store_spool_fresh(w->s, id, &spool));
	overwrite(w, spool, text);
	OK(store_message_upload(w->s, id, "", message_id));
}

/* R148: a copy whose source is gone is uploaded with the bytes that were copied, not with those that
 * somebody is just writing into it */
static void test_copy_being_written(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy, spool;
	struct store_node n;
	uint32_t uid = 5;

	world_body(w, id, "old words");
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	OK(store_spool_writable(w->s, copy, &spool));
	overwrite(w, spool, "new w");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_spool(w, world_op(w, 0, STORE_OP_APPEND).spool, "old words");
	OK(store_node_get(w->s, copy, &n));
	assert_int_equal(n.spool, spool);
	overwrite(w, spool, "new words");
	OK(store_message_upload(w->s, copy, "", NULL));
	assert_int_equal(world_ops(w), 1);
	assert_spool(w, world_op(w, 0, STORE_OP_APPEND).spool, "new words");
}

/* R148, R137: of a copy that was edited the copied bytes go first, under their own Message-ID, then the
 * edit: else a look for the upload would not know it */
static void test_copy_that_was_edited(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy;
	uint32_t uid = 5;

	world_body(w, id, "old words");
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	edit(w, copy, "new words", "<new@b>");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_spool(w, world_op(w, 0, STORE_OP_APPEND).spool, "old words");
	assert_spool(w, world_op(w, 1, STORE_OP_REPLACE).spool, "new words");
}

/* R148: a copy made of an edit that goes on as an upload is a copy of that upload; it is not uploaded
 * for itself, least of all with what either was edited to since */
static void test_copy_of_a_rescued_edit(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy;
	struct store_op_done done = { .uidvalidity = 7, .uid = 6 };
	struct store_op op;
	uint32_t uid = 5;

	edit(w, id, "one", "<one@b>");
	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_REPLACE).seq, ERR_REFUSED, "no"));
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	edit(w, id, "two", "<two@b>");
	edit(w, copy, "three", "<three@b>");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_ops(w), 4);
	op = world_op(w, 0, STORE_OP_APPEND);
	assert_spool(w, op.spool, "one");
	assert_int_equal(world_op(w, 1, STORE_OP_COPY).state, STORE_OP_QUEUED);
	assert_int_equal(world_op(w, 1, STORE_OP_COPY).depends_on, op.seq);
	OK(store_op_done(w->s, op.seq, &done));
	assert_int_equal(world_op(w, 0, STORE_OP_COPY).uid, 6);
}

/* R148, R137: the bytes that were copied are gone: when the source is edited and lost once more, what it
 * holds then is no copy of them */
static void test_copy_of_bytes_that_are_lost(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy;
	struct store_op_done done = { .uidvalidity = 7, .uid = 6 };
	struct store_op op;
	uint32_t uid = 5;

	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	edit(w, id, "new words", "<new@b>");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_op(w, 0, STORE_OP_COPY).err, ERR_CONFLICT);
	OK(store_op_done(w->s, world_op(w, 1, STORE_OP_APPEND).seq, &done));
	world_body(w, id, "new words");
	uid = 6;
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	op = world_op(w, 0, STORE_OP_COPY);
	assert_int_equal(op.state, STORE_OP_PARKED);
	assert_int_equal(store_op_retry(w->s, op.seq), ERR_CONFLICT);
	OK(store_op_drop(w->s, op.seq));
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_message_get(w->s, copy, &(struct store_message){ 0 }), ERR_NOTFOUND);
}

static void assert_added(struct world *w, size_t nth, const char *flags)
{
	struct store_op *list;
	size_t count;

	OK(store_op_list(w->s, &list, &count));
	assert_true(nth < count);
	assert_int_equal(list[nth].kind, STORE_OP_APPEND);
	assert_string_equal(list[nth].add, flags);
	store_op_list_free(list, count);
}

/* R148: of a copy that was edited since, the edit goes on where the copied bytes cannot */
static void test_edit_of_a_lost_copy(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "\\Seen"), copy;
	struct store_op op;
	uint32_t uid = 5;

	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	assert_int_equal(store_message_flag(w->s, copy, "\\Flagged", ""), 1);
	edit(w, copy, "new words", "<new@b>");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_ops(w), 1);
	op = world_op(w, 0, STORE_OP_APPEND);
	assert_int_equal(op.state, STORE_OP_QUEUED);
	assert_int_equal(op.message, copy);
	assert_int_equal(op.mailbox, w->work);
	assert_added(w, 0, "\\Flagged \\Seen");
	assert_spool(w, op.spool, "new words");
}

/* R148: a copy has the flags that its source had when it was made, not those that came since */
static void test_flags_of_a_lost_copy(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "\\Seen"), copy;
	uint32_t uid = 5;

	world_body(w, id, "old words");
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", "\\Seen"), 1);
	edit(w, id, "new words", "<new@b>");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_added(w, 0, "\\Seen");
	assert_spool(w, world_op(w, 0, STORE_OP_APPEND).spool, "old words");
	assert_added(w, 1, "\\Flagged");
}

/* R137: a copy knows the Message-ID and length of the bytes that were copied, not of what the server has
 * of an edited message; and what was sent has its own length, whatever was written since */
static void test_facts_are_of_the_bytes(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy;
	struct store_op_done done = { .uidvalidity = 7, .uid = 6 };
	struct store_message m;

	edit(w, id, "Message-ID: <one@b>\r\n\r\none", "<one@b>");
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	OK(store_message_get(w->s, copy, &m));
	assert_string_equal(m.message_id, "<one@b>");
	assert_int_equal(m.server_size, 26);
	store_message_release(&m);
	edit(w, id, "Message-ID: <two@b>\r\n\r\ntwo and more", "<two@b>");
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_REPLACE).seq, &done));
	OK(store_message_get(w->s, id, &m));
	assert_string_equal(m.message_id, "<one@b>");
	assert_int_equal(m.server_size, 26);
	store_message_release(&m);
}

/* R134: out of the trash and back before anything was sent leaves the message in the trash: it is
 * not expunged */
static void test_trash_and_back(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->trash, 5, "");
	struct store_node n;

	OK(store_message_move(w->s, id, w->inbox, "x.eml", false, STORE_DELETE_TRASH));
	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	assert_int_equal(world_ops(w), 0);
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->trash);
}

/* R148: the same where the source is an upload of ours whose bytes the cache has not yet */
static void test_copy_of_an_upload_being_written(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "mine.eml", "old words"), copy, spool;
	struct store_op_done done = { .uidvalidity = 7, .uid = 9 };
	uint32_t uid = 9;

	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_APPEND).seq, &done));
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	OK(store_spool_writable(w->s, copy, &spool));
	overwrite(w, spool, "new words");
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_spool(w, world_op(w, 0, STORE_OP_APPEND).spool, "old words");
}

static void freeze(struct world *w, int64_t seq)
{
	OK(store_batch_begin(w->s));
	OK(store_op_freeze(w->s, seq));
	OK(store_batch_commit(w->s));
}

/* R162, R003: what was taken out to be sent is not merged with: the upload goes where it was read to go,
 * with the bytes that were read; a move and an edit behind it are for themselves */
static void test_taken_out_is_frozen(void **state)
{
	struct world *w = *state;
	int64_t id = world_upload(w, w->inbox, "a.eml", "old words");
	struct store_op op = world_op(w, 0, STORE_OP_APPEND);
	struct store_op_done done = { .uidvalidity = 7, .uid = 4 };
	struct store_node n;

	freeze(w, op.seq);
	OK(store_message_move(w->s, id, w->work, "a.eml", false, STORE_DELETE_TRASH));
	edit(w, id, "new words", "<new@b>");
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).mailbox, w->inbox);
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).spool, op.spool);
	assert_spool(w, op.spool, "old words");
	OK(store_op_done(w->s, op.seq, &done));
	assert_int_equal(world_op(w, 0, STORE_OP_MOVE).uid, 4);
	assert_spool(w, world_op(w, 1, STORE_OP_REPLACE).spool, "new words");
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->work);
	world_pull(w, w->trash, 1, "");
	id = world_pull(w, w->inbox, 9, "");
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	op = world_op(w, 2, STORE_OP_FLAGS);
	freeze(w, op.seq);
	OK(store_op_thaw(w->s, op.seq));
	assert_int_equal(store_message_flag(w->s, id, "", "\\Flagged"), 1);
	assert_int_equal(world_ops(w), 2);
}

/* R015, R017, R321: an edit outlives a new UIDVALIDITY as an upload, where moves had put it and with the
 * flags that it had; nothing waits for UIDs that are no more */
static void test_edit_outlives_a_reset(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "\\Seen");
	struct store_message m;
	struct store_op *list;
	size_t count;

	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	edit(w, id, "new words", "<new@b>");
	OK(store_message_get(w->s, id, &m));
	assert_null(m.message_id); /* the server's, which has none */
	store_message_release(&m);
	assert_int_equal(store_message_flag(w->s, id, "", "\\Seen"), 1);
	OK(store_pull_reset(w->s, w->inbox, 8));
	OK(store_op_list(w->s, &list, &count));
	assert_int_equal(count, 2);
	assert_int_equal(list[0].kind, STORE_OP_APPEND);
	assert_int_equal(list[0].state, STORE_OP_QUEUED);
	assert_int_equal(list[0].mailbox, w->work);
	assert_string_equal(list[0].add, "\\Flagged \\Seen");
	assert_spool(w, list[0].spool, "new words");
	assert_int_equal(list[1].kind, STORE_OP_FLAGS);
	assert_int_equal(list[1].state, STORE_OP_QUEUED);
	store_op_list_free(list, count);
	OK(store_message_get(w->s, id, &m));
	assert_string_equal(m.message_id, "<new@b>");
	assert_string_equal(m.flags, "\\Flagged");
	store_message_release(&m);
}

/* R144, R148: what waited for a copy that failed goes on when the copy becomes an upload */
static void test_blocked_goes_on(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy;
	uint32_t uid = 5;

	world_body(w, id, "words");
	OK(store_message_copy(w->s, id, w->work, "twin.eml", &copy));
	assert_int_equal(store_message_flag(w->s, copy, "\\Flagged", ""), 1);
	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_COPY).seq, ERR_REFUSED, "no"));
	assert_int_equal(world_op(w, 1, STORE_OP_FLAGS).err, ERR_BLOCKED);
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).state, STORE_OP_QUEUED);
	assert_int_equal(world_op(w, 1, STORE_OP_FLAGS).state, STORE_OP_QUEUED);
}

/* R148: a move that a new UIDVALIDITY has stopped shows its message where the server has it; once it is
 * gone from there it is an upload, and is shown where that goes */
static void test_stopped_move_goes_on(void **state)
{
	struct world *w = *state;
	struct store_descriptor d = {
		.uid = 5, .flags = "", .size = 12, .date = 5, .message_id = "<m@n>"
	};
	struct store_node n;
	uint32_t uid = 77;
	int64_t id;

	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 5, &id));
	world_body(w, id, "x: y\r\n\r\nbody");
	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	OK(store_pull_reset(w->s, w->inbox, 8));
	d.uid = uid;
	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->inbox);
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).mailbox, w->work);
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->work);
}

/* R137: in flight to the trash, and the source is gone: whoever sent it finds out where it is */
static void test_sent_to_trash_stays(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	uint32_t uid = 5;
	struct store_node n;

	OK(store_message_remove(w->s, id, STORE_DELETE_TRASH));
	OK(store_op_sent(w->s, world_op(w, 0, STORE_OP_DELETE).seq, 1, "e"));
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_op(w, 0, STORE_OP_DELETE).state, STORE_OP_SENT);
	OK(store_node_get(w->s, id, &n));
}

/* R078, R080: an expunge with evidence has others' marks to give back before it is done */
static void test_sent_expunge_stays(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), seq;
	uint32_t uid = 5;

	OK(store_message_remove(w->s, id, STORE_DELETE_EXPUNGE));
	seq = world_op(w, 0, STORE_OP_DELETE).seq;
	OK(store_op_sent(w->s, seq, 1, "e"));
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_op(w, 0, STORE_OP_DELETE).state, STORE_OP_SENT);
	OK(store_op_done(w->s, seq, &(struct store_op_done){ 0 }));
	assert_int_equal(world_ops(w), 0);
	assert_int_equal(store_message_by_uid(w->s, w->inbox, 5, &id), ERR_NOTFOUND);
}

/* R148: that it is gone was heard while the copy was under way; once the copy is known not to be there
 * it counts, and the bytes that are here are uploaded instead */
static void test_gone_while_under_way(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), copy, seq;
	uint32_t uid = 5;

	world_body(w, id, "x: y\r\n\r\nbody");
	OK(store_message_copy(w->s, id, w->work, "x.eml", &copy));
	seq = world_op(w, 0, STORE_OP_COPY).seq;
	OK(store_op_sent(w->s, seq, 1, "e"));
	OK(store_pull_expunged(w->s, w->inbox, &uid, 1));
	assert_int_equal(world_op(w, 0, STORE_OP_COPY).state, STORE_OP_SENT);
	OK(store_op_requeue(w->s, seq, 1, ERR_CONFLICT, "gone"));
	OK(store_pull_vanished(w->s, id));
	assert_int_equal(world_op(w, 0, STORE_OP_APPEND).message, copy);
	assert_int_equal(store_message_by_uid(w->s, w->inbox, 5, &id), ERR_NOTFOUND);
}

/* R148: nobody has said so before: the next pass compares all */
static void test_vanished_unheard(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	struct store_mailbox m;

	OK(store_pull_complete(w->s, w->inbox, 6, 44, 1, 0));
	OK(store_pull_vanished(w->s, id));
	OK(store_mailbox_get(w->s, w->inbox, &m));
	assert_int_equal(m.highestmodseq, 0);
	store_mailbox_release(&m);
	OK(store_message_by_uid(w->s, w->inbox, 5, &id));
}

/* R054: moved on by the user while a new UIDVALIDITY had it set aside: found again, it stays where the
 * user has put it */
static void test_moved_while_set_aside(void **state)
{
	struct world *w = *state;
	struct store_descriptor d = {
		.uid = 5, .flags = "", .size = 12, .date = 5, .message_id = "<m@n>"
	};
	struct store_node n;
	int64_t id;

	OK(store_pull_descriptor(w->s, w->inbox, &d));
	OK(store_message_by_uid(w->s, w->inbox, 5, &id));
	OK(store_pull_reset(w->s, w->inbox, 8));
	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	d.uid = 77;
	OK(store_pull_descriptor(w->s, w->inbox, &d));
	assert_int_equal(world_op(w, 0, STORE_OP_MOVE).uid, 77);
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->work);
}

/* R043, R146: what waits to be found is looked for until it is given up */
static void test_searches_until_given_up(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	struct store_op_done done = { .uidvalidity = 0, .uid = 0 };

	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	assert_int_equal(store_pull_searches(w->s, w->work), 0);
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_MOVE).seq, &done));
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(store_pull_searches(w->s, w->work), 1);
		OK(store_pull_complete(w->s, w->work, 1, 0, 0, 0));
	}
	assert_int_equal(store_pull_searches(w->s, w->work), 0);
}

/* R043, R146: where a moved message is not found again, what names it waits for the user, not for ever */
static void test_unfound_waits_for_the_user(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");

	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_MOVE).seq, NULL));
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	OK(store_pull_complete(w->s, w->work, 1, 0, 0, 0));
	assert_int_equal(world_op(w, 0, STORE_OP_FLAGS).state, STORE_OP_QUEUED);
	OK(store_pull_complete(w->s, w->work, 1, 0, 0, 0));
	assert_int_equal(world_op(w, 0, STORE_OP_FLAGS).state, STORE_OP_PARKED);
	assert_int_equal(world_op(w, 0, STORE_OP_FLAGS).err, ERR_CONFLICT);
}

/* R144: a move that waited for a failed change is shown again when that is dropped */
static void test_unblocked_move_is_shown(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	struct store_node n;

	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	OK(store_op_park(w->s, world_op(w, 0, STORE_OP_FLAGS).seq, ERR_REFUSED, "no"));
	OK(store_node_place(w->s, id, w->inbox, "5.eml"));
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_FLAGS).seq));
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->work);
}

/* R016: what a reset took out of the view stays out when its failed action is dropped */
static void test_dropped_after_a_reset(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	struct store_node n;

	OK(store_message_move(w->s, id, w->work, "x.eml", false, STORE_DELETE_TRASH));
	OK(store_pull_reset(w->s, w->inbox, 8));
	OK(store_op_drop(w->s, world_op(w, 0, STORE_OP_MOVE).seq));
	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, 0);
}

/* What `imapfs sync` waits for: neither done nor parked, and not newer than the asking. */
static void test_open_actions(void **state)
{
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, ""), last = 0, n = -1;

	OK(store_op_last(w->s, &last));
	assert_int_equal(last, 0);
	world_upload(w, w->inbox, "a.eml", "a");
	world_upload(w, w->inbox, "b.eml", "b");
	OK(store_op_last(w->s, &last));
	assert_int_equal(store_message_flag(w->s, id, "\\Flagged", ""), 1);
	OK(store_op_open(w->s, last, &n));
	assert_int_equal(n, 2);
	OK(store_op_sent(w->s, last, 1, "evidence"));
	OK(store_op_open(w->s, last, &n));
	assert_int_equal(n, 2);
	OK(store_op_park(w->s, last, ERR_QUOTA, "full"));
	OK(store_op_open(w->s, last, &n));
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers_on_disk, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_drop_restores_the_name, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_copy_being_written, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_copy_of_an_upload_being_written, world_up,
		                                world_down),
		cmocka_unit_test_setup_teardown(test_taken_out_is_frozen, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_edit_outlives_a_reset, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_blocked_goes_on, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_stopped_move_goes_on, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_sent_to_trash_stays, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_sent_expunge_stays, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_gone_while_under_way, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_vanished_unheard, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_moved_while_set_aside, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_searches_until_given_up, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_unfound_waits_for_the_user, world_up,
		                                world_down),
		cmocka_unit_test_setup_teardown(test_dropped_after_a_reset, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_copy_that_was_edited, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_unblocked_move_is_shown, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_copy_of_a_rescued_edit, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_copy_of_bytes_that_are_lost, world_up,
		                                world_down),
		cmocka_unit_test_setup_teardown(test_edit_of_a_lost_copy, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_flags_of_a_lost_copy, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_facts_are_of_the_bytes, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_trash_and_back, world_up, world_down),
		cmocka_unit_test_setup_teardown(test_open_actions, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
