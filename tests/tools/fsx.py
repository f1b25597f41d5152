# SPDX-License-Identifier: MIT
"""After fsx: random operations on one file, each checked against a model in memory.

A step that failed is repeated from the seed; the last operations are in the error.
"""

import contextlib
import mmap
import os
import random

HEAD = b"From: fsx@example.org\r\nSubject: draft\r\n\r\n"
SIZE_MAX = 120_000


class Fsx:
    """Draft `name` in `directory`; `name` changes as it is renamed."""

    def __init__(self, directory, name, seed):
        self.dir, self.name, self.seed = directory, name, seed
        self.random = random.Random(seed)
        self.model = bytearray(HEAD + b"start")
        self.history = []
        self.fd = None
        with open(self.path, "wb") as f:
            f.write(self.model)
        self.reopen()

    @property
    def path(self):
        return os.path.join(self.dir, self.name)

    def text(self, n):
        return bytes(self.random.choices(b"abcdefghijklmnopqrstuvwxyz ", k=min(n, 64))) * (n // 64 + 1)

    def span(self, limit=SIZE_MAX):
        """A place, mostly within the file, often at the edge of a page."""
        at = self.random.randrange(len(HEAD), max(len(self.model), len(HEAD) + 1))
        if self.random.random() < 0.3:
            at = max(len(HEAD), at // 4096 * 4096 + self.random.choice((-1, 0, 1)))
        n = int(self.random.paretovariate(0.6) * 8) % 20_000 + 1
        return at, max(0, min(n, limit - at))

    def reopen(self):
        self.close()
        self.fd = os.open(self.path, os.O_RDWR)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None

    def same(self, got, at, n):
        wanted = bytes(self.model[at:at + n])
        if got != wanted:
            off = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b),
                       min(len(got), len(wanted)))
            raise AssertionError(f"at {at}+{off} of {len(self.model)}: {got[off:off + 20]!r} ({len(got)}), "
                                 f"not {wanted[off:off + 20]!r} ({n})")

    # ---- operations ----

    def op_write(self):
        at, n = self.span()
        data = self.text(n)[:n]
        assert os.pwrite(self.fd, data, at) == n
        self.model[at:at + n] = data
        return at, n

    def op_append(self):
        data = self.text(200)[:self.random.randrange(1, 200)]
        if len(self.model) + len(data) > SIZE_MAX:
            return self.op_cut()
        with open(self.path, "ab") as f:
            f.write(data)
        self.model += data
        return len(data)

    def op_cut(self):
        size = self.random.randrange(len(HEAD), len(self.model) + 1)
        os.ftruncate(self.fd, size)
        del self.model[size:]
        return size

    def op_read(self):
        at, n = self.span()
        self.same(os.pread(self.fd, n, at), at, n)
        return at, n

    def op_map_read(self):
        at, n = self.span(len(self.model))
        with mmap.mmap(self.fd, 0, prot=mmap.PROT_READ) as m:
            assert len(m) == len(self.model), "mapped size"
            self.same(m[at:at + n], at, n)
        return at, n

    def op_map_write(self):
        at, n = self.span(len(self.model))
        data = self.text(n)[:n]
        with mmap.mmap(self.fd, 0) as m:
            m[at:at + n] = data
            m.flush()
        self.model[at:at + n] = data
        return at, n

    def op_forget_pages(self):
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def op_reopen(self):
        self.reopen()

    def op_sync(self):
        os.fsync(self.fd)

    def op_rewrite(self):
        """As an editor does: cut to nothing and written anew."""
        self.model[:] = HEAD + self.text(self.random.randrange(1, 5000))
        with open(self.path, "wb") as f:
            f.write(self.model)
        return len(self.model)

    def op_replace(self):
        """As other editors do: a second file, renamed over it."""
        self.close()
        self.model[:] = HEAD + self.text(self.random.randrange(1, 5000))
        temporary = os.path.join(self.dir, ".goutputstream-FSX000")
        with open(temporary, "wb") as f:
            f.write(self.model)
        os.rename(temporary, self.path)
        self.reopen()
        return len(self.model)

    def op_set_aside(self):
        """And others: renamed to a backup name, written anew, the backup removed."""
        self.close()
        self.model[:] = HEAD + self.text(self.random.randrange(1, 5000))
        os.rename(self.path, self.path + "~")
        with open(self.path, "wb") as f:
            f.write(self.model)
        os.unlink(self.path + "~")
        self.reopen()
        return len(self.model)

    def op_rename(self):
        name = f"draft {self.seed}-{self.random.randrange(5)}.eml"
        os.rename(self.path, os.path.join(self.dir, name))
        self.name = name
        return name

    def op_size(self):
        assert os.fstat(self.fd).st_size == len(self.model), "fstat"
        assert os.stat(self.path).st_size == len(self.model), "stat"

    WEIGHTS = ((op_write, 25), (op_append, 8), (op_cut, 5), (op_read, 25), (op_map_read, 8),
               (op_map_write, 8), (op_forget_pages, 4), (op_reopen, 6), (op_sync, 1), (op_rewrite, 1),
               (op_replace, 1), (op_set_aside, 1), (op_rename, 2), (op_size, 5))

    def run(self, count):
        ops, weights = zip(*self.WEIGHTS)
        for n, op in enumerate(self.random.choices(ops, weights, k=count)):
            self.history.append(op.__name__)
            try:
                self.history[-1] += f" {op(self)}"
            except (AssertionError, OSError, ValueError) as e:
                raise AssertionError(f"operation {n}: {e!r}; the last were\n"
                                     + "\n".join(self.history[-15:])) from e
        with contextlib.suppress(AssertionError):
            self.op_size()
        self.close()
        with open(self.path, "rb") as f:
            assert f.read() == self.model, "at the end"
