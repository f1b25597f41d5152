# SPDX-License-Identifier: MIT
"""The servers that tests can be run against, and what a proxy makes of them."""

import random
import re

from .courier import Courier
from .cyrus import Cyrus
from .dovecot import Dovecot
from .imap4d import Imap4d
from .proxy import Proxy

KINDS = {kind.name: kind for kind in (Dovecot, Cyrus, Courier, Imap4d)}
REV1_CODES = ("ALERT", "PARSE", "PERMANENTFLAGS", "READ-ONLY", "READ-WRITE", "TRYCREATE",
              "UIDNEXT", "UIDVALIDITY", "UNSEEN", "CAPABILITY")
BEYOND_REV1 = r"UID EXPUNGE|UID MOVE|ENABLE|IDLE|NAMESPACE|ID|UNSELECT|COMPRESS|GETQUOTA\w*|\w*ACL" \
    r"|GETMETADATA|SETMETADATA|NOTIFY|MYRIGHTS"
NEVER_REFUSED = r"LOGIN|AUTHENTICATE|LOGOUT|STARTTLS|CAPABILITY"


def rev1_proxy(port, **options):
    """A server of IMAP4rev1 and nothing else: neither said, nor answered."""
    proxy = Proxy(port, only=("IMAP4REV1",), codes=REV1_CODES, **options)
    proxy.refuse(BEYOND_REV1, "BAD unknown command")
    return proxy


class Flaky:
    """on_command hook: one command in n is refused, whatever it is.  Not each n-th: that could be
    the same one in each of a client's passes."""

    def __init__(self, n, answer="NO [UNAVAILABLE] not now", seed=1):
        self.n, self.answer, self.refused = n, answer, 0
        self.random = random.Random(seed)

    def __call__(self, _link, tag, name, _line):
        if not tag or re.fullmatch(NEVER_REFUSED, name):
            return None
        if self.random.randrange(self.n):
            return None
        self.refused += 1
        return f"{tag} {self.answer}\r\n".encode()
