"""Writing files so that nothing half-written is ever left behind."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from megaportraits.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on any failure.

    The temporary name keeps the suffix, so that writers which look at it (video containers) work. It may be made a
    file or a folder by the caller; an existing folder at `path` is replaced as a whole.

    Raises:
        UserError: the folder of `path` cannot be created or written.
    """
    target = Path(path)
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
        if target.is_dir() and temporary.is_dir():
            shutil.rmtree(target)
        if temporary.is_file():
            temporary.chmod(0o644)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
