# SPDX-License-Identifier: MIT
"""The program as its user meets it: exit statuses, going to the background, commands, signals."""

import errno
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time

import pytest

from tools.mount import Mount, default_binary, detach, mounted, wait_until

QUICK = 20


@pytest.fixture(name="server", scope="module")
def _server(generator):
    from tools.dovecot import Dovecot
    server = Dovecot()
    server.fill([("INBOX", generator.mail(i)) for i in range(5)])
    with server:
        yield server


@pytest.fixture(name="unmounted")
def _unmounted(place, kind):
    """unmounted(port, **options): a Mount that was not started, cleaned up at the end."""
    mounts = []

    def make(port=1, name="u", **options):
        directory = os.path.join(place, name)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        mounts.append(Mount(directory, port, **{**kind.way_in(), **options}))
        return mounts[-1]
    yield make
    for mount in mounts:
        mount.close()


def run(mount, *args, env=None, timeout=90):
    return subprocess.run(mount.command(*args), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=mount.env if env is None else env, timeout=timeout,
                          check=False)


def start(mount, *more, env=None):
    """In the background, as without -f."""
    return run(mount, *mount.option_words(), *more, mount.address, mount.point, env=env)


def one_line(done, status, *words):
    """It ended with this status and one line that holds the words."""
    assert done.returncode == status, done.stderr
    assert re.fullmatch(r"imapfs: [^\n]+\n", done.stderr), done.stderr
    for word in words:
        assert word in done.stderr
    assert "secret" not in done.stderr + done.stdout


def stop(mount):
    assert run(mount, "umount", mount.point).returncode == 0
    assert not mounted(mount.point)


@pytest.fixture(name="deaf_port")
def _deaf_port():
    """One that refuses, and that nobody else is given meanwhile."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


# ---- Exit statuses ----

def test_usage(unmounted):
    mount = unmounted()
    one_line(run(mount), 1)
    one_line(run(mount, "a@b"), 1)
    one_line(run(mount, "--bogus", "a@b", mount.point), 1, "bogus")
    one_line(run(mount, "-o", "tls=ssl", "a@b", mount.point), 1, "tls")
    one_line(run(mount, "status"), 1)
    one_line(run(mount, "queue", mount.point, "retry", "1", "2", "3"), 1)
    assert run(mount, "--help").stdout.startswith("usage: imapfs")
    assert re.match(r"imapfs \d", run(mount, "-V").stdout)


def test_configuration(unmounted, place):
    mount = unmounted()
    config = os.path.join(place, "config")
    with open(config, "w", encoding="utf-8") as f:
        f.write("[work]\nhost = h\nhold = soon\n")
    one_line(run(mount, "--config", config, "work", mount.point), 2, f"{config}:3: ")
    one_line(run(mount, "--config", config + "x", "work", mount.point), 2)
    one_line(run(mount, "nobody", mount.point), 2, "no account nobody")
    inside = os.path.join(mount.point, "state")
    one_line(run(mount, "-o", f"state-dir={inside}", "a@b", mount.point), 2, "within")


def test_state_of_another_account(unmounted, server):
    """What waits for one account is never sent to another: neither user nor host may differ."""
    mount = unmounted(server.port)
    mount.start()
    mount.unmount()
    with open(os.path.join(mount.dir, "state", "account"), encoding="ascii") as f:
        assert f.read() == "test@127.0.0.1\n"
    for address in (f"other@127.0.0.1:{server.port}", f"test@localhost:{server.port}",
                    f"Test@127.0.0.1:{server.port}"):
        one_line(run(mount, *mount.option_words(), address, mount.point), 2,
                 "holds the state of test@127.0.0.1")
        assert not mounted(mount.point)
        done = run(mount, "doctor", *mount.option_words(), address)
        assert done.returncode != 0 and "holds the state of test@127.0.0.1" in done.stdout
    mount.start()


def test_mistyped_address_notes_nothing(unmounted, server):
    """An account that never answered owns nothing: the right address mounts."""
    mount = unmounted(server.port)
    run(mount, *mount.option_words(), f"nobody@127.0.0.1:{server.port}", mount.point)
    assert not mounted(mount.point)
    mount.start()


def test_mountpoint(unmounted, server):
    mount = unmounted(server.port)
    one_line(run(mount, *mount.option_words(), mount.address, mount.point + "/none"), 3)
    full = os.path.join(mount.dir, "full")
    os.makedirs(os.path.join(full, "x"))
    one_line(run(mount, *mount.option_words(), mount.address, full), 3, "not empty")
    mount.start()
    one_line(start(mount), 3, "mounted there already")


def test_unreachable_and_unknown(unmounted, deaf_port):
    mount = unmounted(deaf_port)
    one_line(start(mount), 4)
    assert not mounted(mount.point)
    one_line(start(mount), 4)  # the failed attempt did not make it a known one


def test_certificate(unmounted, server):
    mount = unmounted(server.tls_port, tls="implicit")
    one_line(start(mount), 5)


def test_password_refused_or_missing(unmounted, server):
    one_line(start(unmounted(server.port, password="wrong")), 6)
    one_line(start(unmounted(server.port, password="")), 6, "no password")


def test_locked(unmounted, make_mount, server):
    first = make_mount(server.port)
    second = unmounted(server.port, state_dir=first.options["state-dir"])
    one_line(start(second), 7)
    first.sync()


def test_local_state(unmounted, server):
    mount = unmounted(server.port)
    with open(mount.options["state-dir"], "w", encoding="ascii"):
        pass
    one_line(start(mount), 8)


# ---- Going up and down ----

def test_known_account_mounts_without_server(unmounted, make_proxy, server):
    """What was once here is here again, at once and in the background. R007, R008"""
    proxy = make_proxy(server.port)
    mount = unmounted(proxy.port)
    assert start(mount).returncode == 0
    assert os.listdir(mount.point + "/INBOX")
    mount.wait_bodies(30)
    stop(mount)
    proxy.stop()
    began = time.monotonic()
    assert start(mount).returncode == 0
    assert time.monotonic() - began < QUICK
    with open(mount.message("INBOX", 1), "rb") as f:
        assert f.read()
    done = run(mount, "status", mount.point)
    assert done.returncode == 1 and "offline" in done.stdout
    stop(mount)


def test_account_of_configuration_without_environment(unmounted, server, place):
    """As a system unit would: an empty environment, an account by its name."""
    mount = unmounted(server.port)
    secret, config = os.path.join(place, "password"), os.path.join(place, "config")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write("secret\n")
    with open(config, "w", encoding="utf-8") as f:
        f.write(f"hold = 0s\n[work]\nhost = 127.0.0.1\nuser = test\nport = {server.port}\n"
                f"tls = none\npassword-file = {secret}\nstate-dir = {place}/s\n"
                f"cache_dir = {place}/c\n")
    done = run(mount, "-o", f"config={config},noauto,nofail,_netdev,x-systemd.automount,users",
               "work", mount.point, env={})
    assert done.returncode == 0, done.stderr
    assert os.listdir(mount.point + "/INBOX")
    assert run(mount, "sync", mount.point, env={}).returncode == 0
    assert run(mount, "umount", mount.point, env={}).returncode == 0


def test_mount_helper(unmounted, server):
    """Through mount(8) and its helper for FUSE, as from fstab."""
    if os.geteuid() != 0:
        pytest.skip("mount(8) needs root")
    mount = unmounted(server.port)
    options = ",".join(["rw", "noauto", "nofail", "nosuid", "nodev", "_netdev",
                        *(f"{k}={v}" for k, v in mount.options.items())])
    done = subprocess.run(["mount", "-t", "fuse", "-o", options,
                           f"{default_binary()}#{mount.address}", mount.point], env=mount.env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        line = next(line for line in f if f" {mount.point} " in line)
    assert f" fuse.imapfs {mount.address} " in line and "nodev" in line and "nosuid" in line
    subprocess.run(["umount", mount.point], check=True, timeout=30)
    assert not mounted(mount.point)


def test_password_from_terminal(unmounted, server):
    """Asked before going to the background, and not shown."""
    mount = unmounted(server.port, password="")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(mount.binary, mount.command(*mount.option_words(), mount.address, mount.point),
                  mount.env)
    shown = b""
    while b"Password for " not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"secret\n")
    try:
        while True:
            shown += os.read(terminal, 1000)
    except OSError as e:
        assert e.errno == errno.EIO
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert b"secret" not in shown
    assert mounted(mount.point)
    stop(mount)


def test_after_kill(make_mount, server):
    """The dead mount of a killed daemon is replaced by the next."""
    mount = make_mount(server.port)
    mount.sync()
    os.kill(mount.pid, signal.SIGKILL)
    mount.process.wait()
    with pytest.raises(OSError) as e:
        os.listdir(mount.point)
    assert e.value.errno == errno.ENOTCONN
    one_line(run(mount, "status", mount.point), 3)
    mount.start()
    wait_until(lambda: _listed(mount), QUICK, "mounted again")
    mount.sync()


def _listed(mount):
    try:
        return os.listdir(mount.point + "/INBOX")
    except OSError:
        return False


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_by_signal(make_mount, server, sig):
    mount = make_mount(server.port)
    mount.sync()
    mount.process.send_signal(sig)
    mount.process.send_signal(sig)
    assert mount.process.wait(QUICK) == 0
    assert not mounted(mount.point)
    mount.start()


def test_hangup_is_no_end(make_mount, server):
    mount = make_mount(server.port)
    mount.sync()
    mount.process.send_signal(signal.SIGHUP)
    mount.process.send_signal(signal.SIGPIPE)
    mount.sync()
    assert mount.process.poll() is None


@pytest.mark.extension("KEYWORDS")
def test_frozen_server(make_server, make_mount, generator):
    """Every command answers while the server is silent, and unmounting takes no time."""
    server = make_server([("INBOX", generator.mail(i)) for i in range(3)])
    mount = make_mount(server.port)
    mount.sync()
    server.freeze()
    os.setxattr(mount.message("INBOX", 1), "user.imap.flag.Later", b"")
    began = time.monotonic()
    assert run(mount, "status", mount.point).returncode == 1
    assert "\tflags\tINBOX/1.eml\t" in run(mount, "queue", mount.point).stdout
    assert run(mount, "info", mount.message("INBOX", 1)).returncode == 0
    assert run(mount, "log", mount.point).returncode == 0
    assert time.monotonic() - began < QUICK
    done = run(mount, "sync", "--timeout=1s", mount.point)
    one_line(done, 1, mount.point)
    done = run(mount, "umount", "--flush", "--timeout=1s", mount.point)
    one_line(done, 1)
    assert mounted(mount.point)
    began = time.monotonic()
    done = run(mount, "umount", mount.point)
    print(f"unmounted after {time.monotonic() - began:.2f} s")
    assert (done.returncode, done.stdout) == (0, "1 action left\n")
    assert time.monotonic() - began < QUICK
    assert mount.process.wait(QUICK) == 0
    mount.process = None


def test_hung_daemon(make_mount, server):
    """A daemon that does not run gives a line in time, not a hang."""
    mount = make_mount(server.port)
    mount.sync()
    os.kill(mount.pid, signal.SIGSTOP)
    try:
        one_line(run(mount, "status", mount.point, timeout=40), 9, "does not answer")
        one_line(run(mount, "info", mount.point + "/INBOX/7.eml", timeout=40), 9)
    finally:
        os.kill(mount.pid, signal.SIGCONT)
    mount.sync()


def test_service_manager(unmounted, server, place):
    """READY once the mount answers, STOPPING at the end."""
    path = os.path.join(place, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(QUICK)
        mount = unmounted(server.port, env={"NOTIFY_SOCKET": path})
        mount.start()
        assert manager.recv(1000) == b"READY=1"
        assert os.listdir(mount.point + "/INBOX")
        mount.unmount()
        received = b""
        while received != b"STOPPING=1":
            received = manager.recv(1000)


# ---- Commands ----

def test_not_mounted(unmounted):
    mount = unmounted()
    for command in ("status", "sync", "queue", "pause", "resume", "log", "umount", "info"):
        one_line(run(mount, command, mount.point), 3)


def test_commands_and_virtual_files(make_mount, server):
    """The files below .imapfs/ say what the commands say; neither tells the password."""
    mount = make_mount(server.port)
    mount.sync()
    run(mount, "pause", mount.point)
    os.setxattr(mount.message("INBOX", 2), "user.imap.flag.Later", b"")

    def read(name):
        with open(f"{mount.point}/.imapfs/{name}", encoding="utf-8") as f:
            return f.read()
    assert ".imapfs" not in os.listdir(mount.point)
    deep = mount.message("INBOX", 2)
    status = run(mount, "status", deep)
    assert status.returncode == 1
    assert mount.address in status.stdout and "imapfs resume" in status.stdout
    assert "1 action (1 flags)" in status.stdout and "1 action (1 flags)" in read("status")
    for text in (run(mount, "status", "--json", deep).stdout, read("status.json")):
        parsed = json.loads(text)
        assert parsed["state"] == "paused" and parsed["exit_status"] == 1
        assert parsed["pending"]["total"] == 1 and parsed["pending"]["flags"] == 1
        assert parsed["pid"] == mount.pid
    fields = read("queue").rstrip("\n").split("\t")
    assert fields[1:3] == ["flags", "INBOX/2.eml"] and fields[5] == "queued"
    assert "mounted on" in read("log")
    for name in ("status", "status.json", "queue", "log"):
        assert "secret" not in read(name)
    info = run(mount, "info", deep, mount.point + "/INBOX").stdout
    assert "uid: 2\n" in info and "Later" in info and "uidnext: 6\n" in info
    assert run(mount, "resume", mount.point).returncode == 0
    assert run(mount, "sync", deep, "--timeout", "30s").returncode == 0
    assert run(mount, "status", mount.point).returncode == 0
    assert read("queue") == ""


def test_choices_for_a_failed_action(make_server, make_proxy, make_client, make_mount, generator):
    """Parked by a definite NO, each is retried, sent elsewhere, or taken back, by the user's
    word; the rest of the queue did not wait. R323"""
    server = make_server([("INBOX", generator.mail(0))])
    proxy = make_proxy(server.port)
    proxy.refuse("APPEND", "NO [OVERQUOTA] Mailbox is full")
    mount = make_mount(proxy.port)
    mount.sync()
    mails = [generator.mail(60 + n) for n in range(3)]
    for n, mail in enumerate(mails):
        with open(mount.path("Drafts", f"{n}.eml"), "wb") as f:
            f.write(mail.data)

    def queue():
        lines = run(mount, "queue", mount.point).stdout.splitlines()
        return {os.path.basename(line.split("\t")[2]): line.split("\t") for line in lines}

    def parked():
        return [f[5] for f in queue().values()] == ["parked"] * 3
    wait_until(parked, 60, "all three parked")
    done = run(mount, "status", mount.point)
    assert done.returncode == 2
    assert "Drafts/1.eml" in done.stdout and "ailbox is full" in done.stdout
    assert run(mount, "sync", mount.point).returncode == 2
    numbers = {path: fields[0] for path, fields in queue().items()}
    one_line(run(mount, "queue", mount.point, "bogus", "1"), 1, "bogus")
    one_line(run(mount, "queue", mount.point, "retry", "9999"), 1, "9999")
    proxy.refusals.clear()
    assert run(mount, "queue", mount.point, "retry", numbers["0.eml"]).returncode == 0
    assert run(mount, "queue", mount.point, "retarget", numbers["1.eml"],
               os.path.relpath(mount.path("Sent"), mount.point)).returncode == 0
    assert run(mount, "queue", mount.point, "drop", numbers["2.eml"]).returncode == 0
    mount.sync()
    assert run(mount, "status", mount.point).returncode == 0
    client = make_client(server.port)
    for mailbox, mail in (("Drafts", mails[0]), ("Sent", mails[1])):
        client.select(mailbox)
        assert [m.data for m in client.fetch().values()] == [mail.data]
    assert not os.path.exists(mount.path("Drafts", "2.eml"))


def test_sync_waits_for_the_network(make_proxy, make_mount, server):
    """With a time, until the server is back; without, not for long; never while paused."""
    proxy = make_proxy(server.port)
    mount = make_mount(proxy.port)
    mount.sync()
    proxy.stop()
    os.setxattr(mount.message("INBOX", 3), "user.imap.flag.Waiting", b"")
    one_line(run(mount, "sync", mount.point), 1)
    one_line(run(mount, "sync", "--timeout=2s", mount.point), 1)
    waiting = subprocess.Popen(mount.command("sync", "--timeout=60s", mount.point),
                               stdin=subprocess.DEVNULL, env=mount.env)
    time.sleep(1)
    assert waiting.poll() is None
    proxy.start()
    assert waiting.wait(60) == 0
    run(mount, "pause", mount.point)
    began = time.monotonic()
    one_line(run(mount, "sync", "--timeout=60s", mount.point), 1, "paused")
    assert time.monotonic() - began < QUICK


def test_umount_flushes(make_server, make_client, unmounted, generator):
    """With --flush all is on the server when the command ends; the daemon has ended too, so
    that the next one finds the account free."""
    server = make_server([("INBOX", generator.mail(0))])
    mount = unmounted(server.port, hold="1h")
    for n in range(3):
        assert start(mount).returncode == 0
        with open(mount.path("INBOX", f"new {n}.eml"), "wb") as f:
            f.write(generator.mail(70 + n).data)
        done = run(mount, "umount", "--flush", mount.point)
        assert (done.returncode, done.stdout) == (0, "0 actions left\n"), done.stderr
        assert make_client(server.port).status("INBOX") == 2 + n


def test_umount_in_use(make_mount, server):
    mount = make_mount(server.port)
    mount.sync()
    with open(mount.message("INBOX", 1), "rb"):
        one_line(run(mount, "umount", mount.point), 3, "in use")
        assert mounted(mount.point)
    detach(mount.point)
    assert mount.process.wait(QUICK) == 0
    mount.process = None


def test_doctor(unmounted, server):
    mount = unmounted(server.port)
    done = run(mount, "doctor", *mount.option_words(), mount.address)
    assert done.returncode == 0 and "sign-in" in done.stdout and "none yet" in done.stdout
    mount.env["IMAPFS_PASSWORD"] = "wrong"
    done = run(mount, "doctor", *mount.option_words(), mount.address)
    assert done.returncode == 6 and "wrong" not in done.stdout
