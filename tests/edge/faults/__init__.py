"""Faults on real processes. HARDIOT_FAULTS=long (`make test-faults`) runs the long forms."""

import os

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
# a test must not fail because the machine is busy; the figure itself is in docs/benchmarks.md
SLOWNESS = 3
