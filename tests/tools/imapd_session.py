# SPDX-License-Identifier: MIT
"""One connection of the server in memory: its state, and what each command does."""

import base64
import re
import select
import socket
import threading

from . import mutf7
from .imapd_modseq import Modseq
from .imapd_parse import (Command, Cut, Refused, Reply, Syntax, date_of, date_text, fetch_section, matches, read_command,
                          sequence_set, set_text, text_of)

ITEM = re.compile(r"(BODY|BODY\.PEEK)\[(.*)\](?:<(\d+\.\d+)>)?$", re.I)


def gmail_item(item, message, box):
    """The label that the mailbox is goes without saying, as with Gmail."""
    if item == "X-GM-LABELS":
        own = "\\Inbox" if box.name == "INBOX" else box.name
        quoted = (re.sub(r'(["\\\\])', r"\\\1", label) for label in message.labels if label != own)
        return "(" + " ".join(f'"{label}"' for label in quoted) + ")"
    number = int(message.emailid[1:16], 16)
    return {"X-GM-MSGID": str(number), "X-GM-THRID": str(number >> 8)}.get(item)


class Session(Modseq):
    def __init__(self, server, connection, number):
        super().__init__()
        self.server, self.socket, self.number = server, connection, number
        self.stream = connection.makefile("rb")
        self.signed_in = False
        self.over = threading.Event()
        self.box = None         # the Mailbox selected
        self.read_only = False
        self.view = []          # its messages as this client knows them, by number
        self.told = {}          # the flags it was told, by UID

    def name_of(self, arg):
        """A mailbox name as the server keeps it: in modified UTF-7."""
        text = text_of(arg)
        if not text.isascii() and not self.speaks_utf8():
            raise Refused("BAD 8-bit name")
        return mutf7.encode(text) if self.speaks_utf8() else text

    def shown(self, name):
        return mutf7.decode(name) if self.speaks_utf8() else name

    def write(self, data):
        self.socket.sendall(data)

    def hang_up(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def run(self):
        try:
            self._greet()
            while self._one():
                pass
        except Cut as cut:
            try:
                self.write(cut.data)
            except OSError:
                pass
        except OSError:
            pass
        finally:
            self.hang_up()
            self.stream.close()
            self.socket.close()
            self.over.set()

    def _greet(self):
        if self.server.greeting is None:
            self.write(f"* OK [CAPABILITY {' '.join(self.server.capabilities)}] hello\r\n".encode())
            return
        for piece in self.server.greeting():
            self.write(piece)

    def use(self, connection):
        """Goes on over another socket, such as one with TLS."""
        self.stream.close()
        self.socket, self.stream = connection, connection.makefile("rb")

    def _one(self):
        try:
            command = read_command(self.stream, self.write)
        except Syntax as error:
            self.write(f"* BAD {error}\r\n".encode())
            return True
        if command is None:
            return False
        server = self.server
        with server.lock:
            server.transcript.append((self.number, command.line))
            rule = server.rule_for(command.line)
            if rule:
                reply = rule.action(self, command, lambda: self.obey(command))
            else:
                reply = self.obey(command)
            lines = list(reply.untagged)
            if server.noise:
                lines += self._noise()
            if command.name not in ("FETCH", "STORE", "SEARCH"):
                lines += self.news()
            server.lock.notify_all()
        for piece in reply.raw:
            self.write(piece)
        ending = b"" if reply.tagged is None else f"{command.tag} {reply.tagged}\r\n".encode()
        self.write(b"".join(b"* " + line + b"\r\n" for line in lines) + ending)
        return command.name != "LOGOUT" and not reply.cut

    def obey(self, command):
        """Carries the command out; its honest Reply."""
        name = command.name.lower().replace(" ", "_")
        handler = getattr(self, "do_" + name, None)
        needs = {"do_move": "MOVE", "do_uid_move": "MOVE", "do_uid_expunge": "UIDPLUS",
                 "do_unselect": "UNSELECT", "do_idle": "IDLE", "do_uid_replace": "REPLACE", "do_notify": "NOTIFY", "do_enable": "ENABLE", "do_myrights": "ACL"}.get("do_" + name)
        try:
            if handler is None or needs and not self.offers(needs):
                raise Refused(f"BAD unknown command {command.name}")
            if not self.signed_in and name not in ("login", "authenticate", "capability", "noop",
                                                   "logout", "id"):
                raise Refused("BAD sign in first")
            return handler(command)
        except Refused as refused:
            return Reply(tagged=str(refused))
        except (Syntax, IndexError, ValueError) as error:
            return Reply(tagged=f"BAD {error}")

    def _noise(self):
        lines = [b"OK [X-STRANGE a b] still here", b"FLAGS (\\Seen \\X-Own)", b"XYZZY nothing"]
        if self.box:
            lines.append(b"%d EXISTS" % len(self.view))
            lines.append(b"0 RECENT")
            if self.view:
                lines.append(b"1 FETCH (FLAGS (%s))" %
                             " ".join(sorted(self.view[0].flags)).encode())
        return lines

    def news(self):
        """What has happened to the selected mailbox since the client was told last."""
        if self.box is None:
            return []
        lines = []
        present = set(map(id, self.box.messages))
        gone = []
        for number in range(len(self.view), 0, -1):
            if id(self.view[number - 1]) not in present:
                gone.append((number, self.view.pop(number - 1).uid))
        lines += self.gone_lines(gone)
        known = set(map(id, self.view))
        fresh = [m for m in self.box.messages if id(m) not in known]
        if fresh:
            self.view += fresh
            lines.append(b"%d EXISTS" % len(self.view))
            self.told.update((m.uid, set(m.flags)) for m in fresh)
        for number, message in enumerate(self.view, 1):
            if self.told.get(message.uid) != message.flags:
                self.told[message.uid] = set(message.flags)
                lines.append(self.fetch_line(number, message, self.news_items()))
        return lines

    # Signing in and out

    def do_capability(self, _command):
        return Reply(["CAPABILITY " + " ".join(self.server.capabilities)])

    def do_noop(self, _command):
        return Reply()

    do_check = do_noop

    def do_id(self, _command):
        return Reply(["ID NIL"])

    def do_logout(self, _command):
        self.box = None
        return Reply(["BYE until later"])

    def _sign_in(self, user, password):
        if (user, password) != (self.server.user, self.server.password):
            raise Refused("NO [AUTHENTICATIONFAILED] no")
        self.signed_in = True
        return Reply(tagged=f"OK [CAPABILITY {' '.join(self.server.capabilities)}] welcome")

    def do_login(self, command):
        return self._sign_in(text_of(command.args[0]), text_of(command.args[1]))

    def do_authenticate(self, command):
        if command.args[0].upper() != "PLAIN":
            raise Refused("NO unknown mechanism")
        initial = command.args[1] if len(command.args) > 1 else None
        if initial is None:
            self.write(b"+ \r\n")
            initial = self.stream.readline().strip()
        _, user, password = base64.b64decode(initial).decode().split("\0")
        return self._sign_in(user, password)

    # Mailboxes

    def _mailbox(self, arg, code=""):
        name = self.name_of(arg)
        name = "INBOX" if name.upper() == "INBOX" else name
        if name not in self.server.mailboxes:
            raise Refused(f"NO {code or '[NONEXISTENT]'} no such mailbox")
        return self.server.mailboxes[name]

    def _list(self, command, names):
        args = command.args
        pattern = self.name_of(args[0]) + self.name_of(args[1])
        if not text_of(args[1]):
            return Reply([f'{command.name} (\\Noselect) "/" ""'])
        regex = re.escape(pattern).replace(r"\*", ".*").replace("%", "[^/]*")
        found = [self.server.mailboxes[n] for n in sorted(names)
                 if n in self.server.mailboxes and re.fullmatch(regex, n)]
        return Reply(f'{command.name} ({" ".join(b.attributes)}) "/" "{self.shown(b.name)}"' for b in found)

    def do_list(self, command):
        return self._list(command, self.server.mailboxes)

    def do_lsub(self, command):
        return self._list(command, self.server.subscribed)

    def do_myrights(self, command):
        box = self._mailbox(command.args[0])
        return Reply([f'MYRIGHTS "{box.name}" {box.rights}'])

    @property
    def _objectid(self):
        return "OBJECTID" in self.server.capabilities

    def do_status(self, command):
        box = self._mailbox(command.args[0])
        values = {"MESSAGES": len(box.messages), "UIDNEXT": box.uidnext, "RECENT": 0,
                  "UIDVALIDITY": box.uidvalidity,
                  "UNSEEN": sum("\\Seen" not in m.flags for m in box.messages)}
        if self.offers("STATUS=SIZE"):
            values["SIZE"] = sum(m.size for m in box.messages)
        if "APPENDLIMIT" in self.server.capabilities:
            values["APPENDLIMIT"] = "NIL" if box.append_limit is None else box.append_limit
        words = [f"{w.upper()} {values[w.upper()]}" for w in command.args[1] if w.upper() in values]
        if "HIGHESTMODSEQ" in map(str.upper, command.args[1]):
            words.append(f"HIGHESTMODSEQ {self.modseq_of(box) or 0}")
            self.condstore = self.condstore or self.modseq_of(box) is not None
        if "MAILBOXID" in command.args[1] and self._objectid:
            words.append(f"MAILBOXID ({box.mailboxid})")
        if len(words) < len(command.args[1]):
            raise Refused("BAD unknown item")
        return Reply([f'STATUS "{self.shown(box.name)}" ({" ".join(words)})'])

    def do_select(self, command):
        closed = ["OK [CLOSED] the other one"] if self.box and self.qresync else []
        self.box = None
        box = self._mailbox(command.args[0])
        if "\\Noselect" in box.attributes:
            raise Refused("NO not selectable")
        if not box.sticky:
            self.server.renumber(box, box.uidnext + 10)
        self.box, self.read_only = box, command.name == "EXAMINE"
        self.view = list(box.messages)
        self.told = {m.uid: set(m.flags) for m in self.view}
        mode = "READ-ONLY" if self.read_only else "READ-WRITE"
        try:
            changes = self.select_modseq(command.args[1] if len(command.args) > 1 else [])
        except Refused:
            self.box = None
            raise
        if self._objectid:
            changes = [f"OK [MAILBOXID ({box.mailboxid})] stays", *changes]
        if not box.sticky:
            changes = ["NO [UIDNOTSTICKY] for this time only", *changes]
        return Reply([*closed, r"FLAGS (\Answered \Flagged \Deleted \Seen \Draft)",
                      f"OK [PERMANENTFLAGS ({box.permanent})] these stay",
                      f"{len(self.view)} EXISTS", "0 RECENT",
                      f"OK [UIDVALIDITY {box.uidvalidity}] valid",
                      f"OK [UIDNEXT {box.uidnext}] next", *changes], f"OK [{mode}] selected")

    do_examine = do_select

    def do_unselect(self, _command):
        self._selected()
        self.box = None
        return Reply()

    def do_close(self, _command):
        if self.server.strict:
            raise Refused("BAD no CLOSE here")
        if not self.read_only:
            self._selected().remove({m.uid for m in self.view if "\\Deleted" in m.flags})
        self.box = None
        return Reply()

    def do_create(self, command):
        name = self.name_of(command.args[0]).rstrip("/")
        if name in self.server.mailboxes:
            raise Refused("NO [ALREADYEXISTS] it is there")
        self.server.create(name)
        return Reply()

    def do_delete(self, command):
        del self.server.mailboxes[self._mailbox(command.args[0]).name]
        return Reply()

    def do_rename(self, command):
        old, new = self._mailbox(command.args[0]).name, self.name_of(command.args[1])
        if new in self.server.mailboxes:
            raise Refused("NO [ALREADYEXISTS] it is there")
        self.server.rename(old, new)
        return Reply()

    def do_subscribe(self, command):
        self.server.subscribed.add(self.name_of(command.args[0]))
        return Reply()

    def do_unsubscribe(self, command):
        self.server.subscribed.discard(self.name_of(command.args[0]))
        return Reply()

    def _room(self, size):
        limit = self.server.quota_bytes
        if limit is not None and self.server.used_bytes() + size > limit:
            raise Refused("NO [OVERQUOTA] no room")

    def do_append(self, command):
        args = list(command.args)
        box = self._mailbox(args.pop(0), "[TRYCREATE]")
        batch = []
        while args:
            flags = args.pop(0) if isinstance(args[0], list) else []
            date = date_of(text_of(args.pop(0))) if len(args) > 1 and \
                isinstance(args[0], bytes) and args[0] != "UTF8" else None
            wrapped = args[0] == "UTF8"
            if wrapped:
                args.pop(0)
                if not self.utf8 or not args:
                    raise Refused("BAD no UTF8 here")
                args[:1] = args[0]
            if not args or not isinstance(args[0], bytes):
                raise Refused("BAD a message is a literal")
            if not wrapped and self.offers("UTF8=ACCEPT") and \
                    not args[0].split(b"\r\n\r\n")[0].isascii():
                raise Refused("NO 8-bit header")
            batch.append((args.pop(0), map(text_of, flags), date))
        if len(batch) != 1 and (not batch or not self.offers("MULTIAPPEND")):
            raise Refused("BAD one message at a time")
        self._room(sum(len(data) for data, _, _ in batch))
        uids = [box.add(*message).uid for message in batch]
        code = f"[APPENDUID {box.uidvalidity} {set_text(uids)}] " \
            if self.offers("UIDPLUS") else ""
        return Reply(tagged=f"OK {code}appended")

    def do_uid_replace(self, command):
        """RFC 8508; APPENDUID comes untagged, before the old one goes."""
        old = self._chosen(Command.like(command, command.args[:1]), write=True)
        if not old:
            raise Refused("NO no such message")
        reply = self.do_append(Command.like(command, command.args[1:]))
        self.box.remove({m.uid for _, m in old})
        code = reply.tagged.removeprefix("OK ").removesuffix("appended")
        return Reply([f"OK {code}ready"] if code else [], "OK replaced")

    # The selected mailbox

    def _selected(self, write=False):
        if self.box is None:
            raise Refused("BAD select first")
        if write and self.read_only:
            raise Refused("NO read-only")
        return self.box

    def _chosen(self, command, write=False):
        """[(number, message)] of the set; the number is this client's."""
        self._selected(write)
        by_uid = command.name.startswith("UID ")
        if not by_uid and self.server.strict:
            raise Refused("BAD message numbers")
        largest = (self.view[-1].uid if by_uid else len(self.view)) if self.view else 0
        wanted = sequence_set(text_of(command.args[0]), largest)
        present = set(map(id, self.box.messages))
        return [(n, m) for n, m in enumerate(self.view, 1)
                if id(m) in present and wanted(m.uid if by_uid else n)]

    def fetch_line(self, number, message, items):
        parts = []
        for item in items:
            found = ITEM.match(item)
            if found:
                data = fetch_section(message, found[2], found[3])
                origin = f"<{found[3].split('.')[0]}>" if found[3] else ""
                head = f"BODY[{found[2]}]{origin} ".encode()
                parts.append(head + (b"NIL" if data is None else b"{%d}\r\n" % len(data) + data))
                continue
            value = {"UID": str(message.uid), "FLAGS": f"({' '.join(sorted(message.flags))})",
                     "INTERNALDATE": f'"{date_text(message.date)}"',
                     "RFC822.SIZE": str(message.size)}.get(item)
            if item == "EMAILID" and self._objectid:
                value = f"({message.emailid})"
            if item == "MODSEQ":
                value = f"({message.modseq or 1})"
            if item.startswith("X-GM-") and "X-GM-EXT-1" in self.server.capabilities:
                value = gmail_item(item, message, self.box)
            if value is None:
                raise Refused(f"BAD unknown item {item}")
            parts.append(f"{item} {value}".encode())
        return b"%d FETCH (%s)" % (number, b" ".join(parts))

    def do_fetch(self, command):
        items = command.args[1]
        items = _items(items if isinstance(items, list) else command.args[1:])
        if command.name.startswith("UID ") and "UID" not in items:
            items.insert(0, "UID")
        reply = Reply()
        changed, vanished = self.fetch_modifiers(command, items)
        reply.untagged += vanished
        for number, message in self.page(command, self._chosen(command)):
            if not changed(message):
                continue
            if any(i.upper().startswith("BODY[") for i in items) and not self.read_only:
                message.flags.add("\\Seen")
            if "FLAGS" in items:
                self.told[message.uid] = set(message.flags)
            reply.untagged.append(self.fetch_line(number, message, items))
        return reply

    do_uid_fetch = do_fetch

    def do_store(self, command):
        args = list(command.args)
        unchanged = self.store_modifiers(args.pop(1) if isinstance(args[1], list) else [])
        how = text_of(args[1]).upper()
        if "X-GM-LABELS" in how:
            return self._store_labels(command, how[0], list(map(text_of, args[2])))
        found = re.fullmatch(r"([+-]?)FLAGS(\.SILENT)?", how)
        flags = set(map(text_of, args[2] if isinstance(args[2], list) else args[2:]))
        if not found or self.server.strict and not found[1]:
            raise Refused("BAD strange STORE")
        reply = Reply()
        modified = []
        for number, message in self._chosen(command, write=True):
            if not unchanged(message):
                modified.append(message.uid if command.name.startswith("UID") else number)
                continue
            kept = message.flags if found[1] else set()
            wanted = kept - flags if found[1] == "-" else kept | flags
            if wanted != message.flags:
                message.flags = wanted
                self.box.touch(message)
            self.told[message.uid] = set(message.flags)
            items = [] if found[2] else ["FLAGS"]
            items += ["MODSEQ"] if self.condstore else []
            if items:
                items = ["UID", *items] if command.name.startswith("UID") else items
                reply.untagged.append(self.fetch_line(number, message, items))
        if modified:
            reply.tagged = f"OK [MODIFIED {set_text(modified)}] not all"
        return reply

    do_uid_store = do_store

    def _store_labels(self, command, sign, labels):
        if sign not in "+-" or "X-GM-EXT-1" not in self.server.capabilities:
            raise Refused("BAD strange STORE")
        reply = Reply()
        for number, message in self._chosen(command, write=True):
            kept = [l for l in message.labels if l not in labels]
            message.labels = kept + labels if sign == "+" else kept
            self.box.touch(message)
            reply.untagged.append(self.fetch_line(number, message, ["UID", "X-GM-LABELS"]))
        return reply

    def do_search(self, command):
        self._selected()
        by_uid = command.name.startswith("UID ")
        if not by_uid and self.server.strict:
            raise Refused("BAD message numbers")
        keys = command.args
        if text_of(keys[0]).upper() == "CHARSET":
            keys = keys[2:]
        largest = (len(self.view), self.view[-1].uid if self.view else 0)
        hits = [m.uid if by_uid else n for n, m in enumerate(self.view, 1)
                if matches(keys, m, n, largest)]
        return Reply([" ".join(["SEARCH", *map(str, hits)])])

    do_uid_search = do_search

    def _copy(self, command, write=False):
        """(sources, the COPYUID code or "")."""
        chosen = [m for _, m in self._chosen(command, write)]
        target = self._mailbox(command.args[1], "[TRYCREATE]")
        self._room(sum(len(m.data) for m in chosen) if not write else 0)
        copies = [target.add(m.data, m.flags, m.date) for m in chosen]
        if not copies or not self.offers("UIDPLUS"):
            return chosen, ""
        return chosen, f"[COPYUID {target.uidvalidity} {set_text(m.uid for m in chosen)} " \
                       f"{set_text(m.uid for m in copies)}] "

    def do_copy(self, command):
        return Reply(tagged=f"OK {self._copy(command)[1]}copied")

    do_uid_copy = do_copy

    def do_move(self, command):
        chosen, code = self._copy(command, write=True)
        self.box.remove({m.uid for m in chosen})
        return Reply([f"OK {code}moved"] if code else [])

    do_uid_move = do_move

    def do_expunge(self, command):
        box = self._selected(write=True)
        chosen = [m for _, m in self._chosen(command)] if command.name == "UID EXPUNGE" \
            else self.view
        box.remove({m.uid for m in chosen if "\\Deleted" in m.flags})
        return Reply(tagged=f"OK {self.modseq_code()}expunged")

    do_uid_expunge = do_expunge

    def do_idle(self, _command):
        """Tells the news until DONE; other sessions go on meanwhile."""
        self._selected()
        self.write(b"+ idling\r\n")
        done = b""
        while not done.endswith(b"\n"):
            self.write(b"".join(b"* " + line + b"\r\n" for line in self.news() + self.notices()))
            self.server.lock.wait(0.05)
            if select.select([self.socket], [], [], 0.01)[0]:
                piece = self.socket.recv(64)
                if not piece:
                    raise Cut()
                done += piece
        return Reply(tagged="OK idled" if done.strip().upper() == b"DONE" else "BAD DONE expected")


def _items(items):
    """Upper-case item names; "BODY.PEEK[HEADER.FIELDS (A B)]" is one atom already."""
    return [i if ITEM.match(i) else i.upper() for i in map(text_of, items)]
