"""The whole exception tree. What a user wrote wrong is a `Finding`, never one of these.

WeirkeeperError           something outside the core failed
├── ApiFailure            a request to an API server failed (its own tree is drawn in kube/errors.py)
├── NotLeader             a write that only the leader makes was refused here (runtime/leader.py)
└── StartRefused          the program cannot start as it is set up; the message says what to change
    ├── UnknownPlugin     a controller or provider of that name is not installed
    ├── AlreadyRunning    another process keeps the state folder
    └── AccessRefused     what says how to reach a cluster can't be used (kube/errors.py)
"""

from collections.abc import Iterable


class WeirkeeperError(Exception):
    """Something outside the core failed."""


class StartRefused(WeirkeeperError):
    """The program cannot start as it is set up."""


class UnknownPlugin(StartRefused):
    """No plugin of that name is installed."""

    def __init__(self, group: str, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"there is no {group} called {name!r}; installed are: {listed}")


class AlreadyRunning(StartRefused):
    """Another process keeps the state folder."""
