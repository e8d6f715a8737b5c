"""ONNX Runtime for browsers (onnxruntime-web, MIT licence): where its two files come from. They are not part of this
project."""

import hashlib
import os
import urllib.request
from pathlib import Path

from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

VERSION = "1.22.0"
FILES = {
    "ort.webgpu.bundle.min.mjs": "a690203281cbeafa25b72ae30e56848eee22dc8d881d8745d1b3353b0f5f4b87",
    "ort-wasm-simd-threaded.jsep.wasm": "b45970d0632383a057c27ca5b660b216f8e00c17cf8db9f6207b5e4abc839368",
}
"""Names and SHA-256 of version `VERSION`."""
VARIABLE = "MEGAPORTRAITS_ONNXRUNTIME_WEB"
"""Environment variable that names a folder with the files."""
_SOURCE = f"https://unpkg.com/onnxruntime-web@{VERSION}/dist"
_CACHE = Path("~/.cache/megaportraits") / f"onnxruntime-web-{VERSION}"
_TIMEOUT_S = 60


def runtime_folder(named: Path | None, source: str = _SOURCE, cache: Path = _CACHE) -> Path:
    """A folder with both files.

    Args:
        named: folder that the user named; None for the one that the environment variable names, else the cache, into
            which missing files are fetched.
        source: address that they are fetched from.
        cache: folder that they are kept in.

    Raises:
        UserError: a named folder lacks a file, a file cannot be fetched, or has another hash than recorded.
    """
    folder = named or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if folder is not None:
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{folder} lacks {missing[0]}; give the folder 'dist' of onnxruntime-web {VERSION}")
        return folder
    cache = cache.expanduser()
    for name, digest in FILES.items():
        if not (cache / name).is_file():
            _fetch(f"{source}/{name}", cache / name, digest)
    return cache


def _fetch(address: str, path: Path, digest: str) -> None:
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:
            content = answer.read()
    except OSError as error:
        raise UserError(
            f"cannot fetch {address} ({error}); get onnxruntime-web {VERSION} otherwise, and name its folder 'dist' "
            f"by --onnxruntime-web or {VARIABLE}"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"what came from {address} is not the file that was expected; name a folder that has it")
    with replacing(path) as temporary, writing(path):
        temporary.write_bytes(content)
