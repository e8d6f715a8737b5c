"""From files to a finished video: driver -> motion -> controls -> frames -> background -> writer.

Pictures are streamed; only the motion, a few hundred bytes for each frame, is kept.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from megaportraits.animate.animator import Animator
from megaportraits.animate.compositor import Compositor
from megaportraits.animate.crop_track import CropTrack
from megaportraits.animate.devices import note
from megaportraits.animate.direct import Part, directed
from megaportraits.animate.drivers import DEFAULT_SECONDS, PICTURE_FPS, Driver, exact, open_driver
from megaportraits.animate.extract import Performance, extract
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.onnx_nets import OnnxMatting
from megaportraits.animate.outputs import MADE_BY, is_picture, open_output
from megaportraits.animate.preview import ContactSheet, preview_frames
from megaportraits.animate.progress import shown
from megaportraits.animate.request import check_request, is_motion_file, photos_of
from megaportraits.animate.source import Source
from megaportraits.animate.steady import SteadyDetail
from megaportraits.animate.stopwatch import Stopwatch
from megaportraits.config import AnimateOptions
from megaportraits.data import watermark
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose, mapped

_CHUNK = 8
Picture = UInt8[np.ndarray, "_ _ _"]


@dataclass(frozen=True)
class AnimationReport:
    """What was made, and what it took."""

    output: Path
    frames: int
    """Frames made."""
    without_face: int
    """Frames of the driver without a face that drives."""
    cuts: int
    """Scene cuts in the driver."""
    seconds: dict[str, float]
    """Time by stage: decode, track, motion, source, generate, composite, encode."""

    def __str__(self) -> str:
        notes = [f"{self.frames} frames"]
        notes += [f"{self.without_face} of the driver without a face"] if self.without_face else []
        notes += [f"{self.cuts} scene cut{'s' * (self.cuts > 1)}"] if self.cuts else []
        times = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        return f"wrote {self.output}: {', '.join(notes)}; seconds: {times}"


@dataclass(frozen=True)
class _Role:
    """One source, what it does, and how it is shown."""

    source: Source
    beside: Picture
    """What is shown of the source side by side."""
    part: Part
    crops: CropTrack | None
    compositor: Compositor
    steady: SteadyDetail | None
    """Filters what the enhancer added, where it is in use."""
    marks: bool
    """Whether results get the invisible mark."""


def animate_files(
    animator: Animator,
    source: UInt8[np.ndarray, "H W 3"] | str | Path,
    driver: str | Path,
    output: str | Path,
    options: AnimateOptions,
    progress: bool = True,
) -> AnimationReport:
    """Animate a picture, or with `face="all"` a folder of pictures, by a driver.

    Args:
        animator: the model.
        source: photo of one person, an RGB array or a file.
        driver: video, picture, folder of pictures, number of a camera, or motion file.
        output: video, picture or folder (a name without suffix) to write.
        options: everything else.
        progress: show progress bars where standard error is a terminal.

    Raises:
        UserError: an input is not readable or shows no face, options contradict each other, or the output cannot be
            written. Nothing is left at `output` then.
    """
    check_request(source, driver, output, options)
    clock = Stopwatch()
    with contextlib.ExitStack() as stack:
        opened, performances = None, []
        if is_motion_file(driver):
            performances = [Performance(_known_motion(animator, driver, options.seconds), None)]
        else:
            opened = stack.enter_context(open_driver(driver, options.seconds))
        with clock.stage("source"):
            matting = OnnxMatting(options.matte_net).matte if options.matte_net else None
            sources = [animator.prepare(photo, matting) for photo in photos_of(source, options.face)]
        if opened is not None:
            performances = extract(animator, opened, options.face, clock, progress, most=len(sources))
        roles = _roles(animator, sources, performances, output, options, clock, stack)
        frames = _play(animator, roles, opened if _shows_driver(options) else None, clock)
        frames = shown(frames, "painting", len(roles[0].part.motion), progress)
        if options.preview:
            _write_preview(frames, output)
        else:
            _write(frames, roles, opened, output, options, clock)
    seen = performances[0].motion
    return AnimationReport(
        Path(output),
        len(roles[0].part.motion),
        int((~np.any([p.motion.present for p in performances], 0)).sum()),
        len(np.unique(seen.shot)) - 1,
        {name: round(seconds, 2) for name, seconds in clock.seconds.items()},
    )


def _known_motion(animator: Animator, path: str | Path, seconds: float | None) -> MotionTrack:
    track = MotionTrack.load(path)
    if track.model != animator.model_hash:
        raise UserError(
            f"{path} was made for a model with another motion encoder; run 'megaportraits motion extract' with the "
            "weights in use now"
        )
    return track if seconds is None else track.before(exact(seconds))


def _roles(
    animator: Animator, sources: list[Source], performances: list[Performance], output: str | Path,
    options: AnimateOptions, clock: Stopwatch, stack: contextlib.ExitStack,
) -> list[_Role]:  # fmt: skip
    if len(sources) > len(performances):
        note(f"{len(sources) - len(performances)} of {len(sources)} photos have no face to follow and are left out")
    roles = []
    for source, performance in zip(sources[: len(performances)], performances, strict=True):
        single = is_picture(output) and not options.preview
        part = _directed(performance.motion, source, options, moves=not single)
        if options.preview or single:
            part = part.taken([0] if single else preview_frames(len(part.motion)))
        with clock.stage("composite"):
            painted, matte = animator.paint(source.motion, source)
            compositor = stack.enter_context(Compositor(source, options, (painted[0], matte[0])))
        beside = source.photo if options.paste_back else source.crop
        filtered = options.steady > 0 and animator.size_px > animator.base_px and not options.preview
        steady = SteadyDetail(options.steady, animator.base_px) if filtered else None
        marks = not (options.no_watermark or options.preview)
        roles.append(_Role(source, beside, part, performance.crops, compositor, steady, marks))
    return roles


def _directed(track: MotionTrack, source: Source, options: AnimateOptions, moves: bool) -> Part:
    """The part of a source; a driver of one frame lasts some seconds where the result moves."""
    if len(track) > 1 or not moves:
        return directed(track, source.motion, options)
    part = directed(track.held(options.seconds or DEFAULT_SECONDS, PICTURE_FPS), source.motion, options)
    return replace(part, frames=np.zeros_like(part.frames))


def _shows_driver(options: AnimateOptions) -> bool:
    return options.side_by_side or options.preview


def _play(
    animator: Animator, roles: Sequence[_Role], driver: Driver | None, clock: Stopwatch
) -> Iterator[tuple[Fraction, list[list[Picture]]]]:
    """(time, for each role its panels: source and driver where `driver` is given, and the result)."""
    times = roles[0].part.motion.times_s
    shown = clock.each("decode", _driver_frames(driver, roles[0].part)) if driver else None
    for start in range(0, len(times), _CHUNK):
        stop = min(start + _CHUNK, len(times))
        with clock.stage("generate"):
            painted = [_painted(animator, role, start, stop) for role in roles]
        for i in range(stop - start):
            beside = next(shown) if shown else None
            with clock.stage("composite"):
                panels = [
                    _panels(role, role.compositor(rgb[i], matte[i], times[start + i], pose(i)), beside)
                    for role, (rgb, matte, pose) in zip(roles, painted, strict=True)
                ]
            yield times[start + i], panels


def _painted(
    animator: Animator, role: _Role, start: int, stop: int
) -> tuple[Float[np.ndarray, "B S S 3"], Float[np.ndarray, "B S S"], Callable[[int], HeadPose]]:
    """Pictures and mattes of some frames, and the head pose of each."""
    motion = role.part.motion.motion(start, stop)
    rgb, matte = animator.paint(motion, role.source, role.part.gains)
    if role.steady is not None:
        rgb = np.stack([role.steady(picture) for picture in rgb])
    return rgb, matte, lambda i: mapped(motion.pose, lambda values: values[i : i + 1])


def _driver_frames(driver: Driver, part: Part) -> Iterator[tuple[int, Picture]]:
    """The driver's frame behind each frame of the result, with its number."""
    numbers = iter(part.frames)
    wanted = next(numbers, None)
    for number, (_, frame) in enumerate(driver.frames()):
        while wanted == number:
            yield number, frame
            wanted = next(numbers, None)


def _panels(role: _Role, result: Picture, beside: tuple[int, Picture] | None) -> list[Picture]:
    if role.marks:
        result = _marked(result, role.source.photo)
    if beside is None or role.crops is None:
        return [result]
    number, frame = beside
    return [_at_height(role.beside, len(result)), role.crops.at(number).cut(frame, len(result)), result]


def _marked(result: Picture, photo: Picture) -> Picture:
    """The result with the invisible mark; where it is still the photo (paste-back), it stays that."""
    marked = watermark.mark(result)
    if result.shape != photo.shape:
        return marked
    return np.where((result != photo).any(-1, keepdims=True), marked, result)


def _at_height(picture: Picture, height: int) -> Picture:
    if len(picture) == height:
        return picture
    width = max(1, round(picture.shape[1] * height / len(picture)))
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _joined(panels: list[list[Picture]]) -> Picture:
    """Everything beside each other, at the height of the first one."""
    flat = [picture for role in panels for picture in role]
    return np.hstack([_at_height(picture, len(flat[0])) for picture in flat]) if len(flat) > 1 else flat[0]


def _write_preview(frames: Iterable[tuple[Fraction, list[list[Picture]]]], output: str | Path) -> None:
    sheet = ContactSheet()
    for time_s, panels in frames:
        sheet.add([picture for role in panels for picture in role[1:] or role], f"{float(time_s):.2f} s")
    sheet.write(output, MADE_BY)


def _write(
    frames: Iterable[tuple[Fraction, list[list[Picture]]]], roles: Sequence[_Role], driver: Driver | None,
    output: str | Path, options: AnimateOptions, clock: Stopwatch,
) -> None:  # fmt: skip
    part, audio = roles[0].part, options.audio or (driver.audio if driver else None)
    cut_sound = options.audio is not None or options.seconds is not None or (driver is not None and driver.still)
    with contextlib.ExitStack() as stack:
        writer = None
        for time_s, panels in frames:
            picture = _joined(panels)
            with clock.stage("encode"):
                if writer is None:
                    height, width = picture.shape[:2]
                    alpha = roles[0].compositor.alpha
                    writer = stack.enter_context(
                        open_output(output, part.motion.fps, width, height, alpha, audio, part.removed, cut_sound)
                    )
                writer.write(picture, time_s)
        with clock.stage("encode"):
            stack.close()
