# SPDX-License-Identifier: MIT
"""The POSIX suite (tools/posix.py) on a mount: with the server there, and with it gone."""

import os

import pytest

from tools import fsx, posix, posix_place

POSIX = posix.__file__.removesuffix(".py")


@pytest.fixture(name="account")
def _account(make_server, make_client, make_mount, generator):
    server = make_server([("INBOX", generator.mail(i, size=3000)) for i in range(6)])
    client = make_client(server.port)
    mount = make_mount(server.port, hold="2s")
    mount.sync()
    mount.wait_bodies()
    return server, client, mount


def run_all(mount, where, cases, messages):
    """Each case in a directory of its own; all failures at the end.  How much was asserted."""
    failed, count = [], 0
    for case in cases:
        directory, other = (os.path.join(where(), f"{case.__name__}{x}") for x in ("", "-other"))
        os.makedirs(directory)
        os.makedirs(other)
        place = posix_place.Place(directory, other, messages, mount.path("INBOX"))
        try:
            case(place)
        except (AssertionError, OSError) as e:
            line = e.__traceback__
            while line.tb_next and line.tb_next.tb_frame.f_code.co_filename.startswith(POSIX) \
                    and line.tb_next.tb_frame.f_code.co_name not in ("same", "true", "fails"):
                line = line.tb_next
            failed.append(f"{case.__name__}:{line.tb_lineno}: {e}")
        count += place.count
    assert not failed, "\n".join(failed)
    return count


@pytest.mark.dovecot("others refuse some of these names")
@pytest.mark.parametrize("server_is", ["there", "gone"])
def test_posix(account, server_is):
    """In mailboxes, where files become messages, and in local directories."""
    server, client, mount = account
    messages = [mount.message("INBOX", n) for n in range(1, 7)]
    if server_is == "gone":
        server.stop()
    os.mkdir(mount.point + "/Box")
    os.mkdir(mount.point + "/Box/Local.tmp")
    count = run_all(mount, lambda: mount.point + "/Box", posix.CASES, messages)
    count += run_all(mount, lambda: mount.point + "/Box/Local.tmp",
                     posix.CASES + posix.MESSAGE_CASES, messages)
    assert count >= 300
    if server_is == "there":
        mount.sync()
        assert {f"Box/{name}" for name in os.listdir(mount.point + "/Box")
                if not posix_place.scratch(name)} <= set(client.mailboxes())


def test_fsx(make_server, make_client, make_mount, generator):
    """20,000 operations on drafts, while what rests is uploaded: the server ends with the last bytes of
    each draft, once."""
    server = make_server([("Drafts", generator.mail(i, size=3000)) for i in range(2)])
    mount = make_mount(server.port, hold="0s")
    mount.sync()
    drafts = [fsx.Fsx(mount.path("Drafts"), f"new {n}.eml", n) for n in range(2)]
    for _ in range(10):
        for draft in drafts:
            draft.run(1000)
            draft.reopen()
    for draft in drafts:
        draft.close()
    mount.sync()
    client = make_client(server.port)
    client.select("Drafts")
    held = [m.data for m in client.fetch().values()]
    assert sorted(held) == sorted([generator.mail(i, size=3000).data for i in range(2)]
                                  + [generator.kept(bytes(d.model)) for d in drafts])
