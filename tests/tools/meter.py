# SPDX-License-Identifier: MIT
"""What a resynchronisation costs on the wire, and accounts to measure it with."""

import collections

from .mail import Generator
from .proxy import Proxy

Cost = collections.namedtuple("Cost", "turnarounds up down")


class Meter:
    """A proxy that counts from one command to IDLE.  Where many links are made, the last one counts."""

    def __init__(self, port, since="signed in", **options):
        self.since = since
        self.start = self.end = None
        self.proxy = Proxy(port, record=True, on_command=self._command, on_reply=self._reply, **options)
        self.port = self.proxy.port

    def _now(self):
        return Cost(self.proxy.turnarounds, self.proxy.bytes["up"], self.proxy.bytes["down"])

    def _command(self, _link, _tag, name, _line):
        if name == self.since and not self.start:
            self.start = self._now()
        if name == "IDLE" and self.start and not self.end:
            self.end = self._now()

    def _reply(self, _link, _tag, name, _line, _command):
        if self.since == "signed in" and name in ("AUTHENTICATE", "LOGIN"):
            self.start, self.end = self._now(), None

    def reset(self):
        self.start = self.end = None

    def cost(self):
        """So far, or up to the IDLE behind it."""
        return Cost(*(b - a for a, b in zip(self.start, self.end or self._now())))

    def close(self):
        self.proxy.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def many_mailboxes(mailboxes, messages, size=300):
    """(mailbox, Mail) pairs, as many in each."""
    generator = Generator()
    for i in range(messages):
        n = i % mailboxes
        yield ("INBOX" if n == 0 else f"Box {n:03d}"), generator.mail(i, size=size)


def one_mailbox(messages, size=200):
    generator = Generator()
    mail = generator.mail(0, size=size)
    for _ in range(messages):
        yield "Big", mail
