"""Corrections of stored readings, by hand."""
