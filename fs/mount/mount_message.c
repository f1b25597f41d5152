/* SPDX-License-Identifier: MIT */
#include "mount_settle_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "mount_sniff.h"

#define CONVERT_CHUNK ((size_t)64 * 1024)
#define NS_PER_S 1000000000

static int io_err(void)
{
	return errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : ERR_IO;
}

/* The content of a file that nobody had open; it is read in pieces, as somebody may cut it any moment. */
struct content {
	int fd;
	int64_t len;
};

static int content_open(struct store *s, int64_t spool, struct content *c)
{
	struct stat st;

	*c = (struct content){ .fd = store_spool_open(s, spool, 0) };
	if (c->fd < 0)
		return errno == ENOENT ? ERR_BUSY : io_err(); /* has another one by now */
	if (fstat(c->fd, &st) != 0)
		return ERR_IO;
	c->len = st.st_size;
	return 0;
}

static void content_close(struct content *c)
{
	if (c->fd >= 0)
		close(c->fd);
}

/* All `n` bytes at `at`; ERR_BUSY: it has been cut. */
static int content_read(const struct content *c, int64_t at, char *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(c->fd, buf + done, n - done, at + (off_t)done);

		if (r == 0)
			return ERR_BUSY;
		if (r < 0 && errno != EINTR)
			return ERR_IO;
		done += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

/* The next piece into `buf`, which holds CONVERT_CHUNK.  Its length, 0 at the end, or ERR. */
static int content_next(const struct content *c, int64_t *at, char *buf)
{
	int64_t left = c->len - *at;
	size_t n = left < (int64_t)CONVERT_CHUNK ? (size_t)left : CONVERT_CHUNK;
	int r = content_read(c, *at, buf, n);

	*at += (int64_t)n;
	return r < 0 ? r : (int)n;
}

/* What decides about the content besides its header. */
struct look {
	bool bare_lf, nul;
};

static bool has_bare_lf(const char *data, size_t len, char before)
{
	const char *p = data, *end = data + len;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if ((p == data ? before : p[-1]) != '\r')
			return true;
		p++;
	}
	return false;
}

static int content_look(const struct content *c, struct look *look)
{
	_cleanup_free_ char *buf = mem_alloc(CONVERT_CHUNK);
	int64_t at = 0;
	char before = 0;
	int n;

	*look = (struct look){ false, false };
	while ((n = content_next(c, &at, buf)) > 0) {
		look->nul |= memchr(buf, '\0', (size_t)n) != NULL;
		look->bare_lf = look->bare_lf || has_bare_lf(buf, (size_t)n, before);
		before = buf[n - 1];
	}
	return n;
}

static bool content_is(const struct content *c, const char *data, size_t len)
{
	_cleanup_free_ char *buf = mem_alloc(CONVERT_CHUNK);
	bool same = (int64_t)len == c->len;
	int64_t at = 0;
	int n = 0;

	while (same && (n = content_next(c, &at, buf)) > 0)
		same = memcmp(buf, data + at - n, (size_t)n) == 0;
	return same && n == 0;
}

static int write_crlf(int fd, const struct content *c, int64_t *size)
{
	_cleanup_free_ char *in = mem_alloc(CONVERT_CHUNK), *out = mem_alloc(2 * CONVERT_CHUNK);
	int64_t at = 0;
	char last = 0;
	int n, r = 0;

	*size = 0;
	while (r == 0 && (n = content_next(c, &at, in)) != 0) {
		size_t len = n > 0 ? mount_crlf(in, (size_t)n, &last, out) : 0, done = 0;

		r = n < 0 ? n : mount_write_all(fd, out, len, *size, &done);
		*size += (int64_t)len;
	}
	if (r == 0 && fdatasync(fd) != 0)
		r = io_err();
	return r;
}

/* With the lock held, when nothing changed: the new content takes the old one's place. */
static int swap_content(struct mount *m, struct store *s, struct mount_file *f, const char *from,
                        const char *to, int64_t size)
{
	if (rename(from, to) != 0)
		return io_err();
	mount_file_close(m, f);
	f->size = size;
	f->dirty = true;
	return mount_file_record(s, f);
}

/* Writes the content with CRLF line ends beside the old and puts it in its place. */
static int convert(struct mount *m, struct store *s, const struct store_node *n,
                   const struct content *c, unsigned int change)
{
	_cleanup_free_ char *to = mem_printf("%s/spool/%lld", m->cfg.state_dir,
	                                     (long long)n->spool);
	_cleanup_free_ char *from = mem_printf("%s.crlf", to);
	struct mount_file *f;
	int64_t size = 0;
	int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return io_err();
	r = write_crlf(fd, c, &size);
	close(fd);
	if (r == 0) {
		mount_files_lock(m);
		f = mount_file_find(m, n->id);
		r = f && f->change == change ? swap_content(m, s, f, from, to, size) : ERR_BUSY;
		mount_files_unlock(m);
	}
	if (r < 0)
		(void)unlink(from);
	else
		mount_notify_content(m, n->id);
	return r;
}

static int refuse(struct mount *m, const struct store_node *n, const char *reason)
{
	struct mount_file *f;

	mount_files_lock(m);
	f = mount_file_find(m, n->id);
	if (f) {
		free(f->reason);
		f->reason = mem_strdup(reason);
	}
	mount_files_unlock(m);
	log_info("\"%s\" stays on this machine: %s", n->name, reason);
	return ERR_INVAL;
}

#define TWINS_MAX 8

/* A message on the server with these bytes and this date; 0: none.  One with another date is not the
 * same: who reads the copy would find a date that its writer did not give it. */
static int64_t find_twin(struct store *s, const struct store_node *n, const char *message_id,
                         const struct content *c)
{
	int64_t ids[TWINS_MAX], found = 0;
	int count = 0;

	if (n->kind == STORE_KIND_FILE && message_id && c->len > 0)
		count = store_message_twins(s, message_id, (int64_t)c->len, ids, TWINS_MAX);
	for (int i = 0; i < count && !found; i++) {
		struct store_node twin;
		const void *data;
		size_t len;

		if (store_node_get(s, ids[i], &twin) == 0 &&
		    twin.mtime_ns / NS_PER_S == n->mtime_ns / NS_PER_S &&
		    store_body_get(s, ids[i], &data, &len) == 0 && content_is(c, data, len))
			found = ids[i];
	}
	return found;
}

static int queue(struct mount *m, struct store *s, const struct store_node *n,
                 const char *message_id, int64_t twin, unsigned int change)
{
	struct mount_file *f;
	int r = ERR_BUSY;

	mount_files_lock(m);
	f = mount_file_find(m, n->id);
	if (f && f->change == change && !f->unlinked) {
		r = twin ? store_message_duplicate(s, n->id, twin) : ERR_CONFLICT;
		if (r == ERR_CONFLICT)
			r = store_message_upload(s, n->id, "", message_id);
		if (r == 0)
			mount_file_drop(m, f);
	}
	mount_files_unlock(m);
	if (r == 0)
		sync_kick(m->sync);
	if (r == 0 && m->maildir) /* its size is shown otherwise from now on */
		mount_notify_content(m, n->id);
	return r;
}

/* Why it is no message, or its Message-ID. */
static int judge(const struct content *c, const char **reason, char **message_id, struct look *look)
{
	size_t n = c->len > (int64_t)MOUNT_HEADER_MAX ? MOUNT_HEADER_MAX + 1 : (size_t)c->len;
	_cleanup_free_ char *head = mem_alloc(n + 1);
	int r = content_read(c, 0, head, n);

	if (r == 0)
		r = content_look(c, look);
	if (r < 0)
		return r;
	*reason = mount_sniff_reason(mount_sniff(head, n));
	if (!*reason && look->nul)
		*reason = "not a message: contains NUL bytes";
	if (!*reason)
		*message_id = mount_sniff_message_id(head, n);
	return 0;
}

int mount_make_message(struct mount *m, struct store *s, const struct store_node *n,
                       unsigned int change)
{
	_cleanup_free_ char *message_id = NULL;
	struct content c = { .fd = -1 };
	struct look look = { false, false };
	const char *reason = NULL;
	int64_t twin = 0;
	int r = 0;

	if (n->spool != 0)
		r = content_open(s, n->spool, &c);
	if (r == 0)
		r = judge(&c, &reason, &message_id, &look);
	if (r == 0 && reason)
		r = refuse(m, n, reason);
	if (r == 0 && look.bare_lf)
		r = convert(m, s, n, &c, change);
	else if (r == 0)
		twin = find_twin(s, n, message_id, &c);
	content_close(&c);
	if (r == 0 && n->spool != 0)
		r = queue(m, s, n, message_id, twin, change);
	if (r < 0 && r != ERR_INVAL && r != ERR_BUSY)
		log_warn("cannot queue \"%s\": %s", n->name, err_text(r));
	return r;
}
