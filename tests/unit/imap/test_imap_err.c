/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "imap_session.h"

static const struct row {
	const char *line;
	int err;
} rows[] = {
	{ "A1 OK done\r\n", 0 },
	{ "A1 OK [OVERQUOTA] done all the same\r\n", 0 },
	{ "A1 NO no\r\n", ERR_REFUSED },
	{ "A1 BAD no\r\n", ERR_REFUSED },
	{ "A1 NO [TRYCREATE] x\r\n", ERR_NOTFOUND },
	{ "A1 NO [NONEXISTENT] x\r\n", ERR_NOTFOUND },
	{ "A1 NO [alreadyexists] x\r\n", ERR_EXISTS },
	{ "A1 NO [OVERQUOTA] mailbox is full\r\n", ERR_QUOTA },
	{ "A1 NO [LIMIT] x\r\n", ERR_BUSY },
	{ "A1 NO [NOPERM] x\r\n", ERR_PERM },
	{ "A1 NO [READ-ONLY] x\r\n", ERR_PERM },
	{ "A1 NO [INUSE] x\r\n", ERR_BUSY },
	{ "A1 NO [UNAVAILABLE] x\r\n", ERR_BUSY },
	{ "A1 NO [SERVERBUG] x\r\n", ERR_BUSY },
	{ "A1 NO [CORRUPTION] x\r\n", ERR_BUSY },
	{ "A1 NO [EXPUNGEISSUED] x\r\n", ERR_CONFLICT },
	{ "A1 NO [CANNOT] x\r\n", ERR_REFUSED },
	{ "A1 NO [CLIENTBUG] x\r\n", ERR_REFUSED },
	{ "A1 NO [AUTHENTICATIONFAILED] x\r\n", ERR_AUTH },
	{ "A1 NO [AUTHORIZATIONFAILED] x\r\n", ERR_AUTH },
	{ "A1 NO [EXPIRED] x\r\n", ERR_AUTH },
	{ "A1 NO [PRIVACYREQUIRED] x\r\n", ERR_AUTH },
	{ "A1 NO [CONTACTADMIN] x\r\n", ERR_REFUSED },
	{ "A1 NO [ALERT] x\r\n", ERR_REFUSED },
	{ "A1 NO [TOOBIG] x\r\n", ERR_TOOBIG },
	{ "A1 BAD [TOOBIG] x\r\n", ERR_TOOBIG },
	{ "A1 NO [X-NEW-CODE what ever] x\r\n", ERR_REFUSED },
	/* what providers say without a code that says it */
	{ "A1 BAD User is authenticated but not connected.\r\n", ERR_BUSY },
	{ "A1 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n",
	  ERR_BUSY },
	{ "A1 NO [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n", ERR_BUSY },
	{ "A1 NO [ALERT] Too many simultaneous connections. (Failure)\r\n", ERR_BUSY },
	{ "A1 NO Service temporarily unavailable\r\n", ERR_BUSY },
	{ "A1 NO UID FETCH Server error - Please try again later\r\n", ERR_BUSY },
	{ "* BYE going down\r\n", ERR_REFUSED },
};

/* R280, R281, R285, R304: each code has its remedy; unknown codes are ignored */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct imap_resp r = { 0 };
		int err;

		assert_int_equal(imap_resp_parse(rows[i].line, strlen(rows[i].line),
		                                 &imap_limits_default, &r),
		                 0);
		err = imap_err_from_resp(&r, ERR_REFUSED);
		imap_resp_release(&r);
		if (err != rows[i].err)
			fail_msg("%s: %d, not %d", rows[i].line, err, rows[i].err);
	}
	assert_int_equal(imap_err_from_resp(NULL, ERR_OFFLINE), ERR_OFFLINE);
}

/* R281: what is only for now is kept for later; R285: what is not, is not */
static void test_remedies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strstr(rows[i].line, "[UNAVAILABLE]") != NULL ||
		    strstr(rows[i].line, "[INUSE]") != NULL ||
		    strstr(rows[i].line, "[LIMIT]") != NULL)
			assert_false(err_is_final(rows[i].err));
	assert_true(err_is_final(ERR_TOOBIG));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_remedies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
