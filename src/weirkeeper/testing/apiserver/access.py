"""Who a caller is and what is forbidden to it; and the review of tokens that others present.

In: the header of a request (or the name in its client certificate). Out: a `User`, or `Refused` 401 and 403.
Nothing is forbidden until a test says so: `deny` takes rights away, `allow` takes the denial back.
"""

import msgspec

from weirkeeper.model.value import Value
from weirkeeper.testing.apiserver.refused import Json, Refused, details, unauthorized
from weirkeeper.testing.apiserver.request import Asked

AUDIENCE = "https://kubernetes"


class User(Value, frozen=True, kw_only=True):
    """A caller."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


class Token(Value, frozen=True, kw_only=True):
    """A known token: whose it is, and for whom it was made."""

    user: User
    audiences: tuple[str, ...] = (AUDIENCE,)
    extra: dict[str, tuple[str, ...]] = {}


class Denial(Value, frozen=True, kw_only=True):
    """A right taken away; what is empty means "any"."""

    user: str = ""
    verbs: tuple[str, ...] = ()
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str | None = None

    def hits(self, user: User, asked: Asked) -> bool:
        """Whether a request falls under it."""
        return (
            self.user in ("", user.name)
            and (not self.verbs or asked.verb in self.verbs)
            and self.plural in ("", asked.kind.plural)
            and self.namespace in ("", asked.namespace)
            and self.name in ("", asked.name)
            and self.subresource in (None, asked.subresource)
        )


ANONYMOUS = User(name="system:anonymous", groups=("system:unauthenticated",))


class Access:
    """The tokens and denials of a server. ``anonymous``: whether a request without a token is let in."""

    def __init__(self, *, anonymous: bool = True) -> None:
        self.anonymous = anonymous
        self.tokens: dict[str, Token] = {}
        self.denials: list[Denial] = []

    def add_token(self, token: str, name: str, *, groups: tuple[str, ...] = (), uid: str = "",
                  audiences: tuple[str, ...] = (AUDIENCE,), extra: dict[str, tuple[str, ...]] | None = None) -> None:  # fmt: skip
        """Know a token."""
        user = User(name=name, uid=uid, groups=(*groups, "system:authenticated"))
        self.tokens[token] = Token(user=user, audiences=audiences, extra=extra or {})

    def deny(self, denial: Denial) -> Denial:
        """Take a right away; running watches go on, as with the real server."""
        self.denials.append(denial)
        return denial

    def allow(self, denial: Denial) -> None:
        """Give a right back."""
        self.denials.remove(denial)

    def caller(self, authorization: str, certificate_name: str = "") -> User:
        """Who sends a request."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            known = self.tokens.get(token.strip())
            if known is None or AUDIENCE not in known.audiences:
                raise unauthorized()
            return known.user
        if certificate_name:
            return User(name=certificate_name, groups=("system:authenticated",))
        return ANONYMOUS

    def check(self, user: User, asked: Asked) -> None:
        """Refuses (403) what is denied, or comes from nobody where nobody may ask."""
        if (user == ANONYMOUS and not self.anonymous) or any(denial.hits(user, asked) for denial in self.denials):
            raise forbidden(user, asked)

    def review(self, review: Json) -> Json:
        """A TokenReview with its status (authentication.k8s.io/v1)."""
        spec = review.get("spec") or {}
        known, wished = self.tokens.get(spec.get("token", "")), spec.get("audiences") or [AUDIENCE]
        shared = [audience for audience in wished if known and audience in known.audiences]
        if known is None or not shared:
            wrong = "invalid bearer token" if known is None else "token audiences do not match"
            return {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": spec,
                    "status": {"user": {}, "error": wrong}}  # fmt: skip
        user: Json = msgspec.to_builtins(
            {"username": known.user.name, "uid": known.user.uid, "groups": known.user.groups}
        )
        if known.extra:
            user["extra"] = {key: list(values) for key, values in known.extra.items()}
        status = {"authenticated": True, "user": user, "audiences": shared}
        return {
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {},
            "spec": spec,
            "status": status,
        }


def forbidden(user: User, asked: Asked) -> Refused:
    """403 in the real server's words."""
    kind = asked.kind
    resource = f"{kind.plural}/{asked.subresource}" if asked.subresource else kind.plural
    place = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    name = f' "{asked.name}"' if asked.name else ""
    why = f'User "{user.name}" cannot {asked.verb} resource "{resource}" in API group "{kind.group}" {place}'
    message = f"{kind.qualified}{name} is forbidden: {why}"
    return Refused(403, "Forbidden", message, details=details(kind, asked.name))
