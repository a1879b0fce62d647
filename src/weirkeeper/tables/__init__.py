"""The derived tables: the whole program. Reading order: `program.py`, `parts.py`, `by_provider.py`."""

from weirkeeper.tables.by_provider import RejectedItem
from weirkeeper.tables.program import InstanceKey, LeavingKey, Program

__all__ = ["InstanceKey", "LeavingKey", "Program", "RejectedItem"]
