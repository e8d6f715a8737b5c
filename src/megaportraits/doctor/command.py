"""`megaportraits doctor`: what is wrong with a driver and a photo, before anything is animated."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm

from megaportraits.animate.crop_track import crop_track
from megaportraits.animate.drivers import Driver, open_driver
from megaportraits.animate.motion_file import SUFFIX
from megaportraits.animate.tracking import DriverTrack, look_through
from megaportraits.animate.weights import find_weights
from megaportraits.checkpoint import read_facts
from megaportraits.config import ModelConfig, from_dict
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.pictures import read_picture
from megaportraits.doctor.closer import Look, compared_frames, look, look_closer, shown_frames, spread, strangeness
from megaportraits.doctor.driver import driver_findings
from megaportraits.doctor.findings import Finding, clock
from megaportraits.doctor.occlusion import half_lumas, hidden_finding, reference_finding
from megaportraits.doctor.page import Card, Part, as_text, write_page
from megaportraits.doctor.photo import photo_findings
from megaportraits.doctor.plots import plots
from megaportraits.errors import UserError
from megaportraits.files import replacing

_MATTE_PX = 256
_EXAMPLES = 4
"""Frames that show how the head is framed."""


def doctor(
    driver: str,
    source: Path | None = None,
    output: Path = Path("report.html"),
    weights: str | None = None,
    seconds: float | None = None,
) -> None:
    """Tell what will go wrong with a driver, and with a photo, and what to do about it.

    Args:
        driver: video, picture, folder of pictures, or number of a camera.
        source: photo that shall be animated.
        output: page to write (.html).
        weights: checkpoint folder, preset, or OWNER/NAME of a hub, for the size of its pictures; by default the
            weights that came with the package.
        seconds: only so much of the driver's start; of a camera 4 seconds by default.
    """
    if Path(driver).suffix.lower() == SUFFIX:
        raise UserError(f"{driver} holds motion only, no pictures; give the video that it was made of")
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{output} does not end in .html; choose an output name that does")
    crop_px = from_dict(ModelConfig, read_facts(find_weights(weights), "base")["model"]).size_px
    with replacing(output) as page:  # before the work: the folder may not be writable
        photo = [] if source is None else [photo_part(source, crop_px)]
        with open_driver(driver, seconds) as opened:
            parts = [driver_part(opened, crop_px), *photo]
        write_page(page, parts)
    print(f"{as_text(parts)}\n\nwrote {output}")


def driver_part(driver: Driver, crop_px: int) -> Part:
    """Look through a driver, then again at a few of its frames."""
    bar = tqdm(driver.frames(), "looking", driver.frame_count, unit="frame", leave=False, disable=None)
    track = look_through(iter(bar))
    squares = crop_track(track, 0) if track.faces else None
    findings = driver_findings(track, driver.fps, crop_px)
    compared = compared_frames(track)
    examples = spread(range(len(track.times_s)), _EXAMPLES)
    looks = look_closer(driver.frames(), {*shown_frames(findings), *compared, *examples}, squares)
    if track.faces and not driver.still:
        scores = strangeness(looks, compared)
        findings += [hidden_finding(scores), reference_finding(track, scores)]
    width, height = track.size
    length = "still" if driver.still else f"{len(track.times_s)} frames, {clock(track.times_s[-1] + 1 / driver.fps)}"
    return Part(
        title=f"Driver {driver.name}",
        facts=f"{length}, {width} x {height} px",
        findings=findings,
        previews=[_card(looks[i], _name(track, i)) for i in examples],
        plots=plots(track),
        cards=[_card(looks[i], _name(track, i), _shown_by(findings, i)) for i in shown_frames(findings)],
    )


def photo_part(path: Path, crop_px: int) -> Part:
    """Look at a source photo."""
    photo = read_picture(path)
    track = look_through([(Fraction(0), photo)])
    facts = f"{photo.shape[1]} x {photo.shape[0]} px"
    square = crop_track(track, 0).at(0) if track.faces else None
    with FaceTracker(video=False) as tracker:
        seen = look(photo, square, tracker)
    matte = np.zeros((_MATTE_PX, _MATTE_PX), np.float32)
    if square is not None:
        with PersonMatte() as person:
            matte = person.matte(square.cut(photo, _MATTE_PX))
    halves = None if seen.colours is None else half_lumas(seen.colours)
    findings = photo_findings(track, square, matte, halves, crop_px)
    return Part(f"Photo {path}", facts, findings, [_card(seen, "photo and square")], {}, [])


def _card(seen: Look, title: str, notes: Sequence[str] = ()) -> Card:
    return Card([seen.thumb] if seen.crop is None else [seen.thumb, seen.crop], title, notes)


def _name(track: DriverTrack, number: int) -> str:
    return f"frame {number}, {clock(track.times_s[number])}"


def _shown_by(findings: Sequence[Finding], number: int) -> list[str]:
    """What is found in a frame."""
    return [finding.what for finding in findings if number in finding.frames]
