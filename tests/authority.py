"""A certificate authority of a test's own, and servers whom it vouches for."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

# Python 3.13 believes no authority whose certificate does not say that it may sign.
SIGNS = x509.KeyUsage(
    False, False, False, False, False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
)


class Authority:
    """Whoever trusts `certificate` trusts what it signs. For some days."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        itself = x509.BasicConstraints(ca=True, path_length=0)
        made = self._signed(self._name, self._key.public_key(), itself, SIGNS)
        self.certificate = folder / "authority.crt"
        self.certificate.write_bytes(made.public_bytes(Encoding.PEM))

    def server(self, names: Sequence[str]) -> ssl.SSLContext:
        """What a server needs to be believed under these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        made = self._signed(subject, key.public_key(), x509.SubjectAlternativeName(map(x509.DNSName, names)))
        file = self._folder / f"{names[0]}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + made.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now, serial = datetime.now(UTC), x509.random_serial_number()
        begins, ends = now - timedelta(days=1), now + timedelta(days=7)
        builder = x509.CertificateBuilder(self._name, subject, key, serial, begins, ends)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        whose = x509.SubjectKeyIdentifier.from_public_key(key)
        identified = builder.add_extension(by, critical=False).add_extension(whose, critical=False)
        return identified.sign(self._key, hashes.SHA256())
