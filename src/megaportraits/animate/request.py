"""What can be known to be wrong with a request before anything is computed."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megaportraits.animate.background import check_backdrop
from megaportraits.animate.control import check_controls
from megaportraits.animate.motion_file import SUFFIX
from megaportraits.animate.outputs import check_output, is_folder, is_picture
from megaportraits.config import AnimateOptions
from megaportraits.data.audio import has_audio
from megaportraits.data.pictures import pictures_in
from megaportraits.errors import UserError

Photo = UInt8[np.ndarray, "H W 3"] | str | Path


def check_request(source: Photo, driver: str | Path, output: str | Path, options: AnimateOptions) -> None:
    """Refuse a request that cannot be met.

    Raises:
        UserError: the output would overwrite an input or has an unknown form, a file is missing, or options contradict
            each other.
    """
    transparent = options.background == "transparent"
    if options.preview and not is_picture(output):
        raise UserError(f"{output} cannot hold a preview, which is one picture; give a .png or .jpg to --output")
    check_output(output, transparent and not options.preview)
    check_controls(options)
    check_backdrop(options.background)
    check_overwriting(Path(output), [Path(path) for path in _inputs(source, driver, options)])
    for name, path in (("--matte-net", options.matte_net), ("--plate-net", options.plate_net)):
        if path is not None and not path.is_file():
            raise UserError(f"there is no file {path}; give the path of an ONNX network to {name}")
    _check_sound(output, options)
    _check_contradictions(driver, options, transparent)


def photos_of(source: Photo, face: str) -> list[Photo]:
    """The photos that a source stands for: one, or with `face` "all" those of a folder in the order of their names.

    Raises:
        UserError: there is no such folder, or no photo in it.
    """
    if face != "all":
        return [source]
    if isinstance(source, np.ndarray) or not Path(source).is_dir():
        raise UserError("--face all animates one photo for each face; give a folder of photos as the source")
    photos: list[Photo] = [*pictures_in(Path(source))]
    if not photos:
        raise UserError(f"the folder {source} holds no picture; put one photo for each face into it")
    return photos


def is_motion_file(driver: str | Path) -> bool:
    """Whether a driver is a motion file, by its name."""
    return Path(driver).suffix.lower() == SUFFIX


def _inputs(source: Photo, driver: str | Path, options: AnimateOptions) -> Iterator[str | Path]:
    yield driver
    if not isinstance(source, np.ndarray):
        yield source
    yield from (p for p in (options.audio, options.matte_net, options.plate_net) if p is not None)
    if Path(options.background).is_file():
        yield options.background


def check_overwriting(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output that is an input, lies in one, or holds one.

    Raises:
        UserError: it is so.
    """
    for path in inputs:
        if output.resolve() == path.resolve():
            raise UserError(f"the output {output} is one of the inputs; choose another output name")
        if output.resolve() in path.resolve().parents:
            raise UserError(f"the output {output} is the folder of the input {path}; choose another output name")
        if path.is_dir() and output.exists() and output.resolve().parent == path.resolve():
            raise UserError(f"the output {output} is a file of an input folder; choose another output name")


def _check_sound(output: str | Path, options: AnimateOptions) -> None:
    if options.audio is None:
        return
    if is_picture(output) or is_folder(output):
        raise UserError(f"{output} can hold no sound; leave --audio out, or choose a video as the output")
    if not has_audio(options.audio):
        raise UserError(f"{options.audio} has no sound; give a file with sound to --audio, or leave it out")


def _check_contradictions(driver: str | Path, options: AnimateOptions, transparent: bool) -> None:
    if not re.fullmatch(r"largest|all|[0-9]+", options.face):
        raise UserError(f"--face {options.face} came; give largest, all, or a number from 0")
    if options.preview and options.side_by_side:
        raise UserError("a preview shows driver and result anyway; leave --side-by-side out")
    if is_motion_file(driver) and options.side_by_side:
        raise UserError(f"{driver} holds motion and no pictures to show beside the result; leave --side-by-side out")
    if is_motion_file(driver) and options.face != "largest":
        raise UserError(f"{driver} holds the motion of one face; leave --face out")
    if transparent and options.side_by_side:
        raise UserError("a transparent result cannot stand side by side with pictures; leave one of both options out")
    if options.face == "all" and options.no_face == "skip":
        raise UserError("--no-face skip cannot serve several faces at once; choose hold or interpolate with --face all")
