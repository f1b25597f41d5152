# SPDX-License-Identifier: MIT
"""The link is cut and nobody knows what was done: no message is lost for another that looks alike,
none comes twice."""

import pytest
from driven import Driven

from tools import imapd
from tools.imapd import Imapd
from tools.imapd_parse import Cut

HEADERS = 2  # a profile: no bodies are fetched ahead
PARKED = "3"
REFUSED = -11


@pytest.fixture
def server():
    with Imapd(["INBOX", "Work"], ["UIDPLUS", "UNSELECT", "LITERAL+"]) as s:
        s.strict = True
        yield s


def letter(n, text="x" * 400, comment=""):
    return f"Message-ID: <{n}@example.org>{comment}\r\nSubject: {n}\r\n\r\n{text}\r\n".encode()


def done_then_cut(_session, _command, proceed):
    proceed()
    raise Cut(b"")


def cut_at(nth):
    """Only the nth command is lost with the link, not carried out."""
    seen = []

    def action(_session, _command, proceed):
        seen.append(1)
        if len(seen) == nth:
            raise Cut(b"")
        return proceed()
    return action


def without_uidnext(_session, _command, proceed):
    reply = proceed()
    reply.untagged = [u.replace(b"UIDNEXT", b"X-NEXT") for u in reply.untagged]
    return reply


def settle(d, passes=4):
    """More passes, whatever each comes to."""
    for _ in range(passes):
        if d.say("wait", 20000)[0] == 0 and not d.queue():
            break
    d.wait()


def test_a_stranger_of_equal_length_proves_no_copy(server, tmp_path):
    """R137, R050: a move that was not carried out; somebody else's message of the same length comes into the
    target meanwhile."""
    mine, other = letter(1, "mine " * 50), letter(2, "your " * 50)
    server.append("INBOX", mine)
    with Driven(tmp_path, server.port, profile=HEADERS) as d:
        d.wait()

        def stranger(_session, _command, _proceed):
            server.mailboxes["Work"].add(other)
            raise Cut(b"")
        server.lie("^UID COPY", stranger, times=1)
        d.do("move", "INBOX/1.eml", "Work", "moved.eml")
        settle(d)
        assert sorted(server.bodies("Work")) == sorted([mine, other])
        assert server.bodies("INBOX") == []


@pytest.mark.parametrize("names", [("a.eml", "b.eml"), ("1.eml", "2.eml")])
@pytest.mark.parametrize("action", [cut_at(2), done_then_cut], ids=["answered", "unanswered"])
def test_two_alike_are_two(server, tmp_path, names, action):
    """R137: of two equal files only the first was stored when the link broke."""
    server.lie("^APPEND", action, times=2 if action is not done_then_cut else 1)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        for name in names:
            d.append("Work", name, letter(1), "", "<1@example.org>")
        d.do("pause", 0)
        settle(d)
        assert server.bodies("Work") == [letter(1)] * 2
        assert len([p for p in d.tree() if p.startswith("Work/")]) == 2


def test_the_old_version_is_not_the_new_one(server, tmp_path):
    """R137, R105: an edit that was not stored, on a server that tells no UIDNEXT; the old version has the
    same Message-ID, date and length."""
    old, new = letter(1, "old " * 50), letter(1, "new " * 50)
    server.append("Work", old)
    server.lie("^(SELECT|STATUS)", without_uidnext)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        server.lie("^APPEND", cut_at(1), times=1)
        d.edit("Work/1.eml", new, "<1@example.org>")
        settle(d)
        assert server.bodies("Work") == [new]


@pytest.mark.parametrize("stored", [True, False])
def test_an_edit_over_another_uidvalidity(server, tmp_path, stored):
    """R137: the answer to an edit is lost and all UIDs change: the edit is there once."""
    old, new = letter(1, "old " * 50), letter(1, "new " * 50)
    server.append("Work", old)
    with Driven(tmp_path, server.port) as d:
        d.wait()

        def renumbered(_session, _command, proceed):
            if stored:
                proceed()
            box = server.mailboxes["Work"]
            box.uidvalidity = next(server.validities)
            for i, message in enumerate(box.messages):
                message.uid = 101 + i
            box.uidnext = 101 + len(box.messages)
            raise Cut(b"")
        server.lie("^APPEND", renumbered, times=1)
        d.edit("Work/1.eml", new, "<1@example.org>")
        settle(d)
        assert server.bodies("Work").count(new) == 1


def test_who_waits_hears_of_what_the_pass_gave_up(server, tmp_path):
    """R142: the pass finds all UIDs changed and an action cannot be carried out any more: the first who
    waits is told."""
    server.append("Work", letter(1))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        d.do("remove", "Work/1.eml", 2)
        with server.lock:
            server.mailboxes["Work"].uidvalidity = next(server.validities)
        d.do("pause", 0)
        result, _ = d.say("wait", 20000)
        assert [row[2] for row in d.queue()] == [PARKED]
        assert result == REFUSED
        assert server.bodies("Work") == [letter(1)]


def test_marks_of_others_are_given_back(tmp_path):
    """R080, R081: without UIDPLUS others' marks are taken away for an EXPUNGE; the server is busy when they are to
    be given back: they are later, whatever becomes of the EXPUNGE."""
    with Imapd(["INBOX", "Work"]) as server, Driven(tmp_path, server.port) as d:
        server.append("Work", letter(1), ["\\Deleted"])
        server.append("Work", letter(2))
        d.wait()
        server.lie(r"^UID STORE .*\+FLAGS", imapd.refuse("[UNAVAILABLE] not now"), times=2)
        d.do("remove", "Work/2.eml", 2)
        settle(d, 8)
        assert server.bodies("Work") == [letter(1)]
        assert [m.flags for m in server.mailboxes["Work"].messages] == [{"\\Deleted"}]


def test_a_message_id_with_a_comment(tmp_path):
    """R048, R137: no UIDPLUS; what stands behind the Message-ID does not hide the upload."""
    data = letter(1, comment=" (added by nobody)")
    with Imapd(["INBOX", "Work"]) as server, Driven(tmp_path, server.port) as d:
        d.wait()
        d.append("Work", "a.eml", data, "", "<1@example.org>")
        settle(d)
        assert server.bodies("Work") == [data]


def test_mail_that_cannot_be_counted_stays(server, tmp_path):
    """R137: a directory that was empty is removed; the server refuses to count what came meanwhile."""
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        server.append("Work", letter(1))
        d.do("rmdir", "Work")
        server.lie(r"^STATUS \"?Work\"? \(MESSAGES\)", imapd.refuse("not now"))
        d.do("pause", 0)
        d.say("wait", 5000)
        assert server.bodies("Work") == [letter(1)]


def test_an_upload_whose_mailbox_is_gone(server, tmp_path):
    """R137, R143: the answer is lost, then the mailbox: the upload waits for the user, with its bytes."""
    with Driven(tmp_path, server.port) as d:
        d.wait()

        def removed(_session, _command, proceed):
            proceed()
            del server.mailboxes["Work"]
            raise Cut(b"")
        server.lie("^APPEND", removed, times=1)
        d.append("Work", "a.eml", letter(1), "", "<1@example.org>")
        d.until(lambda: d.say("wait", 4000)[0] <= 0 and
                [q[2] for q in d.queue()] == [PARKED], 40)
        assert [e.length for p, e in d.tree().items() if p == "Work/a.eml"]


def test_moved_and_edited_and_gone(server, tmp_path):
    """R148, R137: another client expunges a message that was flagged, moved and edited here: the edit is
    uploaded once, with the flags."""
    new = letter(1, "new " * 100)
    server.append("INBOX", letter(1))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        d.do("flag", "INBOX/1.eml", "\\Flagged", "")
        d.do("move", "INBOX/1.eml", "Work", "moved.eml")
        d.edit("Work/moved.eml", new, "<1@example.org>")
        server.remove("INBOX", 1)
        server.lie("^UID STORE", imapd.refuse("no such message"))
        d.do("pause", 0)
        settle(d)
        assert server.bodies("Work") == [new]
        assert "\\Flagged" in server.flags("Work", 1)


def test_flagged_and_moved_and_gone(server, tmp_path):
    """R148: the upload that a move has become has the flags given before."""
    server.append("INBOX", letter(1))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        d.do("flag", "INBOX/1.eml", "\\Flagged", "")
        d.do("move", "INBOX/1.eml", "Work", "moved.eml")
        server.remove("INBOX", 1)
        server.lie("^UID STORE", imapd.refuse("no such message"))
        d.do("pause", 0)
        settle(d)
        assert server.bodies("Work") == [letter(1)]
        assert "\\Flagged" in server.flags("Work", 1)


def test_waiting_ends_with_an_empty_log_only(tmp_path):
    """R323: what the server puts off is waited for, a half-done edit too: 0 is told only when nothing
    is left to be sent."""
    with Imapd(["INBOX", "Work"], ["UIDPLUS", "UNSELECT"]) as server:
        server.append("Work", letter(1))
        with Driven(tmp_path, server.port) as d:
            d.wait()
            d.edit("Work/1.eml", letter(2), "<2@example.org>")
            rule = server.lie("^UID EXPUNGE", imapd.refuse("[LIMIT] not now"))
            assert d.say("wait", 7000)[0] != 0
            assert rule.told > 0 and d.queue()
            rule.remove()
            d.wait()
            assert d.queue() == []
            assert server.bodies("Work") == [letter(2)]
