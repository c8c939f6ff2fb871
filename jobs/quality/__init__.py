"""Quality of what is archived: docs/quality.md."""
