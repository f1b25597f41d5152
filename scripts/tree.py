# SPDX-License-Identifier: MIT
"""The files of the project, for the checks."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(*endings):
    """Paths below ROOT of what git tracks (or would), sorted; all, or those with an ending."""
    run = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if run.returncode == 0:
        found = run.stdout.decode().split("\0")
    else:
        found = [os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, _, names in os.walk(ROOT) for name in names]
        found = [f for f in found if not f.startswith(("build", ".git/"))
                 and "__pycache__" not in f]
    return [f for f in sorted(set(found)) if f.endswith(endings or "")
            and os.path.isfile(os.path.join(ROOT, f))]


def is_python(path):
    """True for Python, by its name or its first line."""
    if path.endswith(".py"):
        return True
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.readline().startswith(b"#!/usr/bin/python3")
