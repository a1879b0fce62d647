"""One request of the API, taken apart: verb, kind, namespace, name, parameters. Pure.

In: method, path, query. Out: `Asked`, or `Refused` where there is no such path or parameter.
Paths: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from collections.abc import Mapping

from weirkeeper.model.value import Value
from weirkeeper.testing.apiserver.kinds import ServedKind
from weirkeeper.testing.apiserver.refused import bad_request, invalid_options, method_not_allowed, no_such_resource

ON_ONE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
ON_ALL = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
TRUE = ("1", "true", "True")
WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))
MATCHES = ("", "Exact", "NotOlderThan")


class Asked(Value, frozen=True, kw_only=True):
    """What a request wants."""

    verb: str
    kind: ServedKind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: dict[str, str] = {}

    def flag(self, name: str) -> bool:
        """Whether a parameter is set to true."""
        return self.query.get(name, "") in TRUE

    def text(self, name: str) -> str:
        """A parameter as sent; empty where it is not."""
        return self.query.get(name, "")

    @property
    def revision(self) -> int | None:
        """The resource version asked for; None where none is."""
        text = self.text("resourceVersion")
        if not text:
            return None
        if not (text.isascii() and text.isdigit()):
            why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
            raise bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}": {why}')
        return int(text)


def asked(method: str, path: str, query: Mapping[str, str], kinds: Mapping[tuple[str, str], ServedKind]) -> Asked:
    """The request that a path means."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_resource()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and (group, rest[2]) not in (("", "status"), ("", "finalize")):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.get((group, rest[0]))
    if kind is None or kind.version != version or len(rest) > 3 or (namespace and not kind.namespaced):
        raise no_such_resource()
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and not (subresource == "status" and kind.status):
        raise no_such_resource()
    return Asked(verb=_verb(method, name, query), kind=kind, namespace=namespace, name=name,
                 subresource=subresource, query=dict(query))  # fmt: skip


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    verb = (ON_ONE if name else ON_ALL).get(method)
    if verb is None:
        raise method_not_allowed()
    return "watch" if verb == "list" and query.get("watch", "") in TRUE else verb


def check_options(asked: Asked) -> None:
    """Refuses parameters that contradict each other, in the real server's words."""
    match, version = asked.text("resourceVersionMatch"), asked.text("resourceVersion")
    initial = "sendInitialEvents" in asked.query
    if asked.verb == "watch":
        if initial and match != "NotOlderThan":
            wrong = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid_options("resourceVersionMatch", wrong)
        if match and not initial:
            wrong = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise invalid_options("resourceVersionMatch", wrong)
        return
    if initial:
        raise invalid_options("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list")
    if match not in MATCHES:
        wrong = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        raise invalid_options("resourceVersionMatch", wrong, "FieldValueNotSupported")
    if match and not version:
        wrong = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise invalid_options("resourceVersionMatch", wrong)
    if match == "Exact" and version == "0":
        wrong = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise invalid_options("resourceVersionMatch", wrong)
