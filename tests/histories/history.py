# SPDX-License-Identifier: MIT
"""One random history of an account: a user, a second client, a bad network, crashes of the program.

Now and then, and at the end, the faults end; then what the user sees, what the server holds and
what the model says must be the same.
"""

import hashlib
import os
import random
import re

from driven import EXPUNGE, TRASH, Driven
from model import Item, Model

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "$Work"]
BOXES = ["INBOX", "Work", "Work/Old", "Trash"]
CONFLICT, NOTEMPTY, NOTFOUND = -10, -17, -6
PARKED = "3"


class Failed(Exception):
    pass


def token_of(data):
    found = re.search(rb"^Subject: (t\d+)", data, re.M)
    return found[1].decode() if found else "?"


class History:
    def __init__(self, seed, steps, server, place, binary, calm=False):
        self.seed, self.steps, self.place, self.binary = seed, steps, place, binary
        self.rng = random.Random(seed)
        self.server = server(self.rng, BOXES)
        self.model = Model()
        self.boxes = list(self.server.boxes)
        self.log = []
        self.tokens = {}  # digest: token
        self.bodies = {}
        self.alias = {}   # name of a mailbox that had another one: its name now
        self.number = 0
        self.online = self.unsure = False
        self.calm = calm
        self.concurrent = not calm and self.rng.random() < 0.4
        self.options = {"connections": self.rng.choice([1, 1, 2]), "timeout": 600000,
                        "offline": 1, "hold": 0, **self.server.options}
        self.drive = None
        self.keep = False  # the state, for whoever looks into a failure

    # Small things

    def say(self, text):
        self.log.append(text)
        self.server.mark(text)

    def next(self):
        self.number += 1
        return self.number

    def letter(self):
        """(token, data, Message-ID): now and then it has none, or somebody else's."""
        token = f"t{self.next()}"
        kind = self.rng.random()
        known = f"<{token}@example.org>" if kind < 0.8 else "" if kind < 0.9 else "<same@example.org>"
        head = f"Message-ID: {known}\r\n" if known else ""
        data = f"{head}Subject: {token}\r\n\r\n{'x' * self.rng.randrange(300)}\r\n".encode()
        self.tokens[hashlib.sha256(data).hexdigest()] = token
        self.bodies[token] = data
        return token, data, known

    def some_flags(self):
        return {f for f in FLAGS if self.rng.random() < 0.3}

    def current(self, name):
        while name in self.alias:
            name = self.alias[name]
        return name

    def start(self):
        os.environ["SYNC_DRIVE_SPEED"] = str(self.server.speed)
        self.drive = Driven(self.place, self.server.port, self.binary, **self.options)
        self.online = False

    def kick(self):
        if self.online:
            self.drive.do("kick")

    # The user

    def pick(self):
        known = [i for i in self.model.items if i.node]
        return self.rng.choice(known) if known else None

    def upload(self):
        token, data, known = self.letter()
        box, flags = self.rng.choice(self.boxes), self.some_flags()
        path = os.path.join(self.place, "upload")
        with open(path, "wb") as f:
            f.write(data)
        node = self.drive.do("append", box, f"{token}.eml", path, " ".join(sorted(flags)), known)
        self.model.items.append(Item(token, box, flags, int(node[0]), "upload"))
        self.say(f"user uploads {token} to {box} {sorted(flags)}")

    def flag(self):
        item = self.pick()
        if not item:
            return
        flag, on = self.rng.choice(FLAGS), self.rng.random() < 0.5
        result, lines = self.drive.say("flag", f"#{item.node}", flag if on else "", "" if on else flag)
        self.say(f"user flags {item.token} {'+' if on else '-'}{flag}: {result} {lines}")
        if result == 0 and lines == ["1"]:
            self.model.flag(item, flag, on)
        elif result == 0 and (flag in item.foreign or item.moved):
            item.loose.add(flag)
        elif result != 0:
            self.gone(item, result)

    def gone(self, item, result):
        """The program does not know it any more: the second client has had a hand in it."""
        if result != NOTFOUND or not (item.moved or item.token in self.model.slack or
                                      item.visited & self.model.renumbered):
            raise Failed(f"{item.token} cannot be changed: {result}")
        item.node = None

    def move(self):
        item = self.pick()
        if not item:
            return
        box = self.rng.choice(self.boxes)
        if box == item.box:
            return
        result, _ = self.drive.say("move", f"#{item.node}", box, f"n{self.next()}.eml")
        self.say(f"user moves {item.token} from {item.box} to {box}: {result}")
        if result != 0:
            self.gone(item, result)
            return
        item.box = box
        item.visited.add(box)
        self.model.touched(item, "move")

    def copy(self):
        item = self.pick()
        if not item:
            return
        box = self.rng.choice(self.boxes)
        result, lines = self.drive.say("copy", f"#{item.node}", box, f"n{self.next()}.eml")
        self.say(f"user copies {item.token} from {item.box} to {box}: {result}")
        if result != 0:
            self.gone(item, result)
            return
        self.model.copy(item, item.token, box, int(lines[0]))

    def remove(self):
        item = self.pick()
        if not item:
            return
        mode = self.rng.choice([TRASH, EXPUNGE])
        result, _ = self.drive.say("remove", f"#{item.node}", mode)
        self.say(f"user removes {item.token} from {item.box} mode {mode}: {result}")
        if result != 0:
            self.gone(item, result)
            return
        result, lines = self.drive.say("where", f"#{item.node}")
        place = lines[0].split("\t")[0] if result == 0 else ""
        if place:
            item.box = place
            item.visited.add(place)
            self.model.touched(item, "move")
        else:
            self.model.remove(item)
        self.say(f"  now in {place!r}")

    def edit(self):
        item = self.pick()
        if not item:
            return
        token, data, known = self.letter()
        path = os.path.join(self.place, "upload")
        with open(path, "wb") as f:
            f.write(data)
        result, _ = self.drive.say("edit", f"#{item.node}", path, known)
        self.say(f"user edits {item.token} in {item.box} to {token}: {result}")
        if result == 0:
            self.model.edit(item, token)

    def mkdir(self):
        parent, name = self.rng.choice(["", "Work"]), f"Box{self.next()}"
        self.drive.do("mkdir", parent, name)
        self.boxes.append(f"{parent}/{name}" if parent else name)
        self.say(f"user makes {self.boxes[-1]}")

    def own_box(self):
        own = [b for b in self.boxes if "Box" in b]
        return self.rng.choice(own) if own else None

    def mvdir(self):
        old = self.own_box()
        if not old:
            return
        parent, name = self.rng.choice(["", "Work"]), f"Box{self.next()}"
        self.drive.do("mvdir", old, parent, name)
        new = f"{parent}/{name}" if parent else name
        self.boxes = [new if b == old else b for b in self.boxes]
        self.alias[old] = new
        self.model.renamed(old, new)
        self.say(f"user renames {old} to {new}")

    def rmdir(self):
        box = self.own_box()
        if not box:
            return
        result, _ = self.drive.say("rmdir", box)
        self.say(f"user removes mailbox {box}: {result}")
        if result == 0:
            self.boxes.remove(box)
            left = [i.token for i in self.model.items
                    if i.box == box and i.node and not i.moved and
                    i.token not in self.model.slack]
            if left:
                raise Failed(f"{box} was removed with {left} in it")

    # The second client

    def find(self):
        held = [(box, m) for box, messages in self.server.snapshot().items() for m in messages]
        return self.rng.choice(held) if held else (None, None)

    def deliver(self):
        token, data, _ = self.letter()
        box, flags = self.rng.choice(self.server.names()), self.some_flags()
        if self.server.deliver(box, data, flags):
            self.model.items.append(Item(token, self.current(box), flags))
            self.say(f"second delivers {token} to {box} {sorted(flags)}")

    def second_flag(self):
        box, message = self.find()
        if not message:
            return
        flag, on = self.rng.choice(FLAGS + ["\\Deleted"]), self.rng.random() < 0.5
        if self.online and not self.server.uidplus and flag == "\\Deleted":
            return  # it may come between SEARCH and EXPUNGE: RFC 4549 4.2.4 cannot tell it then
        token = token_of(message.data)
        if self.server.flag(box, message.uid, [flag] if on else [], [] if on else [flag]):
            self.model.second_flags(token, flag, on, self.unsure)
            self.say(f"second flags {token} in {box} {'+' if on else '-'}{flag}")

    def second_expunge(self):
        box, message = self.find()
        if not message:
            return
        token = token_of(message.data)
        if self.server.expunge(box, message.uid):
            item = self.model.second_takes(token, self.unsure)
            if item:
                self.model.items.remove(item)
            self.say(f"second expunges {token} in {box}")

    def second_move(self):
        box, message = self.find()
        if not message:
            return
        target = self.rng.choice([n for n in self.server.names() if n != box])
        token = token_of(message.data)
        if self.server.move(box, message.uid, target):
            item = self.model.second_takes(token, self.unsure)
            if item:
                item.box = self.current(target)
                item.moved = True
                item.loose |= item.flagged
            self.say(f"second moves {token} from {box} to {target}")

    def renumber(self):
        box = self.rng.choice(self.server.names())
        if self.server.renumber(box):
            self.model.second_renumbers(self.current(box))
            self.say(f"second gives {box} a new UIDVALIDITY")

    # The network and the program

    def spell(self):
        """Goes online or offline; or tries once and comes to what it comes to."""
        if self.online:
            self.drive.do("pause", 1)
            self.online = False
            self.say("offline")
            return
        self.unsure = True
        self.drive.do("pause", 0)
        self.online = True
        if self.concurrent and self.rng.random() < 0.5:
            self.say("online")
            return
        result, _ = self.drive.say("wait", 20000)
        self.say(f"online, waited: {result}")
        if self.calm or self.rng.random() < 0.7:
            self.drive.do("pause", 1)
            self.online = False
            self.say("offline")

    def fault(self):
        if self.rng.random() < 0.6:
            self.say("cut to come: " + self.server.cut(self.rng))
        else:
            self.say("refusal to come: " + self.server.refuse(self.rng))

    def drop(self):
        self.server.drop()
        self.say("links dropped")

    def crash(self):
        """kill -9 of the program, and its restart."""
        self.drive.kill()
        was = self.online
        self.start()
        self.say("killed and started again")
        if was:
            self.drive.do("pause", 0)
            self.online = True

    def heal(self):
        self.server.heal()
        self.say("faults end")

    STEPS = [(upload, 12), (flag, 16), (move, 12), (copy, 6), (remove, 8), (edit, 6), (mkdir, 1),
             (mvdir, 1), (rmdir, 1), (deliver, 9), (second_flag, 6), (second_expunge, 3),
             (second_move, 2), (renumber, 1), (spell, 9), (fault, 4), (drop, 1), (crash, 1),
             (heal, 2)]

    # where both sides change one message several outcomes are right
    CONTENTIOUS = {second_flag, second_expunge, second_move, renumber}

    # Agreement

    def decide(self):
        """The user's choices about what is parked: again, and no more when it cannot be."""
        for row in self.drive.queue():
            if row[2] != PARKED:
                continue
            seq, err, nodes = row[0], int(row[3]), {int(row[5]), int(row[6])}
            result = self.drive.say("retry", seq)[0] if err not in (CONFLICT, NOTEMPTY) else err
            if result == CONFLICT:
                self.excuse(nodes, row)
            if result in (CONFLICT, NOTEMPTY):
                self.drive.say("drop", seq)
                self.model.given_up({e.id for e in self.drive.tree().values()})
                self.say(f"dropped {row}")
                if result == NOTEMPTY:
                    self.boxes = None  # as the server has them

    def excuse(self, nodes, row):
        """Only what both sides have changed may end so."""
        for item in self.model.items + self.model.removed:
            doubted = any(t in self.model.slack for t in {item.token} | item.olds)
            if item.node in nodes and not doubted and not item.loose and \
                    not item.moved and not item.visited & self.model.renumbered:
                raise Failed(f"{item.token} was in nobody's way, and yet: {row}")

    def agree(self):
        self.heal()
        self.drive.do("pause", 0)
        self.online = True
        problems = ["never in step"]
        for _ in range(8):
            result, lines = self.drive.say("wait", 120000)
            self.say(f"waited: {result} {lines}")
            if result != 0:
                self.decide()
                problems = [f"never in step: {self.drive.queue()}"]
                continue
            problems = self.compare()
            if not problems:
                break
        if problems:
            raise Failed("\n".join(problems))
        problems = self.model.differences(
            {box: [(token_of(m.data), m.flags) for m in held]
             for box, held in self.server.snapshot().items()}, self.rescued())
        if problems:
            raise Failed("server and model differ:\n" + "\n".join(problems))
        self.begin_anew()

    def compare(self):
        """Mount and server."""
        tree = self.drive.tree()
        server = self.server.snapshot()
        shown = sorted((e.path.rsplit("/", 1)[0], e.uid, self.tokens.get(e.digest, e.digest),
                        sorted(e.flags)) for e in tree.values())
        held = sorted((box, m.uid, token_of(m.data), sorted(m.flags))
                      for box, messages in server.items() for m in messages)
        boxes = self.drive.mailboxes()
        problems = [f"only in the mount: {row}" for row in shown if row not in held]
        problems += [f"only on the server: {row}" for row in held if row not in shown]
        if len(shown) != len(held):
            problems.append(f"{len(shown)} in the mount, {len(held)} on the server")
        validities = self.server.validities()
        problems += [f"{e.path} has UIDVALIDITY {e.uidvalidity}" for e in tree.values()
                     if e.uidvalidity != validities.get(e.path.rsplit("/", 1)[0])]
        if boxes != set(server):
            problems.append(f"mailboxes {sorted(boxes)}, on the server {sorted(server)}")
        if self.boxes is not None and set(self.boxes) != boxes:
            problems.append(f"mailboxes {sorted(boxes)}, expected {sorted(self.boxes)}")
        return problems

    def rescued(self):
        """What went to lost+found."""
        found = os.path.join(self.place, "state", "lost+found")
        tokens = set()
        for name in os.listdir(found) if os.path.isdir(found) else ():
            with open(os.path.join(found, name), "rb") as f:
                tokens.add(token_of(f.read()))
        return tokens

    def begin_anew(self):
        tree = self.drive.tree()
        unknown = self.model.renumbered - {e.path.rsplit("/", 1)[0] for e in tree.values()}
        self.model = Model()
        self.model.renumbered = unknown  # nothing in it shows whether the program knows already
        for e in tree.values():
            self.model.items.append(Item(self.tokens[e.digest], e.path.rsplit("/", 1)[0], e.flags,
                                         e.id))
        self.boxes = sorted(self.drive.mailboxes())
        self.alias = {}
        self.unsure = False
        if self.calm or self.rng.random() < 0.8:
            self.drive.do("pause", 1)
            self.online = False
        else:
            self.unsure = True
        self.say("in agreement" + (", online" if self.online else ", offline"))

    def write_down(self):
        """What server and program said."""
        with open(os.path.join(self.place, "commands"), "w", encoding="utf-8") as f:
            f.write(f"{self.server.capabilities} {self.options}\n")
            f.writelines(f"{number} {line}\n" for number, line in self.server.transcript())
            for box, held in self.server.snapshot().items():
                f.writelines(f"{box} {m.uid} {sorted(m.flags)} {m.data[:60]}\n" for m in held)

    def run(self):
        """Raises Failed; .log tells the way there."""
        chosen = [s for s in self.STEPS if not self.calm or s[0] not in self.CONTENTIOUS]
        steps = [s for s, _ in chosen]
        weights = [w for _, w in chosen]
        try:
            self.start()
            for _ in range(self.rng.randrange(6)):
                self.deliver()
            self.agree()
            for n in range(self.steps):
                self.rng.choices(steps, weights)[0](self)
                self.kick()
                if n % 40 == 39:
                    self.agree()
            self.agree()
        except (RuntimeError, AssertionError) as error:
            raise Failed(str(error)) from error
        finally:
            if self.drive and self.drive.process.poll() is None:
                self.drive.kill()
            if self.keep:
                self.write_down()
            self.server.close()
