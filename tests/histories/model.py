# SPDX-License-Identifier: MIT
"""What an account should hold, after all that a user and a second client did to it.

A message is known by its token, which its Subject names.  As long as only one side touches a message
its mailbox and flags are known exactly.  Where both did, before the program could know, several
outcomes are right: of such a token only the number of messages is known, within limits.
"""

import collections


class Item:
    """One message."""

    def __init__(self, token, box, flags, node=None, born=""):
        self.token, self.box, self.flags, self.node = token, box, set(flags), node
        self.pending = {born} if born else set()  # what the user did since both were in step
        self.flagged = set()  # flags of it that the user changed since then,
        self.foreign = set()  # and the second client
        self.loose = set()    # flags that may be either way
        self.source = set()   # tokens that the message had which it is a copy of
        self.visited = {box}  # mailboxes that actions on it name
        self.moved = False    # by the second client
        self.olds = set()     # its tokens before edits of which each may have been sent or not


class Model:
    def __init__(self):
        self.items = []
        self.removed = []  # by the user, since both were in step
        self.slack = collections.Counter()
        self.needed = set()      # tokens in doubt of which one must be left at least
        self.renumbered = set()  # mailboxes, since both were in step

    def of(self, token):
        return [i for i in self.items if i.token == token]

    def doubt(self, token, amount, needed=False):
        first = token not in self.slack
        self.slack[token] += amount
        if needed and first:
            self.needed.add(token)
        elif not needed:
            self.needed.discard(token)

    def loosen(self, token, flag):
        for item in self.of(token):
            item.loose.add(flag)

    def doubt_item(self, item, needed=False):
        """Both sides have changed it: it and its copies may have come out either way."""
        amount = 1 + len(self.of(item.token))
        self.doubt(item.token, amount, needed)
        for old in item.olds:
            self.doubt(old, amount)

    # What the user did

    def touched(self, item, what):
        """After an action of the user on it."""
        item.pending.add(what)
        if item.moved and what != "flag":
            self.doubt_item(item)
        if item.moved:
            item.loose |= item.flagged
        if item.visited & self.renumbered:
            self.unsettle(item)

    def flag(self, item, flag, on):
        (item.flags.add if on else item.flags.discard)(flag)
        item.flagged.add(flag)
        if flag in item.foreign:
            item.loose.add(flag)
        self.touched(item, "flag")

    def remove(self, item):
        self.items.remove(item)
        self.removed.append(item)
        self.touched(item, "remove")

    def edit(self, item, token):
        item.olds.add(item.token)
        item.token = token
        item.loose |= item.foreign
        self.touched(item, "edit")

    def copy(self, item, token, box, node):
        copy = Item(token, box, item.flags, node, "copied")
        copy.loose = item.loose | item.foreign
        copy.source = item.olds | item.source
        copy.visited |= item.visited
        self.items.append(copy)
        self.touched(item, "copy")
        self.touched(copy, "copied")

    def unsettle(self, item):
        """The UIDs that pending actions on it name are no more."""
        item.loose |= item.flagged | item.foreign
        if item.pending <= {"upload", "flag"}:
            return
        self.doubt_item(item, needed="remove" not in item.pending)
        for old in item.olds:
            self.doubt(old, 1)

    def given_up(self, shown):
        """The user gave an action up.  shown: the nodes that are left.  What was only here is rescued."""
        for item in self.items:
            if item.node and item.node not in shown:
                self.doubt(item.token, 1, needed=bool(item.pending & {"upload", "edit"}))

    # What the second client did; `unsure`: some of the user's actions may have been carried out

    def second_flags(self, token, flag, on, unsure):
        for item in [i for i in self.items if token in i.olds | i.source]:
            item.loose.add(flag)
        same = self.of(token)
        others = any(token == i.token or token in i.olds for i in self.removed) or \
            any(token in i.olds for i in self.items)
        if len(same) != 1 or others:
            self.loosen(token, flag)
            return
        item = same[0]
        (item.flags.add if on else item.flags.discard)(flag)
        item.foreign.add(flag)
        if flag in item.flagged or item.pending & {"upload", "copied", "copy", "edit"} or \
                unsure and item.pending:
            item.loose.add(flag)

    def second_takes(self, token, unsure):
        """It expunges or moves it.  The item, when what comes of it is known; it stays listed."""
        for item in [i for i in self.items if token in i.olds]:
            self.doubt(token, 1)
            item.loose |= item.flags | item.flagged | item.foreign
            if unsure:
                self.doubt(item.token, 1)
        for item in [i for i in self.removed if token == i.token or token in i.olds]:
            self.doubt(token, 1)
        same = self.of(token)
        if len(same) == 1 and not same[0].pending - {"flag"} and token not in self.slack:
            return same[0]
        for item in same[:1] or []:
            self.doubt_item(item)
        return None

    def second_renumbers(self, box):
        self.renumbered.add(box)
        for item in self.items:
            if item.pending and box in item.visited:
                self.unsettle(item)
        for item in self.removed:
            if box in item.visited:
                self.doubt(item.token, 1)
                for old in item.olds:
                    self.doubt(old, 1)

    # A mailbox got another name

    def renamed(self, old, new):
        def now(name):
            return new + name[len(old):] if name == old or name.startswith(old + "/") else name
        for item in self.items + self.removed:
            item.box = now(item.box)
            item.visited |= set(map(now, item.visited))

    # Comparing

    def differences(self, server, rescued):
        """server: {mailbox: [(token, flags)]}; rescued: tokens in lost+found.  What is not as it should
        be, as lines."""
        found = []
        held = collections.defaultdict(list)
        count = collections.Counter()
        for box, messages in server.items():
            for token, flags in messages:
                held[box, token].append(flags)
                count[token] += 1
        wanted = collections.defaultdict(list)
        for item in self.items:
            wanted[item.box, item.token].append(item)
        for place in sorted(set(held) | set(wanted)):
            if place[1] in self.slack:
                continue
            if len(held[place]) != len(wanted[place]):
                found.append(f"{place}: {len(held[place])} on the server, {len(wanted[place])} "
                             "expected")
                continue
            loose = set().union(*(i.loose for i in wanted[place]))
            have = sorted(sorted(f - loose) for f in held[place])
            want = sorted(sorted(i.flags - loose) for i in wanted[place])
            if have != want:
                found.append(f"{place}: flags {have}, expected {want}")
        for token, slack in self.slack.items():
            expected = len(self.of(token))
            must = token in self.needed and token not in rescued and expected
            least = max(expected - slack, 1 if must else 0)
            if not least <= count[token] <= expected + slack:
                found.append(f"{token}: {count[token]} on the server, between {least} and "
                             f"{expected + slack} expected")
        return found
