# SPDX-License-Identifier: MIT
"""Runs random histories:  run.py [--count=300] [--steps=100] [--seed=N] [--jobs=2] [--server=NAME]

Prints the first seed, and of each history that failed its seed and the way there; with --seed=N
--count=1 it comes again.  Ends with a line of figures; status 1 when any failed.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "unit", "sync"), os.path.dirname(HERE)]

from history import Failed, History  # noqa: E402
from real import Real  # noqa: E402
from servers import Memory  # noqa: E402
from tools.cyrus import Cyrus  # noqa: E402
from tools.dovecot import Dovecot  # noqa: E402

TOP = os.path.dirname(os.path.dirname(HERE))
BINARY = os.environ.get("SYNC_DRIVE_FAST") or \
    os.path.join(TOP, "build", "tests", "unit", "sync", "sync_drive_fast")
REAL = {"dovecot": Dovecot, "cyrus": Cyrus}


def user_of(seed):
    """Each history on a real server has an account for itself."""
    return f"user{seed}"


def one(seed, steps, keep, calm=False, port=None):
    """None, or what went wrong.  `port`: of a real server."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    place = tempfile.mkdtemp(prefix="imapfs-history-", dir=base)
    server = functools.partial(Real, port=port, user=user_of(seed)) if port else Memory
    history = History(seed, steps, server, place, BINARY, calm)
    history.keep = keep
    kept = False
    try:
        history.run()
        return None
    except Failed as failed:
        kept = keep
        return f"seed {seed}: {failed}\n" + "\n".join(f"    {line}" for line in history.log) + \
            (f"\n{place}" if keep else "")
    finally:
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


def many(seeds, steps, jobs, report, keep=False, calm=False, port=None):
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for outcome in pool.map(one, seeds, [steps] * len(seeds), [keep] * len(seeds),
                                [calm] * len(seeds), [port] * len(seeds)):
            if outcome:
                failed += 1
                report(outcome)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep the state of those that failed")
    parser.add_argument("--calm", action="store_true",
                        help="the second client only delivers, and no UIDVALIDITY changes")
    parser.add_argument("--server", choices=sorted(REAL), help="a real one; default: in memory")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else int(time.time()) % 1000000 * 1000
    print(f"seeds from {seed}", flush=True)
    began = time.monotonic()
    seeds = range(seed, seed + given.count)
    with contextlib.ExitStack() as stack:
        port = None
        if given.server:
            users = {user_of(s): "secret" for s in seeds}
            port = stack.enter_context(REAL[given.server](users=users)).port
        failed = many(seeds, given.steps, given.jobs, lambda text: print(text, flush=True),
                      given.keep, given.calm, port)
    took = time.monotonic() - began
    print(f"{given.count} histories of {given.steps} steps: {failed} failed "
          f"({took:.0f} s, {given.count * given.steps / took:.0f} steps/s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
