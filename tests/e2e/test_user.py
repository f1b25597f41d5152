# SPDX-License-Identifier: MIT
"""As an ordinary user, through fusermount3, with a home of one's own and nothing else."""

import os
import pwd
import shutil
import subprocess

import pytest

from tools.mount import Mount, default_binary, wait_until


@pytest.fixture(name="user")
def _user(place):
    """(prefix to run commands as a user, the user's directory, a binary it can execute)."""
    home = os.path.join(place, "home")
    os.makedirs(home)
    binary = os.path.join(place, "imapfs")
    shutil.copy(default_binary(), binary)
    os.chmod(place, 0o755)
    os.chmod(binary, 0o755)
    if os.geteuid():
        return [], home, binary
    who = pwd.getpwnam("nobody")
    os.chown(home, who.pw_uid, who.pw_gid)
    if os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        os.chmod("/dev/fuse", 0o666)  # as everywhere; only minimal containers differ
    return ["setpriv", "--reuid", str(who.pw_uid), "--regid", str(who.pw_gid), "--clear-groups"], \
        home, binary


def own(mount, home):
    if os.geteuid() == 0:
        who = os.stat(home)
        for path, dirs, files in os.walk(home):
            for name in dirs + files:
                os.chown(os.path.join(path, name), who.st_uid, who.st_gid)


def test_user_mounts_reads_and_writes(user, kind, make_server, make_client, generator):
    """Mounted by fusermount3, read, flagged, written, unmounted by the same user. R041, R070"""
    prefix, home, binary = user
    server = make_server([("INBOX", generator.mail(i)) for i in range(10)])
    mount = Mount(home, server.port, binary=binary, prefix=prefix, **kind.way_in())
    own(mount, home)

    def inbox(name):
        return f"{mount.point}/INBOX/{name}"
    drafts = "/".join(part for part in (mount.point, mount.below, "Drafts") if part)

    def run(*command):
        return subprocess.run([*prefix, *command], check=True, stdin=subprocess.DEVNULL,
                              capture_output=True, env=mount.env).stdout
    try:
        mount.start()
        mount.sync()
        assert run("cat", inbox("1.eml")) == generator.mail(0).data
        run("setfattr", "-n", "user.imap.flag.Flagged", "-v", "1", inbox("2.eml"))
        run("sh", "-c", f"cat '{inbox('3.eml')}' > '{drafts}/copy.eml'")
        mount.sync()
        client = make_client(server.port)
        client.select("INBOX")
        assert "\\Flagged" in client.fetch([2])[2].flags
        client.select("Drafts")
        assert [m.data for m in client.fetch().values()] == [generator.mail(2).data]
        if os.geteuid() == 0:
            with pytest.raises(PermissionError):  # even root is kept out without allow_other
                os.listdir(mount.point)
        mount.unmount()
    finally:
        mount.close()


def test_background_by_address(user, kind, make_server, generator):
    """Without -f: the parent returns once the mount answers, with an environment that holds
    no more than the password; `imapfs umount` ends it."""
    prefix, home, binary = user
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    mount = Mount(home, server.port, binary=binary, prefix=prefix, **kind.way_in())
    own(mount, home)
    env = {"IMAPFS_PASSWORD": "secret", "PATH": "/usr/bin:/bin"}
    try:
        # stdout and stderr of a daemon must not hold a pipe open
        subprocess.run(mount.command(*mount.option_words(), mount.address, mount.point),
                       check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                       env=env)
        done = subprocess.run([*prefix, "ls", mount.point + "/INBOX"], check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        mount.run("umount", mount.point)
        wait_until(lambda: not os.path.ismount(mount.point), 30, "unmounted")
    finally:
        mount.close()
