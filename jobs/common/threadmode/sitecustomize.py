"""Python inside a TaskManager starts without Beam: two CPU-seconds less in every recovery.

Python runs this by itself at its start when this folder is on PYTHONPATH. PyFlink tries to import
Beam, finds out whether Beam's Cython coders are there, and in thread mode uses neither. Process
mode needs Beam: there Python is a process of its own, and nothing is done here.
"""

import sys
from pathlib import Path


def _inside_java() -> bool:
    try:
        return Path("/proc/self/exe").resolve().name == "java"
    except OSError:
        return False


if _inside_java():
    sys.modules["apache_beam"] = None  # type: ignore[assignment]  # makes its import fail at once
