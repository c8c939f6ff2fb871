"""What the edge refuses, in words for the person who started it."""

from __future__ import annotations


class EdgeError(Exception):
    """`str()` says what is wrong, where, and the next step; several mistakes are several lines."""
