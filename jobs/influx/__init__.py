"""Rollups to InfluxDB: what is published (policy), as lines, by lanes that lose nothing."""
