/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "err.h"
#include "mem.h"
#include "sync_backoff_priv.h"
#include "sync_pass_priv.h"
#include "sync_uids_priv.h"

/* ---- Back-off ---- */

/* R281: nothing answers: 1 s doubling to 5 s; refused: to 5 min; each with a quarter of jitter. */
static void backoff_grows_to_its_cap(void **state)
{
	static const struct {
		int err, step;
		int64_t ms;
	} rows[] = {
		{ ERR_OFFLINE, 0, 1000 }, { ERR_OFFLINE, 1, 2000 },  { ERR_OFFLINE, 2, 4000 },
		{ ERR_OFFLINE, 3, 5000 }, { ERR_TIMEOUT, 50, 5000 }, { ERR_BUSY, 0, 1000 },
		{ ERR_BUSY, 3, 8000 },    { ERR_BUSY, 50, 300000 },  { ERR_PROTO, 9, 300000 },
		{ ERR_AUTH, 0, 300000 },  { ERR_TLS, 0, 300000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sync_backoff b = { .step = rows[i].step };
		int64_t ms = sync_backoff_next(&b, rows[i].err);

		assert_in_range(ms, rows[i].ms * 3 / 4, rows[i].ms * 5 / 4 + 1);
	}
}

static void backoff_starts_again_after_success(void **state)
{
	struct sync_backoff b = { 0 };

	(void)state;
	for (int i = 0; i < 8; i++)
		(void)sync_backoff_next(&b, ERR_BUSY);
	sync_backoff_reset(&b);
	assert_in_range(sync_backoff_next(&b, ERR_BUSY), 750, 1251);
}

/* Many clients that lost the same server do not come back in the same moment. */
static void backoff_differs(void **state)
{
	struct sync_backoff b = { .seed = 77 };
	int64_t first = sync_backoff_for_try(&b, 20);
	int different = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		different += sync_backoff_for_try(&b, 20) != first;
	assert_true(different > 10);
}

/* ---- UID lists ---- */

/* R103, R206, R129 */
static void uids_are_sorted_and_unique(void **state)
{
	static const uint32_t in[] = { 9, 3, 4294967295u, 3, 0, 2147483648u, 9 };
	static const uint32_t want[] = { 3, 9, 2147483648u, 4294967295u };
	struct sync_uids u = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		sync_uids_add(&u, in[i]);
	sync_uids_sort(&u);
	assert_int_equal(u.count, 4);
	assert_memory_equal(u.items, want, sizeof(want));
	sync_uids_drop_upto(&u, 9);
	assert_int_equal(u.count, 2);
	assert_memory_equal(u.items, want + 2, 2 * sizeof(want[0]));
	sync_uids_release(&u);
}

static void uids_minus_takes_out(void **state)
{
	struct sync_uids a = { 0 }, b = { 0 };
	size_t at = 99;

	(void)state;
	for (uint32_t i = 1; i <= 100; i++) {
		sync_uids_add(&a, i);
		if (i % 2)
			sync_uids_add(&b, i);
	}
	sync_uids_minus(&a, &b);
	assert_int_equal(a.count, 50);
	assert_true(sync_uids_index(a.items, a.count, 40, &at));
	assert_int_equal(at, 19);
	assert_false(sync_uids_index(a.items, a.count, 41, &at));
	assert_int_equal(at, 19);
	assert_false(sync_uids_index(NULL, 0, 1, &at));
	assert_int_equal(sync_uids_from(a.items, a.count, 40), 19);
	assert_int_equal(sync_uids_from(a.items, a.count, 41), 20);
	assert_int_equal(sync_uids_from(a.items, a.count, UINT32_MAX), a.count);
	assert_int_equal(sync_uids_from(a.items, a.count, 0), 0);
	assert_int_equal(sync_uids_from(NULL, 0, 1), 0);
	sync_uids_release(&a);
	sync_uids_release(&b);
}

/* R096, R258: chunks are bounded in number and in bytes, and none is empty. */
static void uids_chunks_are_bounded(void **state)
{
	struct sync_uids u = { 0 };
	size_t end, covered = 0;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++)
		sync_uids_add(&u, i < 1000 ? i + 1 : 4000000000u + i * 3);
	for (end = u.count; end > 0;) {
		size_t begin = sync_uids_chunk_before(&u, end, 500, 900);

		assert_true(begin < end);
		assert_true(end - begin <= 500);
		if (u.items[begin] > 1000)
			assert_true((end - begin) * 11 <= 900);
		covered += end - begin;
		end = begin;
	}
	assert_int_equal(covered, 3000);
	assert_int_equal(sync_uids_chunk_before(&u, 1000, 500, 900), 500);
	assert_int_equal(sync_uids_chunk_before(&u, 1, 500, 1), 0);
	sync_uids_release(&u);
}

/* ---- Names ---- */

/* R302 */
static void names_become_paths(void **state)
{
	static const struct {
		const char *wire, *path;
		char delimiter;
	} rows[] = {
		{ "INBOX", "INBOX", '/' },
		{ "inbox", "INBOX", '.' },
		{ "Inbox.Work", "INBOX/Work", '.' },
		{ "inboxes", "inboxes", '/' },
		{ "Entw&APw-rfe/2026", "Entw\xc3\xbcrfe/2026", '/' },
		{ "a.b", "a.b", 0 },
		{ "a//b/", "a/b", '/' },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *path = sync_list_path(rows[i].wire, strlen(rows[i].wire), rows[i].delimiter);

		assert_string_equal(path, rows[i].path);
		free(path);
	}
}

/* Whole characters of UTF-8: none was cut. */
static bool is_whole(const char *s)
{
	while (*s) {
		unsigned char c = (unsigned char)*s++;

		for (int more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3; more > 0; more--)
			if (((unsigned char)*s++ & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* No name of a server leads out of the tree, or is taken for another one. */
static void names_stay_inside(void **state)
{
	static const char *const wires[] = { "../x", "./y", "..", ".", "a/../b", "x\x01y" };
	char *bad = sync_list_path("bad&utf7", 8, '/'), *good = sync_list_path("bad&-utf7", 9, '/');

	(void)state;
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		char *path = sync_list_path(wires[i], strlen(wires[i]), '/'), *rest = NULL;

		for (char *part = strtok_r(path, "/", &rest); part;
		     part = strtok_r(NULL, "/", &rest)) {
			assert_string_not_equal(part, ".");
			assert_string_not_equal(part, "..");
			assert_null(strchr(part, '\x01'));
		}
		free(path);
	}
	assert_string_not_equal(bad, good);
	free(bad);
	free(good);
}

/* What a file name cannot hold is cut short, never left out, and different names stay so. */
static void names_have_an_end(void **state)
{
	static const char *const units[] = { "x", "&AOk-", "&2D3eAA-", "\x01", "%41", "&" };
	char wire[SYNC_WIRE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t unit = strlen(units[i]), n = SYNC_WIRE_MAX / unit * unit;
		char *one, *other;

		for (size_t at = 0; at < n; at += unit)
			memcpy(wire + at, units[i], unit);
		one = sync_list_path(wire, n, '/');
		wire[0] = 'y';
		other = sync_list_path(wire, n, '/');
		assert_true(strlen(one) <= 255 && strlen(one) > 200);
		assert_true(strlen(other) <= 255 && strcmp(one + 230, other + 230) != 0);
		assert_true(is_whole(one) && is_whole(other));
		free(one);
		free(other);
	}
	memset(wire, 'x', sizeof(wire));
	assert_null(sync_list_path(wire, SYNC_WIRE_MAX + 1, '/'));
}

/* Levels are counted; the mount's own directory keeps its name to itself. */
static void names_have_a_depth(void **state)
{
	char wire[2 * SYNC_DEPTH_MAX + 2];
	char *path;

	(void)state;
	for (size_t i = 0; i < sizeof(wire); i++)
		wire[i] = i % 2 ? '/' : 'a';
	path = sync_list_path(wire, 2 * SYNC_DEPTH_MAX - 1, '/');
	assert_int_equal(strlen(path), 2 * SYNC_DEPTH_MAX - 1);
	free(path);
	assert_null(sync_list_path(wire, 2 * SYNC_DEPTH_MAX + 1, '/'));
	assert_null(sync_list_path("//", 2, '/'));
	path = sync_list_path(".imapfs/.imapfs", 15, '/');
	assert_string_equal(path, "%2Eimapfs/.imapfs");
	free(path);
	assert_int_equal(sync_list_delimiter('/'), '/');
	assert_int_equal(sync_list_delimiter('a'), 0);
	assert_int_equal(sync_list_delimiter('%'), 0);
	assert_int_equal(sync_list_delimiter('\n'), 0);
}

/* Each of many names is found again, and no other. */
static void names_are_found(void **state)
{
	struct sync_list list = { 0 };
	char name[32];

	(void)state;
	assert_null(sync_list_find(&list, "a"));
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "box %d", i);
		assert_null(sync_list_find(&list, name));
		sync_list_add(&list, name)->path = mem_strdup(name);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "box %d", i);
		assert_string_equal(sync_list_find(&list, name)->path, name);
	}
	assert_null(sync_list_find(&list, "box 5000"));
	assert_null(sync_list_find(&list, NULL));
	sync_list_release(&list);
}

/* ---- State ---- */

/* "Offline since" names the loss of the network, not the last of many attempts. */
static void attempts_keep_the_time_of_the_loss(void **state)
{
	struct sync s = { .status = { .state = SYNC_IN_STEP } };

	(void)state;
	(void)pthread_mutex_init(&s.lock, NULL);
	(void)pthread_cond_init(&s.changed, NULL);
	sync_set_state(&s, SYNC_OFFLINE, "gone");
	assert_true(s.status.since_ms > 0);
	s.status.since_ms = s.down_since_ms = 1000;
	for (int i = 0; i < 2; i++) {
		sync_set_state(&s, SYNC_CONNECTING, "again");
		assert_true(s.status.since_ms > 1000);
		sync_set_state(&s, SYNC_OFFLINE, "still gone");
		assert_int_equal(s.status.since_ms, 1000);
	}
	sync_set_state(&s, SYNC_CONNECTING, "again");
	sync_set_state(&s, SYNC_IN_STEP, "back");
	sync_set_state(&s, SYNC_OFFLINE, "gone anew");
	assert_true(s.status.since_ms > 1000);
	(void)pthread_cond_destroy(&s.changed);
	(void)pthread_mutex_destroy(&s.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backoff_grows_to_its_cap),
		cmocka_unit_test(backoff_starts_again_after_success),
		cmocka_unit_test(backoff_differs),
		cmocka_unit_test(uids_are_sorted_and_unique),
		cmocka_unit_test(uids_minus_takes_out),
		cmocka_unit_test(uids_chunks_are_bounded),
		cmocka_unit_test(names_become_paths),
		cmocka_unit_test(names_stay_inside),
		cmocka_unit_test(names_have_an_end),
		cmocka_unit_test(names_have_a_depth),
		cmocka_unit_test(names_are_found),
		cmocka_unit_test(attempts_keep_the_time_of_the_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
