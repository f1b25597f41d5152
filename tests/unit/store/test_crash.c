/* SPDX-License-Identifier: MIT */
#include "store_util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 25
#define SLOTS 20000

/* What the child got an answer for, in memory that outlives it. */
struct acks {
	volatile int uploads, flags, bodies;
	int64_t upload[SLOTS], flag[SLOTS], body[SLOTS];
};

static void work(struct world *w, struct acks *a, int round)
{
	for (int i = 0;; i++) {
		char name[64];
		int64_t id;

		snprintf(name, sizeof(name), "r%d-%d.eml", round, i);
		id = world_upload(w, w->inbox, name, "Subject: x\r\n\r\nkept");
		a->upload[a->uploads] = id;
		a->uploads++;
		id = world_pull(w, w->work, (uint32_t)(round * 100000 + i + 1), "");
		assert_int_equal(store_message_flag(w->s, id, "$kept", ""), 1);
		a->flag[a->flags] = id;
		a->flags++;
		if (i % 3 != 0)
			continue;
		OK(store_batch_begin(w->s));
		world_body(w, id, "clean body");
		OK(store_batch_commit(w->s));
		a->body[a->bodies] = id;
		a->bodies++;
	}
}

static void check_content(struct world *w, int64_t id)
{
	struct store_node n;
	char text[64];
	int fd;

	OK(store_node_get(w->s, id, &n));
	assert_int_equal(n.parent, w->inbox);
	assert_int_equal(n.size, 18);
	fd = store_spool_open(w->s, n.spool, 0);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 18);
	assert_memory_equal(text, "Subject: x\r\n\r\nkept", 18);
	close(fd);
}

static void check_all(struct world *w, const struct acks *a)
{
	char *result = NULL;

	assert_int_equal(store_db_text(&w->s->db, &result, "PRAGMA integrity_check", ""), 1);
	assert_string_equal(result, "ok");
	free(result);
	assert_true(world_ops(w) >= (size_t)(a->uploads + a->flags));
	for (int i = 0; i < a->uploads; i++)
		check_content(w, a->upload[i]);
	for (int i = 0; i < a->flags; i++) {
		char *flags = world_flags(w, a->flag[i]);

		assert_string_equal(flags, "$kept");
		free(flags);
	}
	for (int i = 0; i < a->bodies; i++) {
		const void *data;
		size_t len;

		OK(store_body_get(w->s, a->body[i], &data, &len));
		assert_int_equal(len, 10);
		assert_memory_equal(data, "clean body", 10);
	}
}

/* R003: after kill -9 at any moment every change that was answered is there */
static void test_kill(void **state)
{
	struct world *w = *state;
	struct acks *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                      -1, 0);
	unsigned int seed = (unsigned int)time(NULL);

	assert_ptr_not_equal(a, MAP_FAILED);
	printf("seed %u\n", seed);
	store_close(&w->s);
	for (int round = 0; round < ROUNDS; round++) {
		struct timespec ts = { 0, (long)(5 + rand_r(&seed) % 60) * 1000000 };
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			OK(store_open(w->state, w->cache, &w->s, NULL));
			work(w, a, round);
			_exit(0);
		}
		nanosleep(&ts, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		OK(store_open(w->state, w->cache, &w->s, NULL));
		OK(store_recover(w->s));
		check_all(w, a);
		store_close(&w->s);
	}
	assert_true(a->uploads > 0 && a->flags > 0);
	printf("%d uploads, %d flag changes, %d bodies\n", a->uploads, a->flags, a->bodies);
	OK(store_open(w->state, w->cache, &w->s, NULL));
	munmap(a, sizeof(*a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
