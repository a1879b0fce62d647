"""Who can log in where the engine compares some kinds of hashes only, and what the others are told."""

from typing import Any

import pytest

from weirkeeper.compose.fit import fit_route
from weirkeeper.model.features import Capabilities, Limits
from weirkeeper.model.filters import BasicAuth, Credentials
from weirkeeper.model.finding import Effect, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.passwords import password_scheme
from weirkeeper.model.route import Forward, Respond, Route, WeightedBackend
from weirkeeper.model.secret import Secret

SHA = "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="
KINDS = {
    SHA: "sha",
    "{SSHA}Wm9vbWdhcmxhbmRzYWx0c2FsdHNhbHQ=": "ssha",
    "$apr1$abcdefgh$P18yNvbFuPbKsfHgcBqoR1": "apr1",
    "$1$abcdefgh$P18yNvbFuPbKsfHgcBqoR1": "md5-crypt",
    "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC": "bcrypt",
    "$5$rounds=5000$salt$zzzz": "sha256-crypt",
    "$6$salt$zzzz": "sha512-crypt",
    "rqXexS6ZhobKA": "crypt",
    "password": "plain",
    "{SHA}short": "plain",
    SHA + "\n": "plain",
    "": "plain",
}


def demanding(*hashes: str) -> Route:
    users: Any = tuple(Credentials(user=f"u{n}", hash=Secret(text)) for n, text in enumerate(hashes))  # type: ignore[arg-type]
    backends: Any = (WeightedBackend(backend="a"),)  # type: ignore[arg-type]
    origin = Origin(ref=Ref(kind="Ingress", namespace="default", name="test"))
    return Route(id="r", origin=origin, action=Forward(backends=backends), auth=(BasicAuth(users=users),))  # type: ignore[arg-type]


def engine(*schemes: Any) -> Capabilities:
    limits = Limits(password_schemes=frozenset(schemes) if schemes else None)
    return Capabilities(engine="some", version="1", supported=frozenset({"BasicAuth"}), limits=limits)


@pytest.mark.parametrize(("text", "kind"), KINDS.items())
def test_kinds_of_hashes(text: str, kind: str) -> None:
    assert password_scheme(Secret(text)) == kind


def test_users_that_cannot_be_checked_are_kept_out_and_told() -> None:
    fitted, findings = fit_route(demanding(SHA, "password", "$6$salt$zzzz"), engine("sha"))
    assert [user.user for user in fitted.auth[0].users] == ["u0"]  # type: ignore[union-attr]
    assert isinstance(fitted.action, Forward)
    assert [(f.severity, f.effect, f.feature) for f in findings] == [
        (Severity.ERROR, Effect.FAILS_CLOSED, "BasicAuth")
    ] * 2
    assert ("u1" in findings[0].for_user, "u2" in findings[1].for_user) == (True, True)
    assert "sha512-crypt" in findings[1].for_user
    assert all("htpasswd -s" in f.remedy and "password" not in f.for_operator for f in findings)
    assert all("zzzz" not in f.for_user for f in findings), "the hash itself is never told"


def test_a_route_that_nobody_can_enter_fails_closed() -> None:
    fitted, findings = fit_route(demanding("password"), engine("sha"))
    assert isinstance(fitted.action, Respond)
    assert (fitted.action.status, fitted.auth, len(findings)) == (500, (), 1)


def test_an_engine_that_compares_all_keeps_all() -> None:
    wished = demanding(*KINDS)
    assert fit_route(wished, engine()) == (wished, [])
    assert fit_route(demanding(SHA), engine("sha")) == (demanding(SHA), [])
