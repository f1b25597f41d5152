# SPDX-License-Identifier: MIT
"""The servers that tests can be run against, and what a proxy makes of them."""

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
    """on_command hook: each n-th command is refused, whatever it is."""

    def __init__(self, n, answer="NO [UNAVAILABLE] not now"):
        self.n, self.answer, self.count, self.refused = n, answer, 0, 0

    def __call__(self, _link, tag, name, _line):
        if not tag or re.fullmatch(NEVER_REFUSED, name):
            return None
        self.count += 1
        if self.count % self.n:
            return None
        self.refused += 1
        return f"{tag} {self.answer}\r\n".encode()
