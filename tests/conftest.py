"""Settings that every test runs under."""

from __future__ import annotations

import os

# The tests' networks are tiny: threads would only wait for one another, for minutes where the
# machine is shared. Set before torch is imported, and inherited by the processes tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# How quick a machine is decides no test.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
