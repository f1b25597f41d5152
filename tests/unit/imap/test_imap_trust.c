/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "imap_conn.h"
#include "session_test.h"

/* Keys that are pinned, certificates of our own, commands in place of the network. */

#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL

static struct test_cert ca, good, expired, self, mine;
static char cafile[64], certfile[64], keyfile[64], bothfile[64];

/* The key of a certificate as a pin names it: `form` "64" or "16". */
static void pin_of(const struct test_cert *cert, const char *form, char out[80])
{
	unsigned char *der = NULL, digest[32];
	int len = i2d_PUBKEY(cert->key, &der), at = sprintf(out, "sha256:");

	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	if (strcmp(form, "64") == 0)
		EVP_EncodeBlock((unsigned char *)out + at, digest, 32);
	for (int i = 0; strcmp(form, "16") == 0 && i < 32; i++)
		sprintf(out + at + 2 * i, "%02X", digest[i]);
}

static int try_open(struct scripted *server, struct imap_options opt, struct imap_session **out,
                    struct err_reason *why)
{
	struct imap_options base = session_options(server);

	opt.port = base.port;
	opt.user = "u";
	opt.password = base.password;
	opt.connect_ms = opt.timeout_ms = 5000;
	if (opt.host == NULL)
		opt.host = "localhost";
	return imap_session_open(&opt, out, why);
}

static void lets_in(const struct test_cert *cert, const char *pin, const char *authority,
                    const char *host)
{
	static const char *const steps[] = { "T", SIGN_IN(CAPS), BYE("A2") };
	struct scripted *server = scripted_start(steps, 0, cert);
	struct imap_options opt = { .pin = pin, .cafile = authority, .host = host };
	struct imap_session *s = NULL;
	struct err_reason why = { "" };
	struct imap_facts facts;
	char own[80];

	if (try_open(server, opt, &s, &why) != 0)
		fail_msg("%s: %s", pin, why.text);
	imap_session_facts(s, &facts);
	pin_of(cert, "64", own);
	assert_string_equal(facts.pin, own);
	assert_memory_equal(facts.tls, "TLSv1.", 6);
	imap_session_close(&s);
	scripted_finish(&server);
}

static void keeps_out(const struct test_cert *cert, const char *pin, const char *authority,
                      const char *says)
{
	static const char *const steps[] = { "T", "S * OK hi", "N 2000", NULL };
	struct scripted *server = scripted_start(steps, 0, cert);
	struct imap_options opt = { .pin = pin, .cafile = authority };
	struct imap_session *s = NULL;
	struct err_reason why = { "" };

	assert_int_equal(try_open(server, opt, &s, &why), ERR_TLS);
	if (strstr(why.text, says) == NULL)
		fail_msg("\"%s\" does not say %s", why.text, says);
	scripted_abandon(&server);
}

/* The key decides, whoever has signed it; another key is told nothing. */
static void test_pin(void **state)
{
	char base64[80], hex[80], other[80], two[200];

	(void)state;
	pin_of(&self, "64", base64);
	pin_of(&self, "16", hex);
	pin_of(&good, "64", other);
	snprintf(two, sizeof(two), "%s;%s", other, hex);
	lets_in(&self, base64, NULL, NULL);
	lets_in(&self, hex, NULL, NULL);
	lets_in(&self, two, NULL, "127.0.0.1");
	keeps_out(&self, other, NULL, base64);
	/* with an authority both are wanted */
	lets_in(&good, other, cafile, NULL);
	keeps_out(&good, base64, cafile, "not the pinned one");
	keeps_out(&self, base64, cafile, "self-signed");
	pin_of(&expired, "64", other);
	lets_in(&expired, other, NULL, NULL);
	keeps_out(&expired, other, cafile, "expired");
}

static void test_pins_as_text(void **state)
{
	static const char *const bad[] = {
		"",
		";",
		"sha256:",
		"sha1:KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c=",
		"KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c=",
		"sha256:KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c",
		"sha256:KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN===",
		"sha256:!!gR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c=",
		"sha256:KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c=;;",
		"sha256:00",
	};
	char many[2000] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (imap_conn_check_pin(bad[i], NULL) != ERR_INVAL)
			fail_msg("\"%s\" is accepted", bad[i]);
	for (int i = 0; i < 20; i++)
		strcat(many, "sha256:KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c=;");
	assert_int_equal(imap_conn_check_pin(many, NULL), ERR_INVAL);
	many[5 * 52] = '\0';
	assert_int_equal(imap_conn_check_pin(many, NULL), 0);
}

/* EXTERNAL: who we are is in the certificate. */
static void test_client_certificate(void **state)
{
	static const char *const steps[] = {
		"T",
		"S * OK [CAPABILITY IMAP4rev1 AUTH=EXTERNAL AUTH=PLAIN SASL-IR] hi",
		"C A1 AUTHENTICATE EXTERNAL dQ==",
		"S A1 OK [CAPABILITY IMAP4rev1] in",
		BYE("A2"),
	};
	/* it is not enough: the password is needed, too */
	static const char *const also[] = {
		"T",
		"S * OK [CAPABILITY IMAP4rev1 AUTH=EXTERNAL AUTH=PLAIN SASL-IR] hi",
		"C A1 AUTHENTICATE EXTERNAL dQ==",
		"S A1 NO not you",
		"C A2 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A2 OK [CAPABILITY IMAP4rev1] in",
		BYE("A3"),
	};
	struct imap_options opt = { .cafile = cafile, .cert = certfile, .key = keyfile };
	const char *const *scripts[] = { steps, steps, also };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct scripted *server = scripted_start(scripts[i], SCRIPTED_ASKS_CERT, &good);
		struct imap_session *s = NULL;
		struct err_reason why = { "" };

		if (try_open(server, opt, &s, &why) != 0)
			fail_msg("%s", why.text);
		imap_session_close(&s);
		scripted_finish(&server);
		opt.cert = bothfile;
		opt.key = NULL;
	}
}

static void test_unusable_certificate(void **state)
{
	static const char *const steps[] = { "E", NULL };
	const struct {
		const char *cert, *key;
	} rows[] = {
		{ "/nowhere/cert.pem", NULL },
		{ certfile, NULL }, /* has no key in it */
		{ certfile, "/nowhere/key" },
		{ cafile, keyfile }, /* of another certificate */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scripted *server = scripted_start(steps, 0, &good);
		struct imap_options opt = { .cafile = cafile,
			                    .cert = rows[i].cert,
			                    .key = rows[i].key };
		struct imap_session *s = NULL;
		struct err_reason why = { "" };

		assert_int_equal(try_open(server, opt, &s, &why), ERR_TLS);
		assert_non_null(strstr(why.text, "cannot read"));
		scripted_abandon(&server);
	}
}

/* ---- Tunnels ---- */

static int open_tunnel(const char *command, enum imap_tls tls, struct imap_session **out,
                       struct err_reason *why)
{
	struct imap_options opt = {
		.host = "h",
		.port = 1,
		.tls = tls,
		.tunnel = command,
		.user = "u",
		.connect_ms = 3000,
		.timeout_ms = 3000,
	};

	why->text[0] = '\0';
	return imap_session_open(&opt, out, why);
}

/* A server that has nothing to ask is believed: its connection is the user's own doing. */
static void test_tunnel(void **state)
{
	static const char command[] =
		"printf '* PREAUTH [CAPABILITY IMAP4rev1] hi\\r\\n'; read tag noop;"
		"printf '* 1 EXISTS\\r\\n%s OK done\\r\\n' $tag; read tag logout;"
		"printf '* BYE\\r\\n%s OK\\r\\n' $tag";
	struct imap_session *s = NULL;
	struct imap_facts facts;
	struct err_reason why;

	(void)state;
	if (open_tunnel(command, IMAP_TLS_NONE, &s, &why) != 0)
		fail_msg("%s", why.text);
	imap_session_facts(s, &facts);
	assert_string_equal(facts.mechanism, "PREAUTH");
	assert_string_equal(facts.tls, "");
	assert_int_equal(session_do(s, "NOOP"), 0);
	imap_session_close(&s);
}

static void test_tunnel_fails(void **state)
{
	struct imap_session *s = NULL;
	struct err_reason why;
	int64_t began_ms = clock_mono_ms();

	(void)state;
	assert_int_equal(open_tunnel("exit 7", IMAP_TLS_NONE, &s, &why), ERR_OFFLINE);
	assert_int_equal(open_tunnel("echo hi", IMAP_TLS_NONE, &s, &why), ERR_PROTO);
	/* RFC 9051 section 11.1: before TLS it could be anyone's word */
	assert_int_equal(
		open_tunnel("echo '* PREAUTH hi'; cat >/dev/null", IMAP_TLS_STARTTLS, &s, &why),
		ERR_TLS);
	assert_non_null(strstr(why.text, "PREAUTH"));
	assert_int_equal(open_tunnel("sleep 100", IMAP_TLS_NONE, &s, &why), ERR_TIMEOUT);
	assert_true(clock_mono_ms() - began_ms < 60000);
	assert_null(s);
}

/* A command that does not end by itself is ended, with all it has started. */
static void test_tunnel_is_left(void **state)
{
	char path[] = "/tmp/imapfs-test-XXXXXX", command[200];
	struct imap_session *s = NULL;
	struct err_reason why;
	int fd = mkstemp(path), lock;

	(void)state;
	snprintf(command, sizeof(command),
	         "trap '' HUP TERM; exec 9<%s; flock -x 9; "
	         "printf '* PREAUTH [CAPABILITY IMAP4rev1] hi\\r\\n'; sleep 300",
	         path);
	if (open_tunnel(command, IMAP_TLS_NONE, &s, &why) != 0)
		fail_msg("%s", why.text);
	imap_session_close(&s);
	/* whoever still lived would hold the lock */
	snprintf(command, sizeof(command), "flock -x -w 5 %s true", path);
	lock = system(command);
	assert_int_equal(lock, 0);
	close(fd);
	unlink(path);
}

/* ---- */

static void write_identity(void)
{
	FILE *key, *both;

	cert_write(&mine, certfile);
	strcpy(keyfile, "/tmp/imapfs-test-XXXXXX");
	strcpy(bothfile, "/tmp/imapfs-test-XXXXXX");
	key = fdopen(mkstemp(keyfile), "w");
	both = fdopen(mkstemp(bothfile), "w");
	assert_int_equal(PEM_write_PrivateKey(key, mine.key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_X509(both, mine.x509), 1);
	assert_int_equal(PEM_write_PrivateKey(both, mine.key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(key);
	fclose(both);
}

static int make_certs(void **state)
{
	const char *here = "DNS:localhost";

	(void)state;
	ca = cert_make("Test CA", NULL, NULL, -2, 10);
	good = cert_make("localhost", here, &ca, -1, 5);
	expired = cert_make("localhost", here, &ca, -3, -1);
	self = cert_make("localhost", here, NULL, -1, 5);
	mine = cert_make("u", "DNS:u", &ca, -1, 5);
	cert_write(&ca, cafile);
	write_identity();
	return 0;
}

static int drop_certs(void **state)
{
	(void)state;
	unlink(cafile);
	unlink(certfile);
	unlink(keyfile);
	unlink(bothfile);
	cert_free(&ca);
	cert_free(&good);
	cert_free(&expired);
	cert_free(&self);
	cert_free(&mine);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_pins_as_text),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_unusable_certificate),
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_tunnel_fails),
		cmocka_unit_test(test_tunnel_is_left),
	};

	return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
