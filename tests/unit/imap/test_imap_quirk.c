/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap_quirk_priv.h"
#include "wordset.h"

static void expect(const char *host, const char *caps, const char *disable, const char *words)
{
	char *have = imap_quirk_disable(host, caps, disable);

	if (!wordset_equal(have, words))
		print_error("%s: %s\n", host, have);
	assert_true(wordset_equal(have, words));
	free(have);
}

/* R242: QRESYNC is not asked of a server that is known to lose mail by it */
static void test_by_host(void **state)
{
	(void)state;
	expect("imap.mail.me.com", "QRESYNC", NULL, "QRESYNC");
	expect("IMAP.Mail.Me.Com", "QRESYNC", "IDLE", "IDLE QRESYNC");
	expect("p12-imap.mail.me.com", NULL, NULL, "QRESYNC");
	expect("imap.gmx.net", NULL, NULL, "LIST-EXTENDED LIST-STATUS");
	expect("web.de", NULL, NULL, "LIST-EXTENDED LIST-STATUS");
	expect("imap.strato.de", NULL, "", "LIST-EXTENDED LIST-STATUS");
	expect("imap.mail.yahoo.com", NULL, NULL, "CONDSTORE QRESYNC");
}

static void test_by_word(void **state)
{
	(void)state;
	expect("localhost", "IMAP4REV1 QRESYNC XAPPLELITERAL", NULL, "QRESYNC");
	expect("localhost", "XYMHIGHESTMODSEQ", NULL, "CONDSTORE QRESYNC");
}

static void test_others(void **state)
{
	(void)state;
	expect("notgmx.net", "QRESYNC", NULL, "");
	expect("me.com", "QRESYNC", NULL, "");
	expect("gmx.net.example.org", "QRESYNC", "IDLE", "IDLE");
	expect("", NULL, NULL, "");
	expect("imap.gmx.net", "XAPPLELITERAL", "quirks IDLE", "IDLE quirks");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_host),
		cmocka_unit_test(test_by_word),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
