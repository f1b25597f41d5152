# SPDX-License-Identifier: MIT
"""An IMAP client that shares no code with the program under test."""

import email.utils
import imaplib
import re
import socket
import time
from dataclasses import dataclass

from . import mutf7

imaplib._MAXLINE = 50_000_000  # a search or a flag list of a big mailbox is one line


@dataclass(frozen=True)
class Message:
    uid: int
    flags: frozenset
    date: int
    data: bytes
    size: int

    @property
    def message_id(self):
        found = re.search(rb"(?im)^message-id:\s*(\S+)", self.data)
        return found.group(1).decode() if found else ""


class ClientError(Exception):
    """The server said NO or BAD."""


class Client:
    """`prefix` and `delimiter`: a mailbox "A/B" of the tests is called prefix + "A.B" there."""

    def __init__(self, port, user="test", password="secret", host="127.0.0.1", prefix="",
                 delimiter="/"):
        self.prefix, self.delimiter = prefix, delimiter
        self.imap = imaplib.IMAP4(host, port, timeout=60)
        # imaplib writes a literal and its line apart, and the second write would wait for the peer
        self.imap.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._check(self.imap.login(user, password))

    @staticmethod
    def _check(answer):
        if answer[0] != "OK":
            raise ClientError(answer)
        return answer[1]

    def close(self):
        try:
            self.imap.logout()
        except (OSError, imaplib.IMAP4.error):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def quote(self, mailbox):
        if mailbox != "INBOX":
            mailbox = self.prefix + mailbox.replace("/", self.delimiter)
        name = mutf7.encode(mailbox).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}"'

    def mailboxes(self):
        """Names of what can be selected."""
        return self._names(self._check(self.imap.list()))

    def _names(self, rows):
        names = []
        for row in rows:
            if not row:
                continue
            if isinstance(row, tuple):
                attributes, name = row[0].decode(), row[1].decode()
            else:
                match = re.match(rb'\(([^)]*)\) (?:"[^"]*"|NIL) (.*)$', row)
                attributes, name = match.group(1).decode(), match.group(2).decode()
                if name.startswith('"'):
                    name = re.sub(r"\\(.)", r"\1", name[1:-1])
            if "\\noselect" not in attributes.lower():
                name = mutf7.decode(name)
                if name != "INBOX":
                    name = name.removeprefix(self.prefix).replace(self.delimiter, "/")
                names.append(name)
        return names

    def select(self, mailbox, readonly=False):
        return int(self._check(self.imap.select(self.quote(mailbox), readonly))[0])

    def create(self, mailbox, use=None):
        if use:
            self._check(self.imap._simple_command("CREATE", self.quote(mailbox), f"(USE ({use}))"))
        else:
            self._check(self.imap.create(self.quote(mailbox)))

    def create_with_parents(self, mailbox, there):
        """`there`: the names known to exist, added to."""
        parts = mailbox.split("/")
        for n in range(1, len(parts) + 1):
            name = "/".join(parts[:n])
            if name not in there:
                self.create(name)
                there.add(name)

    def delete(self, mailbox):
        self._check(self.imap.delete(self.quote(mailbox)))

    def subscribe(self, mailbox):
        self._check(self.imap.subscribe(self.quote(mailbox)))

    def unsubscribe(self, mailbox):
        """Also of one that is not subscribed."""
        self.imap.unsubscribe(self.quote(mailbox))

    def subscribed(self):
        return self._names(self._check(self.imap.lsub()))

    def rename(self, old, new):
        self._check(self.imap.rename(self.quote(old), self.quote(new)))

    def status(self, mailbox, item="MESSAGES"):
        """Of the mailbox as it is now, also when it is the selected one."""
        self._check(self.imap.noop())
        row = self._check(self.imap.status(self.quote(mailbox), f"({item})"))[0]
        return int(re.search(rb"(\d+)\)$", row).group(1))

    def append(self, mailbox, data, flags=(), date=None):
        """Returns the UID."""
        when = imaplib.Time2Internaldate(time.time() if date is None else date)
        self.imap.literal = data  # as it is: append() would mend its line ends
        self._check(self.imap._simple_command("APPEND", self.quote(mailbox),
                                              f"({' '.join(flags)})", when))
        code = self.imap.untagged_responses.pop("APPENDUID", None)
        return int(code[-1].split()[1]) if code else None

    def uids(self, criterion="ALL"):
        self._check(self.imap.noop())
        return [int(u) for u in self._check(self.imap.uid("SEARCH", None, criterion))[0].split()]

    def store(self, uids, change, flags):
        """change is +FLAGS or -FLAGS."""
        if not uids:
            return
        uids = ",".join(map(str, uids))
        self._check(self.imap.uid("STORE", uids, change, f"({' '.join(flags)})"))

    def expunge(self, uids):
        self.store(uids, "+FLAGS.SILENT", ["\\Deleted"])
        if "UIDPLUS" in self.imap.capabilities:
            self._check(self.imap.uid("EXPUNGE", ",".join(map(str, uids))))
        else:
            self._check(self.imap.expunge())

    def fetch(self, uids=None, body=True, batch=200):
        """{uid: Message} of the selected mailbox; never sets \\Seen."""
        self._check(self.imap.noop())  # some tell of others' changes only then
        uids = self.uids() if uids is None else list(uids)
        found = {}
        for at in range(0, len(uids), batch):
            part = ",".join(map(str, uids[at:at + batch]))
            items = "(UID FLAGS INTERNALDATE RFC822.SIZE" + (" BODY.PEEK[])" if body else ")")
            found.update(self._parse(self._check(self.imap.uid("FETCH", part, items))))
        return found

    @staticmethod
    def _parse(rows):
        found = {}
        i = 0
        while i < len(rows):
            row, data = rows[i], b""
            i += 1
            if isinstance(row, tuple):
                head, data = row
                while i < len(rows) and isinstance(rows[i], bytes):
                    head += rows[i]
                    i += 1
            else:
                head = row or b""
            uid = re.search(rb"UID (\d+)", head)
            date = re.search(rb'INTERNALDATE "([^"]+)"', head)
            if not uid or not date:
                continue
            flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1).decode().split()
            size = int(re.search(rb"RFC822.SIZE (\d+)", head).group(1))
            when = email.utils.mktime_tz(email.utils.parsedate_tz(date.group(1).decode()))
            found[int(uid.group(1))] = Message(int(uid.group(1)), frozenset(flags) - {"\\Recent"},
                                               when, data, size)
        return found

    def account(self, body=True):
        """{mailbox: {uid: Message}} of everything."""
        result = {}
        for name in self.mailboxes():
            self.select(name, readonly=True)
            result[name] = self.fetch(body=body)
        return result
