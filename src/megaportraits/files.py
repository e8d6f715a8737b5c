"""Writing files so that nothing half-written is ever left behind, and telling files apart."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from megaportraits.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on any failure.

    The temporary name keeps the suffix, so that writers which look at it (video containers) work. It may be made a
    file or a folder by the caller; an existing folder at `path`, or where `path` links to, is replaced as a
    whole.

    Args:
        path: the name that appears at the end.
        mode: who may read and write the file.

    Raises:
        UserError: the folder of `path` cannot be created or written, or a folder stands where a file shall be (or
            the other way round).
    """
    target = Path(path).resolve() if Path(path).is_dir() else Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(
            f"cannot write {target} ({error.strerror}); choose an output path in a writable folder"
        ) from error
    temporary = scratch / target.name
    try:
        yield temporary
        _move(temporary, target, mode)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Around the call that writes a file, and nothing else: what fails there is told in one sentence.

    Args:
        path: what to call the file, be it written under a temporary name.

    Raises:
        UserError: the disk is full, the file too large, or a writer of pictures or tensors failed.
    """
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error).split("\n")[0] or type(error).__name__
        raise UserError(f"cannot write {path} ({reason}); make room, or choose another output path") from error


def _move(temporary: Path, target: Path, mode: int) -> None:
    try:
        if target.is_dir() and temporary.is_dir():
            shutil.rmtree(target)
        if temporary.is_file():
            temporary.chmod(mode)
        os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"cannot write {target} ({error.strerror}); choose another output path") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
