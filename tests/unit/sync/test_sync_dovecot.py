# SPDX-License-Identifier: MIT
"""The threads of cache/sync with a real Dovecot, driven without a mount."""

import hashlib
import os
import time

import driven
import pytest
from driven import Driven

from tools.client import Client
from tools.dovecot import Dovecot
from tools.mail import Generator
from tools.proxy import Proxy


@pytest.fixture(scope="module")
def server():
    with Dovecot() as d:
        yield d


@pytest.fixture
def box(server, tmp_path):
    """A fresh account for each test: what was there goes."""
    with Client(server.port) as c:
        for name in c.mailboxes():
            c.select(name)
            uids = c.uids()
            if uids:
                c.expunge(uids)
            c.imap.unselect()
            if name not in ("INBOX", "Drafts", "Sent", "Trash"):
                c.delete(name)
        yield c


def letter(n, size=600, message_id=None):
    text = (f"line {n} of a test\r\n" * (size // 20 + 1))[:size]
    return (f"From: a@example.org\r\nMessage-ID: {message_id or f'<{n}.test@example.org>'}\r\n"
            f"Subject: number {n}\r\n\r\n{text}\r\n").encode()


def same(entries, mailbox, messages):
    """What is here equals what the server holds."""
    here = {e.uid: e for path, e in entries.items() if path.rsplit("/", 1)[0] == mailbox}
    assert set(here) == set(messages)
    for uid, m in messages.items():
        assert here[uid].digest == hashlib.sha256(m.data).hexdigest()
        assert here[uid].size == len(m.data)
        assert here[uid].flags == set(m.flags)
        assert here[uid].date == m.date


def everything_same(d, c):
    tree = d.tree()
    account = c.account()
    for name, messages in account.items():
        same(tree, name, messages)
    assert len(tree) == sum(map(len, account.values()))


def test_first_pull_equals_the_server(server, box, tmp_path):
    """R021, R022, R091, R092, R112: all messages byte for byte, flags and dates, and nothing is
    marked as read by it."""
    gen = Generator(3)
    box.create("Work/Ümläut & Co")
    for i in range(40):
        m = gen.mail(i, size=3000 + i * 997)
        box.append(("INBOX", "Sent", "Work/Ümläut & Co")[i % 3], m.data, m.flags, m.date)
    with Driven(tmp_path, server.port) as d:
        d.wait()
        everything_same(d, box)
        assert "Work/Ümläut & Co" in d.mailboxes()
        assert all(p.message_id == "" or p.message_id.startswith("<") for p in d.tree().values())


def test_large_messages_come_in_pieces(server, box, tmp_path):
    """R306, R115: the length of a piece, a byte more, and many pieces."""
    for size in (512 * 1024, 1024 * 1024 + 1, 5 * 1024 * 1024, 2 * 1024 * 1024):
        box.append("INBOX", letter(size, size))
    box.append("INBOX", letter(7))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        everything_same(d, box)


def test_changes_elsewhere_come_in(server, box, tmp_path):
    """R031, R098, R100, R094: flags, expunges and new messages of another client."""
    for i in range(12):
        box.append("Sent", letter(i))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        box.select("Sent")
        uids = box.uids()
        box.store(uids[:3], "+FLAGS", ["\\Flagged", "$Work"])
        box.expunge(uids[5:7])
        box.append("Sent", letter(99))
        d.wait()
        everything_same(d, box)


def test_a_push_is_seen_at_once(server, box, tmp_path):
    """R101, R225: in the INBOX, by itself and long before the next poll."""
    box.append("INBOX", letter(1))
    with Driven(tmp_path, server.port, poll=600000) as d:
        d.wait()
        time.sleep(1)
        uid = box.append("INBOX", letter(2))
        d.until(lambda: any(e.uid == uid for e in d.tree().values()), 30)
        box.select("INBOX")
        box.store([uid], "+FLAGS", ["\\Flagged"])
        d.until(lambda: any(e.uid == uid and "\\Flagged" in e.flags for e in d.tree().values()), 30)
        box.expunge([uid])
        d.until(lambda: all(e.uid != uid for e in d.tree().values()), 30)
        d.until(lambda: all(e.digest != "-" for e in d.tree().values()), 30)


def test_changes_made_offline_are_replayed(server, box, tmp_path):
    """R003, R067, R041, R042, R059, R060: flags, uploads and removals made without a network."""
    for i in range(8):
        box.append("INBOX", letter(i))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        paths = sorted(d.tree())
        for path in paths[:4]:
            d.do("flag", path, "\\Flagged $Later", "\\Seen")
        d.do("remove", paths[5], driven.TRASH)
        d.do("remove", paths[6], driven.EXPUNGE)
        for i in range(3):
            d.append("Drafts", f"draft {i}.eml", letter(100 + i), "\\Draft \\Seen", f"<{100 + i}.test@example.org>")
        d.do("pause", 0)
        d.wait()
        assert d.queue() == []
        box.select("INBOX")
        messages = box.fetch()
        assert sum(m.flags == {"\\Flagged", "$Later"} for m in messages.values()) == 4
        assert len(messages) == 6
        box.select("Trash")
        assert len(box.uids()) == 1
        box.select("Drafts")
        drafts = box.fetch()
        assert sorted(m.message_id for m in drafts.values()) == [f"<{100 + i}.test@example.org>" for i in range(3)]
        assert all(m.flags == {"\\Draft", "\\Seen"} for m in drafts.values())
        everything_same(d, box)


def test_changed_uidvalidity_keeps_the_upload(server, box, tmp_path):
    """R015, R017, R019, R033, R036: the mailbox was made anew while an upload waited."""
    box.create("Made anew")
    for i in range(5):
        box.append("Made anew", letter(i))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.do("pause", 1)
        d.append("Made anew", "mine.eml", letter(50), "", "<50.test@example.org>")
        box.delete("Made anew")
        time.sleep(1.1)
        box.create("Made anew")
        box.append("Made anew", letter(3))
        d.do("pause", 0)
        d.wait()
        box.select("Made anew")
        assert sorted(m.message_id for m in box.fetch().values()) == ["<3.test@example.org>", "<50.test@example.org>"]
        everything_same(d, box)


def test_the_last_message_is_not_new_again(server, box, tmp_path):
    """R104, R315: "n:*" gives the last message when there is none from n on."""
    for i in range(3):
        box.append("Sent", letter(i))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        for _ in range(3):
            d.wait()
        assert len(d.tree()) == 3
        everything_same(d, box)


def test_a_cut_answer_deletes_nothing(server, box, tmp_path):
    """R099: the answers of a pass are cut off after more and more bytes."""
    for i in range(50):
        box.append("Sent", letter(i))
    with Proxy(server.port) as proxy, Driven(tmp_path, proxy.port, disable="CONDSTORE QRESYNC") as d:
        d.wait()
        for count in range(1200, 7000, 700):
            proxy.cut_after("down", count)
            d.say("wait", 6000)
            assert len(d.tree()) == 50
        proxy.cut_at.clear()
        d.wait()
        everything_same(d, box)


def test_a_refused_scan_deletes_nothing(server, box, tmp_path):
    """R099"""
    for i in range(20):
        box.append("Sent", letter(i))
    with Driven(tmp_path, server.port) as d:
        d.wait()
        d.quit()
    with Proxy(server.port, record=True) as proxy:
        proxy.refuse("UID FETCH", "NO not now")
        with Driven(tmp_path, proxy.port, disable="CONDSTORE QRESYNC") as d:
            d.say("wait", 4000)
            assert proxy.seen("UID FETCH")
            assert len(d.tree()) == 20


def test_a_body_is_fetched_when_wanted(server, box, tmp_path):
    """R116, R120: descriptors only; somebody reads one."""
    for i in range(5):
        box.append("Sent", letter(i, 200000))
    with Driven(tmp_path, server.port, profile=2) as d:
        d.wait()
        assert all(e.digest == "-" for e in d.tree().values())
        path = sorted(d.tree())[2]
        d.do("body", path, 30000)
        assert d.tree()[path].digest != "-"
        assert sum(e.digest != "-" for e in d.tree().values()) == 1
        assert d.say("body", "Sent/none", 1000)[0] == -6


def test_wanted_bodies_end_in_time(server, box, tmp_path):
    """No reader waits longer than its deadline, and none for a connection that is known to be down."""
    box.append("Sent", letter(1))
    with Proxy(server.port) as proxy, Driven(tmp_path, proxy.port, profile=2) as d:
        d.wait()
        path = sorted(d.tree())[0]
        proxy.freeze()
        begun = time.monotonic()
        assert d.say("body", path, 700)[0] == -12
        assert time.monotonic() - begun < 15
        proxy.thaw()
        proxy.stop()
        d.until(lambda: d.status().state == driven.OFFLINE, 20)
        assert d.say("body", path, 5000)[0] == -4


def test_stops_soon_though_the_server_is_frozen(server, box, tmp_path):
    with Proxy(server.port) as proxy, Driven(tmp_path, proxy.port) as d:
        d.wait()
        proxy.freeze()
        d.do("kick")
        begun = time.monotonic()
        d.quit()
        assert time.monotonic() - begun < 15


def test_comes_back_after_the_network_did(server, box, tmp_path):
    """R136"""
    with Proxy(server.port) as proxy, Driven(tmp_path, proxy.port) as d:
        d.wait()
        proxy.stop()
        d.until(lambda: d.status().state == driven.OFFLINE, 20)
        assert d.say("wait", 3000)[0] == -4
        box.append("INBOX", letter(1))
        proxy.start()
        d.until(lambda: len(d.tree()) == 1, 30)


def test_never_selects_one_mailbox_twice(server, box, tmp_path):
    """R165, R166, R170, R233: two connections, and each mailbox is open in one of them at most."""
    for name in ("INBOX", "Sent", "Drafts"):
        for i in range(5):
            box.append(name, letter(i))
    with Proxy(server.port, record=True) as proxy, Driven(tmp_path, proxy.port) as d:
        d.wait()
        time.sleep(1)
        d.wait()
        for path in sorted(d.tree()):
            d.do("flag", path, "\\Flagged", "")
        d.wait()
        selected = {}
        for link, _tag, name, line in proxy.commands:
            if name == "SELECT":
                selected[link] = line.split()[2]
                assert list(selected.values()).count(selected[link]) == 1
            elif name == "UNSELECT":
                selected.pop(link, None)
        assert proxy.links_made <= 2


CUTS = int(os.environ.get("SYNC_CUTS", "6"))


def test_appends_happen_once_though_the_answer_is_cut(server, box, tmp_path):
    """R137, R138, R047: the answer to an APPEND that was carried out never comes."""
    with Proxy(server.port, record=True) as proxy, Driven(tmp_path, proxy.port) as d:
        d.wait()
        for i in range(CUTS):
            proxy.cut_reply("APPEND", 1)
            d.append("Drafts", f"{i}.eml", letter(i), "\\Seen", f"<{i}.test@example.org>")
            again(d)
        again(d)
        once(d, box, "Drafts", CUTS)


def test_appends_happen_once_wherever_the_link_is_cut(server, box, tmp_path):
    """R136, R137, R154: after more and more bytes in either direction: in the evidence, the command, the
    literal, the answer, the pull."""
    with Proxy(server.port) as proxy, Driven(tmp_path, proxy.port) as d:
        d.wait()
        for i in range(CUTS):
            proxy.cut_after("up" if i % 2 else "down", 20 + i * 1600 // CUTS)
            d.append("Drafts", f"{i}.eml", letter(i), "\\Seen", f"<{i}.test@example.org>")
            again(d)
        proxy.cut_at.clear()
        again(d)
        once(d, box, "Drafts", CUTS)


def test_removals_happen_once_wherever_the_link_is_cut(server, box, tmp_path):
    """R139, R154, R279: moved to the trash, by MOVE and without it: each message is there once."""
    for hidden in ([], ["MOVE"]):
        for i in range(CUTS):
            box.append("Sent", letter(i))
        (tmp_path / str(len(hidden))).mkdir()
        with Proxy(server.port, hide=hidden) as proxy, Driven(tmp_path / str(len(hidden)), proxy.port) as d:
            d.wait()
            for i, path in enumerate(sorted(p for p in d.tree() if p.startswith("Sent/"))):
                proxy.cut_after("up" if i % 2 else "down", 20 + i * 1600 // CUTS)
                d.do("remove", path, driven.TRASH)
                again(d)
            proxy.cut_at.clear()
            again(d)
            once(d, box, "Trash", CUTS)
        box.select("Trash")
        box.expunge(box.uids())


def again(d):
    """Until the log is empty; a wait may meet a cut."""
    for _ in range(10):
        if d.say("wait", 20000)[0] == 0:
            return
    raise AssertionError(d.text())


def once(d, box, mailbox, count):
    assert d.queue() == []
    box.select(mailbox)
    assert sorted(m.message_id for m in box.fetch().values()) == sorted(f"<{i}.test@example.org>" for i in range(count))
    everything_same(d, box)


def test_a_refused_copy_touches_nothing(server, box, tmp_path):
    """R150: no MOVE offered, NO to COPY: the source stays as it is."""
    box.append("INBOX", letter(1))
    with Proxy(server.port, hide=["MOVE"], record=True) as proxy:
        proxy.refuse("UID COPY", "NO [OVERQUOTA] full")
        with Driven(tmp_path, proxy.port) as d:
            d.wait()
            d.do("remove", sorted(d.tree())[0], driven.TRASH)
            assert d.say("wait", 5000)[0] == -11
            assert [row[2] for row in d.queue()] == ["3"]
            assert not proxy.seen("UID STORE")
            assert not proxy.seen("UID EXPUNGE")
            box.select("INBOX")
            assert [m.flags for m in box.fetch().values()] == [frozenset()]
