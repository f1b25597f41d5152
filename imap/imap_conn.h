/* SPDX-License-Identifier: MIT */
#ifndef IMAP_CONN_H
#define IMAP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/*
 * A byte stream to one server: TCP, or TLS over it.  Nothing here blocks but the functions
 * that take a deadline (milliseconds of clock_mono_ms()), and those never past it.  One
 * thread owns it; only imap_conn_wake() may be called from another.
 */
struct imap_conn;

struct imap_conn_options {
	const char *host; /* name or numeric address */
	uint16_t port;
	const char *cafile; /* NULL: the system's authorities */
	const char *cert;   /* file with the client's certificate chain, or NULL */
	const char *key;    /* file with its key; NULL: in the same file */
	const char *pin;    /* "sha256:..." of keys, by ';': see imap_conn_start_tls(); or NULL */
	const char *tunnel; /* a command whose input and output are the connection, or NULL */
	int dead_ms;        /* unacknowledged data for so long means a dead link; 0: system's */
	int cancel_fd;      /* readable: whoever waits gets ERR_CANCELED.  -1: none */
};

/* Looks the name up and connects to the first of its addresses that answers; or starts the
 * tunnel's command.  *out is the caller's.  ERR_OFFLINE, ERR_TIMEOUT, ERR_CANCELED. */
int imap_conn_open(const struct imap_conn_options *opt, int64_t deadline_ms, struct imap_conn **out,
                   struct err_reason *why);

/* Takes over a connected stream socket; `opt` as above, its port is not used. */
struct imap_conn *imap_conn_adopt(int fd, const struct imap_conn_options *opt);

/* Safe on NULL.  Says good-bye to TLS if that does not block. */
void imap_conn_free(struct imap_conn **c);

/* Breaks the link at once; what is owned stays until imap_conn_free(). */
void imap_conn_cut(struct imap_conn *c);

/* TLS 1.2 or later, verified against host name or address.  With `pin` the server's key has
 * to be one of those, and its certificate is looked at only where `cafile` is given, too.
 * ERR_TLS (certificate, pin or handshake), ERR_OFFLINE, ERR_TIMEOUT, ERR_CANCELED. */
int imap_conn_start_tls(struct imap_conn *c, int64_t deadline_ms, struct err_reason *why);

bool imap_conn_is_tls(const struct imap_conn *c);

/* 0, or ERR_INVAL with the reason when it is not as `pin` above has to be. */
int imap_conn_check_pin(const char *pin, struct err_reason *why);

/* What TLS came to, for people: "TLSv1.3 TLS_AES_256_GCM_SHA384", and the server's key as a
 * pin names it.  Empty without TLS. */
#define IMAP_TLS_TEXT_MAX 80
void imap_conn_describe_tls(const struct imap_conn *c, char text[IMAP_TLS_TEXT_MAX],
                            char pin[IMAP_TLS_TEXT_MAX]);

/* What ties a sign-in to this TLS connection: "tls-exporter" (RFC 9266) or "tls-unique"
 * (RFC 5929) and its bytes.  NULL: there is none that can be relied on. */
#define IMAP_BINDING_MAX 64
const char *imap_conn_binding(const struct imap_conn *c, unsigned char out[IMAP_BINDING_MAX],
                              size_t *len);

/* From here on both directions are compressed (RFC 4978); the first `len` bytes of what comes
 * are in `early` already.  ERR_LIMIT: no memory. */
int imap_conn_start_deflate(struct imap_conn *c, const void *early, size_t len);
bool imap_conn_is_deflated(const struct imap_conn *c);

/* True when the other end is a command of ours. */
bool imap_conn_is_tunnel(const struct imap_conn *c);

/* True when the peer is this machine, by its address. */
bool imap_conn_is_loopback(const struct imap_conn *c);

/* From now on waiting is not ended by the descriptor that open() was given. */
void imap_conn_forget_cancel(struct imap_conn *c);

/* Bytes moved (> 0); 0: would block; ERR_OFFLINE: the link is over, imap_conn_problem()
 * says why. */
int64_t imap_conn_read(struct imap_conn *c, void *dst, size_t cap);
int64_t imap_conn_write(struct imap_conn *c, const void *src, size_t len);
const char *imap_conn_problem(const struct imap_conn *c);

/* Waits until reading, or `writing` if asked for, may succeed.  1; 0: the deadline passed;
 * ERR_CANCELED: woken or cancelled. */
int imap_conn_wait(struct imap_conn *c, bool writing, int64_t deadline_ms);

/* Ends a wait, now or the next, with ERR_CANCELED.  Safe from any thread. */
void imap_conn_wake(struct imap_conn *c);

/* True when woken since it was last asked, or since a wait said so. */
bool imap_conn_woken(struct imap_conn *c);

#endif
