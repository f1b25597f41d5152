# SPDX-License-Identifier: MIT
"""Realistic messages, the same ones for the same seed."""

import base64
import email.header
import email.utils
import math
import random
from dataclasses import dataclass

MAILBOXES = (  # name, share of the messages
    ("INBOX", 30),
    ("Archive/2024/Lists", 22),
    ("Archive/2024", 14),
    ("Archive/2023", 10),
    ("Sent", 8),
    ("Projects/R&D 100%", 5),
    ("Entwürfe", 3),
    ("受信", 3),
    ("Drafts", 2),
    ("Trash", 3),
)
MEDIAN = 6000
SPREAD = math.sqrt(2 * math.log(5))  # log-normal: the mean is five times the median
LARGEST = 8_000_000
FIRST_DATE = 1_600_000_000

PEOPLE = (
    "Alice Example <alice@example.org>", "Bob Beispiel <bob@example.com>",
    "Jörg Müller <joerg@example.de>", "山田 太郎 <taro@example.jp>",
    "Zoë Ångström <zoe@example.se>", "\"Quoted, Name\" <quoted@example.net>",
    "Build Robot <ci@lists.example.org>", "Ольга Иванова <olga@example.ru>",
)
SUBJECTS = (
    "Invoice {n}", "Re: Meeting on Thursday", "[list] patch {n}: fix the lexer",
    "Grüße aus Köln", "請求書 {n}", "Quarterly report {n} 📈", "Fwd: holiday pictures",
    "Ваш заказ {n}", "a/b testing results", "(no subject)", "Minutes 50% done; next: {n}",
    "A subject so long that its header has to be folded over more than a single line of {n}",
)
KEYWORDS = ("$Work", "$Forwarded", "Later", "NonJunk")
WORDS = ("the mail server keeps every message until somebody deletes it while the local copy "
         "follows what other clients did and nothing is ever lost when the train enters a "
         "tunnel naïve façade Straße 東京 привет ελληνικά emoji 🎉 needle").split()


@dataclass(frozen=True)
class Mail:
    data: bytes
    date: int         # INTERNALDATE, seconds since 1970
    flags: frozenset  # system flags with their backslash
    message_id: str


def encoded(text):
    """A header value, as encoded words where it is not ASCII."""
    if text.isascii():
        return text
    return email.header.Header(text, "utf-8", maxlinelen=70).encode(linesep="\r\n")


def address(person):
    name, addr = email.utils.parseaddr(person)
    return f"{encoded(name)} <{addr}>" if not name.isascii() else person


class Generator:
    """mail(i) is the i-th message; the same for every Generator of that seed."""

    def __init__(self, seed=1, legal=str, whole_lines=False):
        self.seed = seed
        self.whole_lines = whole_lines  # a server adds the end of the last line
        self.legal = legal  # what a server makes of the name of a mailbox
        rng = random.Random(f"pool {seed}")
        text = []
        while sum(map(len, text)) < 400_000:
            text.append(" ".join(rng.choices(WORDS, k=rng.randint(3, 11))))
        self.lines = text
        self.text = ("\r\n".join(text)).encode()
        raw = base64.b64encode(rng.randbytes(4_000_000))
        self.blob = b"\r\n".join(raw[i:i + 76] for i in range(0, len(raw), 76))

    def kept(self, data):
        """What the server makes of the bytes of a message."""
        return data if data.endswith(b"\n") or not self.whole_lines else data + b"\r\n"

    def message_id(self, i):
        return f"<{self.seed}.{i:06d}.{(i * 2654435761) % 0xffffffff:08x}@example.org>"

    def mail(self, i, size=None):
        rng = random.Random(f"{self.seed} {i}")
        if size is None:
            size = min(LARGEST, int(rng.lognormvariate(math.log(MEDIAN), SPREAD)))
        date = FIRST_DATE + i * 7919 + rng.randint(0, 3000)
        head = self._head(rng, i, date)
        room = max(200, size - len(head) - 300)
        if room > 12_000 and rng.random() < 0.85:
            data = self._multipart(rng, head, room, i)
        elif rng.random() < 0.15:
            data = self._quoted(rng, head, room)
        else:
            data = (head + b"Content-Type: text/plain; charset=utf-8\r\n"
                    b"Content-Transfer-Encoding: 8bit\r\n\r\n" + self._text(rng, room))
        if rng.random() < 0.02 and not self.whole_lines:
            data = data.rstrip(b"\r\n")  # a last line without its end
        flags = {f for f, p in (("\\Seen", 0.7), ("\\Answered", 0.15), ("\\Flagged", 0.05))
                 if rng.random() < p}
        return Mail(data, date, frozenset(flags), self.message_id(i))

    def _head(self, rng, i, date):
        lines = [
            f"Return-Path: <bounce-{i}@lists.example.org>",
            f"Received: from mx{i % 7}.example.org (mx.example.org [192.0.2.{i % 250}])\r\n"
            f"\tby mail.example.org (Postfix) with ESMTPS id {i:010X}\r\n"
            f"\tfor <test@example.org>; {email.utils.formatdate(date)}",
            f"Message-ID: {self.message_id(i)}",
            f"Date: {email.utils.formatdate(date - rng.randint(0, 600))}",
            f"From: {address(rng.choice(PEOPLE))}",
            f"To: {', '.join(address(p) for p in rng.sample(PEOPLE, rng.randint(1, 3)))}",
            f"Subject: {encoded(rng.choice(SUBJECTS).format(n=i))}",
        ]
        if i > 10 and rng.random() < 0.5:
            parent = self.message_id(i - rng.randint(1, 10))
            lines += [f"In-Reply-To: {parent}", f"References: {parent}"]
        if rng.random() < 0.3:
            lines.append("List-Id: A list <list.example.org>")
        lines.append("MIME-Version: 1.0")
        return ("\r\n".join(lines) + "\r\n").encode()

    def _text(self, rng, size):
        start = rng.randrange(len(self.lines) // 2)
        start = sum(len(line.encode()) + 2 for line in self.lines[:start])
        text = self.text[start:start + size]
        while len(text) < size:
            text += b"\r\n" + self.text[:size - len(text)]
        end = text.rfind(b"\r\n")
        return text[:end if end > 0 else None].rstrip(b"\r") + b"\r\n"

    def _quoted(self, rng, head, size):
        import quopri
        text = quopri.encodestring(self._text(rng, size).replace(b"\r\n", b"\n"))
        return (head + b"Content-Type: text/plain; charset=utf-8\r\n"
                b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                + text.replace(b"\n", b"\r\n"))

    def _multipart(self, rng, head, size, i):
        bound = b"=_part_%08x" % rng.getrandbits(32)
        start = rng.randrange(10_000) * 78
        blob = self.blob[start:start + size * 3 // 4]
        while len(blob) < size * 3 // 4:
            blob += b"\r\n" + self.blob[:size]
        blob = blob[:size * 3 // 4 // 78 * 78]
        name = rng.choice(("scan.pdf", "=?utf-8?q?Gr=C3=BC=C3=9Fe=2Ejpg?=", "data.bin"))
        return b"".join((
            head, b'Content-Type: multipart/mixed; boundary="', bound, b'"\r\n\r\n',
            b"This is a message in MIME format.\r\n--", bound,
            b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
            self._text(rng, max(200, size // 4)), b"--", bound,
            b"\r\nContent-Type: application/octet-stream\r\n",
            b"Content-Disposition: attachment; filename=\"%s\"\r\n" % name.encode(),
            b"Content-Transfer-Encoding: base64\r\n\r\n", blob, b"\r\n--", bound, b"--\r\n"))

    def account(self, count):
        """`count` (mailbox, Mail) pairs spread over MAILBOXES."""
        rng = random.Random(f"boxes {self.seed}")
        names = [self.legal(name) for name, _ in MAILBOXES]
        shares = [share for _, share in MAILBOXES]
        for i in range(count):
            box = names[i] if i < len(names) else rng.choices(names, shares)[0]
            yield box, self.mail(i)
