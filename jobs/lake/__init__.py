"""Everything that knows Iceberg: catalog, tables, files, commits. No Flink here."""
