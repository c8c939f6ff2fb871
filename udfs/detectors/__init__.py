"""Detectors: conditions that learn what is usual for each sensor."""
