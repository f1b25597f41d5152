/* SPDX-License-Identifier: MIT */
#ifndef IMAP_CONN_PRIV_H
#define IMAP_CONN_PRIV_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "imap_conn.h"

struct imap_conn {
	int fd;
	int wake_fd;
	int cancel_fd;
	atomic_bool woken;
	bool cut;            /* link is over; fd stays open until freed */
	bool read_needs_out; /* TLS must write before it can read on */
	bool write_needs_in; /* and the other way round */
	bool drained;        /* the last read found nothing more */
	char *host;
	char *cafile, *cert, *key, *pin;
	pid_t tunnel;  /* of the command at the other end; 0: a server is */
	char *refused; /* the key that is not the pinned one, as a pin names it */
	SSL_CTX *ctx;
	SSL *ssl;
	BIO_METHOD *method;
	struct imap_deflate *deflate; /* NULL: not compressed */
	char problem[ERR_REASON_MAX];
};

/* The part of an open that looks up and connects: a connected socket, or an error. */
int imap_conn_dial(const struct imap_conn_options *opt, int64_t deadline_ms,
                   struct err_reason *why);

/* Starts the tunnel's command: a connected socket and the command's id, or an error. */
int imap_conn_dig(const char *command, pid_t *pid, struct err_reason *why);

/* imap_conn_cert.c: who may be at the other end, and who we are.  Before SSL_new(). */
int imap_conn_set_trust(struct imap_conn *c, struct err_reason *why);
/* Before the handshake. */
bool imap_conn_expect_host(struct imap_conn *c);
/* A handshake failed with this verdict on the certificate: says why. */
int imap_conn_cert_refused(const struct imap_conn *c, long verdict, struct err_reason *why);

/* The TLS half of read and write, and of freeing. */
int64_t imap_conn_tls_read(struct imap_conn *c, void *dst, size_t cap);
int64_t imap_conn_tls_write(struct imap_conn *c, const void *src, size_t len);
void imap_conn_tls_free(struct imap_conn *c);

/* What is beneath compression: TLS or the socket. */
int64_t imap_conn_raw_read(struct imap_conn *c, void *dst, size_t cap);
int64_t imap_conn_raw_write(struct imap_conn *c, const void *src, size_t len);

/* imap_conn_deflate.c: compression's half of read, write, wait and free. */
int64_t imap_conn_deflate_read(struct imap_conn *c, void *dst, size_t cap);
int64_t imap_conn_deflate_write(struct imap_conn *c, const void *src, size_t len);
bool imap_conn_deflate_has_input(const struct imap_conn *c);
bool imap_conn_deflate_has_output(const struct imap_conn *c);
void imap_conn_deflate_free(struct imap_conn *c);

/* Notes why the link is over; returns ERR_OFFLINE. */
int imap_conn_lost(struct imap_conn *c, const char *why);

#endif
