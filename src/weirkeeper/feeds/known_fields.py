"""All fields of the kinds of Kubernetes 1.36 that are read from files, as texts that `schema` reads.

A manifest may have many fields that mean nothing here; one that its kind does not have at all is a slip of the pen. A test holds the texts against
a real API server; `schema.kind_text` makes them.
"""

from weirkeeper.controllers.base import Kind
from weirkeeper.feeds.schema import Fields, own_fields, parsed

OWN = "weirkeeper.io"
METADATA = (
    "annotations*,creationTimestamp,deletionGracePeriodSeconds,deletionTimestamp,finalizers,"
    "generateName,generation,labels*,managedFields{apiVersion,fieldsType,fieldsV1*,manager,"
    "operation,subresource,time},name,namespace,ownerReferences{apiVersion,blockOwnerDeletion,"
    "controller,kind,name,uid},resourceVersion,selfLink,uid"
)

TEXTS: dict[tuple[str, str], str] = {
    ("networking.k8s.io", "Ingress"): (
        "spec{defaultBackend{resource{apiGroup,kind,name},service{name,port{name,number}}},"
        "ingressClassName,rules{host,http{paths{backend{resource{apiGroup,kind,name},service{name,"
        "port{name,number}}},path,pathType}}},tls{hosts,secretName}},"
        "status{loadBalancer{ingress{hostname,ip,ports{error,port,protocol}}}}"
    ),
    ("networking.k8s.io", "IngressClass"): ("spec{controller,parameters{apiGroup,kind,name,namespace,scope}}"),
    ("", "Service"): (
        "spec{allocateLoadBalancerNodePorts,clusterIP,clusterIPs,externalIPs,externalName,"
        "externalTrafficPolicy,healthCheckNodePort,internalTrafficPolicy,ipFamilies,ipFamilyPolicy,"
        "loadBalancerClass,loadBalancerIP,loadBalancerSourceRanges,ports{appProtocol,name,nodePort,"
        "port,protocol,targetPort*},publishNotReadyAddresses,selector*,sessionAffinity,"
        "sessionAffinityConfig{clientIP{timeoutSeconds}},trafficDistribution,type},"
        "status{conditions{lastTransitionTime,message,observedGeneration,reason,status,type},"
        "loadBalancer{ingress{hostname,ip,ipMode,ports{error,port,protocol}}}}"
    ),
    ("discovery.k8s.io", "EndpointSlice"): (
        "addressType,endpoints{addresses,conditions{ready,serving,terminating},deprecatedTopology*,"
        "hints{forNodes{name},forZones{name}},hostname,nodeName,targetRef{apiVersion,fieldPath,"
        "kind,name,namespace,resourceVersion,uid},zone},ports{appProtocol,name,port,protocol}"
    ),
    ("", "Secret"): ("data*,immutable,stringData*,type"),
    ("", "ConfigMap"): ("binaryData*,data*,immutable"),
    ("", "Endpoints"): (
        "subsets{addresses{hostname,ip,nodeName,targetRef{apiVersion,fieldPath,kind,name,"
        "namespace,resourceVersion,uid}},notReadyAddresses{hostname,ip,nodeName,"
        "targetRef{apiVersion,fieldPath,kind,name,namespace,resourceVersion,uid}},"
        "ports{appProtocol,name,port,protocol}}"
    ),
}


def known_fields(kind: Kind) -> "Fields | None":
    """The fields of a kind; nothing where they are not known. Of our own kinds the struct is the schema."""
    text = TEXTS.get((kind.group, kind.kind))
    if text is not None:
        return parsed(f"apiVersion,kind,metadata{{{METADATA}}},{text}")
    if kind.group == OWN:
        return {**parsed(f"apiVersion,kind,metadata{{{METADATA}}}"), **own_fields(kind.type)}
    return None
