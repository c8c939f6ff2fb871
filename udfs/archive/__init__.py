"""Readings as they are stored: chunks of a gateway's minute, sensor hours, rollups of a chunk."""
