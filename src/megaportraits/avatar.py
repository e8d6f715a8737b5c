"""`megaportraits avatar make|verify|list|remove|key`: chosen people as one signed file."""

import json
from pathlib import Path

from megaportraits.bundle import Avatar, Bundle, make_key, read_bundle, write_bundle
from megaportraits.checkpoint import read_facts, read_json
from megaportraits.config import AvatarMake, AvatarRemove
from megaportraits.data.avatars import read_avatars
from megaportraits.errors import UserError
from megaportraits.models.student import Student

_PREVIEW_PX = 128


def make(config: AvatarMake) -> None:
    """Bake and sign the avatars of a student.

    Raises:
        UserError: no student, no key, an avatar whose consent is not written down or whose folder is missing, or the
            file cannot be written.
    """
    names = tuple(read_facts(config.student, "student").get("avatars", ()))
    statements = read_json(config.consent)
    missing = [name for name in names if not isinstance(statements.get(name), dict)]
    if missing:
        raise UserError(f"{config.consent} says nothing of {', '.join(missing)}; write down their consent and licence")
    people = read_avatars(config.avatars, _PREVIEW_PX, names)
    pictures = (people.rgb * 255).round().byte().permute(0, 2, 3, 1)
    avatars = tuple(
        Avatar(name, str(statements[name].get("consent", "")), str(statements[name].get("licence", "")), picture)
        for name, picture in zip(names, pictures[: len(names)], strict=True)
    )
    write_bundle(config.output, Bundle(Student.load(config.student).baked(), avatars), config.key)
    print(f"{len(avatars)} avatars are in {config.output}")


def verify(bundle: Path, trust: Path | None = None) -> None:
    """Check that a file of avatars is as it was signed.

    Args:
        bundle: signed file.
        trust: public key (.pub) that must have signed it.

    Raises:
        UserError: it is not a bundle, altered, unsigned, or signed by another key.
    """
    found = read_bundle(bundle, trust)
    print(f"{bundle} is as the key {found.key} signed it: {len(found.avatars)} avatars")


def show(bundle: Path) -> None:
    """List the avatars of a signed file.

    Args:
        bundle: signed file, or `shipped` for that of the package.

    Raises:
        UserError: as `verify`.
    """
    found = read_bundle(bundle)
    rows = [{"name": a.name, "licence": a.licence, "consent": a.consent} for a in found.avatars]
    print(json.dumps({"avatars": rows, "key": found.key, "history": list(found.history)}, indent=1, ensure_ascii=False))


def remove(config: AvatarRemove) -> None:
    """Forget an avatar: its tables are not in the new file.

    Raises:
        UserError: as `verify`; there is no such avatar, or no other; no key, or the file cannot be written.
    """
    write_bundle(config.output, read_bundle(config.bundle).without(config.name), config.key)
    print(f"{config.output} is without {config.name}")


def key(output: Path) -> None:
    """Make a key that signs avatars.

    Args:
        output: file of the private key; the public one is written beside it (.pub).

    Raises:
        UserError: there is a file already, or it cannot be written.
    """
    print(f"{output} is the key {make_key(output)}; keep it secret, and give {output.with_suffix('.pub')} to others")
