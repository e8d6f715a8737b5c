"""`megaportraits prepare shards`: prepared clips as tar files, a few large ones instead of many small files.

    OUT/train-000000.tar    NAME.rgb.mp4, NAME.matte.mp4, NAME.truth.safetensors, NAME.clip.json, clip after clip
    OUT/train-000000.json   SHA-256 of the tar file; where its members are, and their SHA-256

A tar file is a WebDataset shard: streaming loaders read it from any store. Training here reads it at random places
(`data/shards.py`). The same clips make the same bytes.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import PrepareShards
from megaportraits.data.clips import FILES, find_clips, member, read_info
from megaportraits.errors import UserError
from megaportraits.files import file_hash, replacing, writing


def prepare_shards(config: PrepareShards) -> None:
    """Pack clips into tar files, one series for each split.

    Clips come in the order of a hash of their names, so that neighbours are strangers. Tar files of an earlier command
    are replaced.

    Raises:
        UserError: no clip is there, two have the same name, the clips are read from the folder that is written, or a
            file cannot be written.
    """
    out = Path(config.out)
    if out.resolve() in [Path(folder).resolve() for folder in config.data]:
        raise UserError(f"the clips are read from {out}; choose another folder for the tar files")
    clips = find_clips(config.data)
    names = [clip.name for clip in clips]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice:
        raise UserError(f"two clips are called {twice}; shards need different names")
    by_split: dict[str, list[Path]] = {}
    for clip in sorted(clips, key=lambda path: hashlib.sha256(path.name.encode()).hexdigest()):
        by_split.setdefault(read_info(clip).split, []).append(clip)
    written: set[str] = set()
    for split, members in sorted(by_split.items()):
        for number, group in enumerate(_groups(members, config.megabytes)):
            written.add(f"{split}-{number:06d}")
            _write(out / f"{split}-{number:06d}.tar", group)
    for listing in out.glob("*.json"):
        if listing.stem not in written and _is_listing(listing):
            listing.with_suffix(".tar").unlink(missing_ok=True)
            listing.unlink()
    print(f"{len(clips)} clips are in {len(written)} tar files in {out}")


def _is_listing(path: Path) -> bool:
    """Whether a file lists the members of a tar file of an earlier command."""
    try:
        return read_json(path).keys() == {"sha256", "clips"}
    except (UserError, AttributeError):
        return False


def _groups(clips: Sequence[Path], megabytes: int) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for clip in clips:
        group.append(clip)
        size += sum(len(member(clip, name).getbuffer()) for name in FILES)
        if size >= megabytes * 2**20:
            yield group
            group, size = [], 0
    if group:
        yield group


def _write(path: Path, clips: Sequence[Path]) -> None:
    members: dict[str, dict[str, list[int | str]]] = {}
    with replacing(path) as temporary, writing(path):
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            for clip in tqdm(clips, path.name, unit="clip", leave=False):
                members[clip.name] = {name: _add(tar, clip, name) for name in FILES}
        digest = file_hash(temporary)
    write_json(path.with_suffix(".json"), {"sha256": digest, "clips": members})


def _add(tar: tarfile.TarFile, clip: Path, name: str) -> list[int | str]:
    """Write one file of a clip; its place, size and hash."""
    data = member(clip, name).getvalue()
    header = tarfile.TarInfo(f"{clip.name}.{name}")
    header.size, header.mode = len(data), 0o644
    tar.addfile(header, io.BytesIO(data))
    end = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return [tar.offset - end, len(data), hashlib.sha256(data).hexdigest()]
