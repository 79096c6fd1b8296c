"""Threads beside those of the vCPUs."""

from __future__ import annotations

import threading
from collections.abc import Callable


def quiet_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """Start a thread that no signal reaches: those are for the other threads."""
    import signal

    thread = threading.Thread(target=work, name=name, daemon=True)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return thread
