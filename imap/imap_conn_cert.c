/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "imap_conn_priv.h"
#include "mem.h"

#define DIGEST_BYTES 32
#define PIN_PREFIX "sha256:"
#define PINS_MAX 16

/* ---- Pins ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *text, size_t len, unsigned char out[DIGEST_BYTES])
{
	if (len != 2 * (size_t)DIGEST_BYTES)
		return false;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* 32 bytes are 44 characters, of which the last is a "=". */
static bool from_base64(const char *text, size_t len, unsigned char out[DIGEST_BYTES])
{
	unsigned char bytes[DIGEST_BYTES + 4];

	if (len != 44 || text[43] != '=' || text[42] == '=' ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len) != DIGEST_BYTES + 1)
		return false;
	memcpy(out, bytes, DIGEST_BYTES);
	return true;
}

/* The next of the pins in *text, which moves on.  1; 0 at the end; ERR_INVAL. */
static int next_pin(const char **text, unsigned char out[DIGEST_BYTES])
{
	const char *pin = *text;
	size_t len = strcspn(pin, ";"), skip = strlen(PIN_PREFIX);

	if (len == 0)
		return *pin == '\0' ? 0 : ERR_INVAL;
	*text += pin[len] == ';' ? len + 1 : len;
	if (len < skip || strncasecmp(pin, PIN_PREFIX, skip) != 0)
		return ERR_INVAL;
	return from_hex(pin + skip, len - skip, out) || from_base64(pin + skip, len - skip, out)
	               ? 1
	               : ERR_INVAL;
}

int imap_conn_check_pin(const char *pin, struct err_reason *why)
{
	unsigned char digest[DIGEST_BYTES];
	int r = *pin == '\0' ? ERR_INVAL : 1;

	for (int n = 0; r > 0 && n <= PINS_MAX; n++)
		r = next_pin(&pin, digest);
	if (r == 0)
		return 0;
	return err_set(why, ERR_INVAL,
	               "pin= is sha256: and the digest of a key in base64 or hexadecimal");
}

static bool key_digest(X509 *cert, unsigned char out[DIGEST_BYTES])
{
	unsigned char *der = NULL;
	int len = cert != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;
	bool done = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return done;
}

static void show_pin(const unsigned char digest[DIGEST_BYTES], char out[IMAP_TLS_TEXT_MAX])
{
	unsigned char text[4 * ((DIGEST_BYTES + 2) / 3) + 1];

	(void)EVP_EncodeBlock(text, digest, DIGEST_BYTES);
	snprintf(out, IMAP_TLS_TEXT_MAX, "%s%s", PIN_PREFIX, text);
}

static bool is_pinned(const struct imap_conn *c, const unsigned char digest[DIGEST_BYTES])
{
	unsigned char pinned[DIGEST_BYTES];
	const char *text = c->pin;

	while (next_pin(&text, pinned) > 0)
		if (memcmp(pinned, digest, DIGEST_BYTES) == 0)
			return true;
	return false;
}

/* In place of the library's look at the chain: during the handshake, so that nothing is
 * told to whoever has another key. */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
	struct imap_conn *c = arg;
	unsigned char digest[DIGEST_BYTES];
	char text[IMAP_TLS_TEXT_MAX] = "";
	bool known = key_digest(X509_STORE_CTX_get0_cert(store), digest);

	if (known && is_pinned(c, digest)) {
		if (c->cafile != NULL)
			return X509_verify_cert(store);
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	if (known)
		show_pin(digest, text);
	free(c->refused);
	c->refused = mem_strdup(text);
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* ---- Trust ---- */

static int load_authorities(struct imap_conn *c, struct err_reason *why)
{
	if (c->cafile == NULL)
		return SSL_CTX_set_default_verify_paths(c->ctx) == 1
		               ? 0
		               : err_set(why, ERR_TLS,
		                         "cannot load the system's certificate authorities");
	if (SSL_CTX_load_verify_file(c->ctx, c->cafile) == 1)
		return 0;
	ERR_clear_error();
	return err_set(why, ERR_TLS, "cannot read certificate authorities from %s", c->cafile);
}

/* There is nobody to ask for it. */
static int no_passphrase(char *out, int cap, int writing, void *ctx)
{
	(void)out;
	(void)cap;
	(void)writing;
	(void)ctx;
	return -1;
}

static int load_identity(struct imap_conn *c, struct err_reason *why)
{
	const char *key = c->key != NULL ? c->key : c->cert;

	if (c->cert == NULL)
		return 0;
	SSL_CTX_set_default_passwd_cb(c->ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(c->ctx, c->cert) != 1)
		return err_set(why, ERR_TLS, "cannot read a certificate from %s", c->cert);
	if (SSL_CTX_use_PrivateKey_file(c->ctx, key, SSL_FILETYPE_PEM) != 1)
		return err_set(why, ERR_TLS,
		               "cannot read a key without passphrase for the certificate from %s",
		               key);
	return 0;
}

int imap_conn_set_trust(struct imap_conn *c, struct err_reason *why)
{
	int r = load_authorities(c, why);

	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	if (c->pin != NULL)
		SSL_CTX_set_cert_verify_callback(c->ctx, verify_pin, c);
	if (r == 0)
		r = load_identity(c, why);
	ERR_clear_error();
	return r;
}

static bool is_address(const char *host)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1;
}

bool imap_conn_expect_host(struct imap_conn *c)
{
	if (is_address(c->host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), c->host) == 1;
	SSL_set_hostflags(c->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(c->ssl, c->host) == 1 &&
	       SSL_set_tlsext_host_name(c->ssl, c->host) == 1;
}

/* The certificate's faults that a person can do something about, in words. */
int imap_conn_cert_refused(const struct imap_conn *c, long verdict, struct err_reason *why)
{
	if (c->refused != NULL)
		return err_set(why, ERR_TLS, "key of %s is %s, not the pinned one", c->host,
		               c->refused[0] != '\0' ? c->refused : "unknown");
	switch (verdict) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return err_set(why, ERR_TLS, "certificate of %s has expired", c->host);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return err_set(why, ERR_TLS, "certificate of %s is not valid yet", c->host);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return err_set(why, ERR_TLS, "certificate of %s is self-signed", c->host);
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return err_set(why, ERR_TLS, "certificate is not for %s (wrong host)", c->host);
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return err_set(why, ERR_TLS, "certificate of %s comes from an unknown issuer",
		               c->host);
	case X509_V_ERR_CERT_REVOKED:
		return err_set(why, ERR_TLS, "certificate of %s has been revoked", c->host);
	default:
		return err_set(why, ERR_TLS, "certificate of %s is refused: %s", c->host,
		               X509_verify_cert_error_string(verdict));
	}
}

void imap_conn_describe_tls(const struct imap_conn *c, char text[IMAP_TLS_TEXT_MAX],
                            char pin[IMAP_TLS_TEXT_MAX])
{
	unsigned char digest[DIGEST_BYTES];

	text[0] = pin[0] = '\0';
	if (c->ssl == NULL)
		return;
	snprintf(text, IMAP_TLS_TEXT_MAX, "%s %s", SSL_get_version(c->ssl),
	         SSL_get_cipher_name(c->ssl));
	if (key_digest(SSL_get0_peer_certificate(c->ssl), digest))
		show_pin(digest, pin);
}
