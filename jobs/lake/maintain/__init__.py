"""Upkeep of the tables: what is past its time goes, small files become large, hours become days."""
