/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "imap_conn.h"
#include "session_test.h"

#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL

static struct certs {
	struct test_cert ca, stranger, good, expired, early, elsewhere, self, unknown;
	char cafile[64];
} certs;

static int make_certs(void **state)
{
	const char *here = "DNS:localhost,IP:127.0.0.1";

	(void)state;
	certs.ca = cert_make("Test CA", NULL, NULL, -2, 10);
	certs.stranger = cert_make("Other CA", NULL, NULL, -2, 10);
	certs.good = cert_make("localhost", here, &certs.ca, -1, 5);
	certs.expired = cert_make("localhost", here, &certs.ca, -3, -1);
	certs.early = cert_make("localhost", here, &certs.ca, 2, 5);
	certs.elsewhere = cert_make("elsewhere", "DNS:mail.example,IP:127.0.0.9", &certs.ca, -1, 5);
	certs.self = cert_make("localhost", here, NULL, -1, 5);
	certs.unknown = cert_make("localhost", here, &certs.stranger, -1, 5);
	cert_write(&certs.ca, certs.cafile);
	return 0;
}

static int drop_certs(void **state)
{
	struct test_cert *all = &certs.ca;

	(void)state;
	unlink(certs.cafile);
	for (int i = 0; i < 8; i++)
		cert_free(&all[i]);
	return 0;
}

/* Opens over TLS; what came of it. */
static int open_tls(struct scripted *server, enum imap_tls tls, const char *host,
                    struct imap_session **out, struct err_reason *why)
{
	struct imap_options opt = session_options(server);

	opt.tls = tls;
	opt.host = host;
	opt.cafile = certs.cafile;
	return imap_session_open(&opt, out, why);
}

/* R311: chain and name are verified, whatever the name is */
static void test_good_certificate(void **state)
{
	static const char *const steps[] = { "T", SIGN_IN(CAPS), "C A2 NOOP", "S A2 OK",
		                             BYE("A3") };
	static const char *const hosts[] = { "localhost", "127.0.0.1" };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct scripted *server = scripted_start(steps, i & SCRIPTED_BYTEWISE, &certs.good);
		struct imap_session *s = NULL;
		struct err_reason why = { "" };

		if (open_tls(server, IMAP_TLS_IMPLICIT, hosts[i / 2], &s, &why) != 0)
			fail_msg("%s", why.text);
		assert_int_equal(session_do(s, "NOOP"), 0);
		imap_session_close(&s);
		scripted_finish(&server);
	}
}

/* R311: each fault is refused, and by its name */
static void test_bad_certificates(void **state)
{
	static const char *const steps[] = { "T", "S * OK hi", "N 2000", NULL };
	const struct {
		const struct test_cert *cert;
		const char *host, *says;
	} rows[] = {
		{ &certs.expired, "localhost", "expired" },
		{ &certs.early, "localhost", "not valid yet" },
		{ &certs.elsewhere, "localhost", "wrong host" },
		{ &certs.elsewhere, "127.0.0.1", "wrong host" },
		{ &certs.self, "localhost", "self-signed" },
		{ &certs.unknown, "localhost", "unknown issuer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scripted *server = scripted_start(steps, 0, rows[i].cert);
		struct imap_session *s = NULL;
		struct err_reason why = { "" };

		assert_int_equal(open_tls(server, IMAP_TLS_IMPLICIT, rows[i].host, &s, &why),
		                 ERR_TLS);
		assert_null(s);
		if (strstr(why.text, rows[i].says) == NULL)
			fail_msg("\"%s\" does not say %s", why.text, rows[i].says);
		scripted_abandon(&server);
	}
}

/* R311: TLS 1.2 at least */
static void test_old_tls(void **state)
{
	static const char *const steps[] = { "T", "S * OK hi", NULL };
	struct scripted *server = scripted_start(steps, SCRIPTED_OLD_TLS, &certs.good);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };

	(void)state;
	assert_int_equal(open_tls(server, IMAP_TLS_IMPLICIT, "localhost", &s, &why), ERR_TLS);
	scripted_abandon(&server);
}

static void test_no_cafile(void **state)
{
	static const char *const steps[] = { "T", NULL };
	struct scripted *server = scripted_start(steps, 0, &certs.good);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };

	(void)state;
	opt.tls = IMAP_TLS_IMPLICIT;
	opt.cafile = "/nonexistent/ca.pem";
	assert_int_equal(imap_session_open(&opt, &s, &why), ERR_TLS);
	assert_non_null(strstr(why.text, "/nonexistent/ca.pem"));
	scripted_abandon(&server);
}

static void test_server_without_tls(void **state)
{
	static const char *const steps[] = { "S * OK I speak no TLS", "X", NULL };
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };
	int r;

	(void)state;
	r = open_tls(server, IMAP_TLS_IMPLICIT, "localhost", &s, &why);
	assert_true(r == ERR_TLS || r == ERR_OFFLINE);
	assert_null(s);
	scripted_abandon(&server);
}

/* R311: STARTTLS; capabilities are asked for again, and nothing said in clear is kept */
static void test_starttls(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED FAKE] hi",
		"C A1 STARTTLS",
		"R A1 OK go\r\n",
		"T",
		"C A2 CAPABILITY",
		"S * CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR",
		"S A2 OK",
		"C A3 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A3 OK [CAPABILITY IMAP4rev1] in",
		BYE("A4"),
	};

	(void)state;
	for (unsigned flags = 0; flags <= SCRIPTED_BYTEWISE; flags++) {
		struct scripted *server = scripted_start(steps, flags, &certs.good);
		struct imap_session *s = NULL;
		struct err_reason why = { "" };

		if (open_tls(server, IMAP_TLS_STARTTLS, "localhost", &s, &why) != 0)
			fail_msg("%s", why.text);
		assert_false(imap_session_has(s, "FAKE"));
		imap_session_close(&s);
		scripted_finish(&server);
	}
}

/* R311: lines that somebody put behind the OK in clear have no effect */
static void test_starttls_injection(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 STARTTLS] hi",
		"C A1 STARTTLS",
		"R A1 OK go\r\n* CAPABILITY IMAP4rev1 FAKE\r\n* PREAUTH welcome\r\nA2 OK all "
		"right\r\n",
		"T",
		"C A2 CAPABILITY",
		"S * CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR",
		"S A2 OK",
		"C A3 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A3 OK [CAPABILITY IMAP4rev1] in",
		BYE("A4"),
	};
	struct scripted *server = scripted_start(steps, 0, &certs.good);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };

	(void)state;
	if (open_tls(server, IMAP_TLS_STARTTLS, "localhost", &s, &why) != 0)
		fail_msg("%s", why.text);
	assert_false(imap_session_has(s, "FAKE"));
	imap_session_close(&s);
	scripted_finish(&server);
}

/* R311: who keeps us from TLS gets no password */
static void test_starttls_refused(void **state)
{
	static const char *const rows[][6] = {
		{ "S * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi", "E", NULL },
		{ "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", "E", NULL },
		{ "S * OK hi", "C A1 STARTTLS", "S A1 NO not here", "E", NULL },
		{ "S * OK hi", "C A1 STARTTLS", "S A1 BAD what?", "E", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scripted *server = scripted_start(rows[i], 0, NULL);
		struct imap_session *s = NULL;
		struct err_reason why = { "" };

		assert_int_equal(open_tls(server, IMAP_TLS_STARTTLS, "localhost", &s, &why),
		                 ERR_TLS);
		assert_null(s);
		scripted_finish(&server);
	}
}

/* The server sends and goes away at once, time and again: no signal, an error. */
static void test_peer_gone(void **state)
{
	int pair[2];
	struct imap_conn_options opt = { .host = "x", .cancel_fd = -1 };
	struct imap_conn *c;
	int64_t n = 1;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	c = imap_conn_adopt(pair[0], &opt);
	assert_true(imap_conn_is_loopback(c));
	close(pair[1]);
	for (int i = 0; i < 3 && n >= 0; i++)
		n = imap_conn_write(c, "x", 1);
	assert_int_equal(n, ERR_OFFLINE);
	assert_non_null(strstr(imap_conn_problem(c), "closed"));
	assert_int_equal(imap_conn_wait(c, false, clock_mono_ms() + 5000), 1);
	imap_conn_free(&c);
	imap_conn_free(&c);
}

static void test_wait(void **state)
{
	int pair[2], cancel[2];
	char c;
	struct imap_conn_options opt = { .host = "x" };
	struct imap_conn *conn;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(cancel), 0);
	opt.cancel_fd = cancel[0];
	conn = imap_conn_adopt(pair[0], &opt);
	assert_int_equal(imap_conn_wait(conn, false, clock_mono_ms() + 20), 0);
	assert_int_equal(imap_conn_wait(conn, true, clock_mono_ms() + 5000), 1);
	assert_int_equal(imap_conn_read(conn, &c, 1), 0);
	assert_int_equal(write(pair[1], "y", 1), 1);
	assert_int_equal(imap_conn_wait(conn, false, clock_mono_ms() + 5000), 1);
	assert_int_equal(imap_conn_read(conn, &c, 1), 1);
	imap_conn_wake(conn);
	assert_int_equal(imap_conn_wait(conn, false, clock_mono_ms() + 5000), ERR_CANCELED);
	assert_int_equal(imap_conn_wait(conn, false, clock_mono_ms() + 20), 0);
	assert_int_equal(write(cancel[1], "x", 1), 1);
	assert_int_equal(imap_conn_wait(conn, false, clock_mono_ms() + 5000), ERR_CANCELED);
	imap_conn_forget_cancel(conn);
	assert_int_equal(imap_conn_wait(conn, false, clock_mono_ms() + 20), 0);
	imap_conn_free(&conn);
	close(pair[1]);
	close(cancel[0]);
	close(cancel[1]);
}

/* A port on which nobody listens, taken by a socket that never will. */
static int take_port(int backlog, uint16_t *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

static int open_at(const char *host, uint16_t port, int connect_ms, int cancel_fd,
                   struct err_reason *why)
{
	struct imap_options opt = { .host = host,
		                    .port = port,
		                    .tls = IMAP_TLS_IMPLICIT,
		                    .user = "u",
		                    .connect_ms = connect_ms };
	struct imap_session *s = NULL;
	int r = imap_session_open_fd(&opt, cancel_fd, &s, why);

	assert_null(s);
	return r;
}

static void test_nobody_there(void **state)
{
	struct err_reason why = { "" };
	uint16_t port;
	int fd = take_port(-1, &port);

	(void)state;
	assert_int_equal(open_at("127.0.0.1", port, 5000, -1, &why), ERR_OFFLINE);
	assert_non_null(strstr(why.text, "refused"));
	assert_int_equal(open_at("localhost", port, 5000, -1, &why), ERR_OFFLINE);
	close(fd);
}

/* A server that accepts and says nothing costs the deadline, not more. */
static void test_mute_server(void **state)
{
	struct err_reason why = { "" };
	uint16_t port;
	int fd = take_port(4, &port);

	(void)state;
	assert_int_equal(open_at("127.0.0.1", port, 200, -1, &why), ERR_TIMEOUT);
	close(fd);
}

static void *cancel_soon(void *fd)
{
	usleep(100000);
	assert_int_equal(write(*(int *)fd, "x", 1), 1);
	return NULL;
}

static void test_open_canceled(void **state)
{
	struct err_reason why = { "" };
	pthread_t thread;
	uint16_t port;
	int fd = take_port(4, &port), cancel[2];

	(void)state;
	assert_int_equal(pipe(cancel), 0);
	pthread_create(&thread, NULL, cancel_soon, &cancel[1]);
	assert_int_equal(open_at("127.0.0.1", port, 8000, cancel[0], &why), ERR_CANCELED);
	pthread_join(thread, NULL);
	/* readable from the start: not even the look-up is waited for */
	assert_int_equal(open_at("some.name.invalid", port, 8000, cancel[0], &why), ERR_CANCELED);
	close(fd);
	close(cancel[0]);
	close(cancel[1]);
}

/* A name that is not there, or a look-up that takes too long: an answer by the deadline. */
static void test_unknown_name(void **state)
{
	struct err_reason why = { "" };
	int64_t start = clock_mono_ms();
	int r = open_at("no.such.host.invalid", 993, 1000, -1, &why);

	(void)state;
	assert_true(r == ERR_OFFLINE || r == ERR_TIMEOUT);
	assert_true(clock_mono_ms() - start < 8000);
	assert_non_null(strstr(why.text, "no.such.host.invalid"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_certificate),
		cmocka_unit_test(test_bad_certificates),
		cmocka_unit_test(test_old_tls),
		cmocka_unit_test(test_no_cafile),
		cmocka_unit_test(test_server_without_tls),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_starttls_injection),
		cmocka_unit_test(test_starttls_refused),
		cmocka_unit_test(test_peer_gone),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_mute_server),
		cmocka_unit_test(test_open_canceled),
		cmocka_unit_test(test_unknown_name),
	};

	return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
