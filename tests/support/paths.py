"""Where measured facts lie that are not part of the project; tests that want them skip without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("EVENSCALE_SHARED", Path(__file__).parents[3] / "shared")) / "data"
REFERENCE = SHARED / "reference_networks.csv"
ACCEL_NASBENCH = SHARED / "accel_nasbench_dev.csv.gz"
NAS_BENCH_MACRO = SHARED / "nas_bench_macro_dev.csv.gz"


def needs_shared(path: Path) -> pytest.MarkDecorator:
    """Skips the test, naming the file, where it is absent."""
    return pytest.mark.skipif(not path.exists(), reason=f"{path.name} is not beside the project")
