"""Chunks of complete facility hours become sensor hours and rollups."""
