# SPDX-License-Identifier: MIT
"""Messages that leave the mount: to a local directory, to another account."""

import os
import re
import subprocess

from lies import UIDPLUS, mail, read
from tools import imapd
from tools.mount import wait_until


def mv(source, target):
    return subprocess.run(["mv", source, target], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode


def test_out_of_the_mount(lying, place):
    """What is here is not fetched again, its date goes along, and only then does it go there.
    R056, R057, R058"""
    server, mount = lying(UIDPLUS, delete="expunge")
    path = mount.message("INBOX", 2)
    assert read(path) == mail(2)
    date = os.stat(path).st_mtime
    before = len(server.transcript)
    target = os.path.join(place, "out.eml")
    assert mv(path, target) == 0
    mount.sync()
    assert read(target) == mail(2)
    assert os.stat(target).st_mtime == date
    assert mail(2) not in server.bodies("INBOX")
    wire = [line for _, line in server.transcript[before:]]
    assert not [line for line in wire if "BODY" in line]
    assert [line for line in wire if re.match("UID (STORE|EXPUNGE)", line)]


def test_what_cannot_be_read_is_not_deleted(lying, place):
    """The body does not come: the move fails and the server's message stays. R056"""
    server, mount = lying(UIDPLUS, mailboxes=("INBOX", "Later"), delete="expunge")
    server.lie(r"BODY\.PEEK\[\]", imapd.refuse("NO not now"))
    server.append("Later", mail(9))
    wait_until(lambda: mount.messages("Later") == [1], 30, "the message is listed")
    assert mv(mount.message("Later", 1), os.path.join(place, "out.eml")) != 0
    assert not os.path.exists(os.path.join(place, "out.eml")) or \
        read(os.path.join(place, "out.eml")) != mail(9)
    mount.sync()
    assert server.bodies("Later") == [mail(9)]


def test_to_another_account(lying):
    """From one mount to another whose server hangs up on each upload, and whose program is killed:
    it is in this account's trash all the while, and arrives there once. R060, R061"""
    here, mount = lying(UIDPLUS, prepare=lambda s: s.create("Trash", "\\Trash"))
    there, other = lying(UIDPLUS, name="b")
    os.setxattr(mount.message("INBOX", 2), "user.imap.flags", b"+Flagged +$Work")
    rule = there.lie("^APPEND", imapd.bye())
    source, target = mount.message("INBOX", 2), os.path.join(other.point, "INBOX", "moved.eml")
    flags = os.getxattr(source, "user.imap.flags")
    assert mv(source, target) == 0
    os.setxattr(target, "user.imap.flags", flags)
    mount.sync()
    assert mail(2) in here.bodies("Trash")
    other.kill()
    rule.remove()
    other.start()
    other.sync()
    assert there.bodies("INBOX").count(mail(2)) == 2  # the one that it had, and this
    assert "$Work" in there.flags("INBOX", 4)
