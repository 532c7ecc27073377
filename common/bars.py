"""Bars of progress, with a lock among threads.

tqdm's own lock is among processes too: a semaphore, which a worker that is killed leaves behind,
and of which Python then warns on the screen. No two processes share a bar here.
"""

from __future__ import annotations

import threading

from tqdm import tqdm

tqdm.set_lock(threading.RLock())

__all__ = ["tqdm"]
