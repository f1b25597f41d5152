/* SPDX-License-Identifier: MIT */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

/* Small and fixed allocations never fail: the process ends with a log line.
 * What a peer can size goes through struct buf or a checked malloc(). */
void *mem_alloc(size_t size) __attribute__((returns_nonnull)); /* zeroed */
/* n * size, checked for overflow */
void *mem_realloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s); /* NULL for NULL */
char *mem_strndup(const char *s, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites a secret before its memory is given back. */
void mem_wipe(void *p, size_t len);

static inline void mem_free_ptr(void *p)
{
	free(*(void **)p);
}

/* Frees a local pointer when it leaves its scope. */
#define _cleanup_free_ __attribute__((cleanup(mem_free_ptr)))

/* Takes the pointer out of a local that would be freed. */
#define mem_steal(p)                    \
	({                              \
		__typeof__(p) _p = (p); \
		(p) = NULL;             \
		_p;                     \
	})

#endif
