"""What backends are told of a client's certificate, in ingress-nginx's headers; what a client itself says in them is removed.

Where a certificate need not be shown, a request without one has none of these headers.
"""

from typing import Any

from weirkeeper.model.listener import ClientValidation
from weirkeeper.providers.envoy.translate.headers import formatted

VERIFIED = "ssl-client-verify"
SUBJECT = ("ssl-client-subject-dn", "%DOWNSTREAM_PEER_SUBJECT%")
ISSUER = ("ssl-client-issuer-dn", "%DOWNSTREAM_PEER_ISSUER%")
CERTIFICATE = ("ssl-client-cert", "%DOWNSTREAM_PEER_CERT%")
CERTIFICATE_HEADERS = (VERIFIED, SUBJECT[0], ISSUER[0], CERTIFICATE[0])


def certificate_headers(validation: ClientValidation) -> list[Any]:
    """The headers of a listener with this validation. The certificate is PEM, percent-encoded, as in ingress-nginx."""
    if not validation.forward_details:
        return []
    wished = [SUBJECT, ISSUER, *([CERTIFICATE] if validation.forward_certificate else [])]
    found = [formatted(name, text) for name, text in wished]
    for one in found:
        one.keep_empty_value = False
    return [*found, formatted(VERIFIED, "SUCCESS")] if validation.mode == "require" else found
