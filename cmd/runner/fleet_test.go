package main

import (
	"net"
	"strconv"
	"testing"
)

// TestFleet plays what operators do with many hosts, one of which never answers.
func TestFleet(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() }) // the scripts run when this function has returned
	runScripts(t, "testdata/fleet", map[string]string{"SILENT": strconv.Itoa(silent.Addr().(*net.TCPAddr).Port)})
}
