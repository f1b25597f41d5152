# SPDX-License-Identifier: MIT
"""An account of a real server, as a second client sees it, with the faults of its network."""

import imaplib
import re

from servers import COMMANDS, REFUSALS, Held
from tools.client import Client, ClientError
from tools.proxy import CUT, Proxy

REFUSED = (ClientError, imaplib.IMAP4.error)

# what the proxy hides of it; the codes go with the words
HIDDEN = [(), (), ("QRESYNC",), ("CONDSTORE", "QRESYNC"), ("MOVE",), ("MOVE", "UIDPLUS"),
          ("IDLE", "NOTIFY", "MULTIAPPEND"), ("CONDSTORE", "QRESYNC", "MOVE", "UIDPLUS", "LITERAL+")]


class Real:
    """One user of the server that listens on `port`; a proxy is the network."""

    speed = 30

    def __init__(self, rng, boxes, port, user):
        self.rng = rng
        self.options = {"user": user}
        self.client = Client(port, user)
        self.client.imap._get_capabilities()  # more than before the login
        there = set(self.client.mailboxes())
        for box in boxes:
            self.client.create_with_parents(box, there)
        self.boxes = sorted(there)
        hidden = rng.choice(HIDDEN)
        self.uidplus = "UIDPLUS" not in hidden
        self.capabilities = [f"without {word}" for word in hidden]
        self.later = []  # [pattern, what is done about it, commands before, times]
        self.lines = []
        self.proxy = Proxy(port, hide=hidden, strip_codes=() if self.uidplus else ("APPENDUID", "COPYUID"),
                           on_command=self._command, on_reply=self._reply, record=True)
        self.port = self.proxy.port

    def close(self):
        self.proxy.close()
        self.client.close()

    def transcript(self):
        return list(self.lines)

    def mark(self, text):
        self.lines.append(("--", text))

    # What the second client sees and does

    def names(self):
        return sorted(self.client.mailboxes())

    def snapshot(self):
        held = {}
        for name in self.names():
            self.client.select(name, readonly=True)
            held[name] = [Held(m.uid, m.flags, m.data) for m in self.client.fetch().values()]
            self.client.imap.unselect()
        return held

    def validities(self):
        return {name: self.client.status(name, "UIDVALIDITY") for name in self.names()}

    def deliver(self, box, data, flags):
        try:
            self.client.append(box, data, sorted(flags))
            return True
        except REFUSED:
            return False

    def _on(self, box, uid, action):
        """Whether the message was there to be changed."""
        try:
            self.client.select(box)
        except REFUSED:
            return False
        there = uid in self.client.uids()
        if there:
            action()
        self.client.imap.unselect()
        return there

    def flag(self, box, uid, add, remove):
        def change():
            self.client.store([uid] if add else [], "+FLAGS.SILENT", add)
            self.client.store([uid] if remove else [], "-FLAGS.SILENT", remove)
        return self._on(box, uid, change)

    def expunge(self, box, uid):
        return self._on(box, uid, lambda: self.client.expunge([uid]))

    def move(self, box, uid, target):
        return target in self.names() and self._on(box, uid, lambda: self.client.imap.uid(
            "MOVE", str(uid), self.client.quote(target)))

    def renumber(self, _box):
        """No client can."""
        return False

    # The network

    def drop(self):
        self.proxy.drop()

    def cut(self, rng):
        """The link is lost at some command to come: it is not heard, not answered, or half so."""
        pattern, after = rng.choice(COMMANDS), rng.randrange(4)
        how = rng.choice(["unheard", "unanswered", rng.randrange(300)])
        self.later.append([re.compile(pattern), how, after, 1])
        return f"{how} {pattern} after {after}"

    def refuse(self, rng):
        pattern, text = rng.choice(COMMANDS[:5] + COMMANDS[-2:-1]), rng.choice(REFUSALS)
        self.later.append([re.compile(pattern), text, rng.randrange(2), rng.randrange(1, 4)])
        return f"{text} to {pattern}"

    def heal(self):
        self.later = []
        with self.proxy.lock:
            self.proxy.cut_at.clear()

    def _command(self, link, tag, name, line):
        self.lines.append((link.number, line.decode("latin-1").split(" ", 1)[-1].rstrip()))
        if name in ("LOGIN", "AUTHENTICATE", "LOGOUT", "IDLE"):
            return None
        for rule in self.later:
            if not rule[0].match(name) or rule[3] == 0:
                continue
            if rule[2] > 0:
                rule[2] -= 1
                continue
            if rule[1] == "unanswered":
                continue  # that is for its reply
            rule[3] -= 1
            if rule[1] == "unheard":
                return CUT
            if isinstance(rule[1], int):
                self.proxy.cut_after("down", rule[1])
                return None
            return f"{tag} {rule[1]}\r\n".encode()
        return None

    def _reply(self, _link, _tag, name, _line, _command):
        for rule in self.later:
            if rule[1] == "unanswered" and rule[3] > 0 and rule[2] == 0 and rule[0].match(name):
                rule[3] -= 1
                return CUT
        return None
