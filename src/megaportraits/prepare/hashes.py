"""Perceptual hashes: which clips of different files show the same."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from megaportraits.prepare.records import Record

_BANDS = 12
"""Of 192 bits, at most 11 differ: then at least one of 12 bands is equal."""
_SAME_MOUTH = 0.03
"""Openings, in face heights, that differ less are the same but for noise."""


def perceptual_hash(pictures: Sequence[UInt8[np.ndarray, "S S 3"]]) -> str:
    """OpenCV's pHash of three pictures, 64 bits each, hexadecimal."""
    return "".join(cv2.img_hash.pHash(cv2.cvtColor(p, cv2.COLOR_RGB2BGR)).tobytes().hex() for p in pictures)


def differing_bits(a: str, b: str) -> int:
    """How many bits of two hashes differ."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


def duplicates(records: Sequence[Record], most_bits: int) -> dict[str, str]:
    """For each clip that repeats one of another file, the first such clip by name.

    Clips are the same where pictures and movements are: takes of one person in one chair differ in their mouths. A
    copy that begins at another moment is not found.

    Args:
        records: of clips.
        most_bits: differing bits up to which pictures are the same, at most 11.
    """
    found: dict[str, str] = {}
    bands: dict[tuple[int, str], list[str]] = defaultdict(list)
    by_name = {record.name: record for record in records}
    for name in sorted(by_name):
        record = by_name[name]
        candidates = {other for band in _bands(record.hash) for other in bands[band]}
        same = [other for other in candidates if _same(record, by_name[other], most_bits)]
        if same:
            found[name] = min(same)
            continue
        for band in _bands(record.hash):
            bands[band].append(name)
    return found


def _same(a: Record, b: Record, most_bits: int) -> bool:
    if a.source == b.source or differing_bits(a.hash, b.hash) > most_bits or len(a.mouth) != len(b.mouth):
        return False
    return bool(np.abs(np.subtract(a.mouth, b.mouth)).max() < _SAME_MOUTH)


def _bands(digest: str) -> Iterator[tuple[int, str]]:
    step = len(digest) // _BANDS
    for number in range(_BANDS):
        yield number, digest[number * step : (number + 1) * step]
