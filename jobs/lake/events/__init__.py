"""Alerts, the ledger, dead letters: records of topics in tables."""
