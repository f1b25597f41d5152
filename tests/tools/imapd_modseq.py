# SPDX-License-Identifier: MIT
"""CONDSTORE and QRESYNC (RFC 7162) of the server in memory, where it is told to offer them."""

from .imapd_parse import Refused, Reply, sequence_set, set_text, text_of

REV2 = set("ENABLE ESEARCH IDLE LIST-EXTENDED LIST-STATUS LITERAL- MOVE NAMESPACE SASL-IR SEARCHRES "
           "STATUS=SIZE UIDPLUS UNSELECT".split())


class Modseq:
    """What a session knows of mod-sequences; the session has .server."""

    def __init__(self):
        self.condstore = False
        self.qresync = self.utf8 = self.rev2 = False
        self.notify = None      # what was told of mailboxes, by name; None: NOTIFY is off
        self.box = None
        self.view = []
        self.matched = []       # message numbers and UIDs of the last QRESYNC

    def offers(self, word):
        """Whether it may be used now; IMAP4rev2, alone or enabled, brings what it absorbed."""
        words = set(map(str.upper, self.server.capabilities))
        rev2 = "IMAP4REV2" in words and ("IMAP4REV1" not in words or self.rev2)
        return word.upper() in words or rev2 and word.upper() in REV2

    def do_enable(self, command):
        if self.box is not None:
            raise Refused("BAD too late")
        words = [w for w in map(str.upper, command.args) if self.offers(w)]
        self.qresync = self.qresync or "QRESYNC" in words
        self.condstore = self.condstore or bool({"CONDSTORE", "QRESYNC"} & set(words))
        self.rev2 = self.rev2 or "IMAP4REV2" in words
        self.utf8 = self.utf8 or bool({"IMAP4REV2", "UTF8=ACCEPT"} & set(words))
        return Reply([" ".join(["ENABLED", *words])])

    def speaks_utf8(self):
        return self.utf8 or not self.offers("IMAP4rev1")

    def numbers(self):
        return {name: (box.uidvalidity, box.uidnext, len(box.messages), box.highestmodseq)
                for name, box in self.server.mailboxes.items()}

    def do_notify(self, command):
        self.notify = None if command.args[0].upper() == "NONE" else self.numbers()
        return Reply()

    def notices(self):
        """RFC 5465: STATUS and LIST of what is not selected."""
        if self.notify is None:
            return []
        now, before, lines = self.numbers(), self.notify, []
        self.notify = now
        for name in sorted(now.keys() | before.keys()):
            if name not in now:
                lines.append(f'LIST (\\NonExistent) "/" "{self.shown(name)}"'.encode())
            elif name not in before:
                lines.append(f'LIST () "/" "{self.shown(name)}"'.encode())
            elif now[name] != before[name] and (self.box is None or self.box.name != name):
                validity, uidnext, messages, _ = now[name]
                lines.append(f'STATUS "{self.shown(name)}" (MESSAGES {messages} UIDNEXT {uidnext} '
                             f'UIDVALIDITY {validity})'.encode())
        return lines

    def modseq_of(self, box):
        return box.highestmodseq if self.offers("CONDSTORE") or self.offers("QRESYNC") else None

    def modseq_code(self):
        """For the tagged OK of EXPUNGE."""
        return f"[HIGHESTMODSEQ {self.box.highestmodseq}] " \
            if self.qresync and self.box.highestmodseq else ""

    def news_items(self):
        return ["UID", "FLAGS", "MODSEQ"] if self.condstore else ["UID", "FLAGS"]

    def gone_lines(self, gone):
        """[(number, UID)], highest number first, as VANISHED or EXPUNGE."""
        if self.qresync and gone:
            return [f"VANISHED {set_text(uid for _, uid in gone)}".encode()]
        return [b"%d EXPUNGE" % number for number, _ in gone]

    def select_modseq(self, parameters):
        """The lines that SELECT says of mod-sequences; obeys its parameters."""
        words = [text_of(p).upper() if not isinstance(p, list) else p for p in parameters]
        if "CONDSTORE" in words:
            if not self.offers("CONDSTORE"):
                raise Refused("BAD no CONDSTORE here")
            self.condstore = True
        if "QRESYNC" in words and not self.qresync:
            raise Refused("BAD enable it first")
        if self.modseq_of(self.box) is None:
            offers = self.offers("CONDSTORE") or self.offers("QRESYNC")
            return ["OK [NOMODSEQ] none here"] if offers else []
        lines = [f"OK [HIGHESTMODSEQ {self.box.highestmodseq}] highest"]
        if "QRESYNC" in words:
            validity, modseq, *known = words[words.index("QRESYNC") + 1]
            if int(validity) == self.box.uidvalidity:
                match = next((w for w in known if isinstance(w, list)), None)
                self.matched = [list(map(int, text_of(w).split(","))) for w in match or []]
                known = text_of(known[0]) if known and not isinstance(known[0], list) else "1:*"
                lines += self.vanished_since(int(modseq), known)
                lines += [self.fetch_line(n, m, ["UID", "FLAGS", "MODSEQ"])
                          for n, m in enumerate(self.view, 1) if m.modseq > int(modseq)]
        return lines

    def vanished_since(self, modseq, known):
        wanted = sequence_set(known, max(1, self.box.uidnext - 1))
        gone = sorted(uid for when, uid in self.box.expunged if when > modseq and wanted(uid))
        return [f"VANISHED (EARLIER) {set_text(gone)}".encode()] if gone else []

    def store_modifiers(self, words):
        """Whether a message may be changed."""
        if not words:
            return lambda message: True
        words = [text_of(w).upper() for w in words]
        if words[0] != "UNCHANGEDSINCE" or self.modseq_of(self.box) is None:
            raise Refused("BAD strange modifier")
        self.condstore = True
        return lambda message: message.modseq <= int(words[1])

    def fetch_modifiers(self, command, items):
        """(whether a message is to be answered, the VANISHED lines)."""
        if not isinstance(command.args[1], list) or len(command.args) < 3:
            return (lambda message: True), []
        words = [text_of(w).upper() for w in command.args[2]]
        if words[0] == "PARTIAL":
            return (lambda message: True), []
        if "CHANGEDSINCE" not in words or self.modseq_of(self.box) is None:
            raise Refused("BAD strange modifier")
        since = int(words[words.index("CHANGEDSINCE") + 1])
        self.condstore = True
        if "MODSEQ" not in items:
            items.append("MODSEQ")
        if "VANISHED" not in words:
            return (lambda message: message.modseq > since), []
        if not self.qresync or not command.name.startswith("UID "):
            raise Refused("BAD VANISHED is for QRESYNC")
        return (lambda message: message.modseq > since), \
            self.vanished_since(since, text_of(command.args[0]))

    def page(self, command, chosen):
        """RFC 9394: what PARTIAL leaves of the messages; counted from the end where negative."""
        words = [text_of(w).upper() for w in command.args[2]] if len(command.args) > 2 and \
            isinstance(command.args[2], list) else []
        if "PARTIAL" not in words:
            return chosen
        if not self.offers("PARTIAL") or not command.name.startswith("UID "):
            raise Refused("BAD strange modifier")
        ends = sorted(abs(int(n)) for n in words[words.index("PARTIAL") + 1].split(":"))
        if "-" in words[words.index("PARTIAL") + 1]:
            return chosen[::-1][ends[0] - 1:ends[1]][::-1]
        return chosen[ends[0] - 1:ends[1]]
