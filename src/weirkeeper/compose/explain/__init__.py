"""Why one request is answered as it is: the same decisions that an engine takes, taken on paper.

Reading order: `request.py` (what is asked), `hosts.py` (which listener and host), `verdicts.py` (which route, and why not the others),
`streams.py` (routes of bytes), `backends.py`, `answer.py` (all of it together). Pure; nothing here is on the way of any request.
"""

from weirkeeper.compose.explain.answer import Answer, answer
from weirkeeper.compose.explain.backends import BackendSeen
from weirkeeper.compose.explain.request import Request, request_of
from weirkeeper.compose.explain.verdicts import Verdict

__all__ = ["Answer", "BackendSeen", "Request", "Verdict", "answer", "request_of"]
