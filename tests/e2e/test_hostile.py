# SPDX-License-Identifier: MIT
"""Servers that mean harm: every one of their scenarios ends in the safe result.

Run on the program as it was built with ASan and UBSan (IMAPFS=build-asan/imapfs).  Several
scenarios run at a time, for each of them waits most of the time; every one is a test of its own.
"""

import concurrent.futures
import os
import shutil
import tempfile
import time

import pytest

import hostile
import hostile_packed  # noqa: F401  registers its scenarios
import hostile_scenes  # noqa: F401  likewise
import hostile_table   # noqa: F401  likewise

AT_A_TIME = 6


def play(name):
    """Seconds that it took."""
    place = tempfile.mkdtemp(prefix="imapfs-hostile-", dir=os.environ.get("IMAPFS_TEST_DIR", "/tmp"))
    stage = hostile.Stage(place)
    begin = time.monotonic()
    try:
        hostile.SCENARIOS[name](stage)
    except BaseException as error:
        log = stage.mount.log() if stage.mount else ""
        seen = [line for _, line in stage.server.transcript][-30:] if stage.server else []
        error.add_note("\n".join([f"last commands: {seen}", f"imapfs: {log}"]))
        raise
    finally:
        stage.close()
        shutil.rmtree(place, ignore_errors=True)
    return time.monotonic() - begin


@pytest.fixture(scope="module", name="played")
def _played(request):
    """The scenarios that were asked for, all under way."""
    names = [item.callspec.params["name"] for item in request.session.items
             if item.originalname == "test_hostile"]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {name: pool.submit(play, name) for name in names}
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.mark.parametrize("name", sorted(hostile.SCENARIOS))
def test_hostile(played, name, record_property):
    """The safe result, whatever the server does. R304, R309"""
    record_property("seconds", played[name].result())


def test_there_are_enough():
    """The issue asks for eighty scenarios; a row that was lost would not be missed otherwise."""
    assert len(hostile.SCENARIOS) >= 80
