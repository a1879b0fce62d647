"""Listeners that want the same port: who of them may stand, and whose host names of TLS overlap.

Comes in: the entries of one port of a Gateway. Goes out: a ``Verdict`` for each.

Who goes first (Gateway API, ListenerSet): the Gateway's own listeners, then those of ListenerSets, the oldest set first, then by namespace and name. Of two listeners of one
Gateway that cannot both stand neither does; of a set's, the later one does not.
"""

from collections.abc import Iterable, Iterator

from weirkeeper.controllers.gateway.hosts import narrower
from weirkeeper.controllers.gateway.listeners import OWN, Entry, EntryKey, Verdict
from weirkeeper.controllers.shared.hostnames import ANY
from weirkeeper.model.text import Hostname, shown


def verdicts(members: Iterable[tuple[EntryKey, Entry]]) -> Iterator[tuple[EntryKey, Verdict]]:
    """Who of the listeners of one port may stand. UDP has ports of its own and is not among them. One whose host name cannot be read is in nobody's way."""
    every = dict(members)
    rows = {key: one for key, one in every.items() if not one.wrong}
    judged = dict(_judged(rows.items()))
    yield from ((key, Verdict()) for key in every if key not in rows)
    other = _overlaps(
        {one.hostname: key.name for key, one in rows.items() if one.family == "tls" and not judged[key].reason}
    )
    for key, verdict in judged.items():
        overlaps = "" if verdict.reason or rows[key].family != "tls" else other.get(rows[key].hostname, "")
        yield key, Verdict(reason=verdict.reason, why=verdict.why, overlaps=overlaps)


def _overlaps(names: dict[Hostname, str]) -> dict[Hostname, str]:
    """For each host name that is inside of another one, or around it, the listener of that other (Gateway API, OverlappingTLSConfig)."""
    found = dict[Hostname, str]()
    for host, name in sorted(names.items()):
        for wider in (*narrower(host, ANY), ANY):
            if wider != host and wider in names:
                found.setdefault(host, names[wider])
                found.setdefault(wider, name)
    return found


def _judged(members: Iterable[tuple[EntryKey, Entry]]) -> Iterator[tuple[EntryKey, Verdict]]:
    found = sorted(members, key=lambda row: row[1].rank)
    own = [row for row in found if row[1].rank[0] == OWN]
    families = {entry.family for _, entry in own}
    wanted = [(entry.family, entry.hostname) for _, entry in own]
    for key, entry in own:
        if len(families) > 1:
            yield key, _protocol(entry)
        elif wanted.count((entry.family, entry.hostname)) > 1:
            yield key, _hostname(entry)
        else:
            yield key, Verdict()
    taken = set(wanted)
    for key, entry in found[len(own) :]:
        if families and entry.family not in families:
            yield key, _protocol(entry)
        elif (entry.family, entry.hostname) in taken:
            yield key, _hostname(entry)
        else:
            families.add(entry.family)
            taken.add((entry.family, entry.hostname))
            yield key, Verdict()


def _protocol(entry: Entry) -> Verdict:
    return Verdict(reason="ProtocolConflict", why=f"port {entry.spec.port} is wanted for several protocols")


def _hostname(entry: Entry) -> Verdict:
    return Verdict(reason="HostnameConflict", why=f"port {entry.spec.port} is wanted twice for {shown(entry.hostname)}")
