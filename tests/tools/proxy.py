# SPDX-License-Identifier: MIT
"""A proxy before a real IMAP server that delays, counts, cuts, hides and refuses.

Without rules it passes chunks as they come, fast enough for benchmarks.  With rules (any of
hide=, strip_codes=, refuse(), on_command, on_reply, record) it follows the protocol, so the
link has to be plain and COMPRESS is hidden.
"""

import re
import socket
import threading
import time
from collections import deque

CUT = object()  # returned by a hook: both sides are closed, what came is not passed on
CHUNK = 1 << 18
MAX_IN_FLIGHT = 64 << 20

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")


class Cut(Exception):
    """The link is to be closed now."""


class Units:
    """Splits a stream into lines and literals: feed() yields (kind, bytes), kind one of
    "line" (starts a command or response), "more" (a later line of it), "literal" (a piece)."""

    def __init__(self):
        self.buffer = b""
        self.literal = 0
        self.inside = False
        self.waiting = False  # for leave to send a literal

    def feed(self, data):
        self.buffer += data
        while self.buffer:
            if self.literal:
                self.waiting = False
                piece = self.buffer[:self.literal]
                self.buffer = self.buffer[len(piece):]
                self.literal -= len(piece)
                yield "literal", piece
                continue
            end = self.buffer.find(b"\n")
            if end < 0:
                return
            line, self.buffer = self.buffer[:end + 1], self.buffer[end + 1:]
            kind = "more" if self.inside else "line"
            match = _LITERAL.search(line)
            self.literal = int(match.group(1)) if match else 0
            self.inside = bool(match)
            self.waiting = bool(match) and not match.group(2)
            yield kind, line

    def refused(self):
        """The other side will not take the literal that the last line announced."""
        self.literal = 0
        self.inside = self.waiting = False


def command_name(line):
    """(tag, "UID STORE") of a command line; ("", "") of a continuation such as DONE."""
    words = line.split()
    if len(words) < 2:
        return "", ""
    name = words[1].decode("latin-1").upper()
    if name == "UID" and len(words) > 2:
        name += " " + words[2].decode("latin-1").upper()
    return words[0].decode("latin-1"), name


class Link:
    """One client's connection."""

    def __init__(self, proxy, number, client, server):
        self.proxy, self.number = proxy, number
        self.client, self.server = client, server
        self.open = {}  # tag: (name, line) of commands not answered yet
        self.last_tag = ""
        self.lock = threading.Lock()
        self.closed = False
        self.last = "down"  # the greeting

    def close(self):
        with self.lock:
            if self.closed:
                return
            self.closed = True
        for s in (self.client, self.server):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def run(self):
        up = Pipe(self, self.client, self.server, "up")
        down = Pipe(self, self.server, self.client, "down")
        self.up, self.down = up, down
        for pipe in (up, down):
            pipe.start()


class Pipe:
    """One direction: a thread reads, and with a delay a second one writes when it is due."""

    def __init__(self, link, source, sink, direction):
        self.link, self.proxy = link, link.proxy
        self.source, self.sink, self.direction = source, sink, direction
        self.units = Units()
        self.swallow = None  # tag of a refused command whose literals still come
        self.queue = deque()
        self.queued = 0
        self.changed = threading.Condition()
        self.speaking = threading.RLock()  # whoever passes something on, a unit at a time
        self.answers = []
        self.done = False

    def start(self):
        threading.Thread(target=self._read, daemon=True).start()
        if self.proxy.delay:
            threading.Thread(target=self._write, daemon=True).start()

    def _read(self):
        try:
            while True:
                data = self.source.recv(CHUNK)
                if not data:
                    break
                self.proxy.wait_while_frozen()
                with self.speaking:
                    if self.proxy.rules:
                        data = b"".join(self._inspect(data))
                    if data:
                        self._pass(data)
                    self._say_answers()
        except (OSError, Cut):
            self.link.close()
        finally:
            self._finish()

    def _finish(self):
        if self.proxy.delay:
            with self.changed:
                self.done = True
                self.changed.notify_all()
        else:
            self.link.close()

    def _pass(self, data):
        limit = self.proxy.take_bytes(self.direction, len(data), self.link)
        cut = limit < len(data)
        data = data[:limit]
        if self.proxy.rate:
            time.sleep(len(data) / self.proxy.rate)
        if not self.proxy.delay:
            pieces = [data[i:i + 1] for i in range(len(data))] if self.proxy.bytewise else [data]
            for piece in pieces:
                self.sink.sendall(piece)
            if cut:
                raise Cut
            return
        with self.changed:
            while self.queued > MAX_IN_FLIGHT and not self.link.closed:
                self.changed.wait(1)
            self.queue.append((time.monotonic() + self.proxy.delay / 2, data))
            self.queued += len(data)
            self.changed.notify_all()
        if cut:
            raise Cut

    def _write(self):
        try:
            while True:
                with self.changed:
                    while not self.queue and not self.done and not self.link.closed:
                        self.changed.wait(1)
                    if not self.queue:
                        break
                    due, data = self.queue.popleft()
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                self.sink.sendall(data)
                with self.changed:
                    self.queued -= len(data)
                    self.changed.notify_all()
        except OSError:
            pass
        self.link.close()

    def _answer(self, data):
        """Something the proxy says in the server's place."""
        down = self.link.down
        with down.speaking:
            down.answers.append(data)
            down._say_answers()

    def _say_answers(self):
        if self.answers and not self.units.inside and not self.units.literal:
            data, self.answers = b"".join(self.answers), []
            self._pass(data)

    def _inspect(self, data):
        for kind, piece in self.units.feed(data):
            if self.direction == "up":
                piece = self._command(kind, piece)
            else:
                piece = self._response(kind, piece)
            if piece:
                yield piece

    def _command(self, kind, piece):
        if self.swallow is not None and kind != "line":
            if kind == "more" and not self.units.inside:
                self._answer(self.swallow)
                self.swallow = None
            return b""
        if kind != "line":
            return piece
        tag, name = command_name(piece)
        if not name:
            return piece
        self.proxy.note(self.link.number, tag, name, piece)
        verdict = self.proxy.command_verdict(self.link, tag, name, piece)
        if verdict is CUT:
            raise Cut
        if verdict is None:
            self.link.open[tag] = (name, piece)
            self.link.last_tag = tag
            return piece
        match = _LITERAL.search(piece)
        if match and match.group(2):
            self.swallow = verdict
            return b""
        self.units.refused()
        self._answer(verdict)
        return b""

    def _response(self, kind, piece):
        if kind != "line":
            return piece
        piece = self.proxy.edit(piece)
        tag = piece.split(b" ", 1)[0].decode("latin-1")
        command = self.link.open.pop(tag, None)
        if command is None:
            return piece
        if tag == self.link.last_tag and self.link.up.units.waiting:
            self.link.up.units.refused()
        verdict = self.proxy.reply_verdict(self.link, tag, command[0], piece, command[1])
        if verdict is CUT:
            raise Cut
        return piece if verdict is None else verdict


class Proxy:
    """`port` is where the program under test connects to.

    delay: seconds of a round trip.  rate: bytes per second and direction.
    hide: capability words.  strip_codes: response codes such as APPENDUID.
    only, codes: the capability words (beside AUTH=) and response codes that are left.
    bytewise: every byte is sent by itself, in a packet of its own.
    on_command(link, tag, name, line): None to pass it on, bytes to answer it here, or CUT.
    on_reply(link, tag, name, line, command): None to pass it on, bytes instead, or CUT.
    """

    def __init__(self, target_port, delay=0.0, rate=0, hide=(), strip_codes=(), only=(),
                 codes=(), on_command=None, on_reply=None, record=False, host="127.0.0.1", bytewise=False):
        self.target = (host, target_port)
        self.delay, self.rate = delay, rate
        self.bytewise = bytewise
        self.hide = {w.upper() for w in hide}
        self.strip_codes = tuple(strip_codes)
        self.only = {w.upper() for w in only}
        self.codes = codes
        self.on_command, self.on_reply = on_command, on_reply
        self.refusals = []  # [name pattern, answer, how often]
        self.reply_cuts = []  # [name pattern, how often]
        self.rules = bool(hide or strip_codes or only or codes or on_command or on_reply or
                          record)
        if self.rules:
            self.hide |= {"COMPRESS=DEFLATE", "STARTTLS"}
        self.commands = []  # (link number, tag, name, line)
        self.bytes = {"up": 0, "down": 0}
        self.cut_at = {}
        self.turnarounds = 0
        self.links_made = 0
        self.links = []
        self.lock = threading.Lock()
        self.flowing = threading.Event()
        self.flowing.set()
        self.listener = None
        self.port = None
        self.start()

    # the network

    def start(self):
        """Accepts connections, on the same port each time."""
        if self.listener:
            return
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port or 0))
        s.listen(64)
        self.port = s.getsockname()[1]
        self.listener = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=10)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.links_made += 1
                link = Link(self, self.links_made, client, server)
                self.links = [k for k in self.links if not k.closed] + [link]
            link.run()

    def drop(self):
        """Closes every connection; new ones are welcome."""
        for link in list(self.links):
            link.close()

    def stop(self):
        """No network: connections closed, new ones refused."""
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        self.drop()

    close = stop

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def freeze(self):
        """Connections stay and nothing comes through."""
        self.flowing.clear()

    def thaw(self):
        self.flowing.set()

    def wait_while_frozen(self):
        self.flowing.wait()

    # rules

    def refuse(self, pattern, answer="NO refused", times=10**9):
        """Commands whose name matches (as "UID EXPUNGE") never reach the server."""
        self._follow()
        self.refusals.append([re.compile(pattern), answer, times])

    def cut_reply(self, pattern, times=1):
        """The server carries the command out, and its tagged reply is lost with the link."""
        self._follow()
        self.reply_cuts.append([re.compile(pattern), times])

    def _follow(self):
        if self.links and not self.rules:
            raise ValueError("rules come before connections")
        self.rules = True
        self.hide |= {"COMPRESS=DEFLATE", "STARTTLS"}

    def cut_after(self, direction, count):
        """Cuts when `count` more bytes have gone "up" (from the client) or "down"."""
        with self.lock:
            self.cut_at[direction] = self.bytes[direction] + count

    def take_bytes(self, direction, count, link):
        with self.lock:
            at = self.cut_at.get(direction)
            if at is not None and self.bytes[direction] + count >= at:
                count = max(0, at - self.bytes[direction])
                del self.cut_at[direction]
            self.bytes[direction] += count
            idle = not (link.down.queued or link.up.queued)
            if direction == "up" and idle and link.last == "down":
                self.turnarounds += 1
            link.last = direction
            return count

    def note(self, link, tag, name, line):
        with self.lock:
            self.commands.append((link, tag, name, line))

    def seen(self, pattern):
        """Commands so far whose line without its tag matches."""
        return [c for c in list(self.commands)
                if re.search(pattern, c[3].split(b" ", 1)[1].decode("latin-1"))]

    def until_quiet(self, seconds=3, deadline=60):
        """Nothing has been said for so long: servers tell of what was done last a while later, and the
        client asks what it was after two seconds."""
        begun = since = time.monotonic()
        moved = None
        while time.monotonic() - since < seconds:
            if dict(self.bytes) != moved:
                moved, since = dict(self.bytes), time.monotonic()
            if time.monotonic() - begun > deadline:
                raise AssertionError(f"not quiet within {deadline} s")
            time.sleep(0.05)

    def command_verdict(self, link, tag, name, line):
        if self.on_command:
            verdict = self.on_command(link, tag, name, line)
            if verdict is not None:
                return verdict
        with self.lock:
            for rule in self.refusals:
                if rule[2] > 0 and rule[0].fullmatch(name):
                    rule[2] -= 1
                    return f"{tag} {rule[1]}\r\n".encode()
        return None

    def reply_verdict(self, link, tag, name, line, command):
        if self.on_reply:
            verdict = self.on_reply(link, tag, name, line, command)
            if verdict is not None:
                return verdict
        with self.lock:
            for rule in self.reply_cuts:
                if rule[1] > 0 and rule[0].fullmatch(name):
                    rule[1] -= 1
                    return CUT
        return None

    def edit(self, line):
        """The response line without what is hidden."""
        if b"CAPABILITY" in line:
            def words(match):
                kept = [w for w in match.group(2).split()
                        if self._offered(w.decode("latin-1").upper())]
                return match.group(1) + b" ".join(kept)
            line = re.sub(rb"(CAPABILITY )([^\]\r\n]*)", words, line, count=1)
        if self.codes:
            line = re.sub(rb"^(\S+ (?:OK|NO|BAD|BYE|PREAUTH) )\[([^\] ]+)[^\]]*\] ?", self._kept_code,
                          line)
        for code in self.strip_codes:
            line = re.sub(rb"\[" + code.encode() + rb"\b[^\]]*\] ?", b"", line)
        return line

    def _offered(self, word):
        if self.only and word not in self.only and not word.startswith("AUTH="):
            return False
        return word not in self.hide

    def _kept_code(self, match):
        kept = match.group(2).decode("latin-1").upper() in self.codes
        return match.group(0) if kept else match.group(1)
