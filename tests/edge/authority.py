"""A throw-away certificate authority, made with the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge.settings import TlsSettings


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@dataclass(frozen=True)
class Authority:
    """`issue` signs a certificate and puts it, with its key, into the folder."""

    folder: Path
    name: str = "ca"

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key"

    def create(self) -> Authority:
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={self.name}", "-days", "2", "-keyout", self.key,
            "-out", self.certificate,
        )  # fmt: skip
        return self

    def issue(self, name: str, days: int = 1, host: str = "127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key of a name; with days = -1 it has expired."""
        request, key, made = (self.folder / f"{name}.{end}" for end in ("csr", "key", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName = IP:{host}\n")
        openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
            "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", made,
        )  # fmt: skip
        return made, key

    def settings(self, name: str | None = None) -> TlsSettings:
        """Settings that trust this authority, with the certificate of a name."""
        if name is None:
            return TlsSettings(ca=self.certificate)
        own = self.folder / f"{name}.pem"
        return TlsSettings(ca=self.certificate, certificate=own, key=own.with_suffix(".key"))
