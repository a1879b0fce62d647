"""Users whose password hash the engine cannot compare: told one by one, and kept out.

In: a route and the schemes that its engine compares. Out: the route with the users who can log in, and a finding for each other. A route that
nobody can enter is told as such (``None``), so that it fails closed instead of asking for a password that cannot be right.
"""

from collections.abc import Iterator

import msgspec

from weirkeeper.model.features import Capabilities
from weirkeeper.model.filters import Auth, BasicAuth, Credentials
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.passwords import password_scheme
from weirkeeper.model.route import Route
from weirkeeper.model.text import Sentence


def fit_passwords(route: Route, capabilities: Capabilities) -> tuple[Route | None, list[Finding]]:
    """The route with the users that its engine can check; none where one of its user lists is left empty."""
    strangers = list(_strangers(route, capabilities))
    if not strangers:
        return route, []
    auth = tuple(_without(one, strangers) for one in route.auth)
    findings = [_finding(route, user, capabilities) for user in strangers]
    shut = any(isinstance(one, BasicAuth) and not one.users for one in auth)
    return (None if shut else msgspec.structs.replace(route, auth=auth)), findings


def _strangers(route: Route, capabilities: Capabilities) -> Iterator[Credentials]:
    schemes = capabilities.limits.password_schemes
    if schemes is None:
        return
    for one in route.auth:
        if isinstance(one, BasicAuth):
            yield from (user for user in one.users if password_scheme(user.hash) not in schemes)


def _without(auth: Auth, strangers: list[Credentials]) -> Auth:
    if not isinstance(auth, BasicAuth):
        return auth
    return msgspec.structs.replace(auth, users=tuple(user for user in auth.users if user not in strangers))


def _finding(route: Route, user: Credentials, capabilities: Capabilities) -> Finding:
    known = " and ".join(sorted(capabilities.limits.password_schemes or ()))
    scheme = password_scheme(user.hash)
    return Finding(
        severity=Severity.ERROR,
        reason=Reason.UNSUPPORTED,
        for_user=Sentence(
            f"the user {user.user} cannot log in: the password is kept as {scheme}, and only {known} can be compared"
        ),
        remedy=Sentence(
            _REMEDIES.get(known, f"make the hash anew as {known}, or use a class whose load balancer compares {scheme}")
        ),
        for_operator=Sentence(f"{capabilities.engine} {capabilities.version} compares {known}, not {scheme}"),
        origin=route.origin,
        feature="BasicAuth",
        effect=Effect.FAILS_CLOSED,
        affected=(route.id,),
    )


_REMEDIES = {"sha": "make the line anew with `htpasswd -s`, with a long random password, since SHA-1 is quick to guess"}
