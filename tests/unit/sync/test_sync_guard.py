# SPDX-License-Identifier: MIT
"""A whole list of flags is written, others change the message meanwhile: -o conflict= and
UNCHANGEDSINCE (RFC 7162 3.1.3)."""

import re

import pytest
from driven import Driven

from tools import imapd
from tools.client import Client
from tools.dovecot import Dovecot
from tools.imapd import Imapd
from tools.imapd_parse import Reply

MERGE, MINE, THEIRS, ASK = range(4)
BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "LIST-EXTENDED", "LIST-STATUS", "ENABLE", "CONDSTORE"]
CONFLICT = -10
PARKED = "3"


def options(conflict, **more):
    return {"connections": 1, "poll": 600000, "profile": 2, "conflict": conflict, **more}


def set_offline(d, path, flags):
    """Written while the server is away."""
    d.do("pause", 1)
    d.do("set", path, flags)


def online(d):
    d.do("pause", 0)


@pytest.fixture(params=["condstore", "plain"])
def server(request):
    """Five messages, the third of them flagged; with CONDSTORE and without."""
    offers = BASE if request.param == "condstore" else [w for w in BASE if w != "CONDSTORE"]
    with Imapd(["INBOX"], offers) as s:
        s.by_modseq = request.param == "condstore"
        for i in range(5):
            s.append("INBOX", b"Subject: x\r\n\r\nx\r\n", ["\\Flagged"] if i == 2 else [])
        yield s


@pytest.mark.parametrize("conflict,after,parked", [
    (MERGE, {"\\Seen", "$Theirs"}, False),
    (MINE, {"\\Seen"}, False),
    (THEIRS, {"\\Flagged", "$Theirs"}, False),
    (ASK, {"\\Flagged", "$Theirs"}, True),
])
def test_policies(server, tmp_path, conflict, after, parked):
    """Another flag was set meanwhile: each policy does what it says, with mod-sequences and without; what
    nobody else touched is changed in any case. R195, R197, R194"""
    with Driven(tmp_path, server.port, **options(conflict)) as d:
        d.wait()
        set_offline(d, "INBOX/3.eml", "\\Seen")
        d.do("set", "INBOX/4.eml", "\\Seen $Mine")
        server.flag("INBOX", 3, ["$Theirs"])
        online(d)
        if parked:
            d.until(lambda: [q[2] for q in d.queue()] == [PARKED])
            assert d.queue()[0][3] == str(CONFLICT) and "$Theirs" in d.queue()[0][4]
        else:
            d.wait()
            assert d.queue() == []
        d.until(lambda: server.flags("INBOX", 4) == {"\\Seen", "$Mine"})
        assert server.flags("INBOX", 3) == after
        if parked:
            d.do("retry", d.queue()[0][0])
            d.do("kick")
            d.wait()
            assert server.flags("INBOX", 3) == {"\\Seen", "$Theirs"}
            after = server.flags("INBOX", 3)
        assert d.tree()["INBOX/3.eml"].flags == after
    assert bool(server.seen("UNCHANGEDSINCE")) == (server.by_modseq and conflict != MERGE)
    assert not server.seen(r"UNCHANGEDSINCE 0\b|STORE \S+ (\(.*\) )?FLAGS")


@pytest.mark.parametrize("conflict", [MINE, THEIRS, ASK])
def test_same_change_by_another(server, tmp_path, conflict):
    """Somebody else has done just that already, or half of it: it is done. R205"""
    with Driven(tmp_path, server.port, **options(conflict)) as d:
        d.wait()
        set_offline(d, "INBOX/3.eml", "\\Seen")
        d.do("set", "INBOX/4.eml", "\\Seen $Work")
        server.flag("INBOX", 3, ["\\Seen"], ["\\Flagged"])
        server.flag("INBOX", 4, ["$Work"])
        online(d)
        d.wait()
        assert d.queue() == []
        assert server.flags("INBOX", 3) == {"\\Seen"}
        assert server.flags("INBOX", 4) == {"\\Seen", "$Work"}


def test_moved_sequence_without_a_change(tmp_path):
    """The mod-sequence has moved and the flags are as they were: the STORE goes again with the new
    mod-sequence. R185, R200, R201, R203, R218"""
    with Imapd(["INBOX"], BASE) as server:
        server.append("INBOX", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(ASK)) as d:
            d.wait()
            set_offline(d, "INBOX/1.eml", "\\Seen")
            server.flag("INBOX", 1, ["$Gone"])
            server.flag("INBOX", 1, [], ["$Gone"])
            online(d)
            d.wait()
            assert server.flags("INBOX", 1) == {"\\Seen"}
        since = [int(re.search(r"UNCHANGEDSINCE (\d+)", line)[1])
                 for line in server.seen("UNCHANGEDSINCE")]
        assert since == [2, 4]
        assert not server.seen("NOOP")


def test_set_and_remove(tmp_path):
    """A list that sets and removes goes as two STOREs with a modifier each, one sign at a time; equal
    changes go together, each UID once. R195, R206"""
    with Imapd(["INBOX"], BASE) as server:
        for _ in range(4):
            server.append("INBOX", b"Subject: x\r\n\r\n", ["\\Flagged"])
        with Driven(tmp_path, server.port, **options(ASK)) as d:
            d.wait()
            d.do("pause", 1)
            for uid in (1, 2, 4):
                d.do("set", f"INBOX/{uid}.eml", "\\Seen")
            online(d)
            d.wait()
            assert [server.flags("INBOX", n) for n in (1, 2, 3, 4)] == [
                {"\\Seen"}, {"\\Seen"}, {"\\Flagged"}, {"\\Seen"}]
        stores = server.seen("^UID STORE")
        assert stores[0] == r"UID STORE 1:2,4 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\Seen)"
        assert all(re.fullmatch(r"UID STORE \d+ \(UNCHANGEDSINCE \d+\) -FLAGS.SILENT \(\\Flagged\)", line)
                   for line in stores[1:]) and len(stores) == 4


@pytest.mark.parametrize("tries", [3, 5])
def test_bounded_retries(tmp_path, tries):
    """A server that answers MODIFIED for ever: so many tries, then the action waits for a decision and the
    rest of the log goes on. R202"""
    def always(_session, command, _proceed):
        return Reply(tagged=f"OK [MODIFIED {command.line.split()[2]}] somebody was faster")
    with Imapd(["INBOX"], BASE) as server:
        for _ in range(2):
            server.append("INBOX", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(ASK, tries=tries)) as d:
            d.wait()
            rule = server.lie("UNCHANGEDSINCE", always)
            set_offline(d, "INBOX/1.eml", "\\Seen")
            d.do("flag", "INBOX/2.eml", "\\Flagged", "")
            online(d)
            d.until(lambda: [q[2] for q in d.queue()] == [PARKED])
            assert d.queue()[0][3] == str(CONFLICT)
            assert rule.told == tries
            assert server.flags("INBOX", 2) == {"\\Flagged"}


def test_modified_in_no(tmp_path):
    """NO with MODIFIED, since one of the messages is expunged: only the one that survives and was modified
    is tried again. R198, R199"""
    with Imapd(["INBOX"], BASE) as server:
        for _ in range(3):
            server.append("INBOX", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(ASK)) as d:
            d.wait()

            def answer(_session, _command, proceed):
                server.remove("INBOX", 1)
                reply = proceed()
                assert "MODIFIED 2" in reply.tagged
                reply.tagged = "NO [MODIFIED 2] some are gone"
                return reply
            d.do("pause", 1)
            for uid in (1, 2, 3):
                d.do("set", f"INBOX/{uid}.eml", "\\Seen")
            server.flag("INBOX", 2, ["$Gone"])
            server.flag("INBOX", 2, [], ["$Gone"])
            server.lie("UNCHANGEDSINCE", answer, times=1)
            online(d)
            d.wait()
            assert d.queue() == []
            assert server.flags("INBOX", 2) == server.flags("INBOX", 3) == {"\\Seen"}
        assert [line.split()[2] for line in server.seen("^UID STORE")] == ["1:3", "2"]


def test_set_in_spite_of_it(tmp_path):
    """A server that sets the flag although the message was modified, and says so: accepted. R196, R222"""
    def kind(session, command, _proceed):
        message = session.box.by_uid(1)
        message.flags.add("\\Seen")
        session.box.touch(message)
        return Reply([session.fetch_line(1, message, ["UID", "FLAGS", "MODSEQ"])])
    with Imapd(["INBOX"], BASE) as server:
        server.append("INBOX", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(ASK)) as d:
            d.wait()
            set_offline(d, "INBOX/1.eml", "\\Seen")
            server.flag("INBOX", 1, ["$Gone"])
            server.flag("INBOX", 1, [], ["$Gone"])
            server.lie("UNCHANGEDSINCE", kind)
            online(d)
            d.wait()
            assert len(server.seen("UNCHANGEDSINCE")) == 1
            assert d.tree()["INBOX/1.eml"].flags == {"\\Seen"}


def test_refused_modifier(tmp_path):
    """BAD to UNCHANGEDSINCE: the list goes without, behind a look. R194"""
    with Imapd(["INBOX"], BASE) as server:
        server.append("INBOX", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(ASK)) as d:
            d.wait()
            server.lie("UNCHANGEDSINCE", imapd.pretend("BAD what"))
            d.do("set", "INBOX/1.eml", "\\Seen")
            d.wait()
            assert server.flags("INBOX", 1) == {"\\Seen"}


def test_without_modseq_of_the_mailbox(tmp_path):
    """NOMODSEQ: neither UNCHANGEDSINCE nor MODSEQ are sent to that mailbox. R175, R194, R264"""
    with Imapd(["INBOX"], [*BASE, "QRESYNC"]) as server:
        server.mailboxes["INBOX"].highestmodseq = None
        server.append("INBOX", b"Subject: x\r\n\r\n")
        with Driven(tmp_path, server.port, **options(ASK)) as d:
            d.wait()
            set_offline(d, "INBOX/1.eml", "\\Seen")
            server.flag("INBOX", 1, ["$Theirs"])
            online(d)
            d.until(lambda: [q[2] for q in d.queue()] == [PARKED])
        assert not server.seen(r"UNCHANGEDSINCE|FETCH.*MODSEQ|CHANGEDSINCE|\(QRESYNC")


def test_real_server(tmp_path):
    """Dovecot judges UNCHANGEDSINCE, and UNCHANGEDSINCE 0 is modified in any case. R195, R197, R204"""
    with Dovecot() as dovecot, Client(dovecot.port) as other:
        for n in range(4):
            other.append("INBOX", f"Subject: {n}\r\n\r\nx\r\n".encode(), ["\\Flagged"])
        other.select("INBOX")
        with Driven(tmp_path, dovecot.port, **options(MINE)) as d:
            d.wait()
            d.do("pause", 1)
            for uid in (1, 2, 3):
                d.do("set", f"INBOX/{uid}.eml", "\\Seen $Mine")
            other.store([2], "+FLAGS", ["$Theirs"])
            other.expunge([3])
            online(d)
            d.wait()
            flags = {uid: set(m.flags) - {"\\Recent"} for uid, m in other.fetch(body=False).items()}
            assert flags == {1: {"\\Seen", "$Mine"}, 2: {"\\Seen", "$Mine"}, 4: {"\\Flagged"}}
            assert {e.uid: e.flags for e in d.tree().values()} == flags
        assert other.imap.uid("STORE", "1", "(UNCHANGEDSINCE 0)", "+FLAGS.SILENT", "(\\Answered)")[0] == "OK"
        assert "\\Answered" not in other.fetch(body=False)[1].flags
