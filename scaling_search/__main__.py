"""``python -m scaling_search``."""

from __future__ import annotations

import sys

from models.command import run
from scaling_search.command import main

if __name__ == "__main__":
    sys.exit(run(main))
