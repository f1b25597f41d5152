/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wordset.h"

/*
 * What a user does to a message.  The optimiser is here, at the moment of the change: it looks
 * only at the last actions on the same message, never past one that is not QUEUED, and never
 * past one that made a copy.
 */

enum { COPY_HEAD = 65536 }; /* where a Message-ID is looked for */

bool store_change_may_fold(struct store *s, const struct store_op *op)
{
	return op->state == STORE_OP_QUEUED && !s->plain_log;
}

static int get_message(struct store *s, int64_t id, struct store_node *n)
{
	int r = store_node_get(s, id, n);

	if (r < 0)
		return r;
	return n->kind == STORE_KIND_MESSAGE ? 0 : ERR_INVAL;
}

/* ---- flags ---- */

static int check_keywords(struct store *s, int64_t id, int64_t place, const char *add)
{
	_cleanup_free_ char *permanent = NULL;
	int64_t mailbox = place, ok = 1;
	const char *pos = add, *w;
	size_t len;
	int r = store_db_int(&s->db, &mailbox,
	                     "SELECT mailbox FROM message WHERE id = ?1 AND mailbox IS NOT NULL",
	                     "i", id);

	if (r >= 0)
		r = store_db_int(&s->db, &ok, "SELECT keywords_ok FROM mailbox WHERE id = ?1", "i",
		                 mailbox);
	if (r < 0 || ok)
		return r < 0 ? r : 0;
	r = store_db_text(&s->db, &permanent, "SELECT permanent_flags FROM mailbox WHERE id = ?1",
	                  "i", mailbox);
	while (r >= 0 && (w = wordset_next(&pos, &len)) != NULL) {
		_cleanup_free_ char *word = mem_strndup(w, len);

		if (*word != '\\' && !wordset_has(permanent, word))
			return ERR_PERM;
	}
	return r < 0 ? r : 0;
}

static int log_flags(struct store *s, int64_t id, int64_t place, const char *add, const char *del,
                     int64_t after)
{
	struct store_op op = {
		.kind = STORE_OP_FLAGS,
		.mailbox = place,
		.message = id,
		.add = (char *)add,
		.del = (char *)del,
		.depends_on = after,
	};
	int r = store_db_int(&s->db, &op.mailbox,
	                     "SELECT mailbox FROM message WHERE id = ?1 AND mailbox IS NOT NULL",
	                     "i", id);

	return r < 0 ? r : store_log_insert(s, &op, 0, NULL, NULL);
}

/* Last value wins; what the message has anyway is dropped. */
int store_change_fold(struct store *s, const struct store_op *op, const char *base, const char *add,
                      const char *del)
{
	_cleanup_free_ char *add1 = wordset_union(op->add, add);
	_cleanup_free_ char *add2 = wordset_minus(add1, del);
	_cleanup_free_ char *add3 = wordset_minus(add2, base);
	_cleanup_free_ char *del1 = wordset_union(op->del, del);
	_cleanup_free_ char *del2 = wordset_minus(del1, add);
	_cleanup_free_ char *not_base = wordset_minus(del2, base);
	_cleanup_free_ char *del3 = wordset_minus(del2, not_base);

	if (wordset_count(add3) == 0 && wordset_count(del3) == 0)
		return store_log_cancel(s, op->seq);
	return store_db_run(&s->db,
	                    "UPDATE op SET add_words = ?2, del_words = ?3, not_before_ms = ?4"
	                    " WHERE seq = ?1",
	                    "issi", op->seq, add3, del3, store_now_ms() + s->hold_ms);
}

static int fold_flags(struct store *s, const struct store_op *op, const char *add, const char *del)
{
	_cleanup_free_ char *base = store_message_view_flags(s, op->message, op->seq);

	return store_change_fold(s, op, base, add, del);
}

/* Not sent yet: the flags go along with the upload. */
static int fold_upload_flags(struct store *s, const struct store_op *op, const char *add,
                             const char *del)
{
	_cleanup_free_ char *more = wordset_union(op->add, add);
	_cleanup_free_ char *flags = wordset_minus(more, del);
	int r = store_db_run(&s->db, "UPDATE op SET add_words = ?2 WHERE seq = ?1", "is", op->seq,
	                     flags);

	if (r < 0)
		return r;
	return store_db_run(&s->db, "UPDATE message SET server_flags = ?2 WHERE id = ?1", "is",
	                    op->message, flags);
}

static int apply_flags(struct store *s, const struct store_node *n, const char *add,
                       const char *del)
{
	struct store_op last = { 0 };
	int r = store_log_last(s, n->id, 0, &last);

	if (r < 0)
		return r;
	if (r == 1 && last.message == n->id && store_change_may_fold(s, &last) &&
	    last.kind == STORE_OP_FLAGS)
		r = fold_flags(s, &last, add, del);
	else if (r == 1 && last.message == n->id && store_change_may_fold(s, &last) &&
	         last.kind == STORE_OP_APPEND)
		r = fold_upload_flags(s, &last, add, del);
	else
		r = log_flags(s, n->id, n->parent, add, del, last.seq);
	store_op_release(&last);
	return r < 0 ? r : store_node_touch(s, n->id);
}

static int flag_locked(struct store *s, int64_t id, const char *add, const char *del)
{
	_cleanup_free_ char *view = NULL, *new_add = NULL, *not_set = NULL, *new_del = NULL;
	_cleanup_free_ char *want = wordset_canon(del);
	struct store_node n;
	int r = get_message(s, id, &n);

	if (r < 0)
		return r;
	view = store_message_view_flags(s, id, 0);
	if (!view)
		return ERR_IO;
	new_add = wordset_minus(add, view);
	not_set = wordset_minus(want, view);
	new_del = wordset_minus(want, not_set);
	if (wordset_count(new_add) == 0 && wordset_count(new_del) == 0)
		return 0;
	r = store_rights_check_flags(s, n.parent, new_add);
	if (r == 0)
		r = store_rights_check_flags(s, n.parent, new_del);
	if (r == 0)
		r = check_keywords(s, id, n.parent, new_add);
	if (r == 0)
		r = apply_flags(s, &n, new_add, new_del);
	return r < 0 ? r : 1;
}

/* A file that is no message yet keeps its flags until it is uploaded. */
static int flag_file(struct store *s, int64_t id, const char *add, const char *del)
{
	_cleanup_free_ char *old = store_message_view_flags(s, id, 0);
	_cleanup_free_ char *more = wordset_union(old, add);
	_cleanup_free_ char *flags = wordset_minus(more, del);
	int r;

	if (old && wordset_equal(old, flags))
		return 0;
	r = store_db_run(&s->db,
	                 "INSERT INTO message (id, server_flags) VALUES (?1, ?2)"
	                 " ON CONFLICT (id) DO UPDATE SET server_flags = ?2",
	                 "is", id, flags);
	return r < 0 ? r : store_node_touch(s, id);
}

static int flag_node(struct store *s, int64_t id, const char *add, const char *del)
{
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r == 0 && n.kind == STORE_KIND_FILE)
		return flag_file(s, id, add, del);
	return r < 0 ? r : flag_locked(s, id, add, del);
}

int store_message_flag(struct store *s, int64_t id, const char *add, const char *del)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, flag_node(s, id, add, del));
}

/* The list stands for a state of the message: the one shown without this action, which holds up to
 * the mod-sequence of the last complete pass, or the message's own. */
static int keep_base(struct store *s, int64_t id)
{
	_cleanup_free_ char *base = NULL;
	struct store_op last = { 0 };
	int r = store_log_last(s, id, 0, &last);
	int64_t seq = last.seq;
	bool wanted = r == 1 && last.kind == STORE_OP_FLAGS && !last.base;

	store_op_release(&last);
	if (r < 0 || !wanted)
		return r < 0 ? r : 0;
	base = store_message_view_flags(s, id, seq);
	if (!base)
		return ERR_IO;
	return store_db_run(&s->db,
	                    "UPDATE op SET base_flags = ?2, base_modseq = coalesce((SELECT"
	                    " max(m.modseq, x.highestmodseq) FROM message m, mailbox x"
	                    " WHERE m.id = op.message AND m.uid > 0 AND x.id = m.mailbox"
	                    " AND x.highestmodseq > 0), 0) WHERE seq = ?1",
	                    "is", seq, base);
}

static int set_flags(struct store *s, int64_t id, const char *flags)
{
	_cleanup_free_ char *view = store_message_view_flags(s, id, 0);
	_cleanup_free_ char *extra = wordset_minus(view, flags);
	int r = flag_node(s, id, flags, extra);

	if (r == 1 && keep_base(s, id) < 0)
		return ERR_IO;
	return r;
}

int store_message_set_flags(struct store *s, int64_t id, const char *flags)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, set_flags(s, id, flags));
}

/* ---- remove ---- */

/* Takes back what a removal makes pointless: flag changes and moves that nothing came after.
 * `flags_travel`: the message lives on in the trash, so its flags matter. */
static int cancel_tail(struct store *s, int64_t id, bool flags_travel)
{
	struct store_op op = { 0 };
	int r;

	while ((r = store_log_last(s, id, 0, &op)) == 1) {
		bool flags = op.kind == STORE_OP_FLAGS && !flags_travel;
		bool moved = op.kind == STORE_OP_MOVE ||
		             (op.kind == STORE_OP_DELETE && op.delete_mode == STORE_DELETE_TRASH);
		int64_t seq = op.seq;
		bool fold = op.message == id && store_change_may_fold(s, &op) && (flags || moved);

		store_op_release(&op);
		if (!fold)
			return 0;
		r = store_log_cancel(s, seq);
		if (r < 0)
			return r;
	}
	return r;
}

/* 1: the message was never sent, and is gone now with the action that would have. */
static int cancel_birth(struct store *s, int64_t id)
{
	struct store_op op = { 0 };
	int64_t seq;
	bool unsent;
	int r = store_log_last(s, id, 0, &op);

	if (r <= 0)
		return r;
	seq = op.seq;
	unsent = (op.kind == STORE_OP_APPEND && op.message == id) ||
	         (op.kind == STORE_OP_COPY && op.copy == id);
	unsent = unsent && op.state != STORE_OP_SENT && !s->plain_log;
	store_op_release(&op);
	if (!unsent)
		return 0;
	r = store_log_cancel(s, seq);
	if (r == 0)
		r = store_message_forget(s, id);
	return r < 0 ? r : 1;
}

static int log_delete(struct store *s, const struct store_node *n, enum store_delete mode,
                      int64_t trash)
{
	struct store_op last = { 0 };
	struct store_op op = {
		.kind = STORE_OP_DELETE,
		.mailbox = n->parent,
		.message = n->id,
		.target = mode == STORE_DELETE_TRASH ? trash : 0,
		.delete_mode = mode,
	};
	int r = store_log_last(s, n->id, 0, &last);

	if (r == 1)
		op.depends_on = last.seq;
	store_op_release(&last);
	return r < 0 ? r : store_log_insert(s, &op, n->parent, n->name, NULL);
}

/* The mailbox to trash into; 0: none, or the message is in it. */
static int find_trash(struct store *s, const struct store_node *n, int64_t *trash)
{
	int64_t id = 0;
	int r = store_mailbox_by_use(s, "\\Trash", &id);

	if (r < 0 && r != ERR_NOTFOUND)
		return r;
	*trash = r == ERR_NOTFOUND || id == n->parent ? 0 : id;
	return 0;
}

static int message_remove_locked(struct store *s, int64_t id, enum store_delete mode)
{
	struct store_node n;
	int64_t trash = 0, place = 0;
	int r = get_message(s, id, &n);

	if (r == 0 && n.parent == 0)
		return ERR_NOTFOUND;
	if (r == 0)
		r = store_rights_check(s, n.parent, mode == STORE_DELETE_FLAG ? "t" : "te");
	if (r == 0 && mode == STORE_DELETE_TRASH)
		r = find_trash(s, &n, &trash);
	if (r < 0)
		return r;
	if (mode == STORE_DELETE_TRASH && trash == 0)
		mode = STORE_DELETE_EXPUNGE;
	if (mode != STORE_DELETE_FLAG)
		r = cancel_tail(s, id, mode == STORE_DELETE_TRASH);
	if (r == 0)
		r = cancel_birth(s, id);
	if (r != 0)
		return r < 0 ? r : 0;
	if (trash != 0)
		r = store_message_place(s, id, &place);
	if (r >= 0 &&
	    (trash == 0 || place != trash)) /* else a move out of it was just taken back */
		r = log_delete(s, &n, mode, trash);
	if (r < 0)
		return r;
	return trash ? store_node_place_free(s, id, trash, n.name)
	             : store_node_place(s, id, 0, n.name);
}

int store_message_remove(struct store *s, int64_t id, enum store_delete mode)
{
	int r = store_txn_begin(s);

	return r < 0 ? r : store_txn_end(s, message_remove_locked(s, id, mode));
}

/* ---- move ---- */

/* An action that has not been sent and decides where the message will be: its mailbox changes.
 * 1: done. */
static int retarget_birth(struct store *s, int64_t id, int64_t mailbox)
{
	struct store_op op = { 0 };
	int64_t seq;
	bool append, copy;
	int r = store_log_last(s, id, 0, &op);

	if (r <= 0)
		return r;
	append = op.kind == STORE_OP_APPEND && op.message == id;
	copy = op.kind == STORE_OP_COPY && op.copy == id;
	seq = op.seq;
	if (!store_change_may_fold(s, &op) || (!append && !copy)) {
		store_op_release(&op);
		return 0;
	}
	store_op_release(&op);
	if (append)
		r = store_db_run(&s->db, "UPDATE op SET mailbox = ?2 WHERE seq = ?1", "ii", seq,
		                 mailbox);
	else
		r = store_db_run(&s->db, "UPDATE op SET target = ?2 WHERE seq = ?1", "ii", seq,
		                 mailbox);
	if (r == 0)
		r = store_log_need_mailbox(s, seq, mailbox);
	return r < 0 ? r : 1;
}

/* A -> B -> C is A -> C: takes back an unsent move that only flag changes followed. */
static int cancel_move(struct store *s, int64_t id)
{
	struct store_op op = { 0 };
	int64_t before = 0;
	int r;

	while ((r = store_log_last(s, id, before, &op)) == 1) {
		bool moved = op.kind == STORE_OP_MOVE ||
		             (op.kind == STORE_OP_DELETE && op.delete_mode == STORE_DELETE_TRASH);
		bool on = op.message == id && store_change_may_fold(s, &op) &&
		          (moved || op.kind == STORE_OP_FLAGS);

		before = op.seq;
		store_op_release(&op);
		if (!on)
			return 0;
		if (moved)
			return store_log_cancel(s, before);
	}
	return r;
}

static int log_move(struct store *s, const struct store_node *n, int64_t mailbox)
{
	struct store_op last = { 0 };
	struct store_op op = {
		.kind = STORE_OP_MOVE,
		.mailbox = n->parent,
		.target = mailbox,
		.message = n->id,
	};
	int64_t place = 0;
	int r = cancel_move(s, n->id);

	if (r == 0)
		r = store_message_place(s, n->id, &place);
	if (r < 0 || place == mailbox)
		return r;
	if (place != 0)
		op.mailbox = place;
	r = store_log_last(s, n->id, 0, &last);
	if (r == 1)
		op.depends_on = last.seq;
	store_op_release(&last);
	return r < 0 ? r : store_log_insert(s, &op, n->parent, n->name, NULL);
}

static int is_mailbox(struct store *s, int64_t id)
{
	struct store_node n;
	int r = store_node_get(s, id, &n);

	if (r < 0)
		return r;
	return n.kind == STORE_KIND_MAILBOX ? store_rights_check(s, id, "i") : ERR_INVAL;
}

static int move_locked(struct store *s, int64_t id, int64_t mailbox, const char *name, bool replace,
                       enum store_delete mode)
{
	struct store_node n;
	int r = get_message(s, id, &n);

	if (r == 0)
		r = is_mailbox(s, mailbox);
	if (r == 0 && n.parent != mailbox && n.parent != 0)
		r = store_rights_check(s, n.parent, "te");
	if (r == 0)
		r = store_node_clear(s, mailbox, name, id, replace, mode);
	if (r == 0 && n.parent != mailbox) {
		r = retarget_birth(s, id, mailbox);
		if (r == 0)
			r = log_move(s, &n, mailbox);
	}
	return r < 0 ? r : store_node_place(s, id, mailbox, name);
}

int store_message_move(struct store *s, int64_t id, int64_t mailbox, const char *name, bool replace,
                       enum store_delete replaced_mode)
{
	int r;

	if (!store_name_valid(name))
		return ERR_INVAL;
	r = store_txn_begin(s);
	return r < 0 ? r
	             : store_txn_end(s, move_locked(s, id, mailbox, name, replace, replaced_mode));
}

/* ---- copy ---- */

/* What the bytes say that are copied: those of an edit have not become the source's facts yet. */
static int copy_facts(struct store *s, const struct store_node *n, int64_t copy)
{
	_cleanup_free_ char *head = mem_alloc(COPY_HEAD);
	_cleanup_free_ char *id = NULL;
	int fd = store_spool_open(s, n->spool, 0);
	ssize_t len = fd >= 0 ? pread(fd, head, COPY_HEAD, 0) : -1;

	store_spool_close(fd);
	if (len < 0)
		return ERR_IO;
	id = store_body_message_id(head, (size_t)len);
	return store_db_run(&s->db,
	                    "UPDATE message SET message_id = ?2, server_size = ?3 WHERE id = ?1",
	                    "isi", copy, id, n->size);
}

static int copy_rows(struct store *s, const struct store_node *n, int64_t mailbox, const char *name,
                     int64_t *copy)
{
	_cleanup_free_ char *flags = store_message_view_flags(s, n->id, 0);
	struct store_node twin = *n;
	int64_t id = 0;
	int r;

	twin.ctime_ns = store_now_ns();
	r = store_node_insert(s, mailbox, name, &twin, NULL, &id);
	if (r == 0)
		r = store_db_run(
			&s->db,
			"INSERT INTO message (id, date, zone, server_size, body, clean_spool,"
			" message_id, server_flags) SELECT ?2, date, zone, server_size, body,"
			" ?4, message_id, ?3 FROM message WHERE id = ?1",
			"iisi", n->id, id, flags ? flags : "", n->spool);
	if (r == 0)
		r = n->spool ? copy_facts(s, n, id) : store_pack_share(s, n->id, id);
	if (r == 0)
		*copy = id;
	return r;
}

/* The source holds an edit that no action has yet: a copy on the server would not have it. */
static int is_dirty(struct store *s, const struct store_node *n)
{
	int64_t known;
	int r;

	if (n->spool == 0)
		return 0;
	r = store_db_int(&s->db, &known,
	                 "SELECT 1 FROM message WHERE id = ?1 AND clean_spool = ?2 UNION ALL"
	                 " SELECT 1 FROM op WHERE spool = ?2 AND spool != 0 LIMIT 1",
	                 "ii", n->id, n->spool);
	return r < 0 ? r : r == 0;
}

static int copy_by_upload(struct store *s, const struct store_node *n, int64_t mailbox,
                          int64_t copy)
{
	_cleanup_free_ char *flags = store_message_view_flags(s, copy, 0);
	struct store_op op = {
		.kind = STORE_OP_APPEND,
		.mailbox = mailbox,
		.message = copy,
		.spool = n->spool,
		.add = flags,
	};
	int64_t size = 0;
	int r = store_spool_sync(s, n->spool, &size);

	return r < 0 ? r : store_log_insert(s, &op, 0, NULL, NULL);
}

static int copy_locked(struct store *s, int64_t id, int64_t mailbox, const char *name,
                       int64_t *copy)
{
	struct store_op last = { 0 };
	struct store_op op = { .kind = STORE_OP_COPY, .target = mailbox, .message = id };
	struct store_node n;
	int r = get_message(s, id, &n);

	if (r == 0)
		r = is_mailbox(s, mailbox);
	if (r == 0)
		r = copy_rows(s, &n, mailbox, name, copy);
	if (r == 0)
		r = is_dirty(s, &n);
	if (r != 0)
		return r < 0 ? r : copy_by_upload(s, &n, mailbox, *copy);
	op.mailbox = n.parent;
	op.copy = *copy;
	r = store_log_last(s, id, 0, &last);
	if (r == 1)
		op.depends_on = last.seq;
	store_op_release(&last);
	return r < 0 ? r : store_log_insert(s, &op, 0, NULL, NULL);
}

int store_message_copy(struct store *s, int64_t id, int64_t mailbox, const char *name,
                       int64_t *copy)
{
	int64_t made = 0;
	int r;

	if (!store_name_valid(name))
		return ERR_INVAL;
	r = store_txn_begin(s);
	if (r < 0)
		return r;
	r = store_txn_end(s, copy_locked(s, id, mailbox, name, &made));
	if (r == 0)
		*copy = made;
	return r;
}
