"""SHA-256 of bytes and of files; no other module computes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256(*parts: bytes | str) -> str:
    """SHA-256 of the concatenated parts (text as UTF-8), 64 hexadecimal digits."""
    return _of(parts).hexdigest()


def sha256_bytes(*parts: bytes | str) -> bytes:
    """The same digest as 32 bytes."""
    return _of(parts).digest()


def file_sha256(*paths: Path) -> str:
    """SHA-256 of the files' concatenated contents, 64 hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _of(parts: Iterable[bytes | str]) -> hashlib._Hash:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest
