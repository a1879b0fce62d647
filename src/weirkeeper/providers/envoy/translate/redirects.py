"""Redirects: of the scheme, host, port and path, or to a whole URL."""

from typing import Any
from urllib.parse import urlsplit

from envoy.config.route.v3 import route_components_pb2 as rc

from weirkeeper.model.filters import FullPath
from weirkeeper.model.match import PathMatch
from weirkeeper.model.route import Redirect
from weirkeeper.providers.envoy.translate.rewrites import path_substitution

CODES = {301: "MOVED_PERMANENTLY", 302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT", 308: "PERMANENT_REDIRECT"}


def redirect_action(redirect: Redirect, path: PathMatch, hostname: str) -> Any:
    """The redirect of a route of this host; a status that Envoy has not becomes the nearest one."""
    made = _whole(redirect.to) if redirect.to else _parts(redirect, path, hostname)
    made.response_code = CODES.get(redirect.status, "FOUND")
    return made


def _whole(url: str) -> Any:
    parts = urlsplit(url)
    query, fragment = f"?{parts.query}" if parts.query else "", f"#{parts.fragment}" if parts.fragment else ""
    made = rc.RedirectAction(path_redirect=f"{parts.path or '/'}{query}{fragment}")
    made.strip_query = not parts.query
    if parts.scheme:
        made.scheme_redirect = parts.scheme
    if parts.netloc:
        made.host_redirect = parts.netloc
    return made


def _parts(redirect: Redirect, path: PathMatch, hostname: str) -> Any:
    made = rc.RedirectAction()
    if redirect.scheme:
        made.scheme_redirect = redirect.scheme
    if redirect.host:
        made.host_redirect = redirect.host
    if redirect.port and not _implied(redirect):
        made.port_redirect = redirect.port
    elif redirect.port and not redirect.host:
        _without_port(made, redirect.port, hostname)
    if isinstance(redirect.path, FullPath):
        made.path_redirect = redirect.path.value
    elif redirect.path:
        made.regex_rewrite.CopyFrom(path_substitution(redirect.path, path))
    return made


def _implied(redirect: Redirect) -> bool:
    """Whether the port is the scheme's own, which a location does not show."""
    return (redirect.scheme, redirect.port) in {("http", 80), ("https", 443)}


def _without_port(made: Any, port: int, hostname: str) -> None:
    """Takes the port of the request's Host off: Envoy can only name the host, or the new port."""
    if hostname.startswith("*"):
        made.port_redirect = port
    else:
        made.host_redirect = hostname
