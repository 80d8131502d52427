package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// machine describes where a run takes place: what a reader must know to compare it with another.
func machine() map[string]string {
	m := map[string]string{
		"os": runtime.GOOS, "arch": runtime.GOARCH,
		"cores": strconv.Itoa(runtime.NumCPU()), "gomaxprocs": strconv.Itoa(runtime.GOMAXPROCS(0)),
	}
	for name, file := range map[string]string{
		"kernel":                 "/proc/sys/kernel/osrelease",
		"tcp congestion control": "/proc/sys/net/ipv4/tcp_congestion_control",
		"net.core.rmem_max":      "/proc/sys/net/core/rmem_max",
		"net.core.wmem_max":      "/proc/sys/net/core/wmem_max",
	} {
		if text, err := os.ReadFile(file); err == nil {
			m[name] = strings.TrimSpace(string(text))
		}
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m["cpu"] = strings.TrimSpace(value)
				break
			}
		}
	}
	if v := os.Getenv("GOGC"); v != "" {
		m["GOGC"] = v
	}
	return m
}

// measuredLibraries are those whose code runs while something is measured.
var measuredLibraries = []string{"github.com/quic-go/quic-go", "github.com/HdrHistogram/hdrhistogram-go", "github.com/cespare/xxhash/v2",
	"go.etcd.io/raft/v3", "github.com/hashicorp/raft"}

// versions names this build, and the libraries in the measured path.
func versions() map[string]string {
	v := map[string]string{"go": runtime.Version(), "raftbench": "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v["raftbench"] = info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v["revision"] = s.Value
		}
	}
	for _, dep := range info.Deps {
		for _, path := range measuredLibraries {
			if dep.Path == path {
				v[path] = dep.Version
			}
		}
	}
	return v
}
