/* SPDX-License-Identifier: MIT */
#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap_sasl_priv.h"

#define LINE_MAX_BYTES (64 << 10)

static struct imap_sasl *start(const char *mechanism, const struct imap_sasl_identity *id)
{
	struct imap_sasl *s = NULL;
	struct err_reason why = { "" };

	if (imap_sasl_new(mechanism, id, &s, &why) != 0)
		fail_msg("%s: %s", mechanism, why.text);
	return s;
}

/* One round that has to give exactly this. */
static void round_gives(struct imap_sasl *s, const char *challenge, const char *answer)
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);

	assert_int_equal(imap_sasl_answer(s, challenge, &line), 0);
	assert_string_equal(line.data != NULL ? line.data : "", answer);
	imap_sasl_wipe(&line);
	assert_null(line.data);
}

static void round_fails(struct imap_sasl *s, const char *challenge)
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);

	assert_int_equal(imap_sasl_answer(s, challenge, &line), ERR_AUTH);
	assert_int_equal(line.len, 0);
	assert_non_null(imap_sasl_problem(s));
	assert_false(imap_sasl_is_complete(s));
	imap_sasl_wipe(&line);
}

static const struct imap_sasl_identity tim = { .user = "tim",
	                                       .password = "tanstaaftanstaaf",
	                                       .host = "h" };

/* RFC 4616 section 4 */
static void test_plain(void **state)
{
	struct imap_sasl *s = start("PLAIN", &tim);

	(void)state;
	assert_true(imap_sasl_speaks_first(s));
	assert_false(imap_sasl_is_complete(s));
	/* what some servers say instead of nothing */
	round_gives(s, "go ahead", "AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
	assert_true(imap_sasl_is_complete(s));
	round_fails(s, "");
	imap_sasl_free(&s);
	assert_null(s);
	imap_sasl_free(&s);
}

/* RFC 2195 section 2 */
static void test_cram_md5(void **state)
{
	struct imap_sasl *s = start("CRAM-MD5", &tim);

	(void)state;
	assert_false(imap_sasl_speaks_first(s));
	round_gives(s, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
	            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
	assert_true(imap_sasl_is_complete(s));
	imap_sasl_free(&s);
}

static void test_login(void **state)
{
	struct imap_sasl *s = start("LOGIN", &tim);

	(void)state;
	assert_false(imap_sasl_speaks_first(s));
	round_gives(s, "VXNlcm5hbWU6", "dGlt");
	assert_false(imap_sasl_is_complete(s));
	round_gives(s, "UGFzc3dvcmQ6", "dGFuc3RhYWZ0YW5zdGFhZg==");
	assert_true(imap_sasl_is_complete(s));
	round_fails(s, "TW9yZTo=");
	imap_sasl_free(&s);
}

/* RFC 4422 appendix A: who the certificate shall stand for */
static void test_external(void **state)
{
	struct imap_sasl *s = start("EXTERNAL", &tim);

	(void)state;
	round_gives(s, "", "dGlt");
	assert_true(imap_sasl_is_complete(s));
	imap_sasl_free(&s);
}

/* RFC 7628 section 4.1 */
static void test_oauthbearer(void **state)
{
	static const struct imap_sasl_identity id = {
		.user = "user@example.com",
		.host = "server.example.com",
		.port = 143,
		.token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
	};
	struct imap_sasl *s = start("OAUTHBEARER", &id);

	(void)state;
	round_gives(s, "",
	            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1"
	            "dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB");
	assert_true(imap_sasl_is_complete(s));
	/* section 4.3: {"status":"invalid_token",...} is answered by AQ== */
	round_gives(
		s,
		"eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNv"
		"bmZpZ3VyYXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1"
		"cmF0aW9uIn0=",
		"AQ==");
	assert_false(imap_sasl_is_complete(s));
	assert_non_null(strstr(imap_sasl_problem(s), "invalid_token"));
	imap_sasl_free(&s);
}

static void test_oauthbearer_name(void **state)
{
	static const struct imap_sasl_identity id = {
		.user = "a,b=c", .host = "h", .port = 1, .token = "t"
	};
	struct buf out = BUF_INIT(1000), small = BUF_INIT(10);

	(void)state;
	assert_int_equal(imap_sasl_token_message("oauthbearer", &id, &out), 0);
	assert_string_equal(out.data,
	                    "n,a=a=2Cb=3Dc,\001host=h\001port=1\001auth=Bearer t\001\001");
	assert_int_equal(imap_sasl_token_message("OAUTHBEARER", &id, &small), ERR_LIMIT);
	buf_release(&out);
	buf_release(&small);
}

/* as the provider that made it up documents it */
static void test_xoauth2(void **state)
{
	static const struct imap_sasl_identity id = {
		.user = "someuser@example.com",
		.host = "h",
		.token = "ya"
			 "29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
	};
	struct imap_sasl *s = start("XOAUTH2", &id);

	(void)state;
	round_gives(
		s, "",
		"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNS"
		"bGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==");
	round_gives(s, "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=", "");
	assert_non_null(strstr(imap_sasl_problem(s), "401"));
	imap_sasl_free(&s);
}

static void test_token_status(void **state)
{
	static const char *const rows[][2] = {
		{ "{\"status\":\"invalid_token\"}", "invalid_token" },
		{ "{\"status\" : \"401\"}", "401" },
		{ "{\"status\":401}", "" },
		{ "{\"status\":\"a\\u0007b\"}", "a" },
		{ "{\"status\":\"", "" },
		{ "{\"status\"", "" },
		{ "{\"status\":\"0123456789abcdef\"}", "0123456789abcde" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i][0]);
		char *exact = malloc(len > 0 ? len : 1), out[16];

		memcpy(exact, rows[i][0], len);
		imap_sasl_token_status(exact, len, out, sizeof(out));
		assert_string_equal(out, rows[i][1]);
		free(exact);
	}
}

static void test_not_to_be_had(void **state)
{
	static const struct imap_sasl_identity none = { .user = "u", .host = "h" };
	struct imap_sasl *s = NULL;
	struct err_reason why = { "" };

	(void)state;
	assert_int_equal(imap_sasl_new("NO-SUCH", &tim, &s, &why), ERR_AUTH);
	assert_non_null(strstr(why.text, "NO-SUCH"));
	assert_int_equal(imap_sasl_new("XOAUTH2", &none, &s, &why), ERR_AUTH);
	assert_null(s);
	s = start("SCRAM-SHA-256-PLUS", &none); /* there is nothing to bind to */
	round_fails(s, "");
	imap_sasl_free(&s);
}

static void test_challenge_is_no_base64(void **state)
{
	static const char *const bad[] = { "A", "AAA", "A===", "====", "not base64!!", "AA=A" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct imap_sasl *s = start("CRAM-MD5", &tim);

		round_fails(s, bad[i]);
		imap_sasl_free(&s);
	}
}

/* ---- SCRAM, against the other side of the library ---- */

struct peer {
	Gsasl *lib;
	Gsasl_session *run;
	const char *password, *exporter, *unique, *iterations;
};

static int on_property(Gsasl *lib, Gsasl_session *run, Gsasl_property prop)
{
	const struct peer *p = gsasl_callback_hook_get(lib);
	const char *value = prop == GSASL_PASSWORD          ? p->password
	                    : prop == GSASL_CB_TLS_EXPORTER ? p->exporter
	                    : prop == GSASL_CB_TLS_UNIQUE   ? p->unique
	                    : prop == GSASL_SCRAM_ITER      ? p->iterations
	                                                    : NULL;

	return value != NULL ? gsasl_property_set(run, prop, value) : GSASL_NO_CALLBACK;
}

static void peer_start(struct peer *p, const char *mechanism)
{
	assert_int_equal(gsasl_init(&p->lib), GSASL_OK);
	gsasl_callback_hook_set(p->lib, p);
	gsasl_callback_set(p->lib, on_property);
	assert_int_equal(gsasl_server_start(p->lib, mechanism, &p->run), GSASL_OK);
}

static void peer_end(struct peer *p)
{
	gsasl_finish(p->run);
	gsasl_done(p->lib);
}

/* Plays to the end.  True when both sides are content; the lines go to `transcript`. */
static bool play(const char *mechanism, const struct imap_sasl_identity *id, struct peer *p,
                 char transcript[4][2000])
{
	struct imap_sasl *s = start(mechanism, id);
	int verdict = GSASL_NEEDS_MORE, n = 0;
	char *said = NULL;
	bool content;

	peer_start(p, mechanism);
	for (; n < 4 && verdict == GSASL_NEEDS_MORE; n += 2) {
		struct buf line = BUF_INIT(LINE_MAX_BYTES);

		if (imap_sasl_answer(s, said != NULL ? said : "", &line) < 0)
			break;
		snprintf(transcript[n], 2000, "%s", line.data != NULL ? line.data : "");
		gsasl_free(said);
		said = NULL;
		verdict = gsasl_step64(p->run, transcript[n], &said);
		snprintf(transcript[n + 1], 2000, "%s", said != NULL ? said : "");
		imap_sasl_wipe(&line);
	}
	if (verdict == GSASL_OK) {
		assert_false(imap_sasl_is_complete(s)); /* it has not proved itself yet */
		round_gives(s, said, "");
	}
	gsasl_free(said);
	content = verdict == GSASL_OK && imap_sasl_is_complete(s);
	imap_sasl_free(&s);
	peer_end(p);
	return content;
}

static const struct imap_sasl_identity pencil = {
	.user = "us=er,x",
	.password = "pencil",
	.host = "h",
	.binding_kind = "tls-exporter",
	.binding = "bm90IHRoZSByZWFsIG9uZSBidXQgYm91bmQ=",
};

static void test_scram(void **state)
{
	static const char *const names[] = { "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
		                             "SCRAM-SHA-256-PLUS" };
	char transcript[4][2000];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct peer p = { .password = "pencil", .iterations = "4096" };
		struct peer wrong = { .password = "pencil ", .iterations = "4096" };

		if (i >= 2)
			p.exporter = wrong.exporter = pencil.binding;
		assert_true(play(names[i], &pencil, &p, transcript));
		assert_false(play(names[i], &pencil, &wrong, transcript));
	}
}

/* Who sits in between has another TLS connection to each of the two. */
static void test_scram_binding(void **state)
{
	struct imap_sasl_identity unique = pencil;
	struct peer other = { .password = "pencil",
		              .iterations = "4096",
		              .exporter = "YW5vdGhlciBvbmUgdGhhbiB0aGUgY2xpZW50J3M=" };
	struct peer same = { .password = "pencil", .iterations = "4096", .unique = pencil.binding };
	char transcript[4][2000];

	(void)state;
	unique.binding_kind = "tls-unique";
	assert_false(play("SCRAM-SHA-256-PLUS", &pencil, &other, transcript));
	assert_true(play("SCRAM-SHA-256-PLUS", &unique, &same, transcript));
	assert_memory_equal(transcript[0], "cD10bHMtdW5pcXVl", 16); /* p=tls-unique */
}

/* ---- SCRAM's arithmetic, RFC 5802 section 3, by other means ---- */

static void decode(const char *base64, char *out, size_t cap)
{
	int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)base64,
	                        (int)strlen(base64));

	assert_true(n >= 0 && (size_t)n < cap);
	for (size_t i = strlen(base64); i > 0 && base64[i - 1] == '='; i--)
		n--;
	out[n] = '\0';
}

/* The value of `key` in "k=v,k=v", in memory of the caller's. */
static void field(const char *text, char key, char *out, size_t cap)
{
	for (const char *p = text; p != NULL; p = strchr(p, ',')) {
		if (*p == ',')
			p++;
		if (p[0] == key && p[1] == '=') {
			snprintf(out, cap, "%.*s", (int)strcspn(p + 2, ","), p + 2);
			return;
		}
	}
	fail_msg("no %c= in %s", key, text);
}

/* The proof that the client owes, in base64. */
static void proof_of(const char *password, const char *first, const char *server, const char *final,
                     char out[64])
{
	unsigned char salted[32], client[32], stored[32], signature[32];
	char salt64[200], salt[200], count[20], message[4000];
	const EVP_MD *sha = EVP_sha256();
	unsigned len = 32;

	field(server, 's', salt64, sizeof(salt64));
	field(server, 'i', count, sizeof(count));
	decode(salt64, salt, sizeof(salt));
	snprintf(message, sizeof(message), "%s,%s,%.*s", first, server,
	         (int)(strstr(final, ",p=") - final), final);
	size_t salt_len = strlen(salt64) / 4 * 3;
	for (size_t i = strlen(salt64); salt64[i - 1] == '='; i--)
		salt_len--;
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (unsigned char *)salt, (int)salt_len,
	                  atoi(count), sha, 32, salted);
	HMAC(sha, salted, 32, (const unsigned char *)"Client Key", 10, client, &len);
	EVP_Digest(client, 32, stored, NULL, sha, NULL);
	HMAC(sha, stored, 32, (unsigned char *)message, strlen(message), signature, &len);
	for (int i = 0; i < 32; i++)
		client[i] ^= signature[i];
	EVP_EncodeBlock((unsigned char *)out, client, 32);
}

/* RFC 7677 section 3: the formula is right; then, that the exchange follows it. */
static void test_scram_proof(void **state)
{
	struct imap_sasl_identity user = { .user = "user", .password = "pencil", .host = "h" };
	struct peer p = { .password = "pencil", .iterations = "4096" };
	char transcript[4][2000], first[2000], server[2000], final[2000], want[64], got[64];

	(void)state;
	proof_of("pencil", "n=user,r=rOprNGfwEbeRWgbNEkqO",
	         "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	         "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	         "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=", want);
	assert_string_equal(want, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	assert_true(play("SCRAM-SHA-256", &user, &p, transcript));
	decode(transcript[0], first, sizeof(first));
	decode(transcript[1], server, sizeof(server));
	decode(transcript[2], final, sizeof(final));
	assert_memory_equal(first, "n,,n=user,r=", 12);
	proof_of("pencil", first + 3, server, final, want);
	field(final, 'p', got, sizeof(got));
	assert_string_equal(got, want);
}

/* The client's first line, and the server's that suits it, in base64. */
static void server_first(struct imap_sasl *s, const char *rest, char out[1000])
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);
	char first[500], nonce[200], text[700];

	assert_int_equal(imap_sasl_answer(s, "", &line), 0);
	decode(line.data, first, sizeof(first));
	field(first, 'r', nonce, sizeof(nonce));
	snprintf(text, sizeof(text), "r=%sserver,%s", nonce, rest);
	EVP_EncodeBlock((unsigned char *)out, (unsigned char *)text, (int)strlen(text));
	imap_sasl_wipe(&line);
}

/* A server must not be able to keep this machine busy. */
static void test_scram_bounds(void **state)
{
	static const char *const rows[] = {
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294967295",
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
		"s=W22ZaJ0SNY7soEsUEjb6gQ==",
		"i=4096",
		"",
	};
	char challenge[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct imap_sasl *s = start("SCRAM-SHA-256", &pencil);

		server_first(s, rows[i], challenge);
		round_fails(s, challenge);
		imap_sasl_free(&s);
	}
}

/* A server that does not know the password cannot say so, and is told nothing further. */
static void test_scram_server_lies(void **state)
{
	static const char *const rows[] = {
		"dj1BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9", /* v=AAA... */
		"ZT1pbnZhbGlkLXByb29m", /* e=invalid-proof */
		"",
	};
	char challenge[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct imap_sasl *s = start("SCRAM-SHA-256", &pencil);
		struct buf line = BUF_INIT(LINE_MAX_BYTES);

		server_first(s, "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", challenge);
		assert_int_equal(imap_sasl_answer(s, challenge, &line), 0);
		assert_true(line.len > 0);
		assert_false(imap_sasl_is_complete(s));
		round_fails(s, rows[i]);
		imap_sasl_wipe(&line);
		imap_sasl_free(&s);
	}
}

/* A nonce that is not the client's is a replay. */
static void test_scram_foreign_nonce(void **state)
{
	struct imap_sasl *s = start("SCRAM-SHA-256", &pencil);
	char out[1000];

	(void)state;
	server_first(s, "x", out);
	/* r=other,s=c2FsdA==,i=4096 */
	round_fails(s, "cj1vdGhlcixzPWMyRnNkQT09LGk9NDA5Ng==");
	imap_sasl_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_cram_md5),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_oauthbearer),
		cmocka_unit_test(test_oauthbearer_name),
		cmocka_unit_test(test_xoauth2),
		cmocka_unit_test(test_token_status),
		cmocka_unit_test(test_not_to_be_had),
		cmocka_unit_test(test_challenge_is_no_base64),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_scram_binding),
		cmocka_unit_test(test_scram_proof),
		cmocka_unit_test(test_scram_bounds),
		cmocka_unit_test(test_scram_server_lies),
		cmocka_unit_test(test_scram_foreign_nonce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
