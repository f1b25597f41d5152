/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <pthread.h>
#include <stdatomic.h>

#define COUNT 300

struct shared {
	struct world *w;
	atomic_int stop;
	atomic_int failed;
};

/* Puller: new messages with bodies. */
static void *pull(void *arg)
{
	struct shared *sh = arg;
	struct store *s = NULL;

	if (store_open(sh->w->state, sh->w->cache, &s, NULL) < 0)
		sh->failed = 1;
	for (uint32_t i = 1; i <= COUNT && !sh->failed; i++) {
		struct store_descriptor d = { .uid = i, .flags = "", .size = 3, .date = 1 };
		struct store_body_writer *b = NULL;
		int64_t id = 0;

		if (store_batch_begin(s) < 0 || store_pull_descriptor(s, sh->w->inbox, &d) < 0 ||
		    store_message_by_uid(s, sh->w->inbox, i, &id) < 0 ||
		    store_body_begin(s, id, 10, &b) < 0 ||
		    store_body_part(b, "0123456789", 10) < 0 || store_body_end(&b) < 0 ||
		    store_batch_commit(s) < 0)
			sh->failed = 1;
	}
	sh->stop = 1;
	store_close(&s);
	return NULL;
}

/* User: reads what there is, flags it, removes some. */
static void *use(void *arg)
{
	struct shared *sh = arg;
	struct store *s = NULL;
	int last;

	if (store_open(sh->w->state, sh->w->cache, &s, NULL) < 0)
		sh->failed = 1;
	do {
		struct store_node n[16];
		int count;

		last = sh->stop;
		count = store_node_list(s, sh->w->inbox, 0, n, 16);
		for (int i = 0; i < count && !sh->failed; i++) {
			const void *data;
			size_t len;
			int r = store_body_get(s, n[i].id, &data, &len);

			if (r == 0 && (len != 10 || memcmp(data, "0123456789", 10) != 0))
				sh->failed = 1;
			if (n[i].size_exact && n[i].size != 10)
				sh->failed = 1;
			r = store_message_flag(s, n[i].id, "\\Seen", "");
			if (r < 0 || store_message_remove(s, n[i].id, STORE_DELETE_EXPUNGE) < 0)
				sh->failed = 1;
		}
	} while (!last && !sh->failed);
	store_close(&s);
	return NULL;
}

/* R132: two handles write at once; nothing is lost, a reader sees whole bodies only */
static void test_two_handles(void **state)
{
	struct shared sh = { .w = *state };
	pthread_t a, b;
	int64_t n = 0;

	assert_int_equal(pthread_create(&a, NULL, pull, &sh), 0);
	assert_int_equal(pthread_create(&b, NULL, use, &sh), 0);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_int_equal(sh.failed, 0);
	assert_int_equal(
		store_db_int(&sh.w->s->db, &n, "SELECT count(*) FROM message WHERE uid > 0", ""),
		1);
	assert_int_equal(n, COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_two_handles, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
