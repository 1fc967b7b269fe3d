"""TLS, judged and told: whether the server's certificate is trusted, for the right name, and until when.

A failed verification says only that; so the server is asked a second time without verifying, and what its certificate
says becomes part of the reason. Nothing is ever sent over that second connection.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from socket import socket

from tieline.probes.certificate import Certificate, read
from tieline.probes.family import Failed

SOON = 21
"""Days before its end at which a certificate is said to end soon."""
_EXPIRED, _NOT_YET, _SELF_SIGNED = 10, 9, 18
_UNKNOWN_ISSUER = (2, 19, 20, 21)
_OTHER_NAME = (62, 64)
"""Of OpenSSL's verification results (``X509_V_ERR_*``, openssl-verification-options(1))."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust. ``ca_part``: the part that names the certificate authorities; ``lax``: why nothing is verified."""

    ca_file: str | None = None
    ca_part: str = "caBundle"
    lax: str = ""
    any_name: bool = False


def context_of(trust: Trust) -> ssl.SSLContext:
    """The client's side. Raises Failed: the file of authorities can't be read."""
    try:
        context = ssl.create_default_context(cafile=trust.ca_file)
    except (OSError, ssl.SSLError) as error:
        said = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "it is no PEM"
        raise Failed(
            f"the certificates in {trust.ca_file} can't be read: {said}", "check the file", trust.ca_part
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.lax or trust.any_name:
        context.check_hostname = False
    if trust.lax:
        context.verify_mode = ssl.CERT_NONE
    return context


def wrap(connection: socket, host: str, trust: Trust) -> ssl.SSLSocket:
    """TLS over a connection, which is closed if that fails."""
    try:
        return context_of(trust).wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def judge(open_: Callable[[], socket], host: str, trust: Trust, part: str = "host") -> str:
    """Shake hands, and say what was found. ``open_``: a new connection, ready for TLS. Raises Failed."""
    now = datetime.now(UTC)
    try:
        with wrap(open_(), host, trust) as secured:
            version, certificate = secured.version(), read(secured.getpeercert(binary_form=True) or b"")
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(error, _look(open_, host), host, trust, part, now) from None
    except ssl.SSLError as error:
        raise _no_tls(error) from None
    except (ConnectionError, EOFError):
        raise Failed(
            "the server ended the connection when TLS began", "check that this port speaks TLS", "tls"
        ) from None
    words = certificate.words(now) if certificate else "in a form that can't be read here"
    soon = " – renew it soon" if certificate and (certificate.ends - now).days < SOON else ""
    judged = f"not verified ({trust.lax})" if trust.lax else "trusted, for any name" if trust.any_name else "trusted"
    return f"{version}; the certificate is {judged}: {words}{soon}"


def _look(open_: Callable[[], socket], host: str) -> Certificate | None:
    """The certificate of a server that is not trusted."""
    try:
        with wrap(open_(), host, Trust(lax="to look at it")) as secured:
            return read(secured.getpeercert(binary_form=True) or b"")
    except (OSError, Failed):
        return None


def _untrusted(
    error: ssl.SSLCertVerificationError, found: Certificate | None, host: str, trust: Trust, part: str, now: datetime
) -> Failed:
    words = f" (it is {found.words(now)})" if found else ""
    authority = f"name its authority's certificate in {trust.ca_part.rpartition('.')[2]}, if it is to be trusted"
    if error.verify_code == _EXPIRED:
        return Failed(f"the certificate has expired{words}", "it has to be renewed on the server")
    if error.verify_code == _NOT_YET:
        return Failed(f"the certificate is not valid yet{words}", "check the clocks of the server and of this machine")
    if error.verify_code == _SELF_SIGNED:
        return Failed(f"the certificate is signed by itself{words}", authority, trust.ca_part)
    if error.verify_code in _UNKNOWN_ISSUER:
        return Failed(f"this machine does not trust who signed the certificate{words}", authority, trust.ca_part)
    if error.verify_code in _OTHER_NAME:
        return Failed(f"the certificate is not for {host}{words}", "use a name that it is for", part)
    return Failed(f"the certificate is not trusted: {error.verify_message}{words}", authority, trust.ca_part)


def _no_tls(error: ssl.SSLError) -> Failed:
    reason = (error.reason or "").replace("_", " ").lower()
    if error.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE") or isinstance(
        error, ssl.SSLEOFError
    ):
        return Failed(
            "the server does not answer with TLS at this port", "check the port, and whether tls is right", "tls"
        )
    if "alert" in reason or "version" in reason:
        return Failed(
            f"the server refused our TLS: {reason}", "it may be too old, or ask for a client's certificate", "tls"
        )
    return Failed(f"TLS failed: {reason or error}", "see the server's log", "tls")
