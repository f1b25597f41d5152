/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <sys/random.h>

/* Step n takes a database of version n to n + 1.  Steps are never edited once released. */
static const char *const steps[] = {
	"CREATE TABLE meta ("
	"  key TEXT PRIMARY KEY,"
	"  value INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE node ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  parent INTEGER," /* NULL: not in the tree */
	"  name TEXT NOT NULL,"
	"  kind INTEGER NOT NULL,"
	"  mode INTEGER NOT NULL,"
	"  size INTEGER NOT NULL DEFAULT 0,"
	"  size_exact INTEGER NOT NULL DEFAULT 1,"
	"  mtime_ns INTEGER NOT NULL,"
	"  ctime_ns INTEGER NOT NULL,"
	"  subdirs INTEGER NOT NULL DEFAULT 0,"
	"  spool INTEGER NOT NULL DEFAULT 0,"
	"  target TEXT" /* of a symlink */
	") STRICT;"
	"CREATE UNIQUE INDEX node_name ON node (parent, name);"
	"CREATE INDEX node_parent ON node (parent);" /* and by id, which every index carries */
	"CREATE INDEX node_spool ON node (spool) WHERE spool != 0;"
	"CREATE TABLE mailbox ("
	"  id INTEGER PRIMARY KEY,"
	"  wire_name TEXT,"
	"  delimiter INTEGER NOT NULL DEFAULT 0,"
	"  attributes TEXT NOT NULL DEFAULT '',"
	"  selectable INTEGER NOT NULL DEFAULT 1,"
	"  subscribed INTEGER NOT NULL DEFAULT 0,"
	"  read_only INTEGER NOT NULL DEFAULT 0,"
	"  uidnotsticky INTEGER NOT NULL DEFAULT 0,"
	"  keywords_ok INTEGER NOT NULL DEFAULT 1,"
	"  uidvalidity INTEGER NOT NULL DEFAULT 0,"
	"  uidnext INTEGER NOT NULL DEFAULT 0,"
	"  highestmodseq INTEGER NOT NULL DEFAULT 0,"
	"  messages INTEGER NOT NULL DEFAULT 0,"
	"  unseen INTEGER NOT NULL DEFAULT 0,"
	"  permanent_flags TEXT,"
	"  mailboxid TEXT,"
	"  profile INTEGER NOT NULL DEFAULT 0,"
	"  missing_since_ms INTEGER NOT NULL DEFAULT 0"
	") STRICT;"
	"CREATE UNIQUE INDEX mailbox_wire ON mailbox (wire_name);"
	"CREATE TABLE message ("
	"  id INTEGER PRIMARY KEY,"
	"  mailbox INTEGER," /* NULL: nowhere yet */
	"  uid INTEGER,"     /* NULL: unknown */
	"  modseq INTEGER NOT NULL DEFAULT 0,"
	"  date INTEGER NOT NULL DEFAULT 0,"
	"  zone INTEGER NOT NULL DEFAULT 0,"
	"  server_size INTEGER NOT NULL DEFAULT 0,"
	"  body INTEGER NOT NULL DEFAULT 0,"        /* the cache should have it */
	"  clean_spool INTEGER NOT NULL DEFAULT 0," /* this spool's bytes are the server's */
	"  hidden INTEGER NOT NULL DEFAULT 0,"      /* deleted by flag only */
	"  passes INTEGER NOT NULL DEFAULT 0,"      /* complete passes that did not find its UID */
	"  aside INTEGER NOT NULL DEFAULT 0,"       /* of an earlier UIDVALIDITY */
	"  message_id TEXT,"
	"  emailid TEXT,"
	"  threadid TEXT,"
	"  server_flags TEXT NOT NULL DEFAULT ''"
	") STRICT;"
	"CREATE UNIQUE INDEX message_uid ON message (mailbox, uid);"
	"CREATE INDEX message_missing ON message (mailbox, uid) WHERE body = 0;"
	"CREATE TABLE op ("
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  kind INTEGER NOT NULL,"
	"  state INTEGER NOT NULL,"
	"  mailbox INTEGER NOT NULL DEFAULT 0,"
	"  target INTEGER NOT NULL DEFAULT 0,"
	"  message INTEGER NOT NULL DEFAULT 0,"
	"  copy INTEGER NOT NULL DEFAULT 0,"
	"  spool INTEGER NOT NULL DEFAULT 0,"
	"  add_words TEXT,"
	"  del_words TEXT,"
	"  name TEXT,"
	"  old_parent INTEGER NOT NULL DEFAULT 0," /* where the node was: to order and to undo */
	"  old_name TEXT,"
	"  delete_mode INTEGER NOT NULL DEFAULT 0,"
	"  step INTEGER NOT NULL DEFAULT 0,"
	"  evidence TEXT,"
	"  err INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT,"
	"  created_ms INTEGER NOT NULL,"
	"  not_before_ms INTEGER NOT NULL DEFAULT 0,"
	"  tries INTEGER NOT NULL DEFAULT 0"
	") STRICT;"
	"CREATE INDEX op_message ON op (message);"
	"CREATE INDEX op_copy ON op (copy) WHERE copy != 0;"
	"CREATE INDEX op_mailbox ON op (mailbox, kind);"
	"CREATE INDEX op_target ON op (target) WHERE target != 0;"
	"CREATE INDEX op_spool ON op (spool) WHERE spool != 0;"
	"CREATE INDEX op_state ON op (state);"
	"CREATE TABLE dep (" /* `seq` must wait for `needs` */
	"  seq INTEGER NOT NULL,"
	"  needs INTEGER NOT NULL,"
	"  PRIMARY KEY (seq, needs)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX dep_needs ON dep (needs);",

	/* What a Maildir shows: enum store_mark, whether in new/, pairs of CR LF in the content
	 * (-1: not counted), and when what a directory shows of its messages changed last. */
	"ALTER TABLE node ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE node ADD COLUMN was INTEGER NOT NULL DEFAULT 0;" /* the mark before */
	"ALTER TABLE node ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE node ADD COLUMN crlf INTEGER NOT NULL DEFAULT -1;"
	"ALTER TABLE node ADD COLUMN view_ns INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX node_fresh ON node (parent) WHERE fresh;"
	"CREATE INDEX node_dirs ON node (parent) WHERE kind IN (2, 5);"
	/* Whatever changes the content, the count is void. */
	"CREATE TRIGGER node_content AFTER UPDATE OF size, spool ON node"
	" WHEN new.crlf = old.crlf AND new.crlf >= 0 AND"
	" (new.size != old.size OR new.spool != old.spool OR new.spool != 0)"
	" BEGIN UPDATE node SET crlf = -1 WHERE id = new.id; END;",

	"ALTER TABLE mailbox ADD COLUMN rights TEXT;" /* letters of RFC 4314; NULL: unknown */
	"CREATE INDEX message_emailid ON message (emailid) WHERE emailid IS NOT NULL;"
	"CREATE INDEX mailbox_mailboxid ON mailbox (mailboxid) WHERE mailboxid IS NOT NULL;",

	"ALTER TABLE op ADD COLUMN decided INTEGER NOT NULL DEFAULT 0;", /* by a policy */
	/* What an absolute list of flags was written on: NULL where only a change was asked for */
	"ALTER TABLE op ADD COLUMN base_flags TEXT;"
	"ALTER TABLE op ADD COLUMN base_modseq INTEGER NOT NULL DEFAULT 0;"
	/* Mod-sequences of another mailbox or UID mean nothing. */
	"CREATE TRIGGER op_base AFTER UPDATE OF uid, mailbox ON message"
	" WHEN old.uid IS NOT new.uid OR old.mailbox IS NOT new.mailbox"
	" BEGIN UPDATE op SET base_modseq = 0 WHERE message = new.id AND base_modseq != 0; END;",

	/* Messages renamed away by an editor: where from, and the file that is there now. */
	"CREATE TABLE aside ("
	"  message INTEGER PRIMARY KEY,"
	"  dir INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  file INTEGER NOT NULL DEFAULT 0,"
	"  at_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX aside_place ON aside (dir, name);"
	"CREATE INDEX aside_file ON aside (file) WHERE file != 0;",

	/* enum store_partial_state; few messages are so large */
	"ALTER TABLE message ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX message_partial ON message (id) WHERE partial = 1;",

	/* To find the message that a file is a copy of */
	"CREATE INDEX message_message_id ON message (message_id) WHERE message_id IS NOT NULL;",

	/* Gmail's, one a line; NULL: unknown */
	"ALTER TABLE message ADD COLUMN labels TEXT;",

	/* One step each, however many messages are of one content or wait to be recognised */
	"DROP INDEX message_emailid;"
	"CREATE INDEX message_content ON message (emailid, server_size, body)"
	" WHERE emailid IS NOT NULL;"
	"CREATE INDEX message_unsure ON message (mailbox, message_id) WHERE uid IS NULL;"
	"CREATE INDEX message_unsure_content ON message (mailbox, emailid) WHERE uid IS NULL;",

	/* By STATUS (RFC 8438); -1: unknown */
	"ALTER TABLE mailbox ADD COLUMN size INTEGER NOT NULL DEFAULT -1;",
};

#define VERSION ((int64_t)(sizeof(steps) / sizeof(steps[0])))

static int fill_new(struct store *s)
{
	int64_t identity = 0, now = store_now_ns();
	int r;

	if (getrandom(&identity, sizeof(identity), 0) != (ssize_t)sizeof(identity))
		return ERR_IO;
	r = store_db_run(&s->db, "INSERT INTO meta VALUES ('identity', ?1)", "i", identity);
	if (r < 0)
		return r;
	return store_db_run(&s->db,
	                    "INSERT INTO node (id, name, kind, mode, mtime_ns, ctime_ns)"
	                    " VALUES (1, '', 1, 448, ?1, ?1)",
	                    "i", now);
}

static int upgrade(struct store *s, int64_t from)
{
	char pragma[64];
	int r = 0;

	for (int64_t v = from; r == 0 && v < VERSION; v++)
		r = store_db_script(&s->db, steps[v]);
	if (r == 0 && from == 1)
		r = store_mark_all(s);
	if (r == 0 && from == 0)
		r = fill_new(s);
	if (r < 0)
		return r;
	sqlite3_snprintf(sizeof(pragma), pragma, "PRAGMA user_version=%lld", (long long)VERSION);
	return store_db_script(&s->db, pragma);
}

static int known_actions(struct store *s, struct err_reason *why)
{
	int64_t seq = 0;
	int r = store_db_int(&s->db, &seq,
	                     "SELECT seq FROM op WHERE kind NOT BETWEEN 1 AND 12"
	                     " OR state NOT BETWEEN 1 AND 3 LIMIT 1",
	                     "");

	if (r == 1)
		return err_set(why, ERR_VERSION, "action %lld is of a kind made by a newer version",
		               (long long)seq);
	return r;
}

static int version_of(struct store *s, int64_t *v, struct err_reason *why)
{
	int r = store_db_int(&s->db, v, "PRAGMA user_version", "");

	if (r < 0)
		return err_set(why, r, "cannot read the database: %s", sqlite3_errmsg(s->db.h));
	if (*v > VERSION)
		return err_set(why, ERR_VERSION,
		               "the database has version %lld, this program knows up to %lld",
		               (long long)*v, (long long)VERSION);
	return 0;
}

int store_schema_open(struct store *s, struct err_reason *why)
{
	int64_t v = 0;
	int r = version_of(s, &v, why);

	if (r < 0)
		return r;
	if (v == VERSION)
		return known_actions(s, why);
	r = store_txn_begin(s);
	if (r < 0)
		return err_set(why, r, "cannot write the database");
	r = version_of(s, &v, why); /* another handle may have been quicker */
	if (r == 0 && v < VERSION)
		r = upgrade(s, v);
	r = store_txn_end(s, r);
	if (r < 0)
		return err_set(why, r, "cannot bring the database to version %lld",
		               (long long)VERSION);
	return known_actions(s, why);
}
