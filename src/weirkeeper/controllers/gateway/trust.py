"""Authorities that a Gateway or a policy trusts: `caCertificateRefs`, resolved through one door, with the verdict that the conditions have.

Comes in: references to ConfigMaps, or Secrets, with PEM certificates under ``ca.crt``, or to ClusterTrustBundles. Goes out: one bundle of all that can be read, or none, and the first thing that is wrong. A
reference that cannot be used is left out; where none is left nobody is trusted, which is for the caller to make of it (it never means that everybody is).
"""

from collections.abc import Sequence

from cryptography import x509

from weirkeeper.controllers.base import Inputs
from weirkeeper.controllers.gateway.grants import Grants, permitted
from weirkeeper.controllers.shared.secrets import known_absent, secret_text
from weirkeeper.flow import Read
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_experimental import CERTIFICATES, ClusterTrustBundle
from weirkeeper.kube.gateway_types import ObjectReference
from weirkeeper.kube.types import ConfigMap, Secret
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, PemText, Refused, parse, shown

ENTRY = "ca.crt"
OF_CLUSTER = (CERTIFICATES, "ClusterTrustBundle")
"""Anybody may trust them: they are of no namespace, and nothing in them is secret."""
WRONG, WRONG_KIND, FORBIDDEN = "InvalidCACertificateRef", "InvalidCACertificateKind", "RefNotPermitted"
FOUND = Judgement(good=True, reason="ResolvedRefs")


def trusted(
    read: Read,
    inputs: Inputs,
    grants: Grants,
    owner: Ref,
    wished: Sequence[ObjectReference],
    *,
    name: Id,
    origin: Origin,
) -> tuple[TrustBundle | None, Judgement]:
    """The bundle of these references of the owner, and the verdict on them."""
    judged, found = FOUND, list[str]()
    for one in wished:
        pem = _certificates(read, inputs, grants, owner, one)
        if isinstance(pem, Judgement):
            judged = pem if judged.good else judged
        else:
            found.append(pem)
    pem_of_all = parse(PemText, "\n".join(text.strip() for text in found) + "\n") if found else Refused("is empty")
    if isinstance(pem_of_all, Refused):
        return None, _wrong(f"the authorities {pem_of_all.why}") if judged.good else judged
    return TrustBundle(id=name, certificates=pem_of_all, origin=origin), judged


def _certificates(read: Read, inputs: Inputs, grants: Grants, owner: Ref, one: ObjectReference) -> str | Judgement:
    of_all = (one.group, one.kind) == OF_CLUSTER
    ref = Ref(
        cluster=owner.cluster,
        group=one.group or "",
        kind=one.kind or "",
        namespace="" if of_all else one.namespace or owner.namespace,
        name=one.name,
    )
    if (ref.group, ref.kind) not in {("", "ConfigMap"), ("", "Secret"), OF_CLUSTER}:
        why = (
            "authorities are in a ConfigMap, a Secret or a ClusterTrustBundle, "
            f"not in a {shown(ref.kind)} of {shown(ref.group or 'core')}"
        )
        return Judgement(good=False, reason=WRONG_KIND, message=why)
    if not of_all and not permitted(read, grants, owner, ref):
        why = f"no ReferenceGrant in the namespace {shown(ref.namespace)} lets this one use the {ref.kind} {shown(ref.name)}"
        return Judgement(good=False, reason=FORBIDDEN, message=why)
    text = _text(read, inputs, ref)
    if isinstance(text, Refused):
        return _wrong(f"the {ref.kind} {shown(ref.key)} {text.why}")
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        place = "" if of_all else f" under {ENTRY}"
        return _wrong(f"the {ref.kind} {shown(ref.key)} has no PEM certificates{place}")
    return text


def _text(read: Read, inputs: Inputs, ref: Ref) -> str | Refused:
    if (ref.group, ref.kind) == OF_CLUSTER:
        bundle = read.get(inputs.of(ClusterTrustBundle), ref)
        return Refused("is not there") if bundle is None else bundle.spec.trust_bundle
    missing = Refused("is not there" if known_absent(read, inputs, ref) else "is not known yet")
    if ref.kind == "Secret":
        secret = read.get(inputs.of(Secret), ref)
        return missing if secret is None else secret_text(secret, ENTRY)
    found = read.get(inputs.of(ConfigMap), ref)
    if found is None:
        return missing
    return (found.data or {}).get(ENTRY) or Refused(f"has no entry {ENTRY}")


def _wrong(why: str) -> Judgement:
    return Judgement(good=False, reason=WRONG, message=why)
