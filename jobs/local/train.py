"""Record the class archives: start the stack once, run a small job on it, stop it.

Run by `make setup`: `python -m jobs.local.train`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jobs.common.errors import HardiotError
from jobs.local import archive, paths
from jobs.local.stack import Stack

_JOB = Path(__file__).with_name("training_job.py")
_WRITE_LIMIT_S = 60.0  # a process killed while it writes would leave half an archive


def train() -> list[Path]:
    """Record an archive for each kind of process. Returns: the archives.

    Raises: HardiotError: the stack does not start, or does not run the job.
    """
    archive.begin()
    run = paths.RUNS / "training"
    with Stack(run, 1, archives=archive.record, stop_limit_s=_WRITE_LIMIT_S) as stack:
        job_id = stack.submit(str(_JOB))
        stack.rest.wait_ended(job_id, limit_s=60)
    return archive.keep()


def main() -> int:
    """Say what was recorded; a failure is no disaster: without archives starts are slower."""
    try:
        size = sum(file.stat().st_size for file in train())
    except HardiotError as error:
        sys.stderr.write(f"no class archives, starts will be slower: {error}\n")
        return 1
    sys.stderr.write(f"class archives: {size / 1e6:.0f} MB in {archive.FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
