"""What a process has used: CPU seconds and memory, read from /proc. In: a process id. Out: numbers, nothing kept."""

import os
from pathlib import Path

import msgspec

KIBIBYTE = 1024


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Since the start (CPU) and at this moment (bytes)."""

    cpu: float
    rss: int
    pss: int


def usage_of(pid: int) -> Usage:
    """CPU seconds (user and system, all threads), resident and proportional set size of a running process."""
    return Usage(
        cpu=cpu_seconds(pid),
        rss=_kibibytes(Path(f"/proc/{pid}/status"), "VmRSS:"),
        pss=_kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:"),
    )


def cpu_seconds(pid: int) -> float:
    """CPU seconds; cheap enough to be asked before and after each measurement."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _kibibytes(table: Path, field: str) -> int:
    line = next(line for line in table.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * KIBIBYTE
