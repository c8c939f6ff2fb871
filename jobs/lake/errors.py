"""What can go wrong with the lake, in words of whoever has to put it right."""

from __future__ import annotations

from jobs.common.errors import HardiotError


class LakeError(HardiotError):
    """The catalog or a table cannot be used as it is."""


class FilesChanged(LakeError):
    """Files that a commit was to remove are gone: somebody replaced them; plan again."""


class CommitTimeout(LakeError):
    """No commit within the time limit; the text says whether it may have taken effect."""
