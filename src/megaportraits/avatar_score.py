"""`megaportraits avatar score`: how near avatars come to their teacher, and both to the truth where it is known."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from megaportraits.animate import leave_a_core
from megaportraits.bundle import read_bundle
from megaportraits.config import AvatarScore
from megaportraits.data.avatars import Driven, read_avatars
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import FrameStore
from megaportraits.files import replacing, writing
from megaportraits.losses.perceptual import perceptual_loss
from megaportraits.losses.pretrained import load_frozen
from megaportraits.metrics.pictures import psnr_db, ssim
from megaportraits.models.student import BakedStudent
from megaportraits.tensors import over_grey
from megaportraits.training.distill import Teacher
from megaportraits.training.log import grid

_SHOWN = 2
"""Clips of each folder and avatar in the contact sheet."""
_METRICS = {
    "psnr_db": "PSNR",
    "person_psnr_db": "PSNR, person",
    "person_ssim": "SSIM, person",
    "squeezenet": "SqueezeNet distance",
}
Row = dict[str, str | float]
Pictures = list[Float[Tensor, "1 3 S S"]]


def score(config: AvatarScore) -> None:
    """Score avatars against their teacher on drivers that it was not taught with.

    Writes scores.json, scores.md and contact_sheet.png (driver, teacher, student; the first frames of some clips).

    Raises:
        UserError: not a signed bundle, an avatar's folder is missing, no clips, or the output cannot be written.
    """
    leave_a_core()
    bundle = read_bundle(config.bundle)
    names = [avatar.name for avatar in bundle.avatars]
    teacher = Teacher(config.teacher, config.enhancer, bundle.model.config.size_px)
    teacher.meet(read_avatars(config.avatars, teacher.size_px, names))
    network = load_frozen("squeezenet1_0", config.squeezenet) if config.squeezenet else None
    comparison = _Comparison(teacher, bundle.model, config.frames)
    jobs = [(number, tuple(config.data), False) for number in range(len(names))]
    if config.own:
        jobs += [(number, (str(Path(config.own) / name),), True) for number, name in enumerate(names)]
    rows, sheet = list[Row](), list[Pictures]()
    for number, folders, own in tqdm(jobs, "scoring", unit="avatar", disable=None):
        for pairs, pictures in comparison(number, folders, own):
            for pair, (made, wanted, matte) in pairs.items():
                rows.append({"avatar": names[number], "pair": pair, **_measured(made, wanted, matte, network)})
            sheet += [pictures] if pictures else []
    _write(Path(config.output), rows, sheet, bundle.key)


class _Comparison:
    """Pictures of student and teacher by the frames of some clips."""

    def __init__(self, teacher: Teacher, student: BakedStudent, frames: int):
        self._teacher, self._student, self._frames = teacher, student, frames

    @torch.inference_mode()
    def __call__(
        self, avatar: int, folders: tuple[str, ...], own: bool
    ) -> Iterator[tuple[dict[str, tuple[Tensor, Tensor, Tensor]], Pictures]]:
        """For each frame: (made, wanted, person) by what is compared, and what the sheet shows of a clip's first.

        Args:
            avatar: its number.
            folders: of clips.
            own: the clips show the avatar itself, so that they are the truth.
        """
        sizes, number = self._student.config, torch.tensor([avatar])
        store = FrameStore(find_clips(folders), sizes.size_px, cache_gb=1.0)
        for clip in range(len(store)):
            count = len(store[clip].rgb)
            for i in range(min(self._frames, count)):
                frame = store.frame(clip, (i * count) // min(self._frames, count))
                driver = _resized(frame.rgb, self._teacher.base.config.size_px)
                taught, _ = self._teacher.show(Driven(driver, driver, number))
                made = self._student(_resized(frame.rgb, sizes.input_px), number)
                everything = torch.ones_like(frame.matte)
                person = everything if taught.matte is None else taught.matte
                pairs = {"student, teacher": (made.rgb, taught.rgb, person)}
                if own:
                    truth = over_grey(frame.rgb, frame.matte)
                    pairs = {
                        f"{who}, truth": (p.rgb, truth, frame.matte)
                        for who, p in (("student", made), ("teacher", taught))
                    }
                yield pairs, [frame.rgb, taught.rgb, made.rgb] if i == 0 and clip < _SHOWN else []


def _resized(picture: Float[Tensor, "1 3 H H"], side_px: int) -> Float[Tensor, "1 3 S S"]:
    return F.interpolate(picture, (side_px, side_px), mode="bilinear", antialias=True, align_corners=False)


def _measured(made: Tensor, wanted: Tensor, person: Tensor, network: nn.Module | None) -> dict[str, float]:
    found = {
        "psnr_db": psnr_db(made, wanted, torch.ones_like(person)),
        "person_psnr_db": psnr_db(made, wanted, person),
        "person_ssim": ssim(made, wanted, person),
    }
    if network is not None:
        with torch.inference_mode():
            found["squeezenet"] = perceptual_loss(network, made, wanted, 1)
    return {name: float(value) for name, value in found.items()}


def _write(output: Path, rows: list[Row], sheet: list[Pictures], key: str) -> None:
    table = _table(rows)
    with replacing(output / "scores.json") as file, writing(output / "scores.json"):
        file.write_text(json.dumps({"key": key, "rows": rows}, indent=1))
    with replacing(output / "scores.md") as file, writing(output / "scores.md"):
        file.write_text(table)
    columns = [torch.cat(column) for column in zip(*sheet, strict=True)]
    with replacing(output / "contact_sheet.png") as file, writing(output / "contact_sheet.png"):
        Image.fromarray(grid(columns, rows=len(sheet)).numpy()).save(file)
    print(table)


def _table(rows: list[Row]) -> str:
    """Means by what is compared and avatar, in Markdown."""
    metrics = [name for name in _METRICS if name in rows[0]]
    titles = ("compared", "avatar", "frames", *(_METRICS[name] for name in metrics))
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for pair in dict.fromkeys(row["pair"] for row in rows):
        of_pair = [row for row in rows if row["pair"] == pair]
        names = dict.fromkeys(str(row["avatar"]) for row in of_pair)
        for name in (*names, "all"):
            group = [row for row in of_pair if name in (row["avatar"], "all")]
            means = (sum(float(row[metric]) for row in group) / len(group) for metric in metrics)
            lines.append(f"| {pair} | {name} | {len(group)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    return "\n".join(lines) + "\n"
