"""The student G_DT: a driver's crop and the number of an avatar -> the avatar's picture, in real time.

Paper: 3.3, A.3, Fig. 11. Everything that is known of an avatar lies in its slice of the identity tensors; the network
sees no picture of the person, so it cannot show anyone else. Choices and deviations (docs/paper.md, D26): GroupNorm in
the encoder; the first block does not double the side; last convolution 3x3 with a sigmoid; small presets end in a
PixelShuffle and paint the matte. As drawn:

    encoder   ResNet-18
    decoder   residual blocks 192 x 5, 96, 48, 24 (Fig. 11c); InstanceNorm, ReLU, conv 3
    block     up 2; conv 3x3, SPADE, ReLU, conv 3x3, SPADE; plus skip (1x1); ReLU
    SPADE     InstanceNorm(x) * weight + bias, both convolutions of the avatar's tensor, bilinear to x (Fig. 11b)

`Student` computes weights and biases from identity tensors; `BakedStudent` has them as tables, made once.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.config import StudentConfig
from megaportraits.models.blocks import conv
from megaportraits.models.network import Network
from megaportraits.models.resnet import ResNetTrunk
from megaportraits.tensors import Prediction

_MOST_DEVIATIONS = 4.0
"""Limit of normalised values; without one, trained students had dots of 80 deviations, and with 8 patches of dither."""
Modulation = list[tuple[Tensor, Tensor]]
"""Of each SPADE, weight and bias, `B C s s`, at the resolution of its identity tensor."""


def _spade_shapes(config: StudentConfig) -> Iterator[tuple[int, int]]:
    """Channels and side of each SPADE's tensors, two SPADEs for a block."""
    for channels, side in zip(config.widths, config.sides_px, strict=True):
        yield from [(channels, min(config.identity_px, side))] * 2


def spade(x: Float[Tensor, "B C H W"], modulation: tuple[Tensor, Tensor]) -> Float[Tensor, "B C H W"]:
    """Spatially adaptive normalisation. Paper: Fig. 11b."""
    weight, bias = (_resized(maps, x.shape[-1]) for maps in modulation)
    return normalised(x) * weight + bias


def normalised(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """InstanceNorm2d, limited (ours): a network can carry magnitudes past the norm by one pixel of huge value, which is
    seen as a dot."""
    return F.instance_norm(x).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)


def _resized(maps: Float[Tensor, "B C s s"], side_px: int) -> Float[Tensor, "B C H H"]:
    if maps.shape[-1] == side_px:
        return maps
    return F.interpolate(maps, (side_px, side_px), mode="bilinear", align_corners=False)


class StudentBlock(nn.Module):
    """Up-sampling, two convolutions with SPADE, and a skip. Paper: Fig. 11c."""

    def __init__(self, inputs: int, outputs: int, up: bool):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2.0) if up else nn.Identity()
        self.conv1, self.conv2 = conv(2, inputs, outputs, 3), conv(2, outputs, outputs, 3)
        self.skip = nn.Identity() if inputs == outputs else conv(2, inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "B Ci h w"], modulation: Modulation) -> Float[Tensor, "B Co H W"]:
        x = self.up(x)
        h = F.relu(spade(self.conv1(x), modulation[0]))
        return F.relu(spade(self.conv2(h), modulation[1]) + self.skip(x))


class _Student(Network):
    """What both forms of the student have in common: all but the avatars."""

    sizes = StudentConfig

    def __init__(self, config: StudentConfig):
        super().__init__()
        self.config = config
        self.encoder = ResNetTrunk(18, config.encoder_base)
        inputs = (self.encoder.out_channels, *config.widths)
        self.blocks = nn.ModuleList(StudentBlock(a, b, i > 0) for i, (a, b) in enumerate(pairwise(inputs)))
        self.conv = conv(2, config.widths[-1], (3 + config.paints_matte) * config.shuffle**2, 3, bias=True)
        self.shuffle = nn.PixelShuffle(config.shuffle)

    def modulation(self, avatar: Int[Tensor, " B"]) -> Modulation:
        """What avatars change in each SPADE."""
        raise NotImplementedError

    def encode(self, driver: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B C h w"]:
        """A driver's crop at `config.input_px`, in [0, 1] -> features of its motion, at 1/32 of the side."""
        return self.encoder(driver * 2 - 1)

    def decode(self, features: Float[Tensor, "B C h w"], modulation: Modulation) -> Prediction:
        """Features of a driver -> the avatar with its motion."""
        x = features
        for i, block in enumerate(self.blocks):
            x = block(x, modulation[2 * i : 2 * i + 2])
        logits = self.shuffle(self.conv(F.relu(normalised(x))))
        painted = torch.sigmoid(logits.to(geometry.working_type(logits)))
        return Prediction(painted[:, :3], painted[:, 3:] if self.config.paints_matte else None)

    def forward(self, driver: Float[Tensor, "B 3 S S"], avatar: Int[Tensor, " B"]) -> Prediction:
        """Driver crops and numbers of avatars -> pictures."""
        return self.decode(self.encode(driver), self.modulation(avatar))


class Identities(nn.Module):
    """The identity tensors of one SPADE, and the convolutions that make weight and bias of them. Paper: Fig. 11b.

    Args:
        channels: of what is normalised, and of the tensors.
        side_px: of the tensors.
        avatars: people in all.
        settled: how many of the people, the first ones, are not trained any more.
    """

    settled: Tensor

    def __init__(self, channels: int, side_px: int, avatars: int, settled: int):
        super().__init__()
        self.register_buffer("settled", torch.zeros(settled, channels, side_px, side_px), settled > 0)
        self.identity = nn.Parameter(torch.randn(avatars - settled, channels, side_px, side_px))
        self.to_weight, self.to_bias = (conv(2, channels, channels, 3, bias=True) for _ in range(2))
        for layer, start in ((self.to_weight, 1.0), (self.to_bias, 0.0)):
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.constant_(layer.get_parameter("bias"), start)

    def everyone(self) -> Float[Tensor, "N C s s"]:
        """The tensors of all avatars."""
        return torch.cat([self.settled, self.identity])

    def forward(self, avatar: Int[Tensor, " B"]) -> tuple[Tensor, Tensor]:
        """Weight and bias, `B C s s` each."""
        own = self.everyone()[avatar]
        return self.to_weight(own), self.to_bias(own)


class Student(_Student):
    """G_DT (3.3). Pictures in [0, 1]; with `paints_matte` they are over constant grey.

    Args:
        config: sizes.
        settled: how many avatars, the first ones, are not trained any more, and with them nothing but the others'
            tensors.
    """

    kind = "student"

    def __init__(self, config: StudentConfig, settled: int = 0):
        super().__init__(config)
        self.spades = nn.ModuleList(Identities(c, side, config.avatars, settled) for c, side in _spade_shapes(config))
        self.reading: nn.Module | None = None
        """What training adds to the encoder; no part of the weights for use."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(settled == 0 or name.endswith(".identity"))

    def modulation(self, avatar: Int[Tensor, " B"]) -> Modulation:
        return [identities(avatar) for identities in self.spades]

    def start_encoder(self, trunk: ResNetTrunk) -> bool:
        """Begin with the features of another net that sees the same (ours); False where its sizes are other ones."""
        state, own = trunk.state_dict(), self.encoder.state_dict()
        fits = {name: t.shape for name, t in state.items()} == {name: t.shape for name, t in own.items()}
        if fits:
            self.encoder.load_state_dict(state)
        return fits

    def with_avatars(self, count: int, settled: int = 0) -> "Student":
        """A copy with `count` avatars, of which the first `settled` are not trained any more.

        New ones begin as the mean of those that are there; the pictures of these do not change.
        """
        copy = Student(replace(self.config, avatars=count), settled)
        state = copy.state_dict()
        state |= {name: tensor for name, tensor in self.state_dict().items() if name in state}
        for i, identities in enumerate(cast("list[Identities]", list(self.spades))):
            known = identities.everyone().detach()
            new = known.mean(0, keepdim=True).expand(count - len(known), *known.shape[1:])
            everyone = torch.cat([known, new])
            state[f"spades.{i}.identity"] = everyone[settled:]
            if settled:
                state[f"spades.{i}.settled"] = everyone[:settled]
        copy.load_state_dict(state)
        return copy.to(next(self.parameters()).device).train(self.training)

    @torch.no_grad()
    def baked(self) -> "BakedStudent":
        """The same avatars as tables."""
        copy = BakedStudent(self.config)
        everyone = self.modulation(torch.arange(self.config.avatars, device=self.conv.get_parameter("bias").device))
        state = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("spades.")}
        for i, (weight, bias) in enumerate(everyone):
            state |= {f"tables.{i}.weight": weight, f"tables.{i}.bias": bias}
        copy.load_state_dict(state)
        return copy.to(everyone[0][0].device).eval().requires_grad_(False)

    def size_mb(self, avatars: int) -> float:
        """Megabytes (10^6 bytes) of its weights in fp16 with so many avatars."""
        own = sum(p.numel() for name, p in self.named_parameters() if name.endswith(".identity")) / self.config.avatars
        shared = sum(p.numel() for name, p in self.named_parameters() if not name.endswith(".identity"))
        return 2 * (shared + avatars * own) / 1e6


class Table(nn.Module):
    """Weight and bias of one SPADE for every avatar."""

    weight: Tensor
    bias: Tensor

    def __init__(self, avatars: int, channels: int, side_px: int):
        super().__init__()
        for name in ("weight", "bias"):
            self.register_buffer(name, torch.zeros(avatars, channels, side_px, side_px))

    def forward(self, avatar: Int[Tensor, " B"]) -> tuple[Tensor, Tensor]:
        return self.weight[avatar], self.bias[avatar]


class BakedStudent(_Student):
    """A student for use: no tensors of identities, only what they make. It cannot learn, nor be given anyone new."""

    kind = "avatars"

    def __init__(self, config: StudentConfig):
        super().__init__(config)
        self.tables = nn.ModuleList(Table(config.avatars, c, side) for c, side in _spade_shapes(config))

    def modulation(self, avatar: Int[Tensor, " B"]) -> Modulation:
        return [table(avatar) for table in self.tables]

    def without(self, avatar: int) -> "BakedStudent":
        """A copy that has forgotten an avatar."""
        copy = BakedStudent(replace(self.config, avatars=self.config.avatars - 1))
        kept = [i for i in range(self.config.avatars) if i != avatar]
        state = self.state_dict()
        copy.load_state_dict({k: v[kept] if k.startswith("tables.") else v for k, v in state.items()})
        return copy.eval().requires_grad_(False)
