"""The fields of Gateway API's policies that we read (sigs.k8s.io/gateway-api v1.6 and v1.7), and no others.

Comes in: JSON or YAML of an object. Goes out: small frozen structs, as in ``gateway_types``.
"""

import msgspec

from weirkeeper.kube.gateway_experimental import BudgetDetails, RequestRate, SessionPersistence
from weirkeeper.kube.gateway_types import GatewayObject, ObjectReference
from weirkeeper.kube.types import KubeStruct


class PolicyTarget(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What a policy is about, in its own namespace: an object, or one section of it (a port of a Service, by its name)."""

    group: str = ""
    kind: str = ""
    name: str = ""
    section_name: str | None = None


class AlternativeName(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A subject alternative name: ``Hostname`` or ``URI``."""

    type: str = ""
    hostname: str | None = None
    uri: str | None = None


class BackendValidation(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """By whom a backend's certificate has to be signed, and for which name."""

    ca_certificate_refs: tuple[ObjectReference, ...] | None = ()
    well_known_ca_certificates: str | None = msgspec.field(default=None, name="wellKnownCACertificates")
    hostname: str = ""
    subject_alt_names: tuple[AlternativeName, ...] | None = ()


class BackendTLSPolicySpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How backends are spoken to by TLS."""

    target_refs: tuple[PolicyTarget, ...] | None = ()
    validation: BackendValidation = BackendValidation()


class BackendTLSPolicy(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """TLS to the backends of Services."""

    spec: BackendTLSPolicySpec = BackendTLSPolicySpec()


class RetryConstraint(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How many retries there may be."""

    budget: BudgetDetails | None = None
    min_retry_rate: RequestRate | None = None


class TrafficPolicySpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What holds for requests to the backends of Services."""

    target_refs: tuple[PolicyTarget, ...] | None = ()
    retry_constraint: RetryConstraint | None = None
    session_persistence: SessionPersistence | None = None


class XBackendTrafficPolicy(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """Requests to the backends of Services (experimental)."""

    spec: TrafficPolicySpec = TrafficPolicySpec()
