# SPDX-License-Identifier: MIT
"""Servers, messages, a fault proxy and an independent client for tests, demo and benchmark."""
