"""The runtime socket's language without a socket: what to send for a step, and where an answer ends. Sans-IO.

Comes in: steps, and bytes as they arrive. Goes out: bytes to send, and answers. The connection is interactive (management manual, 9.3): a prompt ends each answer, and a payload
ends with an empty line.
"""

import msgspec

from weirkeeper.providers.haproxy.plan import Step

PROMPT = b"\n> "
BEGIN = b"prompt\n"
LONGEST = 15_000
"""HAProxy reads a command into one buffer (tune.bufsize, 16 KiB)."""


class TooLong(ValueError):
    """The step does not fit into HAProxy's buffer."""


def sent(step: Step) -> bytes:
    """The bytes of a step. An empty line would end its payload, so there is none in it."""
    if step.payload is None:
        text = step.command + "\n"
    else:
        text = step.command + "\n" + "\n".join(line for line in step.payload.splitlines() if line) + "\n\n"
    found = text.encode()
    if len(found) > LONGEST:
        raise TooLong(f"{len(found)} bytes: {step.command[:80]}")
    return found


class Answers:
    """Cuts what arrives into answers."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, arrived: bytes) -> list[str]:
        """The answers that are whole now."""
        self._rest += arrived
        found = []
        while PROMPT in self._rest:
            text, _, self._rest = self._rest.partition(PROMPT)
            found.append(_read(text))
        return found


def _read(text: bytes) -> str:
    """An answer without the signs that ask for more of a payload."""
    shown = text.decode(errors="replace")
    while shown.startswith("+ "):
        shown = shown[2:]
    return shown.strip()


def refusal(step: Step, answer: str) -> str:
    """HAProxy's words where it did not take the step; empty where it did. It says nothing to most things that it takes."""
    if step.says:
        return "" if step.says in answer else answer or "no answer"
    return answer


def listing(step: Step) -> Step:
    """What to ask before a line of a list of certificates can be removed."""
    return Step(command=f"show ssl crt-list -n {step.command.split(' ')[3]}")


def numbered(step: Step, listed: str) -> Step | None:
    """The step with the number of its line; None where there is no such line."""
    file = step.command.split(" ")[4]
    for line in listed.splitlines():
        place, *rest = line.split()
        if rest and rest[-1] == step.line_of and place.rpartition(":")[0] == file:
            number = place.rpartition(":")[2]
            return msgspec.structs.replace(step, command=f"{step.command}:{number}")
    return None
