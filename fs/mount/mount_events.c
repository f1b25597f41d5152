/* SPDX-License-Identifier: MIT */
#include "mount_file_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "json.h"
#include "mem.h"

/*
 * .imapfs/events: a line of JSON for each change that came from elsewhere, from the moment on that somebody
 * first looks the file up.  It grows under its readers: what is new is stored in the kernel's pages,
 * which brings the size along, by the thread that tells the kernel of the change itself, and before it
 * does.  A file that has grown too long is left to its readers, the name then means a new one.
 */
#define EVENTS_MAX ((size_t)1 << 20)

struct log_file {
	int64_t ino;
	uint64_t lookups;
	int64_t made_ns;
	struct buf text;
	struct log_file *older;
};

struct mount_events {
	pthread_mutex_t lock;
	struct log_file *newest; /* NULL: nobody has asked yet */
	struct store *store;     /* the notify thread's */
	int64_t next_ino;
};

int mount_events_start(struct mount *m)
{
	m->events = mem_alloc(sizeof(*m->events));
	pthread_mutex_init(&m->events->lock, NULL);
	m->events->next_ino = MOUNT_INO_EVENTS;
	return store_open(m->cfg.state_dir, m->cfg.cache_dir, &m->events->store, NULL);
}

static void file_free(struct log_file *f)
{
	buf_release(&f->text);
	free(f);
}

void mount_events_free(struct mount_events **events)
{
	struct mount_events *e = *events;

	if (!e)
		return;
	while (e->newest) {
		struct log_file *f = e->newest;

		e->newest = f->older;
		file_free(f);
	}
	store_close(&e->store);
	pthread_mutex_destroy(&e->lock);
	free(e);
	*events = NULL;
}

/* ---- With the lock held ---- */

static struct log_file *file_new(struct mount_events *e)
{
	struct log_file *f = mem_alloc(sizeof(*f));

	f->ino = e->next_ino++;
	f->made_ns = clock_wall_ns();
	buf_init(&f->text, EVENTS_MAX);
	f->older = e->newest;
	e->newest = f;
	return f;
}

static struct log_file **find(struct mount_events *e, fuse_ino_t ino)
{
	struct log_file **p = &e->newest;

	while (*p && (*p)->ino != (int64_t)ino)
		p = &(*p)->older;
	return p;
}

static void stat_of(struct mount *m, const struct log_file *f, struct stat *st)
{
	*st = (struct stat){ .st_ino = (ino_t)f->ino,
		             .st_mode = S_IFREG | 0400,
		             .st_nlink = 1,
		             .st_size = (off_t)f->text.len,
		             .st_blocks = (blkcnt_t)((f->text.len + 511) / 512) };
	mount_virtual_owner(m, st, f->made_ns);
}

/* ---- For the loop ---- */

void mount_events_lookup(struct mount *m, fuse_req_t req)
{
	struct mount_events *e = m->events;
	struct fuse_entry_param entry = { .generation = 1, .attr_timeout = MOUNT_FOREVER };
	struct log_file *f;

	pthread_mutex_lock(&e->lock);
	f = e->newest ? e->newest : file_new(e);
	f->lookups++;
	entry.ino = (fuse_ino_t)f->ino;
	stat_of(m, f, &entry.attr);
	pthread_mutex_unlock(&e->lock);
	fuse_reply_entry(req, &entry);
}

void mount_events_getattr(struct mount *m, fuse_req_t req, fuse_ino_t ino)
{
	struct log_file *f;
	struct stat st;

	pthread_mutex_lock(&m->events->lock);
	f = *find(m->events, ino);
	if (f)
		stat_of(m, f, &st);
	pthread_mutex_unlock(&m->events->lock);
	if (f)
		fuse_reply_attr(req, &st, MOUNT_FOREVER);
	else
		fuse_reply_err(req, ESTALE);
}

void mount_events_read(struct mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct log_file *f;

	pthread_mutex_lock(&m->events->lock);
	f = *find(m->events, ino);
	if (f)
		mount_reply_range(req, f->text.data, f->text.len, size, off);
	pthread_mutex_unlock(&m->events->lock);
	if (!f)
		fuse_reply_err(req, ESTALE);
}

/* The newest stays: what happens while nobody has it open is there for the next reader. */
void mount_events_forget(struct mount *m, fuse_ino_t ino, uint64_t nlookup)
{
	struct mount_events *e = m->events;
	struct log_file **p, *f;

	pthread_mutex_lock(&e->lock);
	p = find(e, ino);
	f = *p;
	if (f)
		f->lookups -= nlookup < f->lookups ? nlookup : f->lookups;
	if (f && f->lookups == 0 && f != e->newest) {
		*p = f->older;
		file_free(f);
	}
	pthread_mutex_unlock(&e->lock);
}

/* ---- For the notify thread ---- */

static const char *kind_word(enum store_kind kind)
{
	switch (kind) {
	case STORE_KIND_ROOT:
	case STORE_KIND_MAILBOX:
		return "mailbox";
	case STORE_KIND_MESSAGE:
		return "message";
	case STORE_KIND_FILE:
	case STORE_KIND_DIR:
	case STORE_KIND_SYMLINK:
		return "local";
	}
	return "local";
}

static const char *what_word(enum store_change what)
{
	switch (what) {
	case STORE_CHANGE_ADDED:
		return "added";
	case STORE_CHANGE_REMOVED:
		return "removed";
	case STORE_CHANGE_ATTR:
		return "changed";
	case STORE_CHANGE_BODY:
		return "content";
	}
	return "changed";
}

/* From the mount point; caller frees.  NULL: it is nowhere. */
static char *path_of(struct store *s, int64_t node, int64_t parent, const char *name)
{
	_cleanup_free_ char *dir = NULL;
	char *path = NULL;

	if (!name)
		return store_node_path(s, node, &path) == 0 ? path : NULL;
	if (store_node_path(s, parent, &dir) < 0)
		return NULL;
	return mem_printf("%s%s%s", dir, *dir ? "/" : "", name);
}

static int put_message(struct store *s, int64_t id, struct buf *out)
{
	struct store_message msg;
	int r = store_message_get(s, id, &msg);

	if (r < 0)
		return 0;
	if (msg.uid != 0)
		r = buf_printf(out, ",\"uid\":%u", msg.uid);
	if (r == 0)
		r = buf_puts(out, ",\"flags\":");
	if (r == 0)
		r = json_string(out, msg.flags);
	store_message_release(&msg);
	return r;
}

static int put_line(struct store *s, enum store_change what, int64_t node, const char *path,
                    struct buf *out)
{
	struct store_node n = { .kind = STORE_KIND_MESSAGE };
	int64_t now = clock_wall_ns();
	time_t seconds = now / 1000000000;
	struct tm tm;
	char when[32];
	bool known = store_node_get(s, node, &n) == 0;
	int r;

	gmtime_r(&seconds, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	r = buf_printf(out,
	               "{\"time\":\"%s.%03dZ\",\"event\":\"%s\",\"kind\":\"%s\",\"path\":", when,
	               (int)(now / 1000000 % 1000), what_word(what), kind_word(n.kind));
	if (r == 0)
		r = json_string(out, path);
	if (r == 0 && known && n.kind == STORE_KIND_MESSAGE)
		r = put_message(s, node, out);
	return r < 0 ? r : buf_puts(out, "}\n");
}

/* Into the file, and where that begins; an inode of 0: nobody reads it. */
static int64_t append(struct mount_events *e, const struct buf *line, off_t *at)
{
	struct log_file *f = e->newest;

	if (f->text.len + line->len > EVENTS_MAX)
		f = file_new(e);
	*at = (off_t)f->text.len;
	(void)buf_append(&f->text, line->data, line->len);
	return f->lookups > 0 ? f->ino : 0;
}

void mount_events_note(struct mount *m, enum store_change what, int64_t node, int64_t parent,
                       const char *name)
{
	struct mount_events *e = m->events;
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(0);
	struct buf line = BUF_INIT(65536);
	_cleanup_free_ char *path = NULL;
	int64_t ino = 0;
	bool wanted;
	off_t at = 0;

	pthread_mutex_lock(&e->lock);
	wanted = e->newest != NULL;
	pthread_mutex_unlock(&e->lock);
	if (!wanted)
		return;
	path = path_of(e->store, node, parent, name);
	if (path && put_line(e->store, what, node, path, &line) == 0) {
		pthread_mutex_lock(&e->lock);
		ino = append(e, &line, &at);
		pthread_mutex_unlock(&e->lock);
	}
	if (ino) {
		data.buf[0].mem = line.data;
		data.buf[0].size = line.len;
		(void)fuse_lowlevel_notify_store(m->se, (fuse_ino_t)ino, at, &data, 0);
	}
	buf_release(&line);
}
