/* SPDX-License-Identifier: MIT */
#include "store_lost.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_priv.h"

#define PARKED "parked-"

struct found {
	struct store_lost *list;
	size_t n, cap;
};

static struct store_lost *add(struct found *f)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 16;
		f->list = mem_realloc(f->list, f->cap, sizeof(*f->list));
	}
	f->list[f->n] = (struct store_lost){ 0 };
	return &f->list[f->n++];
}

static void set_times(struct store_lost *l, const struct stat *st)
{
	l->size = st->st_size;
	l->mtime_ns = st->st_mtim.tv_sec * (int64_t)1000000000 + st->st_mtim.tv_nsec;
}

static void add_parked(struct store *s, struct found *f, sqlite3_stmt *st)
{
	const char *name = (const char *)sqlite3_column_text(st, 2);
	int64_t seq = sqlite3_column_int64(st, 0), spool = sqlite3_column_int64(st, 1);
	_cleanup_free_ char *whole = mem_printf(PARKED "%lld-%s", (long long)seq, name);
	int fd = store_spool_open(s, spool, 0);
	struct store_lost *l;
	struct stat info;

	if (fd >= 0 && fstat(fd, &info) == 0) {
		l = add(f);
		l->seq = seq;
		l->spool = spool;
		set_times(l, &info);
		if (strlen(whole) <= STORE_NAME_MAX)
			memcpy(l->name, whole, strlen(whole) + 1);
		else
			(void)snprintf(l->name, sizeof(l->name), PARKED "%lld.eml", (long long)seq);
	}
	store_spool_close(fd);
}

static int find_parked(struct store *s, struct found *f)
{
	sqlite3_stmt *st;
	int r = store_db_row(&s->db, &st,
	                     "SELECT o.seq, o.spool, coalesce(n.name, 'message.eml') FROM op o"
	                     " LEFT JOIN node n ON n.id = o.message WHERE o.state = 3 AND"
	                     " o.kind IN (1, 2) AND o.spool != 0 ORDER BY o.seq",
	                     "");

	for (; r == 1; r = store_db_next(&s->db, &st))
		add_parked(s, f, st);
	return r;
}

static int find_kept(struct store *s, struct found *f)
{
	_cleanup_free_ char *path = mem_printf("%s/lost+found", s->state_dir);
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat info;

	if (!d)
		return errno == ENOENT ? 0 : ERR_IO;
	while ((e = readdir(d)) != NULL) {
		struct store_lost *l;

		if (e->d_name[0] == '.' || strlen(e->d_name) > STORE_NAME_MAX ||
		    fstatat(dirfd(d), e->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(info.st_mode))
			continue;
		l = add(f);
		set_times(l, &info);
		memcpy(l->name, e->d_name, strlen(e->d_name) + 1);
	}
	closedir(d);
	return 0;
}

int store_lost_list(struct store *s, struct store_lost **list, size_t *count)
{
	struct found f = { 0 };
	int r = find_parked(s, &f);

	if (r == 0)
		r = find_kept(s, &f);
	if (r < 0) {
		free(f.list);
		return r;
	}
	*list = f.list;
	*count = f.n;
	return 0;
}

int store_lost_get(struct store *s, const char *name, struct store_lost *out)
{
	struct store_lost *list = NULL;
	size_t n = 0;
	int r = store_lost_list(s, &list, &n);

	if (r < 0)
		return r;
	r = ERR_NOTFOUND;
	for (size_t i = 0; i < n && r < 0; i++) {
		if (strcmp(list[i].name, name) == 0) {
			*out = list[i];
			r = 0;
		}
	}
	free(list);
	return r;
}

int store_lost_open(struct store *s, const struct store_lost *l)
{
	_cleanup_free_ char *path = NULL;

	if (l->spool != 0)
		return store_spool_open(s, l->spool, 0);
	path = mem_printf("%s/lost+found/%s", s->state_dir, l->name);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int store_lost_remove(struct store *s, const char *name)
{
	_cleanup_free_ char *path = NULL;
	struct store_lost l;
	int r = store_lost_get(s, name, &l);

	if (r < 0)
		return r;
	if (l.seq != 0)
		return store_op_discard(s, l.seq, l.spool);
	path = mem_printf("%s/lost+found/%s", s->state_dir, l.name);
	return unlink(path) < 0 ? store_sys_error() : 0;
}
