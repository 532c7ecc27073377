"""Settings that every test runs under."""

from __future__ import annotations

import os

# The tests' networks are tiny: threads would only wait for one another, for minutes where the
# machine is shared. Set before torch is imported, and inherited by the processes tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
