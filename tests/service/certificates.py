"""Certificates for tests, made by the openssl command."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Files(NamedTuple):
    """A certificate and its private key, in PEM files."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str, days: int = 10, password: str = "", issuer: Files | None = None) -> Files:
    """A certificate for `localhost` and 127.0.0.1, signed by itself or by another one."""
    files = Files(folder / f"{name}.pem", folder / f"{name}.key")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", str(files.key)]
    key += ["-passout", f"pass:{password}"] if password else ["-nodes"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    signed = [] if issuer is None else ["-CA", str(issuer.certificate), "-CAkey", str(issuer.key)]
    command = ["openssl", "req", "-x509", *key, *names, "-days", str(days), *signed, "-out", str(files.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return files
