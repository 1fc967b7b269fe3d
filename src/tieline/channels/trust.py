"""Whose certificates a channel trusts: those of the PEM file that the connection names, else the usual ones."""

from __future__ import annotations

import ssl

from tieline.channels.base import Unusable


def context_of(ca_bundle: str | None) -> ssl.SSLContext:
    """Trust in the authorities of this file alone, or in the usual ones. Raises Unusable."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except ssl.SSLError:
        said = "it has no certificate in PEM"
    except OSError as error:
        said = error.strerror or type(error).__name__
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
    raise Unusable(f"the certificates in {ca_bundle} can't be read: {said}", "check the file", "caBundle")
