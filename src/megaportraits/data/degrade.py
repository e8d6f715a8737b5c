"""What a camera and a file do to a picture: pure functions of a picture, a random generator and the settings.

Ours (docs/data.md): rendered pictures are sharp, clean and uncompressed, real ones are not. `degrade` runs the chain in
the order of a camera: white balance and exposure, lens, sensor, file. Pictures are `1 3 H W` in [0, 1]; H and W are
divisible by 4.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Generator, Tensor

from megaportraits import geometry
from megaportraits.config import DomainConfig
from megaportraits.data.augment import uniform

Picture = Float[Tensor, "1 3 H W"]
_NOMINAL_PX = 128
"""Lengths in the settings are in parts of this many for a side."""


@dataclass(frozen=True)
class Cast:
    """Colour and brightness that a camera gives to everything it sees."""

    warmth: float = 0.0
    """Gain of red against green, and of green against blue, as a natural logarithm."""
    stops: float = 0.0
    """Change of exposure."""
    gamma: float = 1.0
    """Exponent of the tone curve."""


def draw_cast(generator: Generator, settings: DomainConfig, share: float = 1.0) -> Cast:
    """A random cast, of `share` of the strengths in the settings."""
    warmth, stops, curve = (
        uniform(generator, -share * strength, share * strength)
        for strength in (settings.white_balance, settings.exposure, settings.gamma)
    )
    return Cast(warmth, stops, math.exp(curve))


def cast(image: Picture, look: Cast) -> Picture:
    """Give a picture a camera's white balance, exposure and tone curve."""
    if look == Cast():
        return image
    exposed = 2 ** (look.stops / 2.2)  # pictures hold about the 2.2nd root of light
    gains = image.new_tensor([math.exp(look.warmth), 1.0, math.exp(-look.warmth)]) * exposed
    return (image * gains.view(1, 3, 1, 1)).clamp_(0, 1) ** look.gamma


def blur(image: Picture, generator: Generator, settings: DomainConfig) -> Picture:
    """Out of focus: a Gaussian of random width."""
    sigma = uniform(generator, 0.3, 1.0) * settings.blur_sigma * image.shape[-1] / _NOMINAL_PX
    reach = max(1, math.ceil(2.5 * sigma))
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2 + 1e-9))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    channels = F.pad(image, (reach,) * 4, mode="replicate").transpose(0, 1)
    return F.conv2d(F.conv2d(channels, kernel), kernel.transpose(2, 3)).transpose(0, 1).clamp_(0, 1)


def motion_blur(image: Picture, generator: Generator, settings: DomainConfig) -> Picture:
    """A shake along a line of random direction and length."""
    length = uniform(generator, 0.2, 1.0) * settings.motion_blur_length * image.shape[-1] / _NOMINAL_PX
    angle = uniform(generator, 0.0, math.pi)
    reach = max(1, math.ceil(length / 2))
    along = torch.linspace(-length / 2, length / 2, 4 * reach + 1)
    position = torch.stack([math.sin(angle) * along, math.cos(angle) * along], -1) + reach
    steps = torch.arange(2 * reach + 1.0)
    weight = (1 - (position[:, :, None] - steps).abs()).clamp_min(0)  # bilinear: points x (row, column) x steps
    kernel = torch.einsum("py,px->yx", weight[:, 0], weight[:, 1]) / len(along)
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    return F.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3).clamp_(0, 1)


def vignette(image: Picture, generator: Generator, settings: DomainConfig) -> Picture:
    """Corners darker by 10 to 60 %."""
    radius_squared = geometry.identity_grid(image.shape[-2:]).square().sum(-1) / 2
    return image * (1 - uniform(generator, 0.1, 0.6) * radius_squared)


def noise(image: Picture, generator: Generator, settings: DomainConfig) -> Picture:
    """Sensor noise: a constant part (read noise) and one that grows with light (shot noise), of random level and mix.

    Half of the time the noise is coarse, as a camera's own smoothing leaves it.
    """
    level, mix = uniform(generator, 0.1, 1.0) * settings.noise_level, uniform(generator, 0.0, 1.0)
    coarse = uniform(generator, 0.0, 1.0) < 0.5
    height, width = image.shape[-2:]
    grain = torch.randn(1, 3, height >> coarse, width >> coarse, generator=generator)
    if coarse:
        grain = F.interpolate(grain, size=(height, width), mode="bilinear", align_corners=False) * 1.5
    return (image + grain * level * ((1 - mix) + mix * image).sqrt()).clamp_(0, 1)


def jpeg(image: Picture, generator: Generator, settings: DomainConfig) -> Picture:
    """JPEG of random quality."""
    low, high = settings.jpeg_quality
    file = io.BytesIO()
    Image.fromarray(_to_pixels(image)).save(file, "JPEG", quality=round(uniform(generator, low, high)))
    return _from_pixels(np.array(Image.open(file)))


def h264(image: Picture, generator: Generator, settings: DomainConfig) -> Picture:
    """H.264 of random quality: the second frame of a clip whose first frame is the picture moved by some pixels."""
    low, high = settings.h264_crf
    crf, moved = uniform(generator, low, high), round(uniform(generator, -3, 3))
    pixels = _to_pixels(image)
    return _from_pixels(_through_h264([np.roll(pixels, moved, 1), pixels], crf))


def _through_h264(frames: list[np.ndarray], crf: float) -> np.ndarray:
    """The last frame, encoded and decoded in memory; colours are converted here, which costs less than swscale."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 25), 1
    encoder.options = {"crf": f"{crf:.1f}", "preset": "ultrafast", "tune": "zerolatency"}
    packets = []
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(_to_yuv(pixels), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoded = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    return _from_yuv(decoded[-1].to_ndarray(format="yuv420p"))


def _to_yuv(pixels: np.ndarray) -> np.ndarray:
    """RGB `H W 3` -> planes of 4:2:0 below each other, `1.5 H, W`."""
    luma, blue, red = Image.fromarray(pixels).convert("YCbCr").split()
    chroma = [np.asarray(plane.reduce(2)).reshape(-1, luma.width) for plane in (blue, red)]
    return np.concatenate([np.asarray(luma), *chroma])


def _from_yuv(planes: np.ndarray) -> np.ndarray:
    """Inverse of `_to_yuv`."""
    height, width = len(planes) * 2 // 3, planes.shape[1]
    halves = planes[height:].reshape(2, height // 2, width // 2)
    chroma = [Image.fromarray(half).resize((width, height), Image.Resampling.BILINEAR) for half in halves]
    return np.array(Image.merge("YCbCr", [Image.fromarray(planes[:height]), *chroma]).convert("RGB"))


def _to_pixels(image: Picture) -> np.ndarray:
    return np.ascontiguousarray((image[0] * 255).round_().byte().permute(1, 2, 0).numpy())


def _from_pixels(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255)


Effect = Callable[[Tensor, Generator, DomainConfig], Tensor]
_LENS: dict[str, Effect] = {"blur": blur, "motion_blur": motion_blur, "vignette": vignette}
_FILE: dict[str, Effect] = {"noise": noise, "jpeg": jpeg, "h264": h264}


def degrade(image: Picture, generator: Generator, settings: DomainConfig, share: float = 1.0) -> Picture:
    """The whole chain of a camera without its `Cast`, each effect by its probability times `share`."""
    streams = [Generator().manual_seed(s) for s in torch.randint(2**31, (7,), generator=generator).tolist()]
    drawn = {
        name: stream
        for name, stream in zip((*_LENS, "rescale", *_FILE), streams, strict=True)
        if uniform(stream, 0.0, 1.0) < share * getattr(settings, name)
    }
    for name in [n for n in _LENS if n in drawn]:
        image = _LENS[name](image, drawn[name], settings)
    size = image.shape[-2:]
    if "rescale" in drawn:
        image = _smaller(image, uniform(drawn["rescale"], settings.rescale_least, 1.0))
    for name in [n for n in _FILE if n in drawn]:
        image = _FILE[name](image, drawn[name], settings)
    if image.shape[-2:] != size:
        image = F.interpolate(image, size=size, mode="bicubic", align_corners=False).clamp_(0, 1)
    return image


def _smaller(image: Tensor, factor: float) -> Tensor:
    height, width = (max(16, 4 * round(factor * side / 4)) for side in image.shape[-2:])
    return F.interpolate(image, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
