"""Settings of signed avatars: what `megaportraits avatar ...` takes as options."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AvatarMake:
    """`megaportraits avatar make`: a student's avatars as one signed file."""

    student: str
    """Checkpoint folder of `train distill`."""
    output: Path
    """File to write (.mpa)."""
    consent: Path
    """JSON: by the name of each avatar, an object with `consent` (who agreed to what, and when) and `licence`."""
    key: Path
    """Private key (`avatar key`) that signs the file."""
    avatars: tuple[str, ...]
    """The folders of prepared photos or clips that the student was trained with, for the pictures of the list."""


@dataclass(frozen=True)
class AvatarRemove:
    """`megaportraits avatar remove`: the same avatars without one, signed anew."""

    bundle: Path
    """Signed file."""
    name: str
    """The avatar to forget."""
    output: Path
    """File to write (.mpa)."""
    key: Path
    """Private key that signs the new file."""
