"""The archive as history of a back-test."""
