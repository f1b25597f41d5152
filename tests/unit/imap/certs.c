/* SPDX-License-Identifier: MIT */
#include "certs.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY_S (24L * 60 * 60)

static void add_extension(X509 *x509, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x509, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

struct test_cert cert_make(const char *name, const char *san, const struct test_cert *issuer,
                           int from_days, int to_days)
{
	static long serial;
	struct test_cert c = { .x509 = X509_new(), .key = EVP_EC_gen("P-256") };
	X509_NAME *subject = X509_get_subject_name(c.x509);

	assert_non_null(c.key);
	X509_set_version(c.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x509), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.x509), from_days * DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(c.x509), to_days * DAY_S);
	X509_set_pubkey(c.x509, c.key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
	                           0);
	X509_set_issuer_name(c.x509,
	                     issuer != NULL ? X509_get_subject_name(issuer->x509) : subject);
	add_extension(c.x509, NID_basic_constraints, san == NULL ? "critical,CA:TRUE" : "CA:FALSE");
	if (san != NULL)
		add_extension(c.x509, NID_subject_alt_name, san);
	assert_true(X509_sign(c.x509, issuer != NULL ? issuer->key : c.key, EVP_sha256()) > 0);
	return c;
}

void cert_free(struct test_cert *cert)
{
	X509_free(cert->x509);
	EVP_PKEY_free(cert->key);
	*cert = (struct test_cert){ 0 };
}

void cert_write(const struct test_cert *cert, char path[64])
{
	FILE *f;
	int fd;

	strcpy(path, "/tmp/imap-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_int_equal(PEM_write_X509(f, cert->x509), 1);
	assert_int_equal(fclose(f), 0);
}
