# SPDX-License-Identifier: MIT
"""Hostile scenarios that are a lie and the usual safe result, a row each.

Requirements that rows show beside R304 and R309 stand at the row.
"""

import itertools

from hostile import (SCENARIOS, adds, changes, drips, lied_to, literal, pours, says, says_then_cuts,
                     silent, tags)
from lies import CONDSTORE, QRESYNC, UIDPLUS, mail

LIST, STATUS, SELECT = r"^LIST", r"^STATUS", r"^SELECT"
FETCH, BODY, SEARCH = r"^UID FETCH.*FLAGS", r"^UID FETCH.*BODY\.PEEK\[\]", r"^UID SEARCH"
IDLE = ["IDLE", *UIDPLUS]
NUL, ESC = b"\0", b"\x1b]0;owned\x07\x1b[2J"


def row(name, *args, **options):
    assert name not in SCENARIOS, name
    SCENARIOS[name] = lied_to(*args, **options)


# Bytes without end, or too many of them

row("endless_line", LIST, pours(b"A" * 1024, 24))
row("endless_untagged_line", LIST, adds(b'* LIST () "/" ', b"a" * (20 << 20), b"\r\n"))
row("endless_quoted", LIST, adds(b'* LIST () "/" "', b"a" * (20 << 20), b'"\r\n'))
row("endless_tag", LIST, says(b"A" * (17 << 20)))
row("endless_code", SELECT, adds(b"* OK [", b"X" * (17 << 20), b"] text\r\n"))
row("flood_of_exists", FETCH, pours(b"* 3 EXISTS\r\n", 12))
row("flood_of_recent", LIST, pours(b"* 0 RECENT\r\n", 12))
row("flood_of_expunge", FETCH, pours(b"* 1 EXPUNGE\r\n", 4))
row("flood_of_fetch", FETCH, pours(b"* 1 FETCH (FLAGS (\\Seen))\r\n", 8))
row("flood_of_empty_lines", LIST, pours(b"\r\n", 4))
row("flood_of_ok", LIST, pours(b"* OK still here\r\n", 12))
row("flood_of_plus", LIST, pours(b"+ go on\r\n", 8))
row("flood_of_wrong_tags", LIST, pours(b"Z9 OK done\r\n", 8))
row("flood_of_bye", LIST, pours(b"* BYE\r\n", 4))
row("flood_of_capabilities", LIST, adds(b"* CAPABILITY IMAP4rev1 " + b" ".join(
    b"X%d" % i for i in range(400_000)) + b"\r\n"))
row("flood_of_flags", FETCH, adds(b"* 1 FETCH (UID 1 FLAGS (" + b" ".join(
    b"k%d" % i for i in range(400_000)) + b"))\r\n"))
row("flood_of_alerts", LIST, pours(b"* NO [ALERT] " + ESC + b" buy now\r\n", 2))
row("flood_of_search", FETCH, pours(b"* SEARCH " + b"1 " * 5000 + b"\r\n", 24))
row("flood_of_status", STATUS, pours(b'* STATUS "INBOX" (MESSAGES 3)\r\n', 8))

# Literals

row("literal_of_64_mb", FETCH, literal(64, b"* 1 FETCH (UID 1 BODY[] "))
row("literal_of_300_mb_to_a_body", BODY, literal(300, b"* 4 FETCH (UID 4 BODY[] "))
row("literal_count_overflows", FETCH, says(b"* 1 FETCH (BODY[] {18446744073709551617}\r\nxx)\r\n"))
row("literal_count_is_2_63", FETCH, says_then_cuts(
    b"* 1 FETCH (BODY[] {9223372036854775807}\r\n", b"x" * 100_000))
row("literal_count_of_4_gb", FETCH, says_then_cuts(b"* 1 FETCH (BODY[] {4294967296}\r\n",
                                                   b"x" * 1_000_000))
row("literal_count_negative", FETCH, says(b"* 1 FETCH (BODY[] {-1}\r\n)\r\n"))
row("literal_count_empty", FETCH, says(b"* 1 FETCH (BODY[] {}\r\n)\r\n"))
row("literal_shorter_than_said", BODY, says_then_cuts(b"* 4 FETCH (UID 4 BODY[] {1000}\r\nabc"))
row("literal_for_a_name", LIST, adds(b'* LIST () "/" {%d}\r\n' % (16 << 20), b"n" * (16 << 20),
                                     b"\r\n"))
row("many_literals", FETCH, adds(b"* 1 FETCH (" + b"BODY[] {3}\r\nabc " * 200_000 + b"UID 1)\r\n"))
row("many_large_literals", FETCH, adds(b"* 1 FETCH (", *[b"BODY[%d] {4000000}\r\n" % i +
                                                        b"y" * 4_000_000 for i in range(40)],
                                       b" UID 1)\r\n"))
row("literal_swallows_the_reply", FETCH, says(b"* 1 FETCH (UID 1 BODY[] {100000}\r\n"))

# Nesting and structures

row("deep_lists", FETCH, adds(b"* 1 FETCH (X " + b"(" * 1_000_000 + b")" * 1_000_000 + b")\r\n"))
row("deep_structure", FETCH, adds(b"* 1 FETCH (BODYSTRUCTURE " + b"(" * 500_000 + b"NIL" +
                                  b")" * 500_000 + b" UID 1)\r\n"))
row("wide_structure", FETCH, adds(b"* 1 FETCH (BODYSTRUCTURE (" +
                                  b'("T" "P" NIL NIL NIL "7BIT" 1 1)' * 300_000 +
                                  b' "MIXED") UID 1)\r\n'))
row("structure_garbage", FETCH, adds(
    b'* 1 FETCH (BODYSTRUCTURE (NIL NIL NIL NIL NIL "7BIT" 0 "x" (((")" UID 1)\r\n'))
row("envelope_garbage", FETCH, adds(
    b'* 1 FETCH (ENVELOPE ("d" "un"quoted" ((NIL NIL "a" "b") NIL)) UID 1 FLAGS ())\r\n'))
row("envelope_of_many", FETCH, adds(b"* 1 FETCH (ENVELOPE (NIL NIL (" +
                                    b"(NIL NIL NIL NIL)" * 500_000 +
                                    b") NIL NIL NIL NIL NIL NIL NIL) UID 1)\r\n"))
row("unbalanced", FETCH, adds(b"* 1 FETCH (UID 1 FLAGS (\\Seen\r\n"))
row("binary_noise", LIST, adds(bytes(itertools.chain(range(256), range(255, -1, -1))) * 400))
row("nul_everywhere", FETCH, adds(b"* 1 FETCH (UID 1 FLAGS (\\Se" + NUL + b"en) X" + NUL + b" 1)\r\n"))

# Numbers

row("exists_of_2_32", FETCH, adds(b"* 4294967295 EXISTS\r\n"))
row("exists_of_2_31", SELECT, changes(rb"^\d+ EXISTS", b"2147483648 EXISTS"))
row("exists_too_large_for_a_number", SELECT, adds(b"* 99999999999999999999 EXISTS\r\n"))
row("exists_zero", SELECT, changes(rb"^\d+ EXISTS", b"0 EXISTS"))
row("exists_up_and_down", FETCH, adds(*[b"* %d EXISTS\r\n" % (n % 7) for n in range(2000)]))
row("expunge_of_all", FETCH, adds(b"* 1 EXPUNGE\r\n" * 4))
row("expunge_of_what_is_not", FETCH, adds(b"* 4294967295 EXPUNGE\r\n* 0 EXPUNGE\r\n* 99 EXPUNGE\r\n"))
row("fetch_of_message_0", FETCH, adds(b"* 0 FETCH (UID 1 FLAGS (\\Deleted))\r\n"))
row("fetch_of_the_last_number", FETCH, adds(b"* 4294967295 FETCH (UID 1 FLAGS ())\r\n"))
row("uid_0", FETCH, adds(b'* 1 FETCH (UID 0 FLAGS () RFC822.SIZE 3 INTERNALDATE '
                         b'"01-Jan-2020 00:00:00 +0000")\r\n'))
row("uid_of_2_32", FETCH, adds(b'* 1 FETCH (UID 4294967296 FLAGS ())\r\n'))
row("uids_not_asked_for", BODY, adds(*[b"* 1 FETCH (UID %d BODY[] {3}\r\nbad)\r\n" % n
                                       for n in (1, 2, 3, 77)]))
row("uids_unordered", FETCH, lambda session, command, proceed: _reversed(proceed()))
row("uids_twice", FETCH, lambda session, command, proceed: _twice(proceed()))
row("two_numbers_one_uid", FETCH, adds(b"* 1 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 2 FLAGS ())\r\n"))
row("uidnext_0", SELECT, changes(rb"UIDNEXT \d+", b"UIDNEXT 0"))
row("uidnext_1", SELECT, changes(rb"UIDNEXT \d+", b"UIDNEXT 1"))
row("uidnext_of_2_32", SELECT, changes(rb"UIDNEXT \d+", b"UIDNEXT 4294967295"))
row("status_uidnext_lies", STATUS, changes(rb"UIDNEXT \d+", b"UIDNEXT 4294967295"), times=3)
row("status_messages_0", STATUS, changes(rb"MESSAGES \d+", b"MESSAGES 0"))
row("status_of_another", STATUS, changes(rb'STATUS "\w+"', b'STATUS "Elsewhere"'))
row("status_garbage", STATUS, changes(rb"\(.*\)", b"(MESSAGES -1 UIDNEXT x UIDVALIDITY (1)"))
row("uidvalidity_0", SELECT, changes(rb"UIDVALIDITY \d+", b"UIDVALIDITY 0"))
row("uidvalidity_of_2_64", SELECT, changes(rb"UIDVALIDITY \d+", b"UIDVALIDITY 18446744073709551615"))
row("uidvalidity_once_another", SELECT, changes(rb"UIDVALIDITY \d+", b"UIDVALIDITY 7"), times=1)
row("uidvalidity_missing", SELECT, lambda session, command, proceed: proceed().without("UIDVALIDITY"))
row("uidvalidity_in_the_middle", FETCH, adds(b"* OK [UIDVALIDITY 5] surprise\r\n"))
row("search_all_zero", SEARCH + "|" + FETCH, adds(b"* SEARCH 0 0 0\r\n"))
row("search_of_strangers", FETCH, adds(b"* SEARCH 4294967295 77 77 1\r\n"))
row("esearch_of_all_numbers", FETCH, adds(b'* ESEARCH (TAG "A1") UID ALL 1:4294967295\r\n'))
row("size_negative", FETCH, changes(rb"SIZE \d+", b"SIZE -5"))
row("size_of_2_63", FETCH, changes(rb"SIZE \d+", b"SIZE 9223372036854775808"))
row("size_zero", FETCH, changes(rb"SIZE \d+", b"SIZE 0"))
row("size_of_8_eb", FETCH, changes(rb"SIZE \d+", b"SIZE 9223372036854775807"))  # R306
row("date_1900", FETCH, changes(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "01-Jan-1900 00:00:00 +0000"'))
row("date_9999", FETCH, changes(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "31-Dec-9999 23:59:59 -2359"'))
row("date_0000", FETCH, changes(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "01-Jan-0000 00:00:00 +0000"'))
row("date_garbage", FETCH, changes(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "99-Foo-20x0 99:99:99 +9999"'),
    times=2)
row("date_nil", FETCH, changes(rb'INTERNALDATE "[^"]*"', b"INTERNALDATE NIL"), times=2)

# Bodies

row("body_of_another", BODY, changes(rb"UID \d+", b"UID 1"))
row("body_empty", BODY, says(b'* 4 FETCH (UID 4 BODY[] "")\r\n'), times=2)
row("body_nil", BODY, says(b"* 4 FETCH (UID 4 BODY[] NIL)\r\n"), times=2)
row("body_missing", BODY, says(), times=2)
row("body_in_wrong_section", BODY, changes(rb"BODY\[\]", b"BODY[TEXT]"), times=2)
row("body_with_origin", BODY, changes(rb"BODY\[\]", b"BODY[]<99999999999999999999>"), times=1)
row("body_cut_short", BODY, says(b"* 4 FETCH (UID 4 BODY[] {10}\r\n" + mail(4)[:10] + b")\r\n"), times=1)
row("body_unavailable", BODY, says(
    b"* 4 FETCH (UID 4 BODY[] {49}\r\nSubject: message unavailable\r\n\r\nIt is not here.\r\n)\r\n"), times=1)

# Lists

row("list_with_an_open_quote", LIST, adds(b'* LIST () "/" "open\r\n'))
row("list_with_an_open_list", LIST, adds(b'* LIST (\\A (\\B "/" x\r\n'))
row("list_of_nothing", LIST, says())
row("list_of_one_only", LIST, says(b'* LIST () "/" "Work"\r\n'))

# Replies

row("wrong_tag", LIST, says(b"ZZZ999 OK done\r\n", tagged=None))
row("future_tag", LIST, adds(b"A99999 OK done\r\nA100000 NO done\r\n"))
row("tag_twice", LIST, lambda session, command, proceed: _answered_twice(command, proceed()))
row("tag_without_reply", LIST, says(b"A1 \r\nA2\r\nA3 MAYBE perhaps\r\n"))
row("answers_not_asked_for", LIST, adds(
    b'* STATUS "Nowhere" (MESSAGES 5)\r\n* ESEARCH UID COUNT 5\r\n* NAMESPACE NIL NIL NIL\r\n'
    b'* QUOTA "" (STORAGE 9 8)\r\n* LSUB () "/" "x"\r\n* ENABLED QRESYNC UTF8=ACCEPT\r\n'
    b"* VANISHED 1:4294967295\r\n* VANISHED (EARLIER) 1:9\r\n* 2 EXPUNGE\r\n* ID NIL\r\n"))
row("plus_not_asked_for", LIST, adds(b"+ \r\n+\r\n+ idling\r\n+ PDE4OTY=\r\n"))
row("plus_and_nothing_more", LIST, says(b"+ go on\r\n", tagged=None))
row("preauth_in_the_middle", LIST, adds(b"* PREAUTH you are somebody else now\r\n"))
row("greeting_twice", LIST, adds(b"* OK [CAPABILITY IMAP4rev1] hello again\r\n"))
row("bye_and_goes_on", LIST, adds(b"* BYE see you\r\n"))
row("bye_before_every_reply", ".", adds(b"* BYE\r\n"), told=3)
row("all_is_bad", ".", says(tagged="BAD no"))
row("all_is_no", r"^(?!LOGIN|AUTH)", says(tagged="NO [SERVERBUG] no"), told=4)
row("all_is_ok", r"^(?!LOGIN|AUTH)", says(tagged="OK of course"), told=6)
row("ok_with_a_wild_code", LIST, tags("OK [\x01\x02(((\"] \x1b[31mred\x07"))
row("closed_in_the_middle", FETCH, adds(b"* OK [CLOSED] of what?\r\n"))
row("read_only_in_the_middle", FETCH, adds(b"* OK [READ-ONLY] now\r\n* OK [PERMANENTFLAGS ()] none\r\n"))
row("cut_in_the_middle", FETCH, says_then_cuts(b"* 1 FETCH (UID 1 FL"))
row("hangs_up_at_once", ".", says_then_cuts(), told=3)

# Capabilities that change

row("capabilities_vanish", LIST, adds(b"* CAPABILITY\r\n"))
row("capabilities_appear", LIST, adds(
    b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE QRESYNC CONDSTORE ENABLE LIST-EXTENDED LIST-STATUS ESEARCH "
    b"COMPRESS=DEFLATE UTF8=ACCEPT NOTIFY IDLE LITERAL+ MULTIAPPEND SPECIAL-USE OBJECTID QUOTA\r\n"))
row("login_disabled_later", LIST, adds(b"* CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS\r\n"))
row("capabilities_in_every_ok", ".", tags("OK [CAPABILITY IMAP4rev1 UIDPLUS] done"), told=4, times=6)

# Time

row("silence_at_list", LIST, silent)
row("silence_at_status", STATUS, silent)
row("silence_at_select", SELECT, silent)
row("silence_at_fetch", FETCH, silent)
row("silence_at_a_body", BODY, silent)
row("silence_at_sign_in", r"^(LOGIN|AUTHENTICATE)", silent)
row("silence_at_unselect", r"^UNSELECT", silent)
row("silence_at_idle", r"^IDLE", silent, IDLE)
row("slow_drip", LIST, drips(b"* OK " + b"z" * 2000 + b"\r\n", 0.4), told=2, timeout="1s")
row("slow_drip_of_lines", LIST, drips(b"\n" * 2000, 0.4), told=2, timeout="1s")

# IDLE

row("idle_refused", r"^IDLE", says(tagged="NO not today"), IDLE)
row("idle_ends_at_once", r"^IDLE", says(tagged="OK that was it"), IDLE, times=20)
row("idle_floods", r"^IDLE", pours(b"+ idling\r\n* 4 EXISTS\r\n* 1 EXPUNGE\r\n", 4), IDLE, times=3)

# Mod-sequences (R226: what is said of them is not trusted)

MODSEQ = r"HIGHESTMODSEQ \d+"
row("modseq_0", STATUS + "|" + SELECT, changes(MODSEQ.encode(), b"HIGHESTMODSEQ 0"), QRESYNC)
row("modseq_of_2_63", STATUS + "|" + SELECT,
    changes(MODSEQ.encode(), b"HIGHESTMODSEQ 9223372036854775808"), QRESYNC)
row("modseq_of_2_64", STATUS + "|" + SELECT,
    changes(MODSEQ.encode(), b"HIGHESTMODSEQ 18446744073709551616"), QRESYNC)
row("modseq_negative", STATUS + "|" + SELECT, changes(MODSEQ.encode(), b"HIGHESTMODSEQ -1"), QRESYNC)
row("modseq_backwards", STATUS + "|" + SELECT, changes(MODSEQ.encode(), b"HIGHESTMODSEQ 1"), CONDSTORE)
row("modseq_of_a_message_0", FETCH, changes(rb"MODSEQ \(\d+\)", b"MODSEQ (0)"), CONDSTORE)
row("modseq_of_a_message_2_64", FETCH, changes(rb"MODSEQ \(\d+\)", b"MODSEQ (18446744073709551615)"),
    CONDSTORE)
row("vanished_all", SELECT, adds(b"* VANISHED (EARLIER) 1:4294967295\r\n"), QRESYNC)
row("vanished_all_later", FETCH, adds(b"* VANISHED 1:4294967295\r\n"), QRESYNC)
row("vanished_without_qresync", FETCH, adds(b"* VANISHED 1:3\r\n"))
row("vanished_garbage", SELECT, adds(b"* VANISHED (EARLIER) 3:*,0,,9999999999\r\n"), QRESYNC)
row("vanished_in_a_million_ranges", SELECT, adds(
    b"* VANISHED (EARLIER) " + b",".join(b"%d" % n for n in range(10, 2_000_010, 2)) + b"\r\n"), QRESYNC)
row("enable_refused", r"^ENABLE", says(tagged="BAD what is that"), QRESYNC)
row("enable_pretended", r"^ENABLE", says(b"* ENABLED QRESYNC CONDSTORE\r\n"), QRESYNC)
row("enabled_is_something_else", r"^ENABLE", says(b"* ENABLED X-EVIL UTF8=ACCEPT\r\n"), QRESYNC)
row("qresync_refused", r"^SELECT.*QRESYNC", says(tagged="NO [CLIENTBUG] no"), QRESYNC)
row("qresync_of_other_flags", r"^SELECT.*QRESYNC", adds(
    b"* 1 FETCH (UID 99 FLAGS (\\Deleted) MODSEQ (5))\r\n* 4000000000 FETCH (UID 1 FLAGS () MODSEQ (9))\r\n"),
    QRESYNC)
row("nomodseq_after_modseq", SELECT, changes(rb"OK \[HIGHESTMODSEQ \d+\]", b"OK [NOMODSEQ]"), CONDSTORE)


def _reversed(reply):
    reply.untagged.reverse()
    return reply


def _twice(reply):
    reply.untagged *= 2
    return reply


def _answered_twice(command, reply):
    reply.raw = [f"{command.tag} OK first\r\n{command.tag} NO second\r\n".encode()]
    return reply
