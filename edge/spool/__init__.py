"""The store on disk of what was not acknowledged yet."""

from edge.spool.losses import Lost, Why
from edge.spool.record import Kind, Log, Stored
from edge.spool.recovery import Recovery
from edge.spool.spool import Spool, SpoolFailed

__all__ = ["Kind", "Log", "Lost", "Recovery", "Spool", "SpoolFailed", "Stored", "Why"]
