# SPDX-License-Identifier: MIT
"""What the tests against a lying server share."""

from tools.mount import wait_until

UIDPLUS = ["UIDPLUS", "UNSELECT", "LITERAL+"]
CONDSTORE = [*UIDPLUS, "ENABLE", "CONDSTORE"]
QRESYNC = [*CONDSTORE, "QRESYNC"]


def mail(n, size=200):
    head = f"From: Alice <a@example.org>\r\nTo: b@example.org\r\nSubject: mail {n}\r\n" \
           f"Message-ID: <{n}@lies.example.org>\r\nDate: Mon, 1 Jun 2020 10:00:00 +0000\r\n\r\n"
    line = f"{n:08d} and the rest of a line that is long enough\r\n"
    return (head + line * (size // len(line) + 1)).encode()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def status(mount):
    return mount.run("status", mount.point, check=False).returncode


def wait_parked(mount):
    wait_until(lambda: status(mount) == 2, 30, "parked")


def leave(server, mount):
    """Offline, and nothing that was sent before is still to come."""
    mount.run("pause", mount.point)
    wait_until(lambda: all(session.over.is_set() for session in list(server.sessions)), 30, "no connection")


def parked(mount):
    """The rows of parked actions: [number, kind, path, age, tries, state, error]."""
    rows = [line.split("\t") for line in mount.run("queue", mount.point).stdout.splitlines()]
    return [row for row in rows if row[5] not in ("queued", "sent")]


def retry(mount):
    for row in parked(mount):
        mount.run("queue", mount.point, "retry", row[0])


def all_here(mount):
    assert mount.messages("INBOX") == [1, 2, 3]
    for n in (1, 2, 3):
        assert read(mount.message("INBOX", n)) == mail(n)
