// Package conformance is Gateway API's own suite of tests, as it is published. What is asked of whom comes by flags and by a file of options; `make conformance`
// gives both. The server that answers as a backend in it is named here too, so that both are of one version.
package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic/grpc"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic/tcpserver"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic/udpechoserver"
)

// TestConformance asks the cluster that KUBECONFIG names.
func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	if lab := os.Getenv("WEIR_TEST_LAB"); lab != "" {
		options.RestConfig.Wrap(newLabLogs(filepath.Join(lab, "logs")))
	}
	conformance.RunConformanceWithOptions(t, options)
}
