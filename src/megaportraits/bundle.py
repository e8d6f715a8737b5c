"""Avatars as one signed file: a baked student, and who may be shown and why.

    FILE.mpa                  safetensors; the student's weights in fp16, `preview.N` (uint8 RGB) of each avatar
    its header's metadata     manifest (JSON), signature and public key (Ed25519, base64)

The manifest holds sizes, for each avatar its name, consent statement and licence, SHA-256 of every tensor, and that of
the manifests that it came from, oldest first. What the signature does not cover is refused. A signature shows
that nothing was altered since the key's owner made the file; whose key it is must be known from elsewhere. There is no
appearance encoder inside: a bundle shows its avatars and nobody else.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from megaportraits.config import StudentConfig, from_dict, to_dict
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing
from megaportraits.models.network import SHIPPED, checked_load, shipped_weights
from megaportraits.models.student import BakedStudent

SUFFIX = ".mpa"
SCHEMA_VERSION = 1
_PREVIEW = "preview."


@dataclass(frozen=True)
class Avatar:
    """One person of a bundle."""

    name: str
    consent: str
    """Who agreed to what, and when."""
    licence: str
    """Of the photo that it was made of."""
    preview: UInt8[Tensor, "S S 3"]
    """What it looks like."""


@dataclass(frozen=True)
class Bundle:
    """An opened file."""

    model: BakedStudent
    avatars: tuple[Avatar, ...]
    """In the order of the model's numbers."""
    history: tuple[str, ...] = ()
    """SHA-256 of the manifests that it came from, oldest first; its own is the last one of an opened file."""
    key: str = ""
    """Fingerprint of the key that signed it."""

    def number(self, name: str) -> int:
        """The number of an avatar.

        Raises:
            UserError: there is none of that name.
        """
        names = [avatar.name for avatar in self.avatars]
        if name not in names:
            raise UserError(f"there is no avatar '{name}'; the file holds {', '.join(names)}")
        return names.index(name)

    def without(self, name: str) -> "Bundle":
        """The same without one avatar.

        Raises:
            UserError: there is none of that name, or no other.
        """
        number = self.number(name)
        if len(self.avatars) == 1:
            raise UserError(f"{name} is the only avatar; delete the file instead")
        others = tuple(avatar for avatar in self.avatars if avatar.name != name)
        return replace(self, model=self.model.without(number), avatars=others)


def shipped_bundle() -> Path:
    """The avatars that came with the package (`docs/model-card-avatars.md`)."""
    return shipped_weights("avatars") / f"avatars{SUFFIX}"


def write_bundle(path: Path, bundle: Bundle, key: Path) -> None:
    """Write and sign a bundle.

    Raises:
        UserError: another suffix, an avatar without consent statement, no readable key, or the file cannot be written.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"{path} does not end in {SUFFIX}; choose an output name that does")
    for avatar in bundle.avatars:
        if not avatar.consent.strip() or not avatar.licence.strip():
            raise UserError(
                f"the avatar {avatar.name} has no consent statement or no licence; both must be written down"
            )
    private = _private_key(key)
    tensors = {name: _half(tensor) for name, tensor in bundle.model.state_dict().items()}
    tensors |= {f"{_PREVIEW}{i}": avatar.preview.contiguous() for i, avatar in enumerate(bundle.avatars)}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "model": to_dict(bundle.model.config),
        "avatars": [{"name": a.name, "consent": a.consent, "licence": a.licence} for a in bundle.avatars],
        "tensors": {name: _tensor_hash(tensor) for name, tensor in sorted(tensors.items())},
        "history": list(bundle.history),
    }
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    metadata = {
        "manifest": text,
        "signature": base64.b64encode(private.sign(text.encode())).decode(),
        "key": base64.b64encode(_raw(private.public_key())).decode(),
    }
    with replacing(path) as temporary, writing(path):
        save_file(tensors, temporary, metadata)


def read_bundle(path: Path, trusted: Path | None = None, allow_unsigned: bool = False) -> Bundle:
    """Open a bundle for use, after checking signature and every tensor.

    Args:
        path: the file, or `shipped` for that of the package.
        trusted: public key that must have signed it; None takes any key.
        allow_unsigned: take a file whose signature is missing or wrong; tensors are checked nevertheless.

    Raises:
        UserError: not a bundle, altered, unsigned, or signed by another key.
    """
    path = shipped_bundle() if path == Path(SHIPPED) else path
    metadata, tensors = _read(path)
    text = metadata.get("manifest", "")
    key = _checked_key(path, metadata, text, trusted, allow_unsigned)
    try:
        manifest: dict[str, Any] = json.loads(text)
        known, people, sizes = manifest["tensors"], manifest["avatars"], manifest["model"]
        history = tuple(map(str, manifest["history"]))
        version = manifest["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a bundle of avatars; give a file that 'megaportraits avatar make' wrote"
        ) from error
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has bundle schema {version}, this program reads {SCHEMA_VERSION}; use a fitting release"
        )
    found = {name: _tensor_hash(tensor) for name, tensor in tensors.items()}
    if found != known:
        wrong = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))
        raise UserError(f"{path} was altered: {wrong[0]} is not what was signed; get the file anew")
    model, avatars = _opened(path, sizes, people, tensors)
    own = hashlib.sha256(text.encode()).hexdigest()
    return Bundle(model.eval().requires_grad_(False), avatars, (*history, own), key)


def _opened(path: Path, sizes: Any, people: Any, tensors: dict[str, Tensor]) -> tuple[BakedStudent, tuple[Avatar, ...]]:
    """The net and its avatars, if what was signed makes sense: a key's owner may sign anything."""
    try:
        model = BakedStudent(from_dict(StudentConfig, sizes))
        weights = {name: t for name, t in tensors.items() if not name.startswith(_PREVIEW)}
        checked_load(model, weights, path)
        avatars = tuple(
            Avatar(str(p["name"]), str(p["consent"]), str(p["licence"]), tensors[f"{_PREVIEW}{i}"])
            for i, p in enumerate(people)
        )
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is signed, but no bundle of avatars ({reason}); get it from its maker") from error
    pictures = all(a.preview.ndim == 3 and a.preview.shape[2] == 3 and a.preview.dtype == torch.uint8 for a in avatars)
    if len(avatars) != model.config.avatars or not pictures or not all(t.isfinite().all() for t in weights.values()):
        raise UserError(f"{path} is signed, but its avatars do not fit its net; get it from its maker")
    return model, avatars


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; give a bundle ({SUFFIX})") from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is not a bundle, or it is damaged ({error}); get the file anew") from error


def _checked_key(path: Path, metadata: Mapping[str, str], text: str, trusted: Path | None, allow_unsigned: bool) -> str:
    """Fingerprint of the key that signed the manifest; empty where that does not matter."""
    try:
        raw, signature = (base64.b64decode(metadata[name], validate=True) for name in ("key", "signature"))
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, text.encode())
    except (KeyError, ValueError, InvalidSignature) as error:
        if allow_unsigned and trusted is None:
            return ""
        state = "is not signed" if "signature" not in metadata else "was altered after it was signed"
        raise UserError(
            f"{path} {state}; get it from its maker, or sign it with 'megaportraits avatar make'"
        ) from error
    if trusted is not None and raw != _raw(_public_key(trusted)):
        raise UserError(f"{path} was signed by the key {fingerprint(raw)}, not by {trusted}; ask its maker for the key")
    return fingerprint(raw)


def fingerprint(raw_key: bytes) -> str:
    """A short name of a public key."""
    return hashlib.sha256(raw_key).hexdigest()[:16]


def make_key(path: Path) -> str:
    """Write a new private key (only its owner may read it), and the public one beside it (.pub); its fingerprint.

    Raises:
        UserError: there is a file already, the name is a public key's, or it cannot be written.
    """
    if path.suffix == ".pub":
        raise UserError(f"{path} is the name of a public key; leave .pub out, both keys will be written")
    public = path.with_suffix(".pub")
    if path.exists() or public.exists():
        raise UserError(f"{path} or {public} exists; a key is never overwritten, choose another name")
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    open_pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for target, data, mode in ((path, pem, 0o600), (public, open_pem, 0o644)):
        with replacing(target, mode) as temporary, writing(target):
            temporary.touch(mode)
            temporary.write_bytes(data)
    return fingerprint(_raw(private.public_key()))


def _private_key(path: Path) -> Ed25519PrivateKey:
    key = _loaded(path, lambda data: load_pem_private_key(data, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path} is not an Ed25519 key; make one with 'megaportraits avatar key'")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    key = _loaded(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path} is not an Ed25519 public key; give the .pub file of 'megaportraits avatar key'")
    return key


def _loaded(path: Path, load: Any) -> Any:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path} is not a readable key ({error}); make one with 'megaportraits avatar key'") from error


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().half().contiguous().cpu()


def _tensor_hash(tensor: Tensor) -> str:
    """SHA-256 of kind, shape and numbers."""
    head = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    return hashlib.sha256(head + tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
