"""Backup and restore of a cell: tables, InfluxDB, Kafka, savepoints, flink-conf."""
