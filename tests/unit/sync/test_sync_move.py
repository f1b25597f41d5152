# SPDX-License-Identifier: MIT
"""Moves, copies and deletions that end half-way, and mailboxes that change their names meanwhile."""

import re

import pytest
from driven import Driven

from tools import imapd
from tools.imapd import Imapd
from tools.imapd_parse import Reply

BASE = ["UIDPLUS", "UNSELECT", "LITERAL+", "MOVE"]


def letter(n):
    return f"Message-ID: <{n}@example.org>\r\nSubject: {n}\r\n\r\ntext {n}\r\n".encode()


@pytest.fixture
def server():
    with Imapd(["INBOX", "Work"], BASE) as s:
        for n in range(1, 4):
            s.append("INBOX", letter(n))
        s.strict = True
        yield s


def options(**more):
    return {"connections": 1, "poll": 600000, "profile": 1, **more}


def test_move_half_way(server, tmp_path):
    """UID MOVE moves one of three and says NO: each message is in one place in the end, none twice, and no
    command had message numbers (the server refuses those). R274, R276, R299"""
    def half(session, command, _proceed):
        one = session.box.messages[0]
        target = server.mailboxes["Work"]
        copy = target.add(one.data, one.flags, one.date)
        session.box.remove({one.uid})
        return Reply([f"OK [COPYUID {target.uidvalidity} {one.uid} {copy.uid}] one"], "NO [LIMIT] enough")
    with Driven(tmp_path, server.port, **options()) as d:
        d.wait()
        rule = server.lie("^UID MOVE", half, times=1)
        d.do("pause", 1)
        for n in (1, 2, 3):
            d.do("move", f"INBOX/{n}.eml", "Work", f"{n}.eml")
        d.do("pause", 0)
        d.until(lambda: rule.told == 1)
        d.until(lambda: len(server.bodies("Work")) == 3, 30)
        d.wait()
        assert sorted(server.bodies("Work")) == [letter(n) for n in (1, 2, 3)]
        assert server.bodies("INBOX") == []
        assert {p for p in d.tree()} == {f"Work/{n}.eml" for n in (1, 2, 3)}


def test_missing_target(server, tmp_path):
    """The target went meanwhile: it is not made, the source stays, the action waits for a decision. R300"""
    with Driven(tmp_path, server.port, **options()) as d:
        d.wait()
        server.lie("^UID MOVE", imapd.refuse("[TRYCREATE] no such mailbox"))
        d.do("move", "INBOX/2.eml", "Work", "2.eml")
        d.do("kick")
        d.until(lambda: [q[2] for q in d.queue()] == ["3"])
        assert len(server.bodies("INBOX")) == 3 and server.bodies("Work") == []
        assert not server.seen("^CREATE")


def test_deleted_mark_is_acknowledged(server, tmp_path):
    """OK to STORE \\Deleted that sets nothing: UID EXPUNGE takes nothing, and the message is not taken for
    gone. R319"""
    with Driven(tmp_path, server.port, **options()) as d:
        d.wait()
        rule = server.lie(r"^UID STORE.*Deleted", imapd.pretend(), times=1)
        d.do("remove", "INBOX/2.eml", 2)
        d.do("kick")
        d.until(lambda: rule.told == 1)
        d.until(lambda: letter(2) not in server.bodies("INBOX"), 30)
        d.wait()
        assert server.bodies("INBOX") == [letter(1), letter(3)]


def test_renamed_here_and_made_anew_there(server, tmp_path):
    """While offline Work is renamed here; there somebody makes another mailbox of the name Work behind it.
    What was done to messages of the old one reaches those, under the new name. R308"""
    server.append("Work", letter(10))
    with Driven(tmp_path, server.port, **options()) as d:
        d.wait()
        d.do("pause", 1)
        d.do("flag", "Work/1.eml", "\\Flagged", "")
        d.do("mvdir", "Work", "", "Done")

        def renamed(_session, _command, proceed):
            reply = proceed()
            server.create("Work")
            server.append("Work", letter(20))
            return reply
        server.lie("^RENAME", renamed, times=1)
        d.do("pause", 0)
        d.until(lambda: "Done" in server.mailboxes)
        d.wait()
        d.wait()
        assert server.flags("Done", 1) == {"\\Flagged"} and server.bodies("Done") == [letter(10)]
        assert server.flags("Work", 1) == set()
        tree = d.tree()
        assert tree["Done/1.eml"].flags == {"\\Flagged"} and tree["Done/1.eml"].message_id == "<10@example.org>"
        assert int(tree["Work/1.eml"].length) == len(letter(20))


def test_new_messages_of_a_resync(tmp_path):
    """QRESYNC's SELECT tells of new messages by FETCH with flags alone: their descriptors are still asked
    for. R267"""
    with Imapd(["INBOX"], [*BASE, "ENABLE", "CONDSTORE", "QRESYNC"]) as server:
        server.append("INBOX", letter(1))
        with Driven(tmp_path, server.port, **options(profile=2)) as d:
            d.wait()
            server.append("INBOX", letter(22222), ["\\Seen"])
            d.wait()
            entry = d.tree()["INBOX/2.eml"]
        assert entry.size == len(letter(22222)) and entry.date > 0 and entry.flags == {"\\Seen"}
        assert re.search(r"QRESYNC \(", " ".join(server.seen("^SELECT")))
