"""The finished picture: the painted head before a background, or back in the whole photo."""

import contextlib
from fractions import Fraction

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.animate.background import background_plate, foreground, open_backdrop, smooth_fill, to_bytes
from megaportraits.animate.onnx_nets import OnnxInpainting
from megaportraits.animate.paste import HeadPaste, Layer, photo_layer
from megaportraits.animate.source import Source
from megaportraits.config import AnimateOptions
from megaportraits.tensors import HeadPose


class Compositor:
    """Puts what the model paints of one source where it is seen. Use as a context manager.

    Everything that is the same in all frames is computed once, when it is made.
    """

    def __init__(
        self,
        source: Source,
        options: AnimateOptions,
        self_painted: tuple[Float[np.ndarray, "S S 3"], Float[np.ndarray, "S S"]],
    ):
        """Prepare.

        Args:
            source: the source.
            options: `background`, `paste_back`, `matte_net` and `plate_net` are used.
            self_painted: the source driven by its own motion, over grey, and its matte: how the model renders the
                source's colours.

        Raises:
            UserError: no such background, or a network file that does not fit.
        """
        self.alpha = options.background == "transparent"
        """Whether results have a fourth channel."""
        self._layer, self._paste = _prepared(source, options, self_painted)
        self.size = self._layer.rgba.shape[0], self._layer.rgba.shape[1]
        """Height and width of the results."""
        self._files = contextlib.ExitStack()
        backdrop = open_backdrop(options.background, self.size, self._layer.plate)
        self._backdrop = self._files.enter_context(backdrop)
        self._behind = self._seen_behind(Fraction(0)) if self._backdrop.still else None
        self._behind_finished = None if self._behind is None else self._finished(self._behind)

    def __enter__(self) -> "Compositor":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._files.close()

    def __call__(
        self,
        painted: Float[np.ndarray, "S S 3"],
        matte: Float[np.ndarray, "S S"],
        time_s: Fraction,
        pose: HeadPose | None = None,
    ) -> UInt8[np.ndarray, "H W c"]:
        """One finished frame: RGB, or RGBA (not premultiplied) where `alpha`.

        Args:
            painted: the person over grey, in [0, 1].
            matte: the person, in [0, 1].
            time_s: when it is shown, from the start; must not descend where the background is a video.
            pose: the painted head's (of one sample), by which the chin is found; None for the source's own.
        """
        behind = self._seen_behind(time_s) if self._behind is None else self._behind
        if self._paste is None:
            region = (slice(None), slice(None))
            head = to_bytes(np.dstack([foreground(painted, matte), matte]))
        else:
            region, head = self._paste.region, self._paste(painted, matte, pose)
        frame = self._finished(behind) if self._behind_finished is None else self._behind_finished.copy()
        frame[region] = self._finished(_over(head, behind[region]))
        return frame

    def _seen_behind(self, time_s: Fraction) -> UInt8[np.ndarray, "H W 4"]:
        """All but the head, premultiplied."""
        picture = self._backdrop.at(time_s)
        if picture is None:
            return self._layer.rgba
        return _over(self._layer.rgba, np.dstack([picture, np.full(self.size, 255, np.uint8)]))

    def _finished(self, rgba: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w c"]:
        if not self.alpha:
            return np.ascontiguousarray(rgba[..., :3])
        opacity = rgba[..., 3:].repeat(3, -1)
        return np.dstack([cv2.divide(rgba[..., :3], opacity, scale=255), rgba[..., 3]])


def _over(front: UInt8[np.ndarray, "h w 4"], back: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Both premultiplied by their fourth channels."""
    seen = 255 - front[..., 3:].repeat(4, -1)
    return cv2.add(front, cv2.multiply(back, seen, scale=1 / 255))


def _prepared(source: Source, options: AnimateOptions, self_painted) -> tuple[Layer, HeadPaste | None]:
    fill = OnnxInpainting(options.plate_net).fill if options.plate_net else smooth_fill
    if options.paste_back:
        layer = photo_layer(source, options.matte_net, fill, cut_out=options.background != "source")
        return layer, HeadPaste(source, self_painted)
    nothing = np.zeros((*source.matte.shape, 4), np.uint8)
    if options.plate_net is None:
        return Layer(nothing, to_bytes(source.plate)), None
    matte = source.square.mirrored(source.matte, source.photo.shape[:2])
    return Layer(nothing, to_bytes(background_plate(source.crop, matte, fill))), None
