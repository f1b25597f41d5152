# SPDX-License-Identifier: MIT
"""How the server in memory reads commands, sets and search keys, and what it may answer."""

import email.parser
import email.utils
import re
import time

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Syntax(Exception):
    """The command makes no sense: BAD."""


class Refused(Exception):
    """Ends a command with NO or BAD: str() is the text after the tag."""


class Cut(Exception):
    """Drops the connection, after sending `data`."""

    def __init__(self, data=b""):
        super().__init__()
        self.data = data


class Reply:
    """What a command answers: untagged lines (without "* " and CRLF) and the tagged one, or none
    (None).  `raw` are pieces of bytes that go before them as they are, while other sessions go on;
    `cut`: the connection ends behind all that."""

    def __init__(self, untagged=(), tagged="OK done", raw=(), cut=False):
        self.untagged = [u if isinstance(u, bytes) else u.encode() for u in untagged]
        self.tagged, self.raw, self.cut = tagged, raw, cut

    def without(self, pattern):
        """The same without the untagged lines that match."""
        kept = [u for u in self.untagged if not re.search(pattern.encode(), u)]
        return Reply(kept, self.tagged)


class Command:
    """tag, name ("UID FETCH"), args (str atoms, bytes strings, lists), line (text, no tag)."""

    def __init__(self, pieces):
        text, self.literals = b"", []
        for piece, literal in pieces:
            text += piece
            if literal is not None:
                text += b"\0%d\0" % len(self.literals)
                self.literals.append(literal)
        self.tag, _, rest = text.decode("utf-8", "surrogateescape").partition(" ")
        shown = re.sub("\0(\\d+)\0", lambda m: "{%d}" % len(self.literals[int(m[1])]), rest)
        self.line = shown
        name, _, rest = rest.partition(" ")
        if name.upper() == "UID":
            second, _, rest = rest.partition(" ")
            name += " " + second
        self.name = name.upper()
        self.args, end = self._list(rest, 0, "")
        if end != len(rest):
            raise Syntax("unbalanced")

    @classmethod
    def like(cls, other, args):
        """The same command with other arguments."""
        made = cls.__new__(cls)
        made.__dict__.update(other.__dict__, args=list(args))
        return made

    def _list(self, text, at, close):
        items = []
        while at < len(text) and text[at] != (close or "\n"):
            if text[at] == " ":
                at += 1
                continue
            item, at = self._item(text, at)
            items.append(item)
        if close and at >= len(text):
            raise Syntax("unbalanced")
        return items, at

    def _item(self, text, at):
        if text[at] == "(":
            items, at = self._list(text, at + 1, ")")
            return items, at + 1
        if text[at] == '"':
            found = re.compile(r'"((?:\\.|[^"\\])*)"').match(text, at)
            if not found:
                raise Syntax("open string")
            value = re.sub(r"\\(.)", r"\1", found[1])
            return value.encode("utf-8", "surrogateescape"), found.end()
        if text.startswith("~\0", at):
            at += 1
        if text[at] == "\0":
            end = text.index("\0", at + 1)
            return self.literals[int(text[at + 1:end])], end + 1
        found = re.compile(r"(?:[^\s()\[\]\"{]|\[[^\]]*\])+").match(text, at)
        if not found:
            raise Syntax(f"strange character at {at}")
        return found[0], found.end()


def read_command(stream, write):
    """Reads a command with its literals; None at the end.  Says "+" for a synchronising literal."""
    pieces = []
    while True:
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            return None
        found = re.search(rb"\{(\d+)(\+?)\}\r\n$", line)
        if not found:
            pieces.append((line[:-2], None))
            return Command(pieces)
        if not found[2]:
            write(b"+ go on\r\n")
        size = int(found[1])
        literal = stream.read(size)
        if len(literal) < size:
            return None
        pieces.append((line[:found.start()], literal))


def text_of(arg):
    return arg.decode("utf-8", "surrogateescape") if isinstance(arg, bytes) else arg


def sequence_set(text, largest):
    """A function that tells whether a number is in the set; "*" is the largest one."""
    ranges = []
    for part in text.split(","):
        if not re.fullmatch(r"(\d+|\*)(:(\d+|\*))?", part):
            raise Syntax(f"bad set {text}")
        ends = [largest if e == "*" else int(e) for e in part.split(":")]
        if 0 in ends and largest:
            raise Syntax("zero")
        ranges.append((min(ends), max(ends)))
    return lambda n: any(low <= n <= high for low, high in ranges)


def set_text(numbers):
    return ",".join(map(str, numbers))


def date_of(text):
    """Seconds of an APPEND's date."""
    return email.utils.mktime_tz(email.utils.parsedate_tz(
        re.sub(r"^ ?(\d+)-(\w+)-(\d+)", r"\1 \2 \3", text)))


def date_text(seconds):
    t = time.gmtime(seconds)
    return f"{t.tm_mday:2d}-{MONTHS[t.tm_mon - 1]}-{t.tm_year} {t.tm_hour:02d}:{t.tm_min:02d}:" \
           f"{t.tm_sec:02d} +0000"


def day_of(text):
    day, month, year = text.split("-")
    return int(year), MONTHS.index(month.title()) + 1, int(day)


def header_of(data):
    return data[:data.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in data else data


def matches(keys, message, number, largest):
    """Whether the message fulfils all search keys; `largest` = (number, UID)."""
    keys = list(keys)
    while keys:
        if not one_key(keys, message, number, largest):
            return False
    return True


def one_key(keys, message, number, largest):
    key = keys.pop(0)
    if isinstance(key, list):
        return matches(key, message, number, largest)
    key = text_of(key).upper()
    flags = {f.upper() for f in message.flags}
    simple = {"ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN"}
    if key == "ALL":
        return True
    if key in simple:
        return "\\" + key in flags
    if key.startswith("UN") and key[2:] in simple:
        return "\\" + key[2:] not in flags
    if key == "NOT":
        return not one_key(keys, message, number, largest)
    if key == "OR":
        first = one_key(keys, message, number, largest)
        return one_key(keys, message, number, largest) or first
    if re.match(r"[\d*]", key):
        return sequence_set(key, largest[0])(number)
    return key_with_value(key, keys, message, flags, largest)


def key_with_value(key, keys, message, flags, largest):
    value = text_of(keys.pop(0))
    if key == "UID":
        return sequence_set(value, largest[1])(message.uid)
    if key in ("KEYWORD", "UNKEYWORD"):
        return (value.upper() in flags) == (key == "KEYWORD")
    if key == "MODSEQ":
        if value.startswith("/flags/"):
            keys.pop(0)
            value = text_of(keys.pop(0))
        return message.modseq >= int(value)
    if key == "SMALLER":
        return message.size < int(value)
    if key == "LARGER":
        return message.size > int(value)
    if key in ("ON", "SINCE", "BEFORE"):
        own, wanted = tuple(time.gmtime(message.date)[:3]), day_of(value)
        return {"ON": own == wanted, "SINCE": own >= wanted, "BEFORE": own < wanted}[key]
    if key == "HEADER":
        wanted = text_of(keys.pop(0)).lower()
        parsed = email.parser.BytesHeaderParser().parsebytes(header_of(message.data))
        return any(wanted in str(v).lower() for v in parsed.get_all(value, []))
    raise Syntax(f"unknown search key {key}")


def fetch_section(message, section, partial):
    """The bytes of BODY[section]<partial>; None for NIL."""
    data = message.body
    if data is None:
        return None
    if section.upper().startswith("HEADER.FIELDS"):
        words = [w.lower() for w in re.search(r"\((.*)\)", section)[1].replace('"', "").split()]
        wanted = ".NOT" not in section.upper()
        lines = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header_of(data))
        data = b"".join(l for l in lines if (l.split(b":")[0].decode("latin-1").lower() in words)
                        == wanted) + b"\r\n"
    elif section.upper() == "HEADER":
        data = header_of(data)
    elif section.upper() == "TEXT":
        data = data[len(header_of(data)):]
    elif section:
        raise Syntax(f"unknown section {section}")
    if partial:
        start, _, count = partial.partition(".")
        data = data[int(start):int(start) + int(count)]
    return data
