/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>
#include <cmocka.h>

#include "clock.h"
#include "imap_conn.h"
#include "session_test.h"

/* COMPRESS=DEFLATE (RFC 4978): when it is asked for, and what goes through it; ID. */

#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL
#define SQUEEZE CAPS " COMPRESS=DEFLATE"
#define BIG "R * 1 FETCH (UID 1 BODY[] {720896}\r\n"

/* ---- When ---- */

static void fetch_and_look(const char *const *steps, const char *disable, bool compressed, int want)
{
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;
	struct imap_facts facts;
	int r;

	opt.disable = disable;
	assert_int_equal(imap_session_open(&opt, &s, NULL), 0);
	assert_int_equal(session_do(s, "FETCH 1 BODY[]"), 0);
	assert_int_equal(imap_session_outstanding(s), 0);
	r = session_do(s, "NOOP");
	if (r == 0)
		r = session_do(s, "NOOP");
	assert_int_equal(r, want);
	imap_session_facts(s, &facts);
	assert_int_equal(facts.compressed, compressed);
	if (want != 0)
		assert_non_null(strstr(imap_session_reason(s)->text, "no sense"));
	imap_session_close(&s);
	scripted_finish(&server);
}

/* A link that is slow is compressed once what was asked for before has come. */
static void test_slow_link(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(SQUEEZE), "C A2 FETCH 1 BODY[]",   BIG,       "L 720896 12", "S )",
		"S A2 OK",        "C A3 COMPRESS DEFLATE", "N 50",    "S A3 OK go",  "D",
		"C A4 NOOP",      "S * 5 EXISTS",          "S A4 OK", "C A5 NOOP",   "S A5 OK",
		BYE("A6"),
	};

	(void)state;
	fetch_and_look(steps, NULL, true, 0);
}

static void test_slow_link_without(void **state)
{
	static const char *const disabled[] = {
		SIGN_IN(SQUEEZE), "C A2 FETCH 1 BODY[]", BIG,       "L 720896 12", "S )",
		"S A2 OK",        "C A3 NOOP",           "S A3 OK", "C A4 NOOP",   "S A4 OK",
		BYE("A5"),
	};
	static const char *const missing[] = {
		SIGN_IN(CAPS), "C A2 FETCH 1 BODY[]", BIG,       "L 720896 12", "S )",
		"S A2 OK",     "C A3 NOOP",           "S A3 OK", "C A4 NOOP",   "S A4 OK",
		BYE("A5"),
	};

	(void)state;
	fetch_and_look(disabled, "COMPRESS=DEFLATE", false, 0);
	fetch_and_look(missing, NULL, false, 0);
}

/* It is refused ([COMPRESSIONACTIVE], where TLS does it): all goes on, and it is not asked
 * again. */
static void test_refused(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(SQUEEZE),
		"C A2 FETCH 1 BODY[]",
		BIG,
		"L 720896 12",
		"S )",
		"S A2 OK",
		"C A3 COMPRESS DEFLATE",
		"S A3 NO [COMPRESSIONACTIVE] no",
		"C A4 NOOP",
		BIG,
		"L 720896 12",
		"S )",
		"S A4 OK",
		"C A5 NOOP",
		"S A5 OK",
		BYE("A6"),
	};

	(void)state;
	fetch_and_look(steps, NULL, false, 0);
}

/* A server that says it does, and does not. */
static void test_not_compressed_after_all(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(SQUEEZE),
		"C A2 FETCH 1 BODY[]",
		BIG,
		"L 720896 12",
		"S )",
		"S A2 OK",
		"C A3 COMPRESS DEFLATE",
		"S A3 OK go",
		"W * OK not compressed at all",
		NULL,
	};

	(void)state;
	fetch_and_look(steps, NULL, true, ERR_OFFLINE);
}

/* ---- What goes through ---- */

struct pair {
	struct imap_conn *conn;
	int peer;
};

static struct pair pair_new(const void *early, size_t len)
{
	struct imap_conn_options opt = { .host = "h", .cancel_fd = -1 };
	struct pair p;
	int fds[2], size = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	p.conn = imap_conn_adopt(fds[0], &opt);
	p.peer = fds[1];
	assert_int_equal(imap_conn_start_deflate(p.conn, early, len), 0);
	return p;
}

static void pair_free(struct pair *p)
{
	imap_conn_free(&p->conn);
	close(p->peer);
}

/* `data` as the peer packs it; the caller frees. */
static unsigned char *pack(const void *data, size_t len, size_t *packed)
{
	z_stream z = { 0 };
	size_t cap = len / 2 + 4096;
	unsigned char *out = malloc(cap);

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, 0), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (unsigned)len;
	z.next_out = out;
	z.avail_out = (unsigned)cap;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	assert_int_equal(z.avail_in, 0);
	*packed = cap - z.avail_out;
	deflateEnd(&z);
	return out;
}

static void reads(struct pair *p, const char *want)
{
	char got[200];
	size_t have = 0;

	while (have < strlen(want)) {
		int64_t n;

		assert_int_equal(imap_conn_wait(p->conn, false, clock_mono_ms() + 5000), 1);
		n = imap_conn_read(p->conn, got + have, sizeof(got) - have);
		assert_true(n >= 0);
		have += (size_t)n;
	}
	assert_int_equal(have, strlen(want));
	assert_memory_equal(got, want, have);
}

/* Each byte by itself, and what came with the server's OK. */
static void test_bytes(void **state)
{
	static const char text[] = "* 1 EXISTS\r\n* 2 EXISTS\r\n";
	size_t len;
	unsigned char *packed = pack(text, strlen(text), &len);

	(void)state;
	for (size_t early = 0; early <= len; early++) {
		struct pair p = pair_new(packed, early);

		for (size_t i = early; i < len; i++)
			assert_int_equal(write(p.peer, packed + i, 1), 1);
		reads(&p, text);
		assert_int_equal(imap_conn_read(p.conn, (char[4]){ 0 }, 4), 0);
		pair_free(&p);
	}
	free(packed);
}

/* A few bytes that stand for many come in the caller's portions, and wait for the next. */
static void test_bomb(void **state)
{
	const size_t whole = 64 << 20, portion = 100000;
	char *zeros = calloc(1, whole), *got = malloc(portion);
	size_t len, total = 0;
	unsigned char *packed = pack(zeros, whole, &len);
	struct pair p = pair_new("", 0);

	(void)state;
	free(zeros);
	assert_true(len < 100000);
	assert_int_equal(write(p.peer, packed, len), (ssize_t)len);
	free(packed);
	while (total < whole) {
		int64_t n;

		/* nothing comes any longer: what is here is enough to go on */
		assert_int_equal(imap_conn_wait(p.conn, false, clock_mono_ms()), 1);
		n = imap_conn_read(p.conn, got, portion);
		assert_true(n >= 0 && (size_t)n <= portion);
		total += (size_t)n;
	}
	assert_int_equal(total, whole);
	free(got);
	pair_free(&p);
}

/* Blocks that hold nothing do not keep the caller. */
static void test_empty_blocks(void **state)
{
	static const unsigned char block[] = { 0, 0, 0, 0xff, 0xff };
	const size_t count = 100000;
	unsigned char *many = malloc(count * sizeof(block));
	struct pair p = pair_new("", 0);
	int64_t began_ms = clock_mono_ms();

	(void)state;
	for (size_t i = 0; i < count; i++)
		memcpy(many + i * sizeof(block), block, sizeof(block));
	for (size_t sent = 0; sent < count * sizeof(block);) {
		ssize_t n = send(p.peer, many + sent, count * sizeof(block) - sent, MSG_DONTWAIT);

		sent += n > 0 ? (size_t)n : 0;
		assert_int_equal(imap_conn_read(p.conn, (char[4]){ 0 }, 4), 0);
	}
	assert_true(clock_mono_ms() - began_ms < 60000);
	free(many);
	pair_free(&p);
}

static void test_nonsense(void **state)
{
	static const unsigned char bad[] = { 0xff, 0xff, 0xff, 0xff }, ended[] = { 3, 0, 'x' };
	char got[10];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair p = pair_new(i == 0 ? bad : ended,
		                         i == 0 ? sizeof(bad) : sizeof(ended));

		assert_int_equal(imap_conn_read(p.conn, got, sizeof(got)), ERR_OFFLINE);
		assert_non_null(strstr(imap_conn_problem(p.conn), "no sense"));
		pair_free(&p);
	}
	/* a link that ends says so only after what it brought */
	struct pair p = pair_new("", 0);
	size_t len;
	unsigned char *packed = pack("hi", 2, &len);

	assert_int_equal(write(p.peer, packed, len), (ssize_t)len);
	free(packed);
	shutdown(p.peer, SHUT_RDWR);
	assert_int_equal(imap_conn_read(p.conn, got, sizeof(got)), 2);
	assert_int_equal(imap_conn_read(p.conn, got, sizeof(got)), ERR_OFFLINE);
	pair_free(&p);
}

/* More than the peer takes at once: what was taken over goes out when it takes it, and is
 * what was given. */
static void test_writing(void **state)
{
	const size_t whole = 3 << 20;
	struct pair p = pair_new("", 0);
	unsigned char *data = malloc(whole), *got = malloc(whole), raw[4096];
	size_t given = 0;
	z_stream z = { 0 };
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < whole; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (unsigned char)(i % 3 == 0 ? x >> 24 : 'a'); /* packs to a half, about */
	}
	assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
	assert_int_equal(fcntl(p.peer, F_SETFL, O_NONBLOCK), 0);
	z.next_out = got;
	z.avail_out = (unsigned)whole;
	while (z.avail_out > 0) {
		ssize_t n;

		if (given < whole) {
			int64_t took = imap_conn_write(p.conn, data + given, whole - given);

			assert_true(took >= 0);
			given += (size_t)took;
		} else {
			/* as a session does that has nothing to say */
			assert_int_equal(imap_conn_read(p.conn, raw, 1), 0);
		}
		n = read(p.peer, raw, sizeof(raw));
		z.next_in = raw;
		z.avail_in = n > 0 ? (unsigned)n : 0;
		while (z.avail_in > 0 && z.avail_out > 0)
			assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
	}
	assert_memory_equal(got, data, whole);
	inflateEnd(&z);
	free(data);
	free(got);
	pair_free(&p);
}

/* ---- ID ---- */

/* RFC 2971: what we are and not who; what the server says about itself, or that it does not
 * know the command, changes nothing, and nobody waits for it. */
static void test_id(void **state)
{
	static const char hello[] = "? A2 ID (\"name\" \"imapfs\" \"version\" \"";
	static const char *const answers[][3] = {
		{ "S * ID (\"name\" \"Server\" \"x\" NIL)", "S A2 OK", NULL },
		{ "S * ID NIL", "S A2 OK", NULL },
		{ "S A2 BAD what", NULL },
		{ "S A2 NO no", NULL },
		{ "S * ID garbage ((((", "S A2 OK", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const char *steps[16] = { SIGN_IN(CAPS " ID"), hello };
		const char *end[] = { "C A3 NOOP", "S A3 OK", BYE("A4") };
		size_t n = 4;
		struct scripted *server;
		struct imap_session *s;

		for (size_t k = 0; k < 3 && answers[i][k] != NULL; k++)
			steps[n++] = answers[i][k];
		memcpy(steps + n, end, sizeof(end));
		server = scripted_start(steps, 0, NULL);
		s = session_open(server);
		assert_int_equal(imap_session_outstanding(s), 0);
		assert_int_equal(session_do(s, "NOOP"), 0);
		imap_session_close(&s);
		scripted_finish(&server);
	}
}

/* It may be under way when a session goes to rest. */
static void test_id_and_idle(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS " ID"), "? A2 ID (", "S A2 OK", "C A3 IDLE", "S + ok",
		"S * 1 EXISTS",      "C DONE",    "S A3 OK", BYE("A4"),
	};
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);

	(void)state;
	assert_int_equal(imap_session_idle(s, 5000), 1);
	imap_session_close(&s);
	scripted_finish(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_link),
		cmocka_unit_test(test_slow_link_without),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_compressed_after_all),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_empty_blocks),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_id_and_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
