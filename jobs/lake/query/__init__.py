"""The archive as analysts ask it: docs/queries.md.

from jobs.lake.query import Lake
"""

from jobs.lake.query.lake import Lake
from jobs.lake.query.result import Result
from jobs.lake.query.scope import QueryError

__all__ = ["Lake", "QueryError", "Result"]
