# SPDX-License-Identifier: MIT
"""The rules of RFC 7162 one by one: which mod-sequence is kept, what is sent when, what is believed."""

import re

import pytest
from driven import Driven

from tools import imapd
from tools.client import Client
from tools.dovecot import Dovecot
from tools.imapd import Imapd
from tools.imapd_parse import Reply

BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "LIST-EXTENDED", "LIST-STATUS", "ENABLE", "CONDSTORE"]
QRESYNC = [*BASE, "QRESYNC"]


def options(**more):
    return {"connections": 1, "poll": 600000, "profile": 2, **more}


def letter(n):
    return f"Message-ID: <{n}@example.org>\r\nSubject: {n}\r\n\r\ntext {n}\r\n".encode()


def filled(offers, count=8):
    server = Imapd(["INBOX", "Work"], offers)
    for i in range(count):
        server.append("Work", letter(i))
    return server


def flags_of(d, mailbox="Work"):
    return {e.uid: e.flags for p, e in d.tree().items() if p.startswith(mailbox + "/")}


def truth(server, name="Work"):
    return {m.uid: set(m.flags) for m in server.mailboxes[name].messages}


def since(server):
    return [int(n) for n in re.findall(r"CHANGEDSINCE (\d+)", " ".join(server.seen("CHANGEDSINCE")))]


def test_first_sync(tmp_path):
    """Nothing is known yet: ENABLE in front, SELECT with (CONDSTORE), never QRESYNC of nothing; every session
    enables anew; what was kept is asked for the next time. R173, R186, R217, R237, R238, R240, R248, R293"""
    with filled(QRESYNC) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
        selects = server.seen("^SELECT")
        assert selects and all(line.endswith("(CONDSTORE)") for line in selects)
        server.flag("Work", 3, ["\\Seen"])
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            assert flags_of(d) == truth(server)
        assert server.seen("^SELECT")[-1].endswith("(QRESYNC (1001 9 1:8))")
        for link in {number for number, _ in server.transcript}:
            lines = [line for number, line in server.transcript if number == link]
            enable = lines.index("ENABLE QRESYNC")
            assert not [x for x in lines[:enable] if x.startswith(("SELECT", "EXAMINE", "LIST", "STATUS"))]
            assert lines.count("ENABLE QRESYNC") == 1


def test_qresync_without_condstore(tmp_path):
    """QRESYNC alone is advertised: mod-sequences may be asked for all the same. R235, R243"""
    with filled([w for w in QRESYNC if w != "CONDSTORE"]) as server:
        def plain_select(_session, command, proceed):
            command.args[1:] = [a for a in command.args[1:] if a != ["CONDSTORE"]]
            return proceed()
        server.lie(r"^SELECT .*\(CONDSTORE\)", plain_select)
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            server.flag("Work", 2, ["\\Seen"])
            server.remove("Work", 4)
            d.wait()
            assert flags_of(d) == truth(server)
        assert server.seen(r"\(QRESYNC \(")


def test_not_advertised(tmp_path):
    """ENABLE is offered and CONDSTORE is not: none of its words is sent. R183"""
    with filled([w for w in BASE if w != "CONDSTORE"]) as server:
        with Driven(tmp_path, server.port, **options(conflict=3)) as d:
            d.wait()
            server.flag("Work", 2, ["\\Seen"])
            d.do("set", "Work/3.eml", "\\Flagged")
            d.wait()
            assert flags_of(d) == truth(server)
        assert not server.seen("MODSEQ|CONDSTORE|QRESYNC|CHANGEDSINCE|ENABLE (CONDSTORE|QRESYNC)")


def test_spurious_and_equal(tmp_path):
    """A mod-sequence that moves without a change costs one look and changes nothing; one that stands still
    costs none. R176, R177, R181, R185, R210"""
    with filled(QRESYNC) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            before = flags_of(d)
            server.flag("Work", 5)  # no flag of it
            d.wait()
            looked = len(server.seen("^SELECT"))
            d.wait()
            assert flags_of(d) == before == truth(server)
            assert len(server.seen("^SELECT")) == looked


@pytest.mark.parametrize("offers", [QRESYNC, BASE], ids=["qresync", "condstore"])
def test_lower_than_ours(tmp_path, offers):
    """HIGHESTMODSEQ fell, as after a restored backup: everything is compared. R191"""
    with filled(offers) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            for m in server.mailboxes["Work"].messages:
                m.modseq = 2
            server.mailboxes["Work"].messages[3].flags.add("\\Flagged")
            server.mailboxes["Work"].highestmodseq = 2
            server.mailboxes["Work"].expunged.clear()
            d.wait()
            assert flags_of(d) == truth(server)
            server.flag("Work", 1, ["\\Seen"])
            d.wait()
            assert flags_of(d) == truth(server)
        assert all(n <= 3 for n in since(server))


@pytest.mark.parametrize("offers", [QRESYNC, BASE], ids=["qresync", "condstore"])
def test_other_uidvalidity(tmp_path, offers):
    """The mailbox was made anew while nobody looked, and LIST still said the old numbers: what SELECT brings
    is of another mailbox, nothing of the kept mod-sequence is used any more. R180, R189, R247, R265, R266"""
    with filled(offers) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            d.do("pause", 1)
            old = server.mailboxes["Work"]

            def stale(_session, _command, proceed):
                return Reply([f'STATUS "Work" (MESSAGES 8 UIDNEXT 9 UIDVALIDITY {old.uidvalidity} UNSEEN 8'
                              f' HIGHESTMODSEQ {old.highestmodseq + 1})']) if server.stale else proceed()
            server.stale = True
            del server.mailboxes["Work"]
            server.create("Work")
            for i in range(3):
                server.append("Work", letter(100 + i), ["\\Answered"])
            server.mailboxes["Work"].highestmodseq = 500
            rule = server.lie("^STATUS.*Work.*HIGHESTMODSEQ", stale)
            d.do("pause", 0)
            d.until(lambda: rule.told > 0)
            server.stale = False
            d.wait()
            assert flags_of(d) == truth(server)
            server.flag("Work", 2, ["\\Seen"])
            d.wait()
            assert flags_of(d) == truth(server)
            validity = server.mailboxes["Work"].uidvalidity
        asked = re.findall(r"\(QRESYNC \((\d+) (\d+)", " ".join(server.seen("^SELECT.*Work")))
        assert all(int(modseq) >= 500 for v, modseq in asked if int(v) == validity)


def test_nomodseq_behind_status(tmp_path):
    """STATUS promised mod-sequences, SELECT says NOMODSEQ: the kept one goes, the plain algorithm runs and
    nothing with mod-sequences is sent to that mailbox again. R175, R194, R215, R264"""
    with filled(QRESYNC) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            box = server.mailboxes["Work"]
            server.flag("Work", 3, ["\\Seen"])
            server.remove("Work", 5)
            kept, box.highestmodseq = box.highestmodseq, None
            rule = server.lie("^STATUS.*Work", lambda _s, _c, _p: Reply(
                [f'STATUS "Work" (MESSAGES 7 UIDNEXT 9 UIDVALIDITY {box.uidvalidity} UNSEEN 6'
                 f' HIGHESTMODSEQ {kept})']), times=1)
            d.wait()
            assert rule.told == 1
            assert flags_of(d) == truth(server)
            asked = len(server.seen(r"\(QRESYNC|CHANGEDSINCE"))
            server.flag("Work", 2, ["\\Seen"])
            d.wait()
            assert flags_of(d) == truth(server)
            assert len(server.seen(r"\(QRESYNC|CHANGEDSINCE")) == asked


def test_mixed_expunge_and_vanished(tmp_path):
    """After ENABLE QRESYNC a mailbox without mod-sequences still says EXPUNGE, others VANISHED; both are
    read, in any order with EXISTS. R244, R245, R255, R277"""
    with filled(QRESYNC) as server:
        server.append("INBOX", letter(50))
        server.append("INBOX", letter(51))
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()

            def mixed(session, _command, proceed):
                reply = proceed()
                numbers = {m.uid: n for n, m in enumerate(session.view, 1)}
                reply.untagged += [b"%d EXPUNGE" % numbers[6], b"VANISHED 7"]
                session.view = [m for m in session.view if m.uid not in (6, 7)]
                server.remove("Work", 6, 7)
                return reply
            server.append("Work", letter(60))
            server.flag("Work", 8, ["\\Seen"])
            rule = server.lie("^SELECT.*Work", mixed, times=1)
            d.wait()
            assert rule.told == 1
            assert flags_of(d) == truth(server)
            assert sorted(truth(server)) == [1, 2, 3, 4, 5, 8, 9]


def test_store_echo_without_flags(tmp_path):
    """A STORE with .SILENT is answered by FETCH (UID n MODSEQ (m)): known flags stay. R187, R188, R196"""
    with filled(BASE) as server:
        server.flag("Work", 2, ["\\Answered", "$Kept"])
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()

            def first(session, _command, proceed):
                reply = proceed()
                reply.untagged.insert(0, f"OK [HIGHESTMODSEQ {session.box.highestmodseq}] so far".encode())
                return reply
            server.lie("^UID STORE", first)
            d.do("flag", "Work/2.eml", "\\Seen", "")
            d.wait()
            assert flags_of(d)[2] == {"\\Answered", "$Kept", "\\Seen"}
            assert flags_of(d) == truth(server)


def push(d, server, what):
    what()
    d.until(lambda: flags_of(d, "INBOX") == truth(server, "INBOX"))


@pytest.mark.parametrize("offers", [QRESYNC, BASE], ids=["qresync", "condstore"])
def test_kept_modseq_moves_with_the_session(tmp_path, offers):
    """In a session that goes on, pushes move the mod-sequence at the tagged reply behind them, so that each
    question is for what is new only. R174, R261, R262"""
    with Imapd(["INBOX"], [*offers, "IDLE"]) as server:
        for i in range(6):
            server.append("INBOX", letter(i))
        with Driven(tmp_path, server.port, **options(connections=2)) as d:
            d.wait()
            d.until(lambda: server.seen("^IDLE"))
            for n in range(1, 5):
                push(d, server, lambda n=n: server.flag("INBOX", n, ["$Pushed"]))
            push(d, server, lambda: server.remove("INBOX", 5))
            push(d, server, lambda: server.append("INBOX", letter(9)))
        asked = since(server)
        assert asked == sorted(asked) and len(set(asked)) >= 4, asked
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            assert flags_of(d, "INBOX") == truth(server, "INBOX")


def test_code_counts_more_than_fetches(tmp_path):
    """HIGHESTMODSEQ in a tagged OK is less than a MODSEQ that a FETCH has shown: the code is what is kept,
    for VANISHED of in between is still to come. R252, R262, R263"""
    with Imapd(["INBOX"], [*BASE, "IDLE"]) as server:
        for i in range(6):
            server.append("INBOX", letter(i))
        with Driven(tmp_path, server.port, **options(connections=2)) as d:
            d.wait()
            d.until(lambda: server.seen("^IDLE"))
            known = server.mailboxes["INBOX"].highestmodseq

            def ahead(session, _command, proceed):
                reply = proceed()
                reply.untagged.append(session.fetch_line(1, session.view[0], ["UID", "FLAGS"])[:-1] +
                                      b" MODSEQ (%d))" % (known + 50))
                reply.tagged = f"OK [HIGHESTMODSEQ {known + 1}] so far"
                return reply
            server.lie("CHANGEDSINCE", ahead, times=2)
            for n in (2, 3, 4):
                push(d, server, lambda n=n: server.flag("INBOX", n, ["$Pushed"]))
        assert max(since(server)) <= known + 3, (known, since(server))


def test_odd_values(tmp_path):
    """MODSEQ 0 of a message is no value; 63-bit ones are kept and sent back to the digit. R184, R236, R239"""
    big = (1 << 63) - 2
    with filled(QRESYNC) as server:
        box = server.mailboxes["Work"]
        for m in box.messages:
            m.modseq = 0
        box.highestmodseq = big - 1
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            server.flag("Work", 1, ["\\Seen"])
            d.wait()
            assert flags_of(d) == truth(server)
        assert server.seen(rf"\(QRESYNC \({box.uidvalidity} {big - 1} ")


def test_vanished_of_never_seen(tmp_path):
    """VANISHED (EARLIER) over billions of UIDs that were never here: of no cost, and the number map is as it
    was. R251, R254"""
    with filled(QRESYNC) as server:
        with Driven(tmp_path, server.port, **options()) as d:
            d.wait()
            server.flag("Work", 8, ["\\Seen"])

            def much(_session, _command, proceed):
                reply = proceed()
                reply.untagged.insert(len(reply.untagged) - 1, b"VANISHED (EARLIER) 100:4000000000")
                return reply
            server.lie(r"\(QRESYNC \(", much)
            d.wait()
            assert flags_of(d) == truth(server)
        assert not server.seen("^UID SEARCH")


def test_what_dovecot_does():
    """What is built upon, asked of a real server: CHANGEDSINCE leaves out the equal and brings MODSEQ unasked,
    SEARCH MODSEQ includes them, whatever entry it names, messages of before CONDSTORE have a mod-sequence.
    R207, R208, R209, R211, R213, R214, R239"""
    with Dovecot() as dovecot, Client(dovecot.port) as c:
        for n in range(3):
            c.append("INBOX", letter(n))
        c.imap.enable("CONDSTORE")
        c.select("INBOX")

        def ask(*words):
            kind, data = c.imap.uid(*words)
            assert kind == "OK"
            return b" ".join(x if isinstance(x, bytes) else b" ".join(x) for x in data if x)
        c.store([2], "+FLAGS", ["\\Flagged"])
        first = ask("FETCH", "1:3", "(MODSEQ)")
        values = {int(u): int(m) for u, m in re.findall(rb"UID (\d+) MODSEQ \((\d+)\)", first)}
        assert set(values) == {1, 2, 3} and min(values.values()) > 0
        top = max(values.values())
        assert b"UID" not in ask("FETCH", "1:3", "(FLAGS)", f"(CHANGEDSINCE {top})")
        assert re.search(rb"UID 2 .*MODSEQ", ask("FETCH", "1:3", "(UID FLAGS)", f"(CHANGEDSINCE {top - 1})"))
        assert ask("SEARCH", "MODSEQ", str(top)).split()[0] == b"2"
        assert ask("SEARCH", "MODSEQ", '"/flags/\\\\draft"', "all", str(top)).split()[0] == b"2"


@pytest.mark.parametrize("disable", ["", "QUIRKS"])
def test_known_to_do_harm(tmp_path, disable):
    """A server that is known by a word of its own: its QRESYNC is not used, unless the user insists.
    R242"""
    with filled([*QRESYNC, "XAPPLELITERAL"]) as server:
        with Driven(tmp_path, server.port, **options(**({"disable": disable} if disable else {}))) as d:
            d.wait()
            server.flag("Work", 2, ["\\Seen"])
            server.remove("Work", 4)
            d.wait()
            assert flags_of(d) == truth(server)
        assert bool(server.seen(r"ENABLE QRESYNC|\(QRESYNC|VANISHED")) == (disable == "QUIRKS")
        assert server.seen("CHANGEDSINCE") or disable
