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
    """What builds on this machine need of it."""

    certificates: bytes = b""  # PEM; empty when this machine trusts what every Debian trusts
    args: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, environ: Mapping[str, str], root: Path = Path("/")) -> Self:
        """Read the environment and, below `root`, the files in which Debian and others keep such
        settings.
        """
        urls = {name: environ[name] for name in INDEXES if "://" in environ.get(name, "")}
        args = {name: url for name, url in urls.items() if "file:" not in url}
        if environ.get("PIP_TRUSTED_HOST"):
            args["PIP_TRUSTED_HOST"] = environ["PIP_TRUSTED_HOST"]
        for name in PROXIES:
            args |= {key: environ[key] for key in (name, name.upper()) if environ.get(key)}
        mirror = environ.get("DEBIAN_MIRROR") or debian_mirror(root)
        if mirror:
            args["DEBIAN_MIRROR"] = mirror
        return cls(certificates(environ, root), args)


def certificates(environ: Mapping[str, str], root: Path) -> bytes:
    """Return the bundle that a variable names, or else the system's own if certificates were added to it."""
    for name in BUNDLES:
        bundle = Path(environ[name]) if environ.get(name) else None
        if bundle is not None and bundle.is_file():
            return bundle.read_bytes()
    folders = [root / folder for folder in LOCAL_CERTIFICATES]
    if not any(folder.is_dir() and any(folder.rglob("*.crt")) for folder in folders):
        return b""
    bundles = [root / file for file in SYSTEM_BUNDLES]
    return next((bundle.read_bytes() for bundle in bundles if bundle.is_file()), b"")


def debian_mirror(root: Path) -> str | None:
    """Return the mirror that this machine's apt uses for Debian, if it is not the usual one."""
    apt = root / "etc/apt"
    for file in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            mirror = None if line.lstrip().startswith("#") else DEBIAN_MIRROR.search(line)
            if mirror and not USUAL_DEBIAN_MIRROR.match(mirror[0]):
                return mirror[0]
    return None
