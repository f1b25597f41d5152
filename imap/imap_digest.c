/* SPDX-License-Identifier: MIT */
#include "imap_digest.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "log.h"
#include "mem.h"

struct imap_digest {
	EVP_MD_CTX *md;
};

/* A wrong digest could make two different bodies look equal: rather end the process. */
static void must(int ok)
{
	if (ok == 1)
		return;
	log_error("SHA-256 is not available");
	abort();
}

struct imap_digest *imap_digest_new(void)
{
	struct imap_digest *d = mem_alloc(sizeof(*d));

	d->md = EVP_MD_CTX_new();
	must(d->md != NULL);
	must(EVP_DigestInit_ex(d->md, EVP_sha256(), NULL));
	return d;
}

void imap_digest_add(struct imap_digest *d, const void *data, size_t len)
{
	must(EVP_DigestUpdate(d->md, data, len));
}

void imap_digest_finish(struct imap_digest **d, char out[IMAP_DIGEST_MAX])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	must(EVP_DigestFinal_ex((*d)->md, raw, &len));
	must(len == (IMAP_DIGEST_MAX - 1) / 2);
	for (unsigned i = 0; i < len; i++) {
		out[2 * i] = hex[raw[i] >> 4];
		out[2 * i + 1] = hex[raw[i] & 15];
	}
	out[2 * len] = '\0';
	EVP_MD_CTX_free((*d)->md);
	free(*d);
	*d = NULL;
}
