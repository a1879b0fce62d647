"""Memory that the first settle needed and the program no longer does, given back to the system.

Comes in: nothing. Goes out: nothing but a smaller process. What may not live here: the collector's settings, which belong to whoever runs the loop.
"""

import ctypes
import sys


def give_back() -> bool:
    """Ask the C library for the pages that it holds and nobody uses (``malloc_trim``, glibc); whether it had any. False where the library cannot."""
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return bool(trim(0)) if trim is not None else False
