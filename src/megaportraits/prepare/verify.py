"""`megaportraits prepare verify`: whether prepared clips, in folders or tar files, are whole and can be read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from megaportraits.checkpoint import read_json
from megaportraits.data.clips import FILES, find_clips, member, read_truth, shard_members
from megaportraits.data.video import read_frames
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.prepare.records import MANIFEST, read_manifest


def verify(data: Path) -> None:
    """Check every clip of a folder: its files' hashes, that its pictures can be decoded, that lengths agree.

    Args:
        data: a folder that `prepare videos`, `prepare photos` or `prepare shards` has made.

    Raises:
        UserError: something is wrong; the printed lines say what.
    """
    shards = sorted(data.glob("*.tar"))
    if not shards and not (data / MANIFEST).is_file():
        raise UserError(
            f"{data} holds neither {MANIFEST} nor tar files; give a folder that 'megaportraits prepare' made"
        )
    clips = [entry for shard in shards for entry in _in_shard(shard)] if shards else list(_in_folder(data))
    wrong = [f"{shard}: {fault}" for shard in shards for fault in _shard_faults(shard)]
    for path, hashes in tqdm(clips, "verifying", unit="clip", leave=False):
        wrong += [f"{path}: {fault}" for fault in _faults(path, hashes)]
    known = {path for path, _ in clips}
    wrong += [f"{path} is in no list" for path in (find_clips([data]) if known else ()) if path not in known]
    for line in wrong:
        print(line)
    if wrong:
        raise UserError(
            f"{len(wrong)} faults were found in {data}, listed above; delete these clips and run the command that "
            "made them again"
        )
    print(f"{len(clips)} clips in {data} are whole")


def _in_folder(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for record in read_manifest(folder):
        if not record.reason:
            yield folder / record.name, record.files


def _in_shard(shard: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for name, members in shard_members(shard).items():
        yield shard / name, {file: str(entry[2]) for file, entry in members.items()}


def _shard_faults(shard: Path) -> Iterator[str]:
    if file_hash(shard) != read_json(shard.with_suffix(".json")).get("sha256"):
        yield "the tar file has another hash than its list says"


def _faults(clip: Path, hashes: dict[str, str]) -> Iterator[str]:
    for name in FILES:
        try:
            data = member(clip, name).read()
        except (UserError, OSError) as error:
            yield f"{name} is missing ({error})"
            return
        if hashlib.sha256(data).hexdigest() != hashes.get(name):
            yield f"{name} has another hash than the list says"
    try:
        lengths = {name: sum(1 for _ in read_frames(member(clip, f"{name}.mp4"))) for name in ("rgb", "matte")}
        lengths["truth"] = len(read_truth(clip).scale)
    except UserError as error:
        yield str(error)
        return
    if len(set(lengths.values())) != 1:
        yield "lengths differ: " + ", ".join(f"{what} has {count} frames" for what, count in lengths.items())
