// A stand-in for software that cannot be built here: it says so to whoever asks, and does nothing else.
// usage: stand-in ARG…    $STAND_IN_FOR: its name; the arguments are those of the real one, and have no effect
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"time"
)

const page = `<!doctype html>
<title>A stand-in for %[1]s</title>
<h1>This is a stand-in for %[1]s</h1>
<p>kubefab's lab cannot build %[1]s. This page shows that it would be reached.</p>
`

func main() {
	name := os.Getenv("STAND_IN_FOR")
	log.Printf("a stand-in for %s, which it is not", name)
	handler := http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(answer, page, name)
	})
	for _, address := range []string{":4466", ":8000", ":8081"} {
		go func() { log.Fatal(http.ListenAndServe(address, handler)) }()
	}
	secure := http.Server{Addr: ":8443", Handler: handler, TLSConfig: selfSigned()}
	log.Fatal(secure.ListenAndServeTLS("", ""))
}

// selfSigned is what the Kubernetes Dashboard makes itself with --auto-generate-certificates.
func selfSigned() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now()
	wanted := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	made, err := x509.CreateCertificate(rand.Reader, wanted, wanted, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{made}, PrivateKey: key}}}
}
