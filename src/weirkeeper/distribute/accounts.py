"""Which service account may run instances of which load balancer. Pure, but for the question who a token is.

Comes in: the rules of the installation, tokens. Goes out: yes, or the reason why not, which says nothing about any load balancer. A token must be made for
our audience: one that was stolen from a pod's other use is of none here, and ours opens nothing elsewhere.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from weirkeeper.model.text import Id, Name, Refused, parse, shown

ALL = "*"
_USER = "system:serviceaccount:"
_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class ServiceAccount(NamedTuple):
    """Who a token is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Accounts = Mapping[str, frozenset[str]]
"""Ids of load balancers by service account (``namespace/name``); ``*`` stands for all."""

Review = Callable[[str], Awaitable[ServiceAccount | Refused]]
"""Asks who a token is."""


class Posts(Protocol):
    """The part of a Kubernetes client that a review needs."""

    async def post(self, path: str, body: Mapping[str, Any], *, timeout: float | None = None) -> Mapping[str, Any]:  # noqa: ASYNC109
        """The answer to a body."""
        ...


class _Status(msgspec.Struct):
    authenticated: bool = False
    audiences: tuple[str, ...] = ()
    user: dict[str, Any] = {}
    error: str = ""


class _Answer(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


def accounts_from(rules: Iterable[str]) -> Accounts | Refused:
    """The table that rules like ``NAMESPACE/SERVICEACCOUNT=LOAD-BALANCER`` make, or what is wrong with one."""
    found: dict[str, frozenset[str]] = {}
    for rule in rules:
        account, equals, wished = rule.partition("=")
        namespace, slash, name = account.partition("/")
        named = (parse(Name, namespace), parse(Name, name))
        if not equals or not slash or any(isinstance(one, Refused) for one in named):
            return Refused(f"{shown(rule)} is not NAMESPACE/SERVICEACCOUNT=LOAD-BALANCER")
        if wished != ALL and isinstance(parse(Id, wished), Refused):
            return Refused(f"{shown(rule)} does not name a load balancer, or * for all")
        found[account] = found.get(account, frozenset()) | {wished}
    return found


def permitted(accounts: Accounts, account: ServiceAccount, load_balancer: str) -> Refused | None:
    """None where this account may run instances of this load balancer; else the reason, the same whether or not there is such a one."""
    wished = accounts.get(str(account), frozenset())
    if ALL in wished or load_balancer in wished:
        return None
    return Refused(f"the service account {account} may not run instances of the load balancer that it asks for")


def reviewed_by(client: Posts, audience: str, timeout: float = 5.0) -> Review:
    """Asks the API server (TokenReview, authentication.k8s.io/v1). Its failures are raised as they are."""

    async def review(token: str) -> ServiceAccount | Refused:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        return account_of(await client.post(_PATH, body, timeout=timeout), audience)

    return review


def account_of(answer: Mapping[str, Any], audience: str) -> ServiceAccount | Refused:
    """The service account that a TokenReview names."""
    try:
        status = msgspec.convert(answer, _Answer).status
    except msgspec.ValidationError as error:
        return Refused(f"the token could not be reviewed: {error}")
    user = status.user.get("username")
    if not status.authenticated or not isinstance(user, str):
        return Refused("the token is not valid, or not for this audience")
    if audience not in status.audiences:
        return Refused("the token is not for this audience")  # an old API server that knows no audiences
    namespace, colon, name = user.removeprefix(_USER).partition(":")
    if not user.startswith(_USER) or not colon:
        return Refused("the token is of no service account")
    return ServiceAccount(namespace, name)
