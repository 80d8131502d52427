package transports

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tlsConfig(t *testing.T, a *Authority, id raft.ID) *tls.Config {
	t.Helper()
	c, err := a.Config(id, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shake does a TLS handshake; a client that is refused learns it with its first read. It takes sockets: in memory both
// sides could wait for each other to read, one its alert, the other the rest of its flight.
func shake(t *testing.T, client, server *tls.Config) (c, s tls.ConnectionState, cerr, serr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	tc, ts := tls.Client(a, client), tls.Server(b, server)
	go func() {
		defer close(done)
		if serr = ts.Handshake(); serr == nil {
			_, serr = ts.Write([]byte("x"))
		}
		b.Close()
	}()
	if cerr = tc.Handshake(); cerr == nil {
		_, cerr = tc.Read(make([]byte, 1))
	}
	a.Close()
	<-done
	return tc.ConnectionState(), ts.ConnectionState(), cerr, serr
}

func TestAuthorityVouchesForBothSides(t *testing.T) {
	a := newAuthority(t)
	c, s, cerr, serr := shake(t, tlsConfig(t, a, 12), tlsConfig(t, a, 34))
	if cerr != nil || serr != nil {
		t.Fatalf("handshake: client %v, server %v", cerr, serr)
	}
	if CertifiedPeer(c) != 34 || CertifiedPeer(s) != 12 {
		t.Errorf("client sees replica %d, server %d, want 34 and 12", CertifiedPeer(c), CertifiedPeer(s))
	}
	if c.Version != tls.VersionTLS13 {
		t.Errorf("TLS version %#x, want 1.3", c.Version)
	}
	t.Logf("cipher suite: %s", tls.CipherSuiteName(c.CipherSuite))
	if CertifiedPeer(tls.ConnectionState{}) != 0 {
		t.Errorf("a connection without certificates proves a replica")
	}
}

func TestAuthorityRefusesOthers(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	anonymous := tlsConfig(t, ours, 1)
	anonymous.Certificates = nil
	nameless, chosen := tlsConfig(t, ours, 1), tlsConfig(t, ours, 2)
	nameless.Certificates = []tls.Certificate{certify(t, ours, serverName)}
	nameless.VerifyConnection = nil
	almost := nameless.Clone()
	almost.Certificates = []tls.Certificate{certify(t, ours, serverName, replicaPrefix+"0", replicaPrefix+"one", "1")}
	for name, c := range map[string][2]*tls.Config{
		"a client whose certificate names no replica": {nameless, chosen},
		"a client whose certificate names no number":  {almost, chosen},
		"a server whose certificate names no replica": {chosen, nameless},
		"a client of another authority":               {tlsConfig(t, theirs, 1), tlsConfig(t, ours, 2)},
		"a client without certificate":                {anonymous, tlsConfig(t, ours, 2)},
	} {
		if _, _, cerr, serr := shake(t, c[0], c[1]); cerr == nil || serr == nil {
			t.Errorf("%s: client %v, server %v, want errors", name, cerr, serr)
		}
	}
}

// certify makes a certificate of the authority with these names.
func certify(t *testing.T, a *Authority, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), DNSNames: names, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestSecretsAreStableAndDiffer(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	seen := map[[32]byte]bool{}
	for _, c := range []struct {
		a       *Authority
		id      raft.ID
		purpose string
	}{{a, 1, "x"}, {a, 2, "x"}, {a, 1, "y"}, {b, 1, "x"}} {
		first, err := c.a.Secret(c.id, c.purpose)
		again, _ := c.a.Secret(c.id, c.purpose)
		if err != nil || first != again || seen[first] {
			t.Errorf("secret of replica %d for %q: error %v, stable %v, seen before %v", c.id, c.purpose, err, first == again, seen[first])
		}
		seen[first] = true
	}
}
