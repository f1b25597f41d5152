/* SPDX-License-Identifier: MIT */
/*
 * Modified UTF-7, dates, flags, word sets and command arguments: what one way gives the
 * other way takes back.
 */
#include "fuzz.h"
#include "imap_cmd_priv.h"
#include "imap_text.h"
#include "mem.h"
#include "wordset.h"

static void check_utf7(const char *s, size_t len)
{
	_cleanup_free_ char *wire = imap_utf7_encode(s, len);
	_cleanup_free_ char *text = imap_utf7_decode(s, len);

	if (wire != NULL) {
		_cleanup_free_ char *back = imap_utf7_decode(wire, strlen(wire));

		must(back != NULL && strlen(back) == len && memcmp(back, s, len) == 0);
	}
	if (text != NULL) {
		_cleanup_free_ char *back = imap_utf7_encode(text, strlen(text));

		must(back != NULL && strlen(back) == len && memcmp(back, s, len) == 0);
	}
}

static void check_date(const char *s, size_t len)
{
	char text[IMAP_DATE_MAX];
	int64_t seconds = 0, again = 0;
	int zone = 0, zone_again = 0;

	if (len >= sizeof(seconds)) {
		memcpy(&seconds, s, sizeof(seconds));
		imap_date_format(text, seconds, (int)(seconds % 5000));
		must(imap_date_parse(text, strlen(text), &again, &zone_again) == 0);
		imap_day_format(text, seconds, 0);
	}
	if (imap_date_parse(s, len, &seconds, &zone) < 0)
		return;
	imap_date_format(text, seconds, zone);
	must(imap_date_parse(text, strlen(text), &again, &zone_again) == 0);
	must(again == seconds && zone_again == zone);
}

static void check_words(const char *s)
{
	_cleanup_free_ char *once = wordset_canon(s);
	_cleanup_free_ char *twice = wordset_canon(once);
	_cleanup_free_ char *sum = wordset_union(s, once);
	_cleanup_free_ char *none = wordset_minus(s, once);

	must(strcmp(once, twice) == 0 && strcmp(once, sum) == 0 && *none == '\0');
	must(wordset_equal(s, once));
}

/* However a string looks, none of its bytes can end the command line or be read as NIL. */
static void check_command(const char *s, size_t len)
{
	struct imap_cmd *cmd = imap_cmd_new("X");

	imap_cmd_astring(cmd, s, len);
	imap_cmd_secret(cmd, s, len);
	imap_cmd_flags(cmd, "\\Seen");
	must((imap_cmd_error(cmd) != 0) == (memchr(s, '\0', len) != NULL));
	for (size_t i = 0; i < imap_cmd_piece_count(cmd); i++) {
		const struct imap_piece *p = imap_cmd_piece(cmd, i);

		if (p->kind == IMAP_PIECE_LITERAL)
			must(p->length == len && memcmp(p->bytes.data, s, len) == 0);
		else
			must(p->bytes.data != NULL &&
			     memchr(p->bytes.data, '\n', p->bytes.len) == NULL);
	}
	imap_cmd_free(&cmd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = fuzz_string(data, size);

	check_utf7(s, size);
	check_date(s, size);
	check_words(s);
	check_command(s, size);
	if (imap_flag_valid(s, size))
		must(size > 0 && strpbrk(s, " \r\n(){%*\"]") == NULL);
	free(s);
	return 0;
}
