"""Owns what a build takes over from this machine: certificates, package indexes, proxies, the Debian mirror.

Rule: taken over for the build's sake alone; none of it is part of an image's name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

# Variables that a Dockerfile may declare as ARG. Local paths (pip's find-links) mean nothing inside a build:
# left out.
INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "NPM_CONFIG_REGISTRY")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
SYSTEM_BUNDLES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt")
LOCAL_CERTIFICATES = ("usr/local/share/ca-certificates", "etc/pki/ca-trust/source/anchors")
DEBIAN_MIRROR = re.compile(r"https?://\S+?/debian(?=/?(?:\s|$))")
USUAL_DEBIAN_MIRROR = re.compile(r"https?://[a-z]+\.debian\.org/")


@dataclass(frozen=True)
class BuildHost:
    certificates: bytes = b""  # PEM; empty when this machine trusts what every Debian trusts
    args: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, environ: Mapping[str, str], root: Path = Path("/")) -> Self:
        """Reads the environment and, below `root`, the files in which Debian and others keep such settings."""
        args = {
            name: environ[name]
            for name in INDEXES
            if "://" in environ.get(name, "") and "file:" not in environ[name]
        }
        if environ.get("PIP_TRUSTED_HOST"):
            args["PIP_TRUSTED_HOST"] = environ["PIP_TRUSTED_HOST"]
        for name in PROXIES:
            args |= {key: environ[key] for key in (name, name.upper()) if environ.get(key)}
        mirror = environ.get("DEBIAN_MIRROR") or debian_mirror(root)
        if mirror:
            args["DEBIAN_MIRROR"] = mirror
        return cls(certificates(environ, root), args)


def certificates(environ: Mapping[str, str], root: Path) -> bytes:
    """The bundle that a variable names, else the system's own where certificates were added to it."""
    for name in BUNDLES:
        bundle = Path(environ[name]) if environ.get(name) else None
        if bundle is not None and bundle.is_file():
            return bundle.read_bytes()
    if any((root / folder).is_dir() and any((root / folder).rglob("*.crt")) for folder in LOCAL_CERTIFICATES):
        return next(((root / file).read_bytes() for file in SYSTEM_BUNDLES if (root / file).is_file()), b"")
    return b""


def debian_mirror(root: Path) -> str | None:
    """The mirror that this machine's apt uses for Debian, when it is not the usual one."""
    apt = root / "etc/apt"
    for file in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            found = None if line.lstrip().startswith("#") else DEBIAN_MIRROR.search(line)
            if found and not USUAL_DEBIAN_MIRROR.match(found[0]):
                return found[0]
    return None
