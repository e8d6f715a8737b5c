"""`megaportraits avatar animate`: a video of one avatar with the motion of another video."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megaportraits.animate.background import (
    check_backdrop,
    composite,
    foreground,
    open_backdrop,
    to_bytes,
)
from megaportraits.animate.crop_track import CropTrack, crop_track
from megaportraits.animate.drivers import Driver, open_driver
from megaportraits.animate.outputs import check_output, open_output
from megaportraits.animate.progress import shown
from megaportraits.animate.request import check_overwriting
from megaportraits.animate.tracking import DriverTrack, chosen_faces, look_through
from megaportraits.bundle import read_bundle
from megaportraits.config import AvatarAnimate
from megaportraits.data import watermark
from megaportraits.player import Painted, Player


def animate(config: AvatarAnimate) -> None:
    """Animate an avatar by the head movement and expression of a video.

    Raises:
        UserError: not a signed bundle, no such avatar, a driver without a face, or an output that cannot be written.
    """
    alpha = config.background == "transparent"
    check_output(config.output, alpha)
    check_backdrop(config.background)
    inputs = [Path(config.driver), Path(config.bundle), Path(config.background)]
    check_overwriting(Path(config.output), [path for path in inputs if path.exists()])
    bundle = read_bundle(config.bundle, config.trust)
    avatar = bundle.number(config.avatar) if config.avatar else 0
    player = Player(bundle.model, config.device)
    side = player.size_px
    with ExitStack() as stack:
        driver = stack.enter_context(open_driver(config.driver, config.seconds))
        cut_sound = driver.still or config.seconds is not None
        track = look_through(shown(driver.frames(), "looking", driver.frame_count, on=True))
        face = chosen_faces(track, config.face, driver.name)[0]
        pictures = _painted(player, avatar, driver, track, face, crop_track(track, face))
        nothing = np.zeros((side, side, 3), np.uint8)
        backdrop = stack.enter_context(open_backdrop(config.background, (side, side), nothing))
        output = stack.enter_context(
            open_output(config.output, driver.fps, side, side, alpha, driver.audio, cut_sound=cut_sound)
        )
        count = len(track.times_s)
        for time_s, painted in shown(pictures, "painting", count, on=True):
            picture = _before(backdrop.at(time_s), painted)
            output.write(picture if config.no_watermark else watermark.mark(picture), time_s)
    print(f"wrote {config.output}: {bundle.avatars[avatar].name}, {count} frames")


def _painted(
    player: Player, avatar: int, driver: Driver, track: DriverTrack, face: int, crops: CropTrack
) -> Iterator[tuple[Fraction, Painted]]:
    """(Time, picture) of each frame; where the face is not seen, the last picture stays."""
    seen = np.isfinite(track.faces[face].box[:, 0])
    last = None
    for number, (time_s, frame) in enumerate(driver.frames()):
        if seen[number] or last is None:
            last = player(crops.at(number).cut(frame, player.input_px), avatar)
        yield time_s, last


def _before(behind: UInt8[np.ndarray, "S S 3"] | None, painted: Painted) -> UInt8[np.ndarray, "S S c"]:
    """A painted person before a picture: RGB, or RGBA (not premultiplied) before nothing."""
    rgb, matte = painted
    if behind is not None:
        return composite(rgb, matte, behind.astype(np.float32) / 255)
    own = np.clip(foreground(rgb, matte) / np.maximum(matte, 1e-3)[..., None], 0, 1)
    return to_bytes(np.dstack([own, matte]))
