# SPDX-License-Identifier: MIT
"""Mod-sequences from servers that keep them badly, or not at all."""

import os

import pytest

from lies import CONDSTORE, QRESYNC, UIDPLUS, all_here, mail, read
from tools import imapd
from tools.mount import wait_until

LEVELS = pytest.mark.parametrize("level", [[], UIDPLUS, CONDSTORE, QRESYNC],
                                 ids=["base", "uidplus", "condstore", "qresync"])


def changes_arrive(server, mount):
    """New mail, an expunge and a flag by others are all seen."""
    server.append("INBOX", mail(4))
    server.remove("INBOX", 1)
    server.flag("INBOX", 2, ["\\Flagged", "$Work"])
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [2, 3, 4], 30, "new mail and the expunge")
    wait_until(lambda: mount.flags(mount.message("INBOX", 2)) == {"\\Flagged", "$Work"}, 30, "flags")
    assert read(mount.message("INBOX", 4)) == mail(4)


@LEVELS
def test_levels(lying, level):
    """Whatever is offered, the same end. R021, R031, R100, R179, R223"""
    server, mount = lying(level)
    all_here(mount)
    changes_arrive(server, mount)
    server.flag("INBOX", 2, remove=["$Work"])
    mount.sync()
    wait_until(lambda: mount.flags(mount.message("INBOX", 2)) == {"\\Flagged"}, 30, "flag removed")


@LEVELS
def test_levels_after_a_remount(lying, level):
    """The same for what happened while nothing ran. R021, R031"""
    server, mount = lying(level)
    mount.unmount()
    server.append("INBOX", mail(4))
    server.remove("INBOX", 1)
    server.flag("INBOX", 2, ["\\Flagged"])
    mount.start()
    mount.sync()
    assert mount.messages("INBOX") == [2, 3, 4]
    assert mount.flags(mount.message("INBOX", 2)) == {"\\Flagged"}


def test_nothing_offered_nothing_sent(lying):
    """None of the syntax where it is not offered. R183, R237"""
    server, mount = lying(UIDPLUS)
    changes_arrive(server, mount)
    assert server.seen(r"MODSEQ|CONDSTORE|QRESYNC|CHANGEDSINCE|^ENABLE") == []


@pytest.mark.parametrize("level", [CONDSTORE, QRESYNC], ids=["condstore", "qresync"])
def test_nomodseq(lying, level):
    """A mailbox that loses its mod-sequences: the plain algorithm finds all the same. R175, R215"""
    server, mount = lying(level)
    with server.lock:
        server.mailboxes["INBOX"].highestmodseq = None
    server.drop()
    changes_arrive(server, mount)


@pytest.mark.parametrize("level", [CONDSTORE, QRESYNC], ids=["condstore", "qresync"])
def test_lower_highestmodseq(lying, level):
    """Restored from a backup: HIGHESTMODSEQ below ours under the same UIDVALIDITY is not
    trusted, everything is compared. R191"""
    server, mount = lying(level)
    for _ in range(20):
        server.flag("INBOX", 1)
    mount.sync()
    mount.unmount()
    with server.lock:
        box = server.mailboxes["INBOX"]
        box.highestmodseq = 2
        for message in box.messages:
            message.modseq = 1
        box.by_uid(2).flags.add("\\Flagged")
        box.expunged = []
        box.messages = box.messages[1:]
    mount.start()
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [2, 3], 30, "what is gone")
    wait_until(lambda: mount.flags(mount.message("INBOX", 2)) == {"\\Flagged"}, 30, "flags")


def test_cut_during_the_resync(lying):
    """The link is lost after one of the changes was told: the next pass misses none. R260"""
    server, mount = lying(QRESYNC)
    mount.unmount()
    server.flag("INBOX", 1, ["\\Flagged"])
    server.flag("INBOX", 2, ["\\Flagged"])
    server.remove("INBOX", 3)

    def cut(_session, _command, proceed):
        reply = proceed()
        lines = [u for u in reply.untagged if b"FETCH" not in u and b"VANISHED" not in u]
        lines += [u for u in reply.untagged if b"FETCH" in u][-1:]
        raise imapd.Cut(b"".join(b"* " + line + b"\r\n" for line in lines))
    rule = server.lie(r"QRESYNC \(|CHANGEDSINCE|^UID FETCH 1:\d+ \(UID FLAGS", cut, times=1)
    mount.start()
    wait_until(lambda: rule.told == 1, 30, "the cut")
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [1, 2], 30, "the expunge")
    for uid in (1, 2):
        assert mount.flags(mount.message("INBOX", uid)) == {"\\Flagged"}


def test_vanished_of_strangers(lying):
    """VANISHED (EARLIER) for the whole range of UIDs that never were: a bounded matter, and those
    that are stay. R251, R254"""
    def stranger(_session, _command, proceed):
        reply = proceed()
        reply.untagged.append(b"VANISHED (EARLIER) 4:4294967295")
        return reply
    server, mount = lying(QRESYNC)
    rule = server.lie(r"^SELECT|^UID FETCH", stranger)
    server.drop()
    server.flag("INBOX", 2, ["\\Flagged"])
    mount.sync()
    wait_until(lambda: mount.flags(mount.message("INBOX", 2)) == {"\\Flagged"}, 30, "flags")
    assert rule.told > 0
    all_here(mount)


def test_modseq_without_flags(lying):
    """A silent STORE answered by MODSEQ alone does not clear the flags. R187, R196"""
    server, mount = lying(QRESYNC,
                          prepare=lambda server: server.flag("INBOX", 2, ["\\Answered"]))
    os.setxattr(mount.message("INBOX", 2), "user.imap.flag.Flagged", b"1")
    mount.sync()
    assert server.flags("INBOX", 2) == {"\\Answered", "\\Flagged"}
    assert mount.flags(mount.message("INBOX", 2)) == {"\\Answered", "\\Flagged"}


@pytest.mark.parametrize("level", [CONDSTORE, QRESYNC], ids=["condstore", "qresync"])
def test_another_uidvalidity(lying, level):
    """Another UIDVALIDITY forgets HIGHESTMODSEQ with the rest. R033, R180, R189"""
    server, mount = lying(level)
    server.new_uidvalidity("INBOX")
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [101, 102, 103], 30, "the new UIDs")
    for n in (1, 2, 3):
        assert read(mount.message("INBOX", 100 + n)) == mail(n)
    server.flag("INBOX", 102, ["\\Flagged"])
    mount.sync()
    wait_until(lambda: mount.flags(mount.message("INBOX", 102)) == {"\\Flagged"}, 30, "flags")


def test_unchanged_is_not_fetched(lying):
    """Where nothing has moved, no flags are fetched. R156, R176, R177"""
    server, mount = lying(QRESYNC)
    before = len(server.transcript)
    mount.sync()
    mount.sync()
    fetched = [line for _, line in server.transcript[before:] if line.startswith("UID FETCH")]
    assert fetched == []
