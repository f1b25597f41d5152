# SPDX-License-Identifier: MIT
"""Hostile scenarios with a result of their own."""
