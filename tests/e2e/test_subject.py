# SPDX-License-Identifier: MIT
"""`-o names=subject` against what Python's own decoder says of the same headers."""

import email
import email.header
import os
import re
import unicodedata

from tools.mount import wait_until


def words(data, field):
    """A header field's letters and digits: what a name has to tell, however it is spaced."""
    text = str(email.header.make_header(email.header.decode_header(
        email.message_from_bytes(data)[field] or "")))
    return [w for w in re.split(r"[\W_]+", unicodedata.normalize("NFC", text)) if w]


def names_in(box):
    """Of messages."""
    return [name for name in os.listdir(box) if name.endswith(".eml")]


def test_subjects(make_server, make_mount, generator):
    mails = [generator.mail(i, size=800) for i in range(60)]
    mount = make_mount(make_server([("INBOX", m) for m in mails]).port, names="subject")
    mount.sync()
    box = mount.path("INBOX")
    wait_until(lambda: not any(n[:-4].isdigit() for n in names_in(box)), 60, "names by subject")
    found = {int(n.rsplit("[", 1)[1].split("]")[0]): n for n in names_in(box)}
    assert sorted(found) == list(range(1, 61))
    for uid, name in found.items():
        with open(os.path.join(box, name), "rb") as f:
            data = f.read()
        assert data == mails[uid - 1].data
        told = re.split(r"[\W_]+", unicodedata.normalize("NFC", name))
        missing = [w for w in words(data, "Subject") if w not in told]
        assert missing == [] or len(name.encode()) > 220, (name, missing)
        with open(os.path.join(box, f"{uid}.eml"), "rb") as f:
            assert f.read() == data
    before = sorted(names_in(box))
    mount.remount()
    mount.sync()
    assert sorted(names_in(box)) == before
    mount.options["names"] = "uid"
    mount.remount()
    wait_until(lambda: sorted(names_in(box)) == sorted(f"{n}.eml" for n in range(1, 61)), 60,
               "names by UID again")
