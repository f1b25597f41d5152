# SPDX-License-Identifier: MIT
"""An IMAP4rev1 server in memory, honest by itself, that tells the lies a test asks for.

    with Imapd(["INBOX", "Work"]) as server:
        server.append("INBOX", b"Subject: x\\r\\n\\r\\nbody\\r\\n")
        server.lie(r"^UID COPY", lambda session, command, proceed: Reply(tagged="NO [LIMIT] no"))

A lie is called in place of each command that matches, with the session, the Command and
proceed(), which carries the command out and returns its honest Reply to be changed and returned.
A message's `size` and `body` may differ from its data.  Only what `capabilities` names is offered
(of UIDPLUS MOVE UNSELECT IDLE LITERAL+ MULTIAPPEND ENABLE CONDSTORE QRESYNC); a command that is not answers BAD, as do commands with
message numbers and CLOSE where `strict` is set, since a client of ours never sends them.
"""

import hashlib
import itertools
import re
import socket
import threading
import time

from .imapd_parse import Cut, Reply
from .imapd_session import Session


class Message:
    def __init__(self, uid, data, flags, date):
        self.uid, self.data, self.flags, self.date = uid, data, set(flags), date
        self.modseq = 1
        self.size = len(data)  # RFC822.SIZE
        self.body = data       # what FETCH gives; None: NIL
        self.emailid = "M" + hashlib.sha1(data).hexdigest()
        self.labels = []       # of Gmail, as the wire has them


class Mailbox:
    def __init__(self, name, uidvalidity):
        self.name, self.uidvalidity, self.uidnext = name, uidvalidity, 1
        self.mailboxid = f"F{uidvalidity}"
        self.rights = "lrswipkxtea"     # what MYRIGHTS says; not enforced
        self.messages = []
        self.expunged = []      # (mod-sequence, UID)
        self.highestmodseq = 1  # None: the mailbox has none
        self.attributes = []
        self.append_limit = None
        self.sticky = True      # False: each SELECT gives it a new UIDVALIDITY (RFC 4315 3)
        self.permanent = r"\Answered \Flagged \Deleted \Seen \Draft \*"

    def add(self, data, flags=(), date=None):
        message = Message(self.uidnext, data, flags, date or time.time())
        self.uidnext += 1
        self.messages.append(message)
        self.touch(message)
        return message

    def _next_modseq(self):
        if self.highestmodseq is not None:
            self.highestmodseq += 1
        return self.highestmodseq

    def touch(self, message):
        """The message has changed."""
        message.modseq = self._next_modseq()

    def remove(self, uids):
        gone = [m.uid for m in self.messages if m.uid in uids]
        if gone:
            modseq = self._next_modseq()
            self.expunged += [(modseq, uid) for uid in gone]
        self.messages = [m for m in self.messages if m.uid not in uids]

    def by_uid(self, uid):
        return next(m for m in self.messages if m.uid == uid)


class Imapd:
    def __init__(self, mailboxes=("INBOX",), capabilities=(), user="test", password="secret"):
        self.lock = threading.Condition(threading.RLock())
        self.capabilities = ["IMAP4rev1", *capabilities]
        self.user, self.password = user, password
        self.validities = itertools.count(1000)
        self.mailboxes = {}
        self.subscribed = set()
        self.quota_bytes = None
        self.strict = False
        self.greeting = None    # gives the pieces of bytes that greet, in place of the usual line
        self.noise = False      # says much that need not be said before each tagged reply
        self.transcript = []    # (connection, command without its tag)
        self.rules = []
        self.sessions = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.closing = False
        for name in mailboxes:
            self.create(name)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with self.lock:
            self.closing = True
            self.lock.notify_all()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop()

    def drop(self):
        """Cuts all connections."""
        for session in list(self.sessions):
            session.hang_up()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, connection, len(self.sessions) + 1)
            self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def create(self, name, *attributes):
        with self.lock:
            box = self.mailboxes[name] = Mailbox(name, next(self.validities))
            box.attributes = list(attributes)
            return box

    def rename(self, old, new):
        """By another client, with all below it."""
        with self.lock:
            for name in [n for n in self.mailboxes if n == old or n.startswith(old + "/")]:
                box = self.mailboxes.pop(name)
                box.name = new + name[len(old):]
                self.mailboxes[box.name] = box

    def append(self, name, data, flags=(), date=None):
        """A message that comes from elsewhere."""
        with self.lock:
            message = self.mailboxes[name].add(data, flags, date)
            self.lock.notify_all()
            return message

    def remove(self, name, *uids):
        with self.lock:
            self.mailboxes[name].remove(uids)
            self.lock.notify_all()

    def flag(self, name, uid, add=(), remove=()):
        """Another client changes flags."""
        with self.lock:
            box = self.mailboxes[name]
            message = box.by_uid(uid)
            message.flags = (message.flags | set(add)) - set(remove)
            box.touch(message)
            self.lock.notify_all()

    def new_uidvalidity(self, name):
        """As after a restored backup: the same messages, other UIDs."""
        self.renumber(self.mailboxes[name], 101)
        self.drop()

    def renumber(self, box, first):
        with self.lock:
            box.uidvalidity = next(self.validities)
            for i, message in enumerate(box.messages):
                message.uid = first + i
            box.uidnext = first + len(box.messages)

    def used_bytes(self):
        return sum(len(m.data) for box in self.mailboxes.values() for m in box.messages)

    def bodies(self, name):
        """The messages' bytes, oldest first."""
        with self.lock:
            return [m.data for m in self.mailboxes[name].messages]

    def flags(self, name, uid):
        with self.lock:
            return set(self.mailboxes[name].by_uid(uid).flags)

    def label(self, name, uid, labels):
        """Gmail's labels, by another client; in modified UTF-7."""
        with self.lock:
            box = self.mailboxes[name]
            box.by_uid(uid).labels = labels
            box.touch(box.by_uid(uid))

    def lie(self, pattern, action, times=None):
        """Returns the rule: rule.told counts, rule.remove() ends it."""
        rule = Rule(self, re.compile(pattern, re.I | re.S), action, times)
        with self.lock:
            self.rules.append(rule)
        return rule

    def rule_for(self, line):
        for rule in self.rules:
            if (rule.times is None or rule.told < rule.times) and rule.pattern.search(line):
                rule.told += 1
                return rule
        return None

    def seen(self, pattern):
        """The commands so far that match, as text."""
        with self.lock:
            return [line for _, line in self.transcript if re.search(pattern, line, re.I | re.S)]


class Rule:
    def __init__(self, server, pattern, action, times):
        self.server, self.pattern, self.action, self.times = server, pattern, action, times
        self.told = 0

    def remove(self):
        with self.server.lock:
            self.server.rules.remove(self)


def refuse(text):
    """A lie: the command is answered with NO, nothing done."""
    return lambda session, command, proceed: Reply(tagged="NO " + text)


def pretend(text="OK done"):
    """A lie: the command is answered with OK, nothing done."""
    return lambda session, command, proceed: Reply(tagged=text)


def hide(pattern):
    """A lie: done, but the untagged lines that match are missing."""
    return lambda session, command, proceed: proceed().without(pattern)


def half_done(text="NO half of it"):
    """A lie: done, and answered with NO."""
    def action(_session, _command, proceed):
        reply = proceed()
        reply.tagged = text
        return reply
    return action


def truncated(keep=1, ending=b""):
    """A lie: only `keep` untagged lines arrive, then the link is lost."""
    def action(_session, _command, proceed):
        reply = proceed()
        raise Cut(b"".join(b"* " + u + b"\r\n" for u in reply.untagged[:keep]) + ending)
    return action


def bye(text="go away"):
    """A lie: BYE instead of an answer."""
    def action(_session, _command, _proceed):
        raise Cut(f"* BYE {text}\r\n".encode())
    return action


def twice(session, command, proceed):
    """A lie: every number of a SEARCH is named twice, in falling order."""
    del session, command
    reply = proceed()
    for i, line in enumerate(reply.untagged):
        if line.startswith(b"SEARCH"):
            numbers = sorted(line.split()[1:] * 2, key=int, reverse=True)
            reply.untagged[i] = b" ".join([b"SEARCH", *numbers])
    return reply

