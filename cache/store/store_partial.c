/* SPDX-License-Identifier: MIT */
#include "store_partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_priv.h"

static char *dir_path(struct store *s)
{
	return mem_printf("%s/partial", s->cache_dir);
}

static char *file_path(struct store *s, int64_t message)
{
	return mem_printf("%s/partial/%lld", s->cache_dir, (long long)message);
}

int store_partial_missing(struct store *s, int64_t mailbox, uint32_t below, uint64_t min_size,
                          int64_t since, struct store_missing *out, int max)
{
	sqlite3_stmt *st;
	int n = 0;
	int r = store_db_row(
		&s->db, &st,
		"SELECT m.id, m.uid, m.server_size FROM message m JOIN node n ON n.id = m.id"
		" WHERE m.mailbox = ?1 AND m.body = 0 AND m.partial = 0 AND m.uid > 0 AND"
		" m.uid < ?2 AND n.spool = 0 AND m.server_size > ?3 AND m.date >= ?4"
		" ORDER BY m.uid DESC LIMIT ?5",
		"iiiii", mailbox, below ? INT(below) : INT(UINT32_MAX) + 1,
		(int64_t)(min_size > INT64_MAX ? INT64_MAX : min_size), since, INT(max));

	for (; r == 1; r = store_db_next(&s->db, &st))
		out[n++] = (struct store_missing){
			.id = sqlite3_column_int64(st, 0),
			.uid = (uint32_t)sqlite3_column_int64(st, 1),
			.size = (uint64_t)sqlite3_column_int64(st, 2),
		};
	return r < 0 ? r : n;
}

/* It is a cache: no need for it to survive a power cut, but none of it or all of it is there. */
static int write_file(struct store *s, int64_t message, const void *data, size_t len)
{
	_cleanup_free_ char *dir = dir_path(s);
	_cleanup_free_ char *path = file_path(s, message);
	_cleanup_free_ char *tmp = mem_printf("%s/new-%lld", dir, (long long)message);
	int fd, r = 0;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return store_sys_error();
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return store_sys_error();
	if (write(fd, data, len) != (ssize_t)len || fsync(fd) < 0)
		r = store_sys_error();
	close(fd);
	if (r == 0 && rename(tmp, path) < 0)
		r = store_sys_error();
	if (r < 0)
		unlink(tmp);
	return r;
}

int store_partial_put(struct store *s, int64_t message, const void *data, size_t len)
{
	int r = len > 0 ? write_file(s, message, data, len) : 0;

	if (r == 0)
		r = store_txn_begin(s);
	if (r < 0)
		return r;
	r = store_db_run(&s->db, "UPDATE message SET partial = ?2 WHERE id = ?1 AND body = 0", "ii",
	                 message, INT(len > 0 ? STORE_PARTIAL_HERE : STORE_PARTIAL_NONE));
	if (r == 0)
		store_txn_note(s, STORE_CHANGE_ATTR, message, 0, NULL);
	return store_txn_end(s, r);
}

bool store_partial_have(struct store *s, int64_t message)
{
	int64_t have = 0;

	return store_db_int(&s->db, &have,
	                    "SELECT 1 FROM message WHERE id = ?1 AND partial = 1 AND body = 0", "i",
	                    message) == 1;
}

int store_partial_open(struct store *s, int64_t message)
{
	_cleanup_free_ char *path = file_path(s, message);

	return open(path, O_RDONLY | O_CLOEXEC);
}

/* "12-INBOX%2F12.eml": what is too long to be told is left out. */
static void put_name(struct store *s, int64_t message, char out[STORE_NAME_MAX + 1])
{
	_cleanup_free_ char *path = NULL;
	size_t n = (size_t)snprintf(out, STORE_NAME_MAX + 1, "%lld", (long long)message);
	size_t len = 0;
	int r = store_node_path(s, message, &path);

	for (const char *p = r < 0 ? "" : path; *p; p++)
		len += *p == '/' ? 3 : 1;
	if (len == 0 || n + 1 + len > STORE_NAME_MAX) {
		(void)snprintf(out + n, STORE_NAME_MAX + 1 - n, ".eml");
		return;
	}
	out[n++] = '-';
	for (const char *p = path; *p; p++) {
		if (*p == '/') {
			memcpy(out + n, "%2F", 3);
			n += 3;
		} else {
			out[n++] = *p;
		}
	}
	out[n] = '\0';
}

/* ERR_NOTFOUND when it is not, or no longer, in a tree and here. */
static int fill(struct store *s, int64_t message, struct store_partial *out)
{
	_cleanup_free_ char *path = file_path(s, message);
	struct stat st;

	if (!store_partial_have(s, message) || stat(path, &st) < 0)
		return ERR_NOTFOUND;
	*out = (struct store_partial){ .message = message, .size = st.st_size };
	out->mtime_ns = st.st_mtim.tv_sec * (int64_t)1000000000 + st.st_mtim.tv_nsec;
	put_name(s, message, out->name);
	return 0;
}

int store_partial_list(struct store *s, struct store_partial **list, size_t *count)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	struct store_partial *l;
	size_t n = 0;
	int r = store_db_ids(&s->db, &ids,
	                     "SELECT m.id FROM message m JOIN node n ON n.id = m.id WHERE"
	                     " m.partial = 1 AND m.body = 0 AND n.parent IS NOT NULL ORDER BY m.id",
	                     "");

	if (r < 0)
		return r;
	l = mem_realloc(NULL, ids.n + 1, sizeof(*l));
	for (size_t i = 0; i < ids.n; i++)
		n += fill(s, ids.v[i], &l[n]) == 0;
	*list = l;
	*count = n;
	return 0;
}

int store_partial_get(struct store *s, const char *name, struct store_partial *out)
{
	struct store_partial found;
	int r = fill(s, strtoll(name, NULL, 10), &found);

	if (r == 0 && strcmp(found.name, name) != 0)
		r = ERR_NOTFOUND;
	if (r == 0)
		*out = found;
	return r;
}

/* At a start: files whose message is here by now, or gone, go; what lost its file is looked at anew. */
int store_partial_recover(struct store *s)
{
	_cleanup_ids_ struct store_ids ids = { 0 };
	_cleanup_free_ char *dir = dir_path(s);
	DIR *d = opendir(dir);
	struct dirent *e;
	int r;

	while (d && (e = readdir(d)) != NULL) {
		char *end;
		int64_t id = strtoll(e->d_name, &end, 10);

		if (e->d_name[0] != '.' && (*end != '\0' || !store_partial_have(s, id)))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	r = store_db_ids(&s->db, &ids, "SELECT id FROM message WHERE partial = 1", "");
	for (size_t i = 0; r == 0 && i < ids.n; i++) {
		_cleanup_free_ char *path = file_path(s, ids.v[i]);

		if (access(path, R_OK) < 0)
			r = store_db_run(&s->db, "UPDATE message SET partial = 0 WHERE id = ?1",
			                 "i", ids.v[i]);
	}
	return r;
}
