# SPDX-License-Identifier: MIT
"""Messages named by sender and subject."""

import os

import pytest
from conftest import message, until


def title(number, uid=None):
    return f"2023-11-14 a@example.org - number {number} [{uid or number}].eml"


def names(probe, box="INBOX"):
    return sorted(os.listdir(probe.path(box)))


@pytest.fixture
def named(probe):
    probe.fill("INBOX", 1, message(1), message(2), message(3))
    probe.run("mail", "INBOX", 9, 500, "")
    probe.mount("subject")
    until(lambda: names(probe) == [title(1), title(2), title(3), "9.eml"])
    return probe


def test_stable(named):
    """Inodes, dates and names stay over a remount; the log is empty."""
    before = {n: (os.stat(named.path("INBOX", n)).st_ino, os.stat(named.path("INBOX", n)).st_mtime)
              for n in names(named)}
    assert named.stop() == 0
    named.mount("subject")
    assert {n: (os.stat(named.path("INBOX", n)).st_ino, os.stat(named.path("INBOX", n)).st_mtime)
            for n in names(named)} == before
    assert named.ops() == []


def test_found_by_uid(named):
    """The name it would have without the option leads to it, to read, to change and to remove."""
    assert named.read("INBOX", "2.eml") == message(2)
    assert os.stat(named.path("INBOX", "2.eml")).st_ino == os.stat(
        named.path("INBOX", title(2))).st_ino
    os.setxattr(named.path("INBOX", "2.eml"), "user.imap.flags", b"Flagged")
    assert os.getxattr(named.path("INBOX", title(2)), "user.imap.flags") == b"Flagged"
    os.unlink(named.path("INBOX", "3.eml"))
    assert names(named) == [title(1), title(2), "9.eml"]
    os.rename(named.path("INBOX", "1.eml"), named.path("Sent", "kept.eml"))
    assert names(named, "Sent") == ["kept.eml"] and names(named) == [title(2), "9.eml"]
    for name in ("4.eml", title(2, 5), "x [2].eml", "1.eml"):
        assert not os.path.exists(named.path("INBOX", name))


def test_body_arrives_later(named):
    path = named.path("INBOX", "9.eml")
    ino = os.stat(path).st_ino
    named.run("body", "INBOX", 9, named.file(message(9)))
    until(lambda: title(9) in names(named))
    assert os.stat(named.path("INBOX", title(9))).st_ino == ino
    assert "9.eml" not in names(named)


def test_new_mail(named):
    named.fill("INBOX", 20, message(20))
    until(lambda: any(n.endswith("[20].eml") or n == "20.eml" for n in names(named)))
    named.run("expunge", "INBOX", 1)
    until(lambda: not os.path.exists(named.path("INBOX", title(1))))


def test_names_of_users_stay(named):
    """What a user called a message, or a file, is not touched."""
    os.rename(named.path("INBOX", title(1)), named.path("INBOX", "one [7].eml"))
    with open(named.path("INBOX", "mine.eml"), "wb") as f:
        f.write(message(30))
    named.settle()
    until(lambda: 1 in named.kinds())
    assert named.stop() == 0
    named.mount("subject")
    assert {"mine.eml", "one [7].eml"} <= set(names(named))
    assert named.stop() == 0
    named.mount()
    until(lambda: "2.eml" in names(named) and "3.eml" in names(named))
    assert {"mine.eml", "one [7].eml"} <= set(names(named))


def test_back_to_uids(named):
    """Without the option the names are UIDs again; the others still lead to the messages."""
    assert named.stop() == 0
    named.mount()
    until(lambda: names(named) == ["1.eml", "2.eml", "3.eml", "9.eml"])
    assert named.read("INBOX", title(2)) == message(2)
    assert not os.path.exists(named.path("INBOX", title(2, 3)))
    assert named.stop() == 0
    named.mount()
    assert names(named) == ["1.eml", "2.eml", "3.eml", "9.eml"]
    assert not os.path.exists(named.path("INBOX", title(2)))
    assert named.ops() == []


def test_hostile_subjects(probe):
    """No subject gets out of its directory or hides another message."""
    subjects = ["../../etc/passwd", "..", "/", "a\tb\x07c", "x" * 5000, "=?utf-8?B?L2V0Yy8A?=", "",
                "\xff\xfe", "[2].eml", "=?utf-8?Q?=E2=80=AE?="]
    probe.fill("INBOX", 1, *[f"From: m@x\r\nSubject: {s}\r\n\r\nbody {i}\r\n".encode("latin-1")
                             for i, s in enumerate(subjects, 1)])
    probe.mount("subject")
    until(lambda: not any(n[0].isdigit() and n[:-4].isdigit() for n in names(probe)))
    found = names(probe)
    assert len(found) == len(subjects)
    for name in found:
        assert len(name.encode()) <= 255 and "/" not in name and name.isprintable()
        uid = name.rsplit("[", 1)[1].split("]")[0]
        assert probe.read("INBOX", name).endswith(f"body {uid}\r\n".encode())
