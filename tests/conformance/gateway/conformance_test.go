// Package conformance is Gateway API's own suite of tests, as it is published. What is asked of whom comes by flags and by a file of options; `make conformance`
// gives both. The server that answers as a backend in it is named here too, so that both are of one version.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic/grpc"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic/tcpserver"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic/udpechoserver"
)

// TestConformance asks the cluster that KUBECONFIG names.
func TestConformance(t *testing.T) { conformance.RunConformance(t) }
