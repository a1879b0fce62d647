"""A fake Kubernetes API server on the wire, verified against the real one; part of the public kit for plugin authors.

`ApiServer` runs in the test's own event loop; `apiserver_process` runs it in a process of its own for benchmarks.
"""

from weirkeeper.testing.apiserver.access import Access, Denial, User
from weirkeeper.testing.apiserver.audit import Audit, Record
from weirkeeper.testing.apiserver.faults import Episode, Fault, Faults, Trouble, schedule
from weirkeeper.testing.apiserver.kinds import KINDS, ServedKind, custom
from weirkeeper.testing.apiserver.process import ApiServerProcess, apiserver_process
from weirkeeper.testing.apiserver.server import ApiServer

__all__ = ["KINDS", "Access", "ApiServer", "ApiServerProcess", "Audit", "Denial", "Episode", "Fault", "Faults", "Record", "ServedKind",
           "Trouble", "User", "apiserver_process", "custom", "schedule"]  # fmt: skip
