# SPDX-License-Identifier: MIT
"""The server of a history, as a second client sees it, with the faults of its network."""

import collections
import copy

from tools.imapd import Imapd
from tools.imapd_parse import Cut, Reply

Held = collections.namedtuple("Held", "uid flags data")

CAPABILITIES = [
    [],
    ["UIDPLUS"],
    ["UIDPLUS", "MOVE", "UNSELECT", "LITERAL+"],
    ["UIDPLUS", "MULTIAPPEND", "LITERAL+", "UNSELECT"],
    ["UIDPLUS", "MOVE", "MULTIAPPEND", "UNSELECT", "LITERAL+", "ENABLE", "CONDSTORE"],
    ["UIDPLUS", "MOVE", "MULTIAPPEND", "UNSELECT", "LITERAL+", "ENABLE", "CONDSTORE", "QRESYNC",
     "IDLE"],
]

COMMANDS = ["APPEND", "UID STORE", "UID (COPY|MOVE)", "UID EXPUNGE|EXPUNGE", "UID FETCH",
            "UID SEARCH", "SELECT|EXAMINE", "STATUS", "LIST", "CREATE|DELETE|RENAME", "."]

REFUSALS = ["NO [INUSE] not now", "NO [UNAVAILABLE] not now", "NO [NOPERM] never",
            "NO [OVERQUOTA] full", "NO no"]


def _unheard(_session, _command, _proceed):
    raise Cut()


def _unanswered(_session, _command, proceed):
    proceed()
    raise Cut()


def _half_answered(_session, _command, proceed):
    reply = proceed()
    text = b"".join(b"* " + u + b"\r\n" for u in reply.untagged)
    raise Cut(text[:len(text) // 2])


def _bye(_session, _command, _proceed):
    raise Cut(b"* BYE come back later\r\n")


CUTS = [_unheard, _unanswered, _half_answered, _bye]


class Memory:
    """The server in memory: what the network does to it is done by lies about commands."""

    speed = 60    # of the program's clock
    options = {}  # of the program

    def __init__(self, rng, boxes):
        self.rng, self.boxes = rng, boxes
        self.capabilities = rng.choice(CAPABILITIES)
        self.uidplus = "UIDPLUS" in self.capabilities
        self.imapd = Imapd(boxes, self.capabilities)
        self.imapd.mailboxes["Trash"].attributes = ["\\Trash"]
        self.imapd.strict = True
        self.imapd.noise = rng.random() < 0.2
        self.port = self.imapd.port

    def close(self):
        self.imapd.close()

    def transcript(self):
        return list(self.imapd.transcript)

    def mark(self, text):
        """Into the transcript."""
        self.imapd.transcript.append(("--", text))

    def names(self):
        with self.imapd.lock:
            return sorted(self.imapd.mailboxes)

    def snapshot(self):
        with self.imapd.lock:
            return {name: [Held(m.uid, frozenset(m.flags), m.data) for m in box.messages]
                    for name, box in self.imapd.mailboxes.items()}

    def validities(self):
        with self.imapd.lock:
            return {name: box.uidvalidity for name, box in self.imapd.mailboxes.items()}

    def deliver(self, box, data, flags):
        with self.imapd.lock:
            if box not in self.imapd.mailboxes:
                return False
            self.imapd.append(box, data, flags)
            return True

    def _has(self, box, uid):
        return box in self.imapd.mailboxes and \
            any(m.uid == uid for m in self.imapd.mailboxes[box].messages)

    def flag(self, box, uid, add, remove):
        with self.imapd.lock:
            if not self._has(box, uid):
                return False
            self.imapd.flag(box, uid, add, remove)
            return True

    def expunge(self, box, uid):
        with self.imapd.lock:
            if not self._has(box, uid):
                return False
            self.imapd.remove(box, uid)
            return True

    def move(self, box, uid, target):
        with self.imapd.lock:
            if not self._has(box, uid) or target not in self.imapd.mailboxes:
                return False
            message = self.imapd.mailboxes[box].by_uid(uid)
            self.imapd.append(target, message.data, message.flags, message.date)
            self.imapd.remove(box, uid)
            return True

    def renumber(self, box):
        """Sessions that have it selected see what it was until they end, as on a real server."""
        with self.imapd.lock:
            if box not in self.imapd.mailboxes:
                return False
            held = copy.copy(self.imapd.mailboxes[box])
            held.messages = [copy.copy(m) for m in held.messages]
            self.rng.shuffle(held.messages)
            held.uidvalidity = next(self.imapd.validities)
            for uid, message in enumerate(held.messages, 1):
                message.uid = uid
            held.uidnext = len(held.messages) + 1
            self.imapd.mailboxes[box] = held
        self.imapd.drop()
        return True

    def drop(self):
        self.imapd.drop()

    def cut(self, rng):
        """The link is lost at some command to come."""
        pattern, action, after = rng.choice(COMMANDS), rng.choice(CUTS), rng.randrange(4)
        self._later(pattern, action, after, 1)
        return f"{action.__name__} {pattern} after {after}"

    def refuse(self, rng):
        pattern, text = rng.choice(COMMANDS[:5] + COMMANDS[-2:-1]), rng.choice(REFUSALS)
        self._later(pattern, lambda *_: Reply(tagged=text), rng.randrange(2), rng.randrange(1, 4))
        return f"{text} to {pattern}"

    def _later(self, pattern, action, after, times):
        count = [0]

        def lie(session, command, proceed):
            if command.name in ("LOGIN", "AUTHENTICATE", "LOGOUT", "IDLE"):
                return proceed()
            count[0] += 1
            if count[0] <= after or count[0] > after + times:
                return proceed()
            return action(session, command, proceed)
        self.imapd.lie(f"^({pattern})", lie)

    def heal(self):
        with self.imapd.lock:
            self.imapd.rules.clear()
