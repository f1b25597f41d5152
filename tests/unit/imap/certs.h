/* SPDX-License-Identifier: MIT */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include <openssl/x509.h>

/* Certificates made when they are needed. */
struct test_cert {
	X509 *x509;
	EVP_PKEY *key;
};

/* `issuer` NULL: signed by itself.  `san` as OpenSSL writes it ("DNS:localhost"), NULL for
 * an authority.  Valid from `from_days` to `to_days`, counted from today. */
struct test_cert cert_make(const char *name, const char *san, const struct test_cert *issuer,
                           int from_days, int to_days);
void cert_free(struct test_cert *cert);

/* Writes the certificate to a new file below /tmp, whose name goes to `path`. */
void cert_write(const struct test_cert *cert, char path[64]);

#endif
