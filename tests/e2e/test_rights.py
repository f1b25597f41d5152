# SPDX-License-Identifier: MIT
"""Rights in a mailbox (RFC 4314) as mode bits, and as an errno at once."""

import errno
import os
import shutil

import pytest

from lies import UIDPLUS, mail, read, write
from tools.mount import wait_until


def error_of(call, *args):
    with pytest.raises(OSError) as caught:
        call(*args)
    return caught.value.errno


def mode(path):
    return os.stat(path).st_mode & 0o777


def nothing_pending(mount):
    return mount.run("queue", mount.point).stdout == ""


def test_who_may_only_mark(lying):
    """What the server would refuse is refused before it is logged; marking as read is not.
    The rights are those of RFC 4314. R235"""
    def prepare(server):
        server.mailboxes["Work"].rights = "lrs"
        server.append("Work", mail(9))
    server, mount = lying([*UIDPLUS, "ACL"], prepare=prepare)
    work = os.path.join(mount.point, "Work")
    path = mount.message("Work", 1)
    assert (mode(work), mode(path)) == (0o500, 0o600)
    assert os.getxattr(work, "user.imap.rights") == b"lrs"
    assert error_of(os.unlink, path) == errno.EACCES
    assert error_of(os.rename, path, os.path.join(mount.point, "INBOX", "x.eml")) == errno.EACCES
    assert error_of(write, os.path.join(work, "new.eml"), mail(10)) == errno.EACCES
    assert error_of(write, path, mail(10)) == errno.EACCES
    assert error_of(os.mkdir, os.path.join(work, "Sub")) == errno.EACCES
    assert error_of(os.setxattr, path, "user.imap.flags", b"+Flagged") == errno.EACCES
    assert nothing_pending(mount)
    os.setxattr(path, "user.imap.flags", b"+Seen")
    shutil.copy(path, os.path.join(mount.point, "INBOX", "copy.eml"))
    mount.sync()
    assert server.flags("Work", 1) == {"\\Seen"}
    assert server.bodies("INBOX").count(mail(9)) == 1


def test_rights_are_given(lying):
    """They are asked for again with each connection; the kernel is told of the modes."""
    def prepare(server):
        server.mailboxes["Work"].rights = "lr"
        server.append("Work", mail(9))
    server, mount = lying([*UIDPLUS, "ACL"], prepare=prepare)
    path = mount.message("Work", 1)
    assert mode(path) == 0o400
    server.mailboxes["Work"].rights = "lrswipcda"
    server.drop()
    wait_until(lambda: mode(path) == 0o600, 30, "the new rights")
    os.unlink(path)
    mount.sync()
    assert server.bodies("Work") == []


@pytest.mark.parametrize("extension", ["", "LIST-MYRIGHTS"])
def test_not_offered_not_asked(lying, extension):
    """Without ACL every right is there and no command is sent."""
    server, mount = lying([*UIDPLUS, extension] if extension else UIDPLUS)
    assert mode(mount.message("INBOX", 1)) == 0o600
    assert server.seen("MYRIGHTS") == []


@pytest.mark.dovecot("reads a global ACL")
def test_dovecot_with_a_global_acl(make_server, make_mount, generator, place):
    """A real server: a mailbox that its owner may only read."""
    acl = os.path.join(place, "acl")
    write(acl, b"Readonly owner lr\n")
    os.chmod(acl, 0o644)
    letter = generator.mail(1)
    server = make_server([("Readonly", letter)], extra=f"""
mail_plugins = $mail_plugins acl
protocol imap {{
  mail_plugins = $mail_plugins acl imap_acl
}}
plugin {{
  acl = vfile:{acl}
}}
""")
    mount = make_mount(server.port)
    mount.sync()
    [path] = [os.path.join(mount.point, "Readonly", n)
              for n in os.listdir(os.path.join(mount.point, "Readonly"))]
    assert read(path) == letter.data
    assert mode(os.path.dirname(path)) == 0o500
    assert error_of(os.unlink, path) in (errno.EACCES, errno.EROFS)
    assert error_of(write, os.path.join(os.path.dirname(path), "n.eml"), mail(1)) in (
        errno.EACCES, errno.EROFS)
    assert nothing_pending(mount)
