/* SPDX-License-Identifier: MIT */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Packs are mapped whole, once in a handle; what is visible in them never changes. */
enum {
	MAPPED_STEP = 256 * 1024, /* the most that one look at a body counts for */
	MAPPED_MAX = 8 * 1024 * 1024,
	AROUND = 64 * 1024, /* of the file; the kernel maps as much around a byte that is read */
};

/* One pack as this handle sees it: reserved in full, valid up to `size`. */
struct store_pack_map {
	int64_t pack;
	char *base;
	int fd;
	int64_t reserved, size;
};

static void unmap(struct store_pack_map *m)
{
	if (m->base)
		munmap(m->base, (size_t)m->reserved);
	store_spool_close(m->fd);
}

void store_pack_unmap(struct store *s)
{
	for (size_t i = 0; i < s->map_count; i++)
		unmap(&s->maps[i]);
	free(s->maps);
}

static int map_pack(struct store *s, int64_t pack, struct store_pack_map *m)
{
	_cleanup_free_ char *path = store_pack_path(s, pack);
	int64_t reserved = 0;
	int r = store_db_int(&s->bodies, &reserved, "SELECT reserved FROM pack WHERE id = ?1", "i",
	                     pack);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	*m = (struct store_pack_map){ .pack = pack, .reserved = reserved };
	m->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
	m->base = mmap(NULL, (size_t)reserved, PROT_READ, MAP_SHARED, m->fd, 0);
	if (m->base == MAP_FAILED) {
		m->base = NULL;
		unmap(m);
		return ERR_IO;
	}
	return 0;
}

static int find_map(struct store *s, int64_t pack, struct store_pack_map **out)
{
	struct store_pack_map m;
	int r;

	for (size_t i = 0; i < s->map_count; i++) {
		if (s->maps[i].pack == pack) {
			*out = &s->maps[i];
			return 0;
		}
	}
	r = map_pack(s, pack, &m);
	if (r < 0)
		return r;
	s->maps = mem_realloc(s->maps, s->map_count + 1, sizeof(*s->maps));
	s->maps[s->map_count++] = m;
	*out = &s->maps[s->map_count - 1];
	return 0;
}

/* What a reader went through is let go of, or a pass over the whole account would leave all of it
 * in this process's memory.  The pages stay in the system's cache, pointers stay good. */
static void count_mapped(struct store *s, int64_t pack, int64_t off, int64_t len)
{
	int64_t from = off / AROUND * AROUND;
	int64_t to = (off + (len < MAPPED_STEP ? len : MAPPED_STEP) + AROUND - 1) / AROUND * AROUND;

	if (pack == s->mapped_pack && off >= s->mapped_to - AROUND && from < s->mapped_to)
		from = s->mapped_to; /* a reader goes on where it was */
	if (to > from)
		s->mapped_bytes += to - from;
	s->mapped_pack = pack;
	s->mapped_to = to;
	if (s->mapped_bytes < MAPPED_MAX)
		return;
	for (size_t i = 0; i < s->map_count; i++)
		(void)madvise(s->maps[i].base, (size_t)s->maps[i].reserved, MADV_DONTNEED);
	s->mapped_bytes = 0;
}

/* The extent in the map; ERR_NOTFOUND when the file has not got it. */
static int in_map(struct store *s, int64_t pack, int64_t off, int64_t len, const void **data)
{
	struct store_pack_map *m;
	struct stat st;
	int r = find_map(s, pack, &m);

	if (r < 0)
		return r;
	if (off < 0 || len < 0 || off > m->reserved - len)
		return ERR_NOTFOUND;
	if (off + len > m->size) {
		if (fstat(m->fd, &st) < 0)
			return ERR_IO;
		m->size = st.st_size;
	}
	if (off + len > m->size)
		return ERR_NOTFOUND;
	count_mapped(s, pack, off, len);
	*data = m->base + off;
	return 0;
}

int store_pack_get(struct store *s, int64_t message, const void **data, size_t *len)
{
	sqlite3_stmt *st;
	int64_t pack, off, n;
	const void *p;
	int r = store_db_row(&s->bodies, &st, "SELECT pack, off, len FROM body WHERE message = ?1",
	                     "i", message);

	if (r <= 0)
		return r < 0 ? r : ERR_NOTFOUND;
	pack = sqlite3_column_int64(st, 0);
	off = sqlite3_column_int64(st, 1);
	n = sqlite3_column_int64(st, 2);
	store_db_reset(&st);
	r = in_map(s, pack, off, n, &p);
	if (r < 0)
		return r;
	*data = p;
	*len = (size_t)n;
	return 0;
}
