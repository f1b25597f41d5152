# SPDX-License-Identifier: MIT
"""Options of the tests of sync."""


def pytest_addoption(parser):
    parser.addoption("--cuts", choices=("some", "all"), default="some",
                     help="all: a resync is cut at each place with each combination of changes (minutes)")
