/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_body(struct world *w, int64_t id, const char *want)
{
	const void *data;
	size_t len;

	OK(store_body_get(w->s, id, &data, &len));
	assert_int_equal(len, strlen(want));
	assert_memory_equal(data, want, len);
}

/* A body makes the size exact and gives the Message-ID; parts of any size */
static void test_parts(void **state)
{
	static const char text[] =
		"Subject: a\r\nMessage-Id:\r\n <one@two>\r\n\r\nMessage-ID: <no>\r\n";
	struct world *w = *state;
	int64_t id = world_pull(w, w->inbox, 5, "");
	struct store_body_writer *b = NULL;
	struct store_message m;
	struct store_node n;

	OK(store_node_get(w->s, id, &n));
	assert_false(n.size_exact);
	assert_false(store_body_have(w->s, id));
	OK(store_body_begin(w->s, id, 3, &b)); /* announced too small */
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		OK(store_body_part(b, text + i, 1));
	assert_false(store_body_have(w->s, id));
	OK(store_body_end(&b));
	assert_body(w, id, text);
	OK(store_node_get(w->s, id, &n));
	assert_true(n.size_exact);
	assert_int_equal(n.size, sizeof(text) - 1);
	OK(store_message_get(w->s, id, &m));
	assert_string_equal(m.message_id, "<one@two>");
	assert_true(m.body_here);
	store_message_release(&m);
}

/* Two bodies under way at once on one handle, one given up */
static void test_interleaved(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, ""), b = world_pull(w, w->inbox, 6, "");
	int64_t c = world_pull(w, w->inbox, 7, "");
	struct store_body_writer *x = NULL, *y = NULL, *z = NULL;

	OK(store_body_begin(w->s, a, 2, &x));
	OK(store_body_begin(w->s, b, 2, &y));
	OK(store_body_begin(w->s, c, 2, &z));
	for (int i = 0; i < 4; i++) {
		OK(store_body_part(x, "aaaa", 4));
		OK(store_body_part(z, "zzzz", 4));
		OK(store_body_part(y, "bbbb", 4));
	}
	OK(store_body_end(&y));
	store_body_abort(&z);
	world_body(w, c, "third");
	OK(store_body_end(&x));
	assert_body(w, a, "aaaaaaaaaaaaaaaa");
	assert_body(w, b, "bbbbbbbbbbbbbbbb");
	assert_body(w, c, "third");
	world_reopen(w);
	assert_body(w, a, "aaaaaaaaaaaaaaaa");
	assert_body(w, c, "third");
}

/* A batch becomes visible together, or not at all */
static void test_batch(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, "");

	OK(store_batch_begin(w->s));
	world_pull(w, w->inbox, 6, "");
	world_body(w, a, "one");
	store_batch_abort(w->s);
	assert_false(store_body_have(w->s, a));
	OK(store_batch_begin(w->s));
	world_pull(w, w->inbox, 7, "");
	world_body(w, a, "two");
	OK(store_batch_commit(w->s));
	assert_body(w, a, "two");
}

/* A pointer stays good while the body is replaced and dropped, until the handle closes */
static void test_pointer_stays(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, "");
	const void *data;
	size_t len;

	world_body(w, a, "first text");
	OK(store_body_get(w->s, a, &data, &len));
	OK(store_pull_expunged(w->s, w->inbox, (uint32_t[]){ 5 }, 1));
	assert_false(store_body_have(w->s, a));
	for (uint32_t i = 10; i < 20; i++)
		world_body(w, world_pull(w, w->inbox, i, ""), "other text");
	assert_memory_equal(data, "first text", 10);
}

static int64_t pack_blocks(struct world *w)
{
	char *path = mem_printf("%s/pack-1", w->cache);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	free(path);
	return (int64_t)st.st_blocks * 512;
}

/* The room of dropped bodies is given back at the next start */
static void test_reclaim(void **state)
{
	struct world *w = *state;
	char *big = mem_alloc(1 << 20);
	int64_t a, before;

	memset(big, 'x', (1 << 20) - 1);
	for (uint32_t i = 1; i <= 4; i++)
		world_body(w, world_pull(w, w->inbox, i, ""), big);
	a = world_pull(w, w->inbox, 4, "");
	OK(store_pull_expunged(w->s, w->inbox, (uint32_t[]){ 1, 2, 3 }, 3));
	before = pack_blocks(w);
	world_reopen(w);
	OK(store_recover(w->s));
	assert_true(pack_blocks(w) < before - (2 << 20));
	assert_body(w, a, big);
	free(big);
}

/* R002: without the cache only bodies are missing; sizes stay exact and uploads stay whole */
static void test_cache_lost(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, ""), up;
	char *cmd = mem_printf("rm -rf '%s'", w->cache);
	struct store_missing m[4];
	struct store_node n;

	world_body(w, a, "some text");
	up = world_upload(w, w->inbox, "u.eml", "x: y\r\n\r\nz");
	store_close(&w->s);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	OK(store_open(w->state, w->cache, &w->s, NULL));
	assert_false(store_body_have(w->s, a));
	OK(store_node_get(w->s, a, &n));
	assert_true(n.size_exact);
	assert_int_equal(n.size, 9);
	assert_int_equal(store_pull_missing(w->s, w->inbox, 0, 0, 0, m, 4), 1);
	assert_int_equal(m[0].id, a);
	OK(store_node_get(w->s, up, &n));
	assert_true(n.spool != 0);
	world_body(w, a, "some text");
	assert_body(w, a, "some text");
}

/* A pack that went alone, or was cut, costs a fetch and no crash */
static void test_pack_lost(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, "");
	char *path = mem_printf("%s/pack-1", w->cache);

	world_body(w, a, "some text");
	store_close(&w->s);
	assert_int_equal(truncate(path, 3), 0);
	OK(store_open(w->state, w->cache, &w->s, NULL));
	assert_false(store_body_have(w->s, a));
	world_reopen(w);
	unlink(path);
	assert_false(store_body_have(w->s, a));
	free(path);
}

/* A cache cleaned away under a running store: old bodies are gone, never zeros; new ones work */
static void test_cache_cleaned_under_us(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, ""), b = world_pull(w, w->inbox, 6, "");
	char *cmd = mem_printf("rm -rf '%s'/pack-*", w->cache);
	struct store_missing m[4];

	world_body(w, a, "some text");
	assert_int_equal(system(cmd), 0);
	world_body(w, b, "new text");
	assert_body(w, b, "new text");
	world_reopen(w);
	assert_body(w, b, "new text");
	assert_false(store_body_have(w->s, a));
	OK(store_recover(w->s));
	assert_int_equal(store_pull_missing(w->s, w->inbox, 0, 0, 0, m, 4), 1);
	assert_int_equal(m[0].id, a);
	world_body(w, a, "some text");
	assert_body(w, a, "some text");
	free(cmd);
}

/* A copy shares the bytes, which live until both are gone (R046) */
static void test_copy_shares(void **state)
{
	struct world *w = *state;
	int64_t a = world_pull(w, w->inbox, 5, ""), b;

	world_body(w, a, "some text");
	OK(store_message_copy(w->s, a, w->work, "b.eml", &b));
	assert_body(w, b, "some text");
	OK(store_op_done(w->s, world_op(w, 0, STORE_OP_COPY).seq, NULL));
	OK(store_pull_expunged(w->s, w->inbox, (uint32_t[]){ 5 }, 1));
	world_reopen(w);
	OK(store_recover(w->s));
	assert_body(w, b, "some text");
}

/* ENOSPC: nothing half done, and all goes on when there is room again (R154) */
static void test_disk_full(void **state)
{
	struct world *w = *state;
	struct rlimit old, small = { 0 };
	int64_t a = world_pull(w, w->inbox, 5, ""), b = world_pull(w, w->inbox, 6, "");
	char *big = mem_alloc(1 << 20);
	struct store_body_writer *bw = NULL;
	int r;

	memset(big, 'x', (1 << 20) - 1);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	small.rlim_cur = 512 * 1024;
	setrlimit(RLIMIT_FSIZE, &small);
	OK(store_body_begin(w->s, a, 1 << 20, &bw));
	r = store_body_part(bw, big, 1 << 20);
	store_body_abort(&bw);
	assert_int_equal(r, ERR_NOSPACE);
	r = 0;
	for (int i = 0; r >= 0 && i < 100000; i++) {
		char word[32];

		snprintf(word, sizeof(word), "$k%d", i);
		r = store_message_flag(w->s, b, word, "");
	}
	assert_int_equal(r, ERR_NOSPACE);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(world_ops(w), 1);
	assert_int_equal(store_message_flag(w->s, b, "$last", ""), 1);
	world_body(w, a, "fits");
	assert_body(w, a, "fits");
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
		T(test_parts),     T(test_interleaved),
		T(test_batch),     T(test_pointer_stays),
		T(test_reclaim),   T(test_cache_lost),
		T(test_pack_lost), T(test_copy_shares),
		T(test_disk_full), T(test_cache_cleaned_under_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
