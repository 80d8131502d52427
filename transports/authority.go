package transports

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Authority is a throw-away certificate authority for one group: it lives in memory, and what it issues is valid for a
// day. All transports that encrypt use the same, so that a comparison of them does not compare their cryptography.
//
// Both sides of a connection show a certificate (mutual TLS). The version is TLS 1.3. Go leaves the cipher of TLS 1.3
// to the two machines and takes AES-128-GCM where both have AES instructions.
type Authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pool   *x509.CertPool
	secret [32]byte
}

const (
	// Every certificate carries the name that TLS asks for and, as its second name, the replica's identity, which
	// the handshake compares: so a wrong replica is refused and counted in the same place by all transports.
	serverName    = "raftbench"
	replicaPrefix = "replica-"
	validFor      = 24 * time.Hour
	clockSkew     = time.Hour
)

// NewAuthority makes an authority with a fresh key.
func NewAuthority() (*Authority, error) {
	a := &Authority{pool: x509.NewCertPool()}
	rand.Read(a.secret[:])
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("transports: authority's key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(validFor),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("transports: authority's certificate: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("transports: authority's certificate: %w", err)
	}
	a.key = key
	a.pool.AddCert(a.cert)
	return a, nil
}

// Config returns the TLS configuration of a replica, for both roles, with a certificate of its own. alpn names the
// application protocol, and may be empty for TCP.
func (a *Authority) Config(self raft.ID, alpn string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("transports: key of replica %d: %w", self, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("transports: serial number: %w", err)
	}
	now := time.Now()
	name := replicaPrefix + strconv.FormatUint(uint64(self), 10)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{serverName, name},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(validFor),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("transports: certificate of replica %d: %w", self, err)
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      a.pool, ServerName: serverName,
		ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13,
		// A certificate of ours that names no replica proves nothing, and 0 would read as if nothing had to be proven.
		VerifyConnection: func(state tls.ConnectionState) error {
			if CertifiedPeer(state) == 0 {
				return fmt.Errorf("%w: the certificate names no replica", ErrRefused)
			}
			return nil
		},
		// Resumption would make a second connection cheaper than a first, and needs state that outlives a crash.
		SessionTicketsDisabled: true,
		// The hybrid post-quantum exchange, the default, doubles a QUIC handshake's first flight. Nothing said
		// here is worth recording.
		CurvePreferences: []tls.CurveID{tls.X25519},
	}
	if alpn != "" {
		cfg.NextProtos = []string{alpn}
	}
	return cfg, nil
}

// Secret derives 32 bytes that are the same whenever the same replica of this group asks for the same purpose, after a
// restart too, and that nobody outside the group can know.
func (a *Authority) Secret(self raft.ID, purpose string) ([32]byte, error) {
	var key [32]byte
	b, err := hkdf.Key(sha256.New, a.secret[:], nil, purpose+" of "+replicaPrefix+strconv.FormatUint(uint64(self), 10), len(key))
	if err != nil {
		return key, fmt.Errorf("transports: secret for %s: %w", purpose, err)
	}
	copy(key[:], b)
	return key, nil
}

// CertifiedPeer returns whom the other side of a connection has proven to be, 0 if its certificate names no replica.
func CertifiedPeer(state tls.ConnectionState) raft.ID {
	if len(state.PeerCertificates) == 0 {
		return 0
	}
	for _, name := range state.PeerCertificates[0].DNSNames {
		if digits, ok := strings.CutPrefix(name, replicaPrefix); ok {
			if id, err := strconv.ParseUint(digits, 10, 64); err == nil {
				return raft.ID(id)
			}
		}
	}
	return 0
}
