# SPDX-License-Identifier: MIT
"""The threads of cache/sync with a server that lies: nothing is lost on one odd answer."""

import time

import driven
import pytest
from driven import Driven

from tools import imapd
from tools.imapd import Imapd
from tools.imapd_parse import Reply


@pytest.fixture
def server():
    with Imapd(["INBOX", "Work"], ["UIDPLUS", "UNSELECT", "LITERAL+"]) as s:
        s.strict = True
        yield s


def letter(n, size=400):
    return (f"Message-ID: <{n}@example.org>\r\nSubject: {n}\r\n\r\n" + "x" * size + "\r\n").encode()


def fill(server, count, mailbox="Work"):
    return [server.append(mailbox, letter(i)) for i in range(count)]


def again(d):
    """One more pass, whatever it comes to."""
    return d.say("wait", 8000)[0]


def test_noise_anywhere_is_taken(server, tmp_path):
    """R225, R309, R231: EXISTS, FLAGS, FETCH and OK codes before each reply."""
    server.noise = True
    fill(server, 30)
    fill(server, 3, "INBOX")
    with Driven(tmp_path, server.port) as d:
        d.wait()
        server.remove("Work", 5, 6)
        server.append("Work", letter(77))
        d.wait()
        assert sorted(e.uid for p, e in d.tree().items() if p.startswith("Work/")) == \
            [u for u in range(1, 32) if u not in (5, 6)]
        assert all(e.digest != "-" for e in d.tree().values())


def test_only_uids_are_spoken_of(server, tmp_path):
    """R009, R068, R084, R093, R296: no message numbers, no CLOSE, no RFC822 item, no replacing STORE."""
    fill(server, 10)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("flag", sorted(d.tree())[0], "\\Flagged", "")
        d.wait()
    assert not server.seen(r"^(FETCH|STORE|COPY|SEARCH|CLOSE|EXPUNGE)\b")
    assert not server.seen(r"RFC822(?!\.SIZE)")
    assert not server.seen(r"UID STORE \S+ FLAGS")
    assert not server.seen(r"BODY\[")
    scans = [line for line in server.seen("^UID FETCH") if "BODY" not in line]
    assert scans and all("BODY" not in line for line in scans)


def test_no_uidplus(tmp_path):
    """R044, R048, R223, R270: IMAP4rev1 only; the uploaded message is found by its Message-ID and its body
    is not fetched."""
    with Imapd(["INBOX", "Work"]) as server, Driven(tmp_path, server.port) as d:
        fill(server, 3)
        d.wait()
        d.append("Work", "mine.eml", letter(50), "\\Flagged", "<50@example.org>")
        d.wait()
        d.wait()
        tree = d.tree()
        assert {p: e.uid for p, e in tree.items()} == \
            {"Work/1.eml": 1, "Work/2.eml": 2, "Work/3.eml": 3, "Work/mine.eml": 4}
        assert len(server.bodies("Work")) == 4
        assert not server.seen(r"^UID FETCH 4 .*BODY\.PEEK\[\]")


def test_one_connection_serves_all(server, tmp_path):
    """R166: a body is fetched by the worker when there is no second connection."""
    fill(server, 3)
    with Driven(tmp_path, server.port, connections=1, profile=2) as d:
        d.wait()
        path = sorted(d.tree())[1]
        d.do("body", path, 5000)
        assert d.tree()[path].digest != "-"
    assert len(server.sessions) == 1


def test_an_empty_list_takes_nothing_away(server, tmp_path):
    """R154: LIST answers OK and names nothing, or is refused."""
    fill(server, 5)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        for lie in (imapd.pretend(), imapd.refuse("not now")):
            rule = server.lie("^(LIST|LSUB)", lie)
            again(d)
            assert rule.told > 0
            rule.remove()
            assert len(d.tree()) == 5
            assert d.mailboxes() == {"INBOX", "Work"}


def test_a_mailbox_that_list_forgets_stays(server, tmp_path):
    """R154: STATUS still knows it."""
    fill(server, 5)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        server.lie("^LIST", imapd.hide("Work"))
        again(d)
        again(d)
        assert len(d.tree()) == 5


def test_a_deleted_mailbox_goes(server, tmp_path):
    """LIST does not name it and STATUS does not know it."""
    fill(server, 5)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        with server.lock:
            del server.mailboxes["Work"]
        d.wait()
        assert d.mailboxes() == {"INBOX"}
        assert d.tree() == {}


def test_mass_disappearance_is_asked_about_twice(server, tmp_path):
    """R098, R154: one answer leaves most messages out; the second command names them."""
    fill(server, 40)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        rule = server.lie(r"^UID FETCH 1:40 \(UID FLAGS\)", imapd.hide(r"^([5-9]|[123]\d|40) FETCH"))
        again(d)
        assert rule.told > 0
        assert len(d.tree()) == 40
        assert server.seen(r"^UID SEARCH UID 1:40")


def test_an_answer_shorter_than_exists_is_doubted(server, tmp_path):
    """R154: two of many are left out, while EXISTS still counts them."""
    fill(server, 40)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        rule = server.lie(r"^UID FETCH 1:40 \(UID FLAGS\)", imapd.hide(r"^(7|9) FETCH"))
        again(d)
        assert rule.told > 0
        assert len(d.tree()) == 40


def test_all_really_gone(server, tmp_path):
    """R031: a mass disappearance that is true."""
    fill(server, 40)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        server.remove("Work", *range(1, 40))
        d.wait()
        assert [e.uid for e in d.tree().values()] == [40]


def test_the_example_of_the_draft(server, tmp_path):
    """R098, R103: 12, 777 and 14999 are known; 14999 is gone; SEARCH answers unsorted and twice."""
    box = server.mailboxes["Work"]
    for uid in (12, 777, 14999):
        box.uidnext = uid
        server.append("Work", letter(uid))
    server.lie("^UID SEARCH", imapd.twice)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        assert sorted(e.uid for e in d.tree().values()) == [12, 777, 14999]
        server.remove("Work", 14999)
        d.wait()
        assert sorted(e.uid for e in d.tree().values()) == [12, 777]


def test_sparse_uids_cost_few_commands(server, tmp_path):
    """R097, R129: five messages up to UID 4,294,967,290."""
    box = server.mailboxes["Work"]
    for uid in (1, 2147483647, 2147483648, 4000000000, 4294967290):
        box.uidnext = uid
        server.append("Work", letter(uid))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        assert sorted(e.uid for e in d.tree().values()) == [1, 2147483647, 2147483648, 4000000000, 4294967290]
        assert all(e.digest != "-" for e in d.tree().values())
    assert len(server.seen("^UID")) < 20


def test_no_uidnext_anywhere(server, tmp_path):
    """R105: neither STATUS nor SELECT names it."""
    def without(_session, _command, proceed):
        reply = proceed()
        reply.untagged = [u.replace(b"UIDNEXT", b"X-NEXT") for u in reply.untagged]
        return reply

    server.lie("^(SELECT|STATUS)", without)
    fill(server, 4)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        server.append("Work", letter(9))
        d.wait()
        assert sorted(e.uid for e in d.tree().values()) == [1, 2, 3, 4, 5]


def test_a_changed_uidvalidity_that_status_denies(server, tmp_path):
    """R019, R154: only SELECT speaks of another UIDVALIDITY."""
    fill(server, 5)

    def other(_session, _command, proceed):
        reply = proceed()
        reply.untagged = [u.replace(b"UIDVALIDITY 1001", b"UIDVALIDITY 9") for u in reply.untagged]
        return reply

    with Driven(tmp_path, server.port) as d:
        d.wait()
        rule = server.lie("^SELECT.*Work", other)
        again(d)
        assert rule.told > 0
        assert len(d.tree()) == 5


def test_a_changed_uidvalidity(server, tmp_path):
    """R015, R020, R033, R039: the same messages under other UIDs; nothing of the old ones is left."""
    fill(server, 5)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        server.new_uidvalidity("Work")
        d.wait()
        assert sorted(e.uid for e in d.tree().values()) == [101, 102, 103, 104, 105]
        assert all(e.digest != "-" and e.uidvalidity != 1001 for e in d.tree().values())


def test_a_lying_size_is_believed_when_it_comes_twice(server, tmp_path):
    """RFC822.SIZE is wrong, the body comes with the same length each time: size and bytes as they are."""
    message = server.append("Work", letter(1))
    message.size += 7
    with Driven(tmp_path, server.port) as d:
        d.wait()
        entry = next(iter(d.tree().values()))
        assert entry.digest != "-"
        assert entry.size == len(message.data)
    assert len(server.seen(r"^UID FETCH 1 .*BODY\.PEEK\[\]")) == 2


def test_no_body_is_not_kept(server, tmp_path):
    """NIL, and Courier's made-up message: neither is taken for the message, the others come."""
    nil, made_up, _good = fill(server, 3)
    nil.body = None
    made_up.body = b"From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\ngone\r\n"
    with Driven(tmp_path, server.port) as d:
        d.wait()
        digests = {e.uid: e.digest for e in d.tree().values()}
        assert digests[1] == digests[2] == "-"
        assert digests[3] != "-"
    assert len(server.seen(r"BODY\.PEEK")) < 12


def test_one_message_that_is_always_refused(server, tmp_path):
    """A server that cannot give one message: the others come, and it is not asked for ever."""
    fill(server, 20)

    def refuse(_session, command, proceed):
        numbers = command.line.split()[2]
        if "BODY" in command.line and 13 in _members(numbers):
            return Reply(tagged="NO UID FETCH Server error - Please try again later")
        return proceed()

    server.lie("^UID FETCH", refuse)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        assert [e.uid for e in d.tree().values() if e.digest == "-"] == [13]
    assert len(server.seen(r"BODY\.PEEK")) < 40


def _members(text):
    found = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        last = last or first
        if last != "*":
            found |= set(range(int(first), int(last) + 1))
    return found


def test_bye_in_a_pass(server, tmp_path):
    """R136: BYE in place of an answer; the next connection goes on, and who waits is not told of it."""
    fill(server, 5)
    rule = server.lie("^UID FETCH", imapd.bye(), times=1)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        assert len(d.tree()) == 5
        assert rule.told == 1


def test_wrong_password_is_not_tried_again_and_again(tmp_path):
    with Imapd(["INBOX"], password="other") as server, Driven(tmp_path, server.port) as d:
        d.until(lambda: d.status().state == driven.OFFLINE)
        assert d.say("wait", 5000)[0] == -5
        time.sleep(2)
        d.do("kick")
        time.sleep(1)
        assert len(server.seen("^(LOGIN|AUTHENTICATE)")) <= 3
        server.password = "secret"
        d.do("pause", 0)
        d.wait()
