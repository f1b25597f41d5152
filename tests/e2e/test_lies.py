# SPDX-License-Identifier: MIT
"""Against a server that says what is not so: nothing is lost, nothing is done twice."""

import os
import re

import pytest

from lies import UIDPLUS, all_here, mail, parked, read, retry, status, wait_parked, write
from tools import imapd
from tools.imapd import Reply
from tools.mount import wait_until

def pass_through(mount, rule):
    """A whole pass after the lie was told."""
    wait_until(lambda: rule.told > 0, 30, "the lie told")
    rule.remove()
    mount.sync()


def test_sizes(lying):
    """RFC822.SIZE too small, too large, or absurd: a reader gets exactly the message, cached or
    not. R106, R306"""
    def prepare(server):
        for message, size in zip(server.mailboxes["INBOX"].messages, (7, 100_000, 5_000_000_000)):
            message.size = size
    _, mount = lying(prepare=prepare, sync="headers")
    for n in (1, 2, 3):
        path = mount.message("INBOX", n)
        assert read(path) == mail(n)
        assert os.stat(path).st_size == len(mail(n))
    mount.remount()
    all_here(mount)


def test_body_nil(lying):
    """A body that the server cannot give is an error, not an empty message; the next read may
    succeed. R154"""
    def prepare(server):
        server.mailboxes["INBOX"].by_uid(2).body = None
    server, mount = lying(prepare=prepare, sync="headers")
    with pytest.raises(OSError):
        read(mount.message("INBOX", 2))
    assert read(mount.message("INBOX", 1)) == mail(1)
    server.mailboxes["INBOX"].by_uid(2).body = mail(2)
    wait_until(lambda: _readable(mount.message("INBOX", 2)), 30, "readable again")
    all_here(mount)


def _readable(path):
    try:
        return read(path)
    except OSError:
        return b""


def test_uidvalidity_keeps_uploads(lying):
    """New UIDs while offline: uploads arrive once each, no old UID is used, the flag change is
    shown as failed. R014, R015, R016, R017, R020, R034, R036, R322"""
    server, mount = lying(UIDPLUS)
    mount.run("pause", mount.point)
    for n in (11, 12, 13):
        write(mount.path("INBOX", f"new {n}.eml"), mail(n))
    os.setxattr(mount.message("INBOX", 2), "user.imap.flag.Flagged", b"1")
    server.new_uidvalidity("INBOX")
    before = len(server.transcript)
    mount.run("resume", mount.point)
    wait_until(lambda: len(server.bodies("INBOX")) == 6, 30, "three uploads")
    wait_until(lambda: {101, 102, 103} <= set(mount.messages("INBOX")), 30, "new UIDs shown")
    assert sorted(server.bodies("INBOX")) == sorted(mail(n) for n in (1, 2, 3, 11, 12, 13))
    assert not {1, 2, 3} & set(mount.messages("INBOX"))
    assert server.flags("INBOX", 102) == set()
    for _, line in server.transcript[before:]:
        assert not re.match(r"UID (STORE|COPY|MOVE|EXPUNGE) [123]\b", line), line
    assert status(mount) == 2
    assert len(parked(mount)) == 1 and parked(mount)[0][6], parked(mount)


def test_empty_list(lying):
    """A LIST that is empty, once or for a whole pass, deletes nothing. R154"""
    server, mount = lying()
    rule = server.lie(r"^LIST", imapd.pretend())
    mount.run("sync", "--timeout", "3s", mount.point, check=False)
    assert rule.told > 0
    assert {"INBOX", "Work"} <= set(os.listdir(mount.point))
    all_here(mount)
    pass_through(mount, rule)
    assert {"INBOX", "Work"} <= set(os.listdir(mount.point))
    all_here(mount)


def test_mailbox_missing_once(lying):
    """A mailbox that one LIST leaves out stays, and so do its messages. R154"""
    server, mount = lying(prepare=lambda server: server.append("Work", mail(9)))
    rule = server.lie(r"^LIST", imapd.hide('"Work"'), times=1)
    mount.run("sync", "--timeout", "5s", mount.point, check=False)
    assert rule.told == 1
    assert read(mount.message("Work", 1)) == mail(9)
    mount.sync()
    assert read(mount.message("Work", 1)) == mail(9)


@pytest.mark.parametrize("lie", [imapd.truncated(1), imapd.truncated(0, b"* 1 FETCH (UI"),
                                 imapd.refuse("[SERVERBUG] not now"), imapd.bye()])
def test_half_a_pull(lying, lie):
    """A listing of the old messages that is cut, refused or ends in BYE removes none; the next
    one completes. R099, R291"""
    server, mount = lying()
    rule = server.lie(r"^UID (FETCH|SEARCH)", lie, times=2)
    server.append("INBOX", mail(4))
    wait_until(lambda: rule.told == 2, 40, "the lie told")
    all_names = set(mount.messages("INBOX"))
    assert {1, 2, 3} <= all_names
    wait_until(lambda: mount.messages("INBOX") == [1, 2, 3, 4], 60, "the next pull")
    assert read(mount.message("INBOX", 4)) == mail(4)


def test_shrunken_exists(lying):
    """EXISTS and STATUS that claim fewer messages than there are remove none. R154"""
    server, mount = lying()

    def fewer(_session, _command, proceed):
        reply = proceed()
        reply.untagged = [re.sub(rb"^\d+ EXISTS", b"1 EXISTS", u) for u in reply.untagged]
        reply.untagged = [re.sub(rb"MESSAGES \d+", b"MESSAGES 1", u) for u in reply.untagged]
        return reply
    rule = server.lie(r"^(SELECT|EXAMINE|STATUS)", fewer)
    server.drop()
    mount.run("sync", "--timeout", "5s", mount.point, check=False)
    assert rule.told > 0
    all_here(mount)
    pass_through(mount, rule)
    all_here(mount)


def test_no_uidnext(lying):
    """A server that never says UIDNEXT: new mail is found all the same. R105, R104"""
    def prepare(server):
        server.lie(r"^(SELECT|EXAMINE)", imapd.hide("UIDNEXT"))

        def forget(_session, _command, proceed):
            reply = proceed()
            reply.untagged = [re.sub(rb"UIDNEXT \d+ ?", b"", u) for u in reply.untagged]
            return reply
        server.lie(r"^STATUS", forget)
    server, mount = lying(prepare=prepare)
    all_here(mount)
    server.append("INBOX", mail(4))
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [1, 2, 3, 4], 30, "the new one")
    assert read(mount.message("INBOX", 4)) == mail(4)


def test_search_with_duplicates(lying):
    """SEARCH answers that name messages twice and backwards. R103"""
    server, mount = lying(prepare=lambda server: server.lie(r"^UID SEARCH", imapd.twice))
    server.remove("INBOX", 2)
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [1, 3], 30, "the expunge")
    assert read(mount.message("INBOX", 3)) == mail(3)


def trash(server):
    server.create("Trash", "\\Trash")


def source_kept(server):
    """Message 1 is where it was, not marked, nothing expunged."""
    assert mail(1) in server.bodies("INBOX")
    assert server.flags("INBOX", 1) == set()
    assert server.seen(r"^UID STORE \S+ \+FLAGS\S* \(?\\Deleted|EXPUNGE") == []


@pytest.mark.parametrize("capabilities", [[], UIDPLUS], ids=["base", "uidplus"])
def test_copy_refused(lying, capabilities):
    """rm into the trash where the copy is refused: the source stays. R150, R153, R279"""
    server, mount = lying(capabilities, prepare=trash)
    server.lie(r"^UID COPY", imapd.refuse("[CANNOT] no such thing"))
    os.unlink(mount.message("INBOX", 1))
    wait_parked(mount)
    source_kept(server)
    assert server.bodies("Trash") == []


@pytest.mark.parametrize("capabilities", [[], UIDPLUS], ids=["base", "uidplus"])
def test_copy_pretended(lying, capabilities):
    """OK to a COPY that did nothing and shows no COPYUID: the source stays. R148, R270, R279,
    R320"""
    server, mount = lying(capabilities, prepare=trash)
    rule = server.lie(r"^UID COPY", imapd.pretend())
    os.unlink(mount.message("INBOX", 1))
    wait_until(lambda: rule.told > 0, 30, "the lie told")
    mount.run("sync", "--timeout", "5s", mount.point, check=False)
    source_kept(server)


def test_copy_done_but_refused(lying):
    """NO to a COPY that was carried out: the source stays until the copy is proven; in no case
    is the message lost. R154, R279"""
    server, mount = lying(UIDPLUS, prepare=trash)
    rule = server.lie(r"^UID COPY", imapd.half_done("NO [SERVERBUG] half"), times=1)
    os.unlink(mount.message("INBOX", 1))
    wait_until(lambda: rule.told > 0, 30, "the lie told")
    mount.run("sync", "--timeout", "10s", mount.point, check=False)
    assert mail(1) in server.bodies("INBOX") + server.bodies("Trash")


def test_copy_into_the_trash(lying):
    """Without UIDPLUS and MOVE, told the truth: the message is in the trash once, and what
    another client has marked is still marked and there. R048, R074, R223, R268, R279"""
    server, mount = lying(prepare=trash)
    server.flag("INBOX", 2, ["\\Deleted"])
    os.unlink(mount.message("INBOX", 1))
    mount.sync()
    assert server.bodies("Trash") == [mail(1)]
    assert server.bodies("INBOX") == [mail(2), mail(3)]
    assert server.flags("INBOX", 2) == {"\\Deleted"}
    assert server.seen(r"^UID (MOVE|EXPUNGE)") == []


def test_expunge_emulated(lying):
    """Without UIDPLUS the five steps, in order, and others' marks as before. R074, R076, R077,
    R078, R079, R080, R268"""
    server, mount = lying(delete="expunge")
    server.flag("INBOX", 2, ["\\Deleted"])
    os.unlink(mount.message("INBOX", 1))
    mount.sync()
    assert server.bodies("INBOX") == [mail(2), mail(3)]
    assert server.flags("INBOX", 2) == {"\\Deleted"}
    steps = server.seen(r"^UID SEARCH.* DELETED|^UID STORE|^EXPUNGE")
    order = [r"UID SEARCH", r"UID STORE 2 -FLAGS", r"EXPUNGE$", r"UID STORE 2 \+FLAGS"]
    at = 0
    for pattern in order:
        while at < len(steps) and not re.match(pattern, steps[at], re.I):
            at += 1
        assert at < len(steps), (pattern, steps)


def test_marks_owed_to_others_are_not_forgotten(lying):
    """The link breaks while others' messages are unmarked, and the mailbox cannot be opened at once:
    they have their marks again in the end. R078, R079, R080"""
    server, mount = lying(delete="expunge")
    server.flag("INBOX", 2, ["\\Deleted"])
    closed = []

    def cut(session, command, proceed):
        closed.append(server.lie("^SELECT", imapd.refuse("[UNAVAILABLE] not now"), times=1))
        return imapd.truncated(0)(session, command, proceed)
    server.lie("^EXPUNGE", cut, times=1)
    os.unlink(mount.message("INBOX", 1))
    wait_until(lambda: closed and closed[0].told == 1, 30, "refused")
    wait_until(lambda: server.flags("INBOX", 2) == {"\\Deleted"}, 60, "marked again")
    mount.sync()
    assert server.bodies("INBOX") == [mail(2), mail(3)]


def test_expunge_pretended(lying):
    """OK to a UID EXPUNGE that does nothing: the message is not taken for gone for ever. R154"""
    server, mount = lying(UIDPLUS, delete="expunge")
    rule = server.lie(r"^UID EXPUNGE", imapd.pretend())
    os.unlink(mount.message("INBOX", 1))
    wait_until(lambda: rule.told > 0, 30, "the lie told")
    mount.run("sync", "--timeout", "3s", mount.point, check=False)
    assert mail(1) in server.bodies("INBOX")
    assert server.seen(r"^EXPUNGE") == []


def test_trycreate(lying):
    """A missing target parks the upload with its choices, the rest goes on, the bytes stay; a
    retry after the cause is mended uploads it once. R142, R143, R152, R153, R232, R280, R323"""
    server, mount = lying(UIDPLUS)
    rule = server.lie(r'^APPEND "?Work', imapd.refuse("[TRYCREATE] no such mailbox"))
    path = mount.path("Work", "report.eml")
    write(path, mail(20))
    write(mount.path("INBOX", "other.eml"), mail(21))
    wait_until(lambda: mail(21) in server.bodies("INBOX"), 30, "the other one")
    wait_parked(mount)
    assert read(path) == mail(20)
    assert os.getxattr(path, "user.imap.error")
    told = rule.told
    assert [row[2] for row in parked(mount)] == ["Work/report.eml"]
    text = mount.run("status", mount.point, check=False).stdout
    for choice in ("retry", "drop", "retarget"):
        assert choice in text, text
    mount.run("sync", "--timeout", "3s", mount.point, check=False)
    assert rule.told == told  # not tried again by itself
    rule.remove()
    retry(mount)
    mount.sync()
    assert server.bodies("Work") == [mail(20)]
    assert status(mount) == 0


def test_over_quota(lying):
    """Over quota: parked, readable, and uploaded by a retry when there is room. R154, R280"""
    server, mount = lying(UIDPLUS)
    server.quota_bytes = server.used_bytes()
    path = mount.path("INBOX", "big.eml")
    write(path, mail(30, 5000))
    wait_parked(mount)
    assert read(path) == mail(30, 5000)
    assert b"room" in os.getxattr(path, "user.imap.error").lower()
    server.quota_bytes = None
    retry(mount)
    mount.sync()
    assert server.bodies("INBOX").count(mail(30, 5000)) == 1
    assert read(path) == mail(30, 5000)
    assert status(mount) == 0


def test_move_over_quota(lying):
    """There is room for no copy: MOVE needs none, and no COPY is tried in its place. R278"""
    server, mount = lying([*UIDPLUS, "MOVE"])
    server.create("Work")
    mount.sync()
    server.quota_bytes = server.used_bytes()
    os.rename(mount.message("INBOX", 2), mount.path("Work", "2.eml"))
    mount.sync()
    assert server.bodies("Work") == [mail(2)]
    assert sorted(server.bodies("INBOX")) == sorted([mail(1), mail(3)])
    assert not server.seen("COPY")
    assert status(mount) == 0


def test_bye_on_one_upload(lying):
    """A server that hangs up on one message: the others arrive, and it does not go on for ever.
    R283"""
    server, mount = lying(UIDPLUS)
    poison = len(mail(40, 3000))
    rule = server.lie(rf"^APPEND .*\{{{poison}\}}", imapd.bye("I do not like it"))
    write(mount.path("INBOX", "poison.eml"), mail(40, 3000))
    write(mount.path("INBOX", "fine.eml"), mail(41))
    wait_until(lambda: mail(41) in server.bodies("INBOX"), 60, "the other one")
    rule.remove()
    assert read(mount.path("INBOX", "poison.eml")) == mail(40, 3000)
    assert server.bodies("INBOX").count(mail(41)) == 1


def test_noise(lying):
    """Unsolicited data before every tagged reply, unknown codes and responses among it: a day's
    work comes out as ever. R225, R226, R304, R309"""
    def prepare(server):
        server.noise = True
        server.create("Trash", "\\Trash")
    server, mount = lying(UIDPLUS, prepare=prepare)
    os.setxattr(mount.message("INBOX", 2), "user.imap.flag.Flagged", b"1")
    os.unlink(mount.message("INBOX", 1))
    write(mount.path("Work", "new.eml"), mail(50))
    mount.sync()
    server.append("INBOX", mail(4))
    server.remove("INBOX", 3)
    mount.sync()
    wait_until(lambda: mount.messages("INBOX") == [2, 4], 30, "both changes")
    assert server.flags("INBOX", 2) == {"\\Flagged"}
    assert server.bodies("Trash") == [mail(1)]
    assert server.bodies("Work") == [mail(50)]


def test_expunge_in_the_middle(lying):
    """Another client expunges while our STORE is under way: numbers move, our change hits the
    message that was meant. R009, R101, R225, R231"""
    server, mount = lying(UIDPLUS)

    def expunge_first(_session, _command, proceed):
        server.remove("INBOX", 1)
        return proceed()
    server.lie(r"^UID STORE", expunge_first, times=1)
    os.setxattr(mount.message("INBOX", 2), "user.imap.flag.Flagged", b"1")
    mount.sync()
    assert server.flags("INBOX", 2) == {"\\Flagged"}
    assert server.flags("INBOX", 3) == set()
    wait_until(lambda: mount.messages("INBOX") == [2, 3], 30, "the expunge")


def test_answer_lost_after_append(lying):
    """The upload arrives and its answer does not: it is found, not sent again. R137, R138"""
    server, mount = lying(prepare=lambda server: server.create("Drafts"))

    def done_then_cut(_session, _command, proceed):
        proceed()
        raise imapd.Cut()
    rule = server.lie(r"^APPEND", done_then_cut, times=1)
    write(mount.path("Drafts", "letter.eml"), mail(60))
    wait_until(lambda: rule.told == 1, 30, "the cut")
    wait_until(lambda: status(mount) == 0, 60, "in step")
    assert server.bodies("Drafts") == [mail(60)]
    assert len(server.seen(r"^APPEND")) == 1


def test_append_pretended(lying):
    """OK to an APPEND that stored nothing: it is looked for before the bytes are let go, and
    stays readable here. R154, R270"""
    server, mount = lying()
    rule = server.lie(r"^APPEND", lambda *_: Reply(tagged="OK of course"), times=1)
    path = mount.path("Work", "letter.eml")
    write(path, mail(61))
    wait_until(lambda: rule.told == 1, 30, "the lie told")
    mount.run("sync", "--timeout", "10s", mount.point, check=False)
    assert read(path) == mail(61)
    assert server.bodies("Work") in ([], [mail(61)])
    if not server.bodies("Work"):
        assert status(mount) != 0


def test_another_mailbox(lying):
    """A parked upload goes to another mailbox when the user says so; dropped ones leave their
    bytes behind. R142, R153, R154"""
    server, mount = lying(UIDPLUS)
    server.lie(r'^APPEND "?Work', imapd.refuse("[TRYCREATE] no such mailbox"))
    write(mount.path("Work", "report.eml"), mail(20))
    wait_parked(mount)
    mount.run("queue", mount.point, "retarget", parked(mount)[0][0], "INBOX")
    wait_until(lambda: mail(20) in server.bodies("INBOX"), 30, "the upload elsewhere")
    wait_until(lambda: status(mount) == 0, 30, "in step")
    assert server.bodies("INBOX").count(mail(20)) == 1


def test_keywords_of_others_are_known_first(lying):
    """Courier stores all keywords of a message as the session knows them, and forgets those that
    another has set since: it is asked for news before it is told to."""
    server, mount = lying(UIDPLUS)
    os.setxattr(mount.message("INBOX", 2), "user.imap.flags", b"+$Work")
    mount.sync()
    assert "$Work" in server.flags("INBOX", 2)
    sent = server.seen("^(NOOP|UID STORE)")
    first = [line.startswith("UID STORE") for line in sent].index(True)
    assert first > 0 and sent[first - 1].startswith("NOOP"), sent
