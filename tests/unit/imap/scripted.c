/* SPDX-License-Identifier: MIT */
#include "scripted.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>
#include <cmocka.h>

#define PATIENCE_S 8

struct scripted {
	const char *const *steps;
	unsigned flags;
	int listener, fd;
	uint16_t port;
	pthread_t thread;
	SSL_CTX *ctx;
	SSL *ssl;
	bool deflated;
	z_stream in, out;
	unsigned char raw;
	char problem[400];
};

static bool __attribute__((format(printf, 2, 3))) flunk(struct scripted *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->problem, sizeof(s->problem), fmt, ap);
	va_end(ap);
	return false;
}

static bool put_raw(struct scripted *s, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = s->ssl != NULL ? SSL_write(s->ssl, data, (int)len)
		                           : send(s->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return flunk(s, "sending failed");
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool put_some(struct scripted *s, const char *data, size_t len)
{
	static char packed[64 << 10]; /* one server of a program compresses */

	if (!s->deflated)
		return put_raw(s, data, len);
	s->out.next_in = (unsigned char *)(uintptr_t)data;
	s->out.avail_in = (unsigned)len;
	s->out.next_out = (unsigned char *)packed;
	s->out.avail_out = sizeof(packed);
	deflate(&s->out, Z_SYNC_FLUSH);
	return put_raw(s, packed, sizeof(packed) - s->out.avail_out);
}

static bool put(struct scripted *s, const char *data, size_t len)
{
	if ((s->flags & SCRIPTED_BYTEWISE) == 0)
		return put_some(s, data, len);
	for (size_t i = 0; i < len; i++) {
		if (!put_some(s, data + i, 1))
			return false;
		usleep(20); /* most of them arrive alone; none has to */
	}
	return true;
}

static ssize_t get_raw(struct scripted *s, char *dst, size_t len)
{
	return s->ssl != NULL ? SSL_read(s->ssl, dst, (int)len) : recv(s->fd, dst, len, 0);
}

static ssize_t get(struct scripted *s, char *dst, size_t len)
{
	if (!s->deflated)
		return get_raw(s, dst, len);
	s->in.next_out = (unsigned char *)dst;
	s->in.avail_out = (unsigned)len;
	while (s->in.avail_out == len) {
		if (inflate(&s->in, Z_SYNC_FLUSH) == Z_OK && s->in.avail_out < len)
			break;
		if (get_raw(s, (char *)&s->raw, 1) != 1)
			return 0;
		s->in.next_in = &s->raw;
		s->in.avail_in = 1;
	}
	return (ssize_t)(len - s->in.avail_out);
}

/* A line without its CRLF. */
static bool get_line(struct scripted *s, char *line, size_t cap)
{
	size_t len = 0;

	for (;;) {
		if (len + 1 >= cap || get(s, line + len, 1) != 1)
			return flunk(s, "no whole line came");
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len > 0 && line[len - 1] == '\r' ? len - 1 : len] = '\0';
	return true;
}

static bool want_line(struct scripted *s, const char *want, bool whole)
{
	char line[20000];

	if (!get_line(s, line, sizeof(line)))
		return flunk(s, "wanted \"%s\", no line came", want);
	if (whole ? strcmp(line, want) != 0 : strncmp(line, want, strlen(want)) != 0)
		return flunk(s, "wanted \"%s\", \"%.150s\" came", want, line);
	return true;
}

static bool want_bytes(struct scripted *s, long count)
{
	char block[4096];

	while (count > 0) {
		ssize_t n = get(s, block, count < 4096 ? (size_t)count : sizeof(block));

		if (n <= 0)
			return flunk(s, "%ld bytes are missing", count);
		count -= n;
	}
	return true;
}

static bool want_silence(struct scripted *s, int ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	if (poll(&p, 1, ms) != 0)
		return flunk(s, "something came where nothing should");
	return true;
}

static bool want_end(struct scripted *s)
{
	char c;

	if (get(s, &c, 1) > 0)
		return flunk(s, "wanted the end, \"%c\" came", c);
	return true;
}

static bool send_many(struct scripted *s, long count)
{
	char block[4096];

	memset(block, 'z', sizeof(block));
	for (; count > 0; count -= 4096)
		if (!put(s, block, count < 4096 ? (size_t)count : sizeof(block)))
			return false;
	return true;
}

static bool send_slowly(struct scripted *s, long count, int ms)
{
	for (; count > 0; count -= 16 << 10) {
		if (!send_many(s, count < 16 << 10 ? count : 16 << 10))
			return false;
		usleep((unsigned)ms * 1000);
	}
	return true;
}

static bool start_deflate(struct scripted *s)
{
	s->deflated = inflateInit2(&s->in, -MAX_WBITS) == Z_OK &&
	              deflateInit2(&s->out, 6, Z_DEFLATED, -MAX_WBITS, 8, 0) == Z_OK;
	return s->deflated;
}

static bool serve_fetches(struct scripted *s, int count, long size)
{
	char line[200], tag[20], text[100];

	for (int i = 1; i <= count; i++) {
		if (!get_line(s, line, sizeof(line)) || sscanf(line, "%19s", tag) != 1)
			return flunk(s, "command %d is missing", i);
		snprintf(text, sizeof(text), "* %d FETCH (UID %d BODY[] {%ld}\r\n", i, i, size);
		if (!put(s, text, strlen(text)) || !send_many(s, size))
			return false;
		snprintf(text, sizeof(text), ")\r\n%s OK done\r\n", tag);
		if (!put(s, text, strlen(text)))
			return false;
	}
	return true;
}

static bool say_until_gone(struct scripted *s, const char *text)
{
	for (int i = 0; i < PATIENCE_S * 50; i++) {
		if (send(s->fd, text, strlen(text), MSG_NOSIGNAL) < 0 ||
		    send(s->fd, "\r\n", 2, MSG_NOSIGNAL) < 0)
			return true;
		usleep(20000);
	}
	return flunk(s, "the client has not gone");
}

static bool accept_tls(struct scripted *s)
{
	s->ssl = SSL_new(s->ctx);
	SSL_set_fd(s->ssl, s->fd);
	return SSL_accept(s->ssl) == 1 || flunk(s, "the TLS handshake failed");
}

static bool follow(struct scripted *s, const char *step)
{
	const char *arg = step[1] != '\0' ? step + 2 : "";
	int count = 0;
	long size = 0;

	switch (step[0]) {
	case 'S':
		return put(s, arg, strlen(arg)) && put(s, "\r\n", 2);
	case 'R':
		return put(s, arg, strlen(arg));
	case 'Z':
		return send_many(s, atol(arg));
	case 'C':
		return want_line(s, arg, true);
	case '?':
		return want_line(s, arg, false);
	case 'B':
		return want_bytes(s, atol(arg));
	case 'N':
		return want_silence(s, atoi(arg));
	case 'E':
		return want_end(s);
	case 'T':
		return accept_tls(s);
	case 'X':
		return shutdown(s->fd, SHUT_RDWR) == 0 || true;
	case 'D':
		return start_deflate(s);
	case 'L':
		return sscanf(arg, "%ld %d", &size, &count) == 2 && send_slowly(s, size, count);
	case 'W':
		return say_until_gone(s, arg);
	case 'P':
		return sscanf(arg, "%d %ld", &count, &size) == 2 && serve_fetches(s, count, size);
	default:
		return flunk(s, "no such step: %s", step);
	}
}

static void *serve(void *arg)
{
	struct scripted *s = arg;
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct pollfd p = { .fd = s->listener, .events = POLLIN };

	if (poll(&p, 1, PATIENCE_S * 1000) > 0)
		s->fd = accept(s->listener, NULL, NULL);
	if (s->fd < 0) {
		flunk(s, "nobody connected");
		return NULL;
	}
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	for (size_t i = 0; s->steps[i] != NULL && follow(s, s->steps[i]); i++)
		;
	shutdown(s->fd, SHUT_RDWR);
	return NULL;
}

static int any_cert(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static void set_up_tls(struct scripted *s, const struct test_cert *cert)
{
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (s->flags & SCRIPTED_OLD_TLS) {
		SSL_CTX_set_security_level(s->ctx, 0);
		SSL_CTX_set_min_proto_version(s->ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(s->ctx, TLS1_1_VERSION);
	}
	if (s->flags & SCRIPTED_TLS_1_2)
		SSL_CTX_set_max_proto_version(s->ctx, TLS1_2_VERSION);
	if (s->flags & SCRIPTED_ASKS_CERT)
		SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
		                   any_cert);
	assert_int_equal(SSL_CTX_use_certificate(s->ctx, cert->x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(s->ctx, cert->key), 1);
}

struct scripted *scripted_start(const char *const *steps, unsigned flags,
                                const struct test_cert *cert)
{
	struct scripted *s = calloc(1, sizeof(*s));
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int size = 32 << 10, one = 1;

	signal(SIGPIPE, SIG_DFL); /* the client has to live with it */
	s->steps = steps;
	s->flags = flags;
	s->fd = -1;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (flags & SCRIPTED_SMALL_BUFFERS) {
		setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		setsockopt(s->listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	setsockopt(s->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->listener, 4), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&addr, &len), 0);
	s->port = ntohs(addr.sin_port);
	if (cert != NULL)
		set_up_tls(s, cert);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	return s;
}

uint16_t scripted_port(const struct scripted *s)
{
	return s->port;
}

/* What went wrong, in memory of the caller's; "" for nothing. */
static void stop(struct scripted **server, char problem[400])
{
	struct scripted *s = *server;

	*server = NULL;
	pthread_join(s->thread, NULL);
	memcpy(problem, s->problem, sizeof(s->problem));
	if (s->deflated) {
		inflateEnd(&s->in);
		deflateEnd(&s->out);
	}
	SSL_free(s->ssl);
	SSL_CTX_free(s->ctx);
	if (s->fd >= 0)
		close(s->fd);
	close(s->listener);
	free(s);
}

void scripted_abandon(struct scripted **server)
{
	char problem[400];

	stop(server, problem);
}

void scripted_finish(struct scripted **server)
{
	char problem[400];

	stop(server, problem);
	if (problem[0] != '\0')
		fail_msg("server: %s", problem);
}
