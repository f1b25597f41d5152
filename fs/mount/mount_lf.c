/* SPDX-License-Identifier: MIT */
#include "mount_lf.h"

#include <stdbool.h>
#include <string.h>

/* Where the run of bytes from `at` ends that are shown as they are: before the next CR of a line
 * end, or at the end. */
static size_t run_end(const char *data, size_t len, size_t at)
{
	const char *p = data + at, *end = data + len;

	while ((p = memchr(p, '\r', (size_t)(end - p))) != NULL) {
		if (p + 1 < end && p[1] == '\n')
			return (size_t)(p - data);
		if (++p == end)
			break;
	}
	return len;
}

static bool at_line_end(const char *data, size_t len, size_t at)
{
	return at + 1 < len && data[at] == '\r' && data[at + 1] == '\n';
}

/* Goes on by at most `size` bytes of the LF form, copied to `out` if that is not NULL. */
static size_t advance(const char *data, size_t len, struct mount_lf_place *p, char *out,
                      uint64_t size)
{
	size_t done = 0;

	while (done < size && p->raw < len) {
		size_t n;

		if (at_line_end(data, len, p->raw))
			p->raw++;
		n = run_end(data, len, p->raw) - p->raw;
		if (n > size - done)
			n = (size_t)(size - done);
		if (out)
			memcpy(out + done, data + p->raw, n);
		done += n;
		p->raw += n;
	}
	p->lf += done;
	return done;
}

size_t mount_lf_read(struct mount_lf_place *place, const char *data, size_t len, uint64_t off,
                     char *out, size_t size)
{
	struct mount_lf_place p = { .data = data, .len = len };
	size_t done;

	if (place && place->data == data && place->len == len && place->lf <= off)
		p = *place;
	if (off > p.lf)
		(void)advance(data, len, &p, NULL, off - p.lf);
	done = p.lf == off ? advance(data, len, &p, out, size) : 0;
	if (place)
		*place = p;
	return done;
}
