"""Quality falls with blur, darkness and compression; hashes tell copies from others."""

import io

import cv2
import numpy as np
import pytest
from moving_faces import FACE
from PIL import Image, ImageFilter

from megaportraits.data.crop import SquareCrop
from megaportraits.prepare.hashes import differing_bits, duplicates, perceptual_hash
from megaportraits.prepare.quality import blockiness, blur, exposure, quality
from megaportraits.prepare.records import Record

SQUARE = SquareCrop(0.0, 0.0, 256.0)


def compressed(picture: np.ndarray, jpeg_quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=jpeg_quality, subsampling=0)
    return np.asarray(Image.open(file))


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))


def luma(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


@pytest.mark.parametrize(
    "worse",
    [
        lambda p, k: blurred(p, 1.0 * k),
        lambda p, k: compressed(p, 40 // k),
        lambda p, k: (p / (2.0 * k)).astype(np.uint8),
        lambda p, k: np.clip(p * (1.0 + k) + 60.0 * k, 0, 255).astype(np.uint8),
    ],
    ids=["blur", "JPEG", "dark", "burnt out"],
)
def test_quality_falls_with_every_fault(worse):
    scores = [quality(FACE, SQUARE), *(quality(worse(FACE, k), SQUARE) for k in (1, 3))]
    assert 0 <= scores[2] < scores[1] < scores[0] <= 1


def test_blur_of_known_pictures():
    steps = np.zeros((64, 64), np.float32)
    steps[:, 32:] = 255
    assert blur(np.full((64, 64), 7, np.float32)) == 1
    noise = np.random.default_rng(0).uniform(0, 255, (64, 64)).astype(np.float32)
    assert blur(noise) < 0.15
    ramp = np.tile(np.arange(64, dtype=np.float32), (64, 1))
    assert blur(ramp + ramp.T) > 0.9


def test_exposure_counts_black_white_and_contrast():
    even = np.tile(np.linspace(60, 200, 64, dtype=np.float32), (64, 1))
    assert exposure(even) == 1
    half_black = even.copy()
    half_black[:32] = 0
    assert exposure(half_black) == pytest.approx(0.5)
    assert exposure(np.full((8, 8), 128, np.float32)) == 0


def test_block_edges_are_seen_on_their_grid_only():
    rough = compressed(FACE, 5)
    assert blockiness(luma(FACE)) < 0.2
    assert blockiness(luma(rough)) > 2
    assert blockiness(luma(rough[3:, 3:])) < blockiness(luma(rough)) / 2


def of(name: str, source: str, pictures: list[np.ndarray], mouth: tuple[float, ...] = (0.1, 0.2)) -> Record:
    return Record(name, source, hash=perceptual_hash(pictures), mouth=mouth)


def test_duplicates_are_copies_in_other_files():
    other = np.ascontiguousarray(FACE[:, ::-1])
    original, copy = of("a", "a.mp4", [FACE] * 3), of("b", "b.mp4", [compressed(FACE, 50)] * 3, (0.1, 0.21))
    assert differing_bits(original.hash, copy.hash) <= 11 < differing_bits(original.hash, of("", "", [other] * 3).hash)
    same_file, stranger = of("c", "a.mp4", [FACE] * 3), of("d", "d.mp4", [other] * 3)
    speaking_otherwise = of("e", "e.mp4", [FACE] * 3, (0.1, 0.0))
    clips = [original, copy, same_file, stranger, speaking_otherwise]
    assert duplicates(clips, 11) == {"b": "a"}
    assert duplicates(clips[::-1], 11) == {"b": "a"}
    assert duplicates([original, of("z", "z.mp4", [blurred(FACE, 6)] * 3)], 0) == {}


def test_bands_find_every_pair_within_eleven_bits():
    generator = np.random.default_rng(1)
    for flips in range(12):
        bits = generator.integers(0, 2, 192)
        changed = bits.copy()
        changed[generator.choice(192, flips, replace=False)] ^= 1
        a, b = (np.packbits(x).tobytes().hex() for x in (bits, changed))
        found = duplicates([Record("a", "1", hash=a, mouth=(0.1,)), Record("b", "2", hash=b, mouth=(0.1,))], 11)
        assert found == {"b": "a"}, flips
