/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#include "imap_conn_priv.h"

#define READ_AHEAD_BYTES (64 << 10)

/* The bottom of the TLS stack: the socket, but without the signal that the library's own
 * would raise when the peer is gone. */
static int bio_write(BIO *bio, const char *data, size_t len, size_t *done)
{
	const struct imap_conn *c = BIO_get_data(bio);
	ssize_t n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	*done = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static int bio_read(BIO *bio, char *data, size_t len, size_t *done)
{
	const struct imap_conn *c = BIO_get_data(bio);
	ssize_t n = recv(c->fd, data, len, MSG_DONTWAIT);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	*done = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO *new_bio(struct imap_conn *c)
{
	BIO *bio;

	c->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "imap socket");
	if (c->method == NULL)
		return NULL;
	BIO_meth_set_write_ex(c->method, bio_write);
	BIO_meth_set_read_ex(c->method, bio_read);
	BIO_meth_set_ctrl(c->method, bio_ctrl);
	bio = BIO_new(c->method);
	if (bio != NULL) {
		BIO_set_data(bio, c);
		BIO_set_init(bio, 1);
	}
	return bio;
}

void imap_conn_tls_free(struct imap_conn *c)
{
	if (c->ssl != NULL && !c->cut && SSL_is_init_finished(c->ssl))
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->method);
	c->ssl = NULL;
	ERR_clear_error();
}

static int set_up(struct imap_conn *c, struct err_reason *why)
{
	BIO *bio;
	int r;

	c->ctx = SSL_CTX_new(TLS_client_method());
	if (c->ctx == NULL || SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1)
		return err_set(why, ERR_TLS, "TLS is not available");
	SSL_CTX_set_mode(c->ctx,
	                 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(c->ctx, 1);
	SSL_CTX_set_default_read_buffer_len(c->ctx, READ_AHEAD_BYTES);
	r = imap_conn_set_trust(c, why);
	if (r < 0)
		return r;
	c->ssl = SSL_new(c->ctx);
	bio = c->ssl != NULL ? new_bio(c) : NULL;
	if (bio == NULL)
		return err_set(why, ERR_TLS, "TLS is not available");
	SSL_set_bio(c->ssl, bio, bio);
	return imap_conn_expect_host(c) ? 0 : err_set(why, ERR_TLS, "%s is no host name", c->host);
}

static int handshake_failed(struct imap_conn *c, int problem, struct err_reason *why)
{
	long verdict = SSL_get_verify_result(c->ssl);
	unsigned long code = ERR_peek_error();

	if (verdict != X509_V_OK)
		return imap_conn_cert_refused(c, verdict, why);
	if (problem == SSL_ERROR_SYSCALL ||
	    ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return err_set(why, ERR_OFFLINE,
		               "%s closed the connection during the TLS handshake", c->host);
	return err_set(why, ERR_TLS, "TLS handshake with %s failed: %s", c->host,
	               code != 0 ? ERR_reason_error_string(code) : "no reason given");
}

/* Notes what the library waits for; false: it is not waiting. */
static bool wants(int problem, bool *other, int other_is)
{
	*other = problem == other_is;
	return problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE;
}

static int handshake(struct imap_conn *c, int64_t deadline_ms, struct err_reason *why)
{
	for (;;) {
		int r, problem;

		ERR_clear_error();
		r = SSL_connect(c->ssl);
		problem = SSL_get_error(c->ssl, r);
		if (r == 1)
			break;
		if (!wants(problem, &c->read_needs_out, SSL_ERROR_WANT_WRITE))
			return handshake_failed(c, problem, why);
		c->drained = true;
		r = imap_conn_wait(c, false, deadline_ms);
		if (r == 0)
			return err_set(why, ERR_TIMEOUT, "TLS handshake with %s took too long",
			               c->host);
		if (r < 0)
			return err_set(why, r, "connecting was interrupted");
	}
	c->read_needs_out = false;
	c->drained = false;
	return 0;
}

int imap_conn_start_tls(struct imap_conn *c, int64_t deadline_ms, struct err_reason *why)
{
	int r = set_up(c, why);

	if (r == 0)
		r = handshake(c, deadline_ms, why);
	ERR_clear_error();
	if (r < 0)
		imap_conn_cut(c);
	return r;
}

static int64_t tls_lost(struct imap_conn *c, int problem)
{
	unsigned long code = ERR_peek_error();

	if (problem == SSL_ERROR_SSL && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return imap_conn_lost(c, "TLS failed on an open connection");
	return imap_conn_lost(c, "server closed the connection");
}

int64_t imap_conn_tls_read(struct imap_conn *c, void *dst, size_t cap)
{
	size_t have = 0;

	/* one record at most comes at a time */
	while (have < cap) {
		size_t n = 0;
		int problem;

		ERR_clear_error();
		if (SSL_read_ex(c->ssl, (char *)dst + have, cap - have, &n) == 1) {
			have += n;
			c->drained = false;
			c->read_needs_out = false;
			continue;
		}
		problem = SSL_get_error(c->ssl, 0);
		if (wants(problem, &c->read_needs_out, SSL_ERROR_WANT_WRITE)) {
			c->drained = true;
			break;
		}
		(void)tls_lost(c, problem);
		return have > 0 ? (int64_t)have : ERR_OFFLINE; /* the next read says so, too */
	}
	return (int64_t)have;
}

int64_t imap_conn_tls_write(struct imap_conn *c, const void *src, size_t len)
{
	size_t n = 0;
	int problem;

	ERR_clear_error();
	if (SSL_write_ex(c->ssl, src, len, &n) == 1) {
		c->write_needs_in = false;
		return (int64_t)n;
	}
	problem = SSL_get_error(c->ssl, 0);
	if (wants(problem, &c->write_needs_in, SSL_ERROR_WANT_READ))
		return 0;
	return tls_lost(c, problem);
}

const char *imap_conn_binding(const struct imap_conn *c, unsigned char out[IMAP_BINDING_MAX],
                              size_t *len)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	const size_t exporter_len = 32;

	if (c->ssl == NULL)
		return NULL;
	if (SSL_version(c->ssl) >= TLS1_3_VERSION) {
		*len = exporter_len;
		return SSL_export_keying_material(c->ssl, out, exporter_len, label,
		                                  sizeof(label) - 1, NULL, 0, 1) == 1
		               ? "tls-exporter"
		               : NULL;
	}
	/* RFC 7627: without it, another connection can be made to have the same one */
	if (SSL_get_extms_support(c->ssl) != 1 || SSL_session_reused(c->ssl))
		return NULL;
	*len = SSL_get_finished(c->ssl, out, IMAP_BINDING_MAX);
	return *len > 0 && *len <= IMAP_BINDING_MAX ? "tls-unique" : NULL;
}
