"""The student G_DT: a driver's crop and the number of an avatar -> the avatar's picture, in real time.

Paper: 3.3, A.3, Fig. 11. Everything that is known of an avatar lies in its slice of the identity tensors; the network
sees no picture of the person, so it cannot show anyone else. Choices and deviations (docs/paper.md, D26): GroupNorm in
the encoder; the first block does not double the side; last convolution 3x3 with a sigmoid; small presets end in a
PixelShuffle and paint the matte. As drawn:

    encoder   ResNet-18
    decoder   residual blocks 192 x 5, 96, 48, 24 (Fig. 11c); InstanceNorm, ReLU, conv 3
    block     up 2; conv 3x3, SPADE, ReLU, conv 3x3, SPADE; plus skip (1x1); ReLU
    SPADE     InstanceNorm(x) * weight + bias, both convolutions of the avatar's tensor, bilinear to x (Fig. 11b)
"""

from dataclasses import replace

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

Modulation = list[tuple[Tensor, Tensor]]
"""Of each SPADE, weight and bias at the resolution of its identity tensor. Computed once for an avatar."""


class Spade(nn.Module):
    """Spatially adaptive normalisation by an avatar's own tensor. Paper: Fig. 11b.

    Args:
        channels: of what is normalised, and of the tensors.
        avatars: people in all.
        side_px: of the tensors.
        settled: how many of the people, the first ones, are not trained any more.
    """

    settled: Tensor

    def __init__(self, channels: int, avatars: int, side_px: int, settled: int):
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.register_buffer("settled", torch.zeros(settled, channels, side_px, side_px), settled > 0)
        self.identity = nn.Parameter(torch.randn(avatars - settled, channels, side_px, side_px))
        self.to_weight, self.to_bias = (conv(2, channels, channels, 3, bias=True) for _ in range(2))
        for layer, start in ((self.to_weight, 1.0), (self.to_bias, 0.0)):
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.constant_(layer.get_parameter("bias"), start)

    def identities(self) -> Float[Tensor, "N C s s"]:
        """The tensors of all avatars."""
        return torch.cat([self.settled, self.identity])

    def modulation(self, avatar: Int[Tensor, " B"]) -> tuple[Tensor, Tensor]:
        """Weight and bias, `B C s s` each."""
        own = self.identities()[avatar]
        return self.to_weight(own), self.to_bias(own)

    def forward(self, x: Float[Tensor, "B C H W"], modulation: tuple[Tensor, Tensor]) -> Float[Tensor, "B C H W"]:
        weight, bias = (_resized(maps, x.shape[-1]) for maps in modulation)
        return self.norm(x) * weight + bias


def _resized(maps: Float[Tensor, "B C s s"], side_px: int) -> Float[Tensor, "B C H H"]:
    if maps.shape[-1] == side_px:
        return maps
    return F.interpolate(maps, (side_px, side_px), mode="bilinear", align_corners=False)


class StudentBlock(nn.Module):
    """Up-sampling, two convolutions with SPADE, and a skip. Paper: Fig. 11c."""

    def __init__(self, inputs: int, outputs: int, up: bool, avatars: int, side_px: int, settled: int):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2.0) if up else nn.Identity()
        self.conv1, self.conv2 = conv(2, inputs, outputs, 3), conv(2, outputs, outputs, 3)
        self.spade1, self.spade2 = (Spade(outputs, avatars, side_px, settled) for _ in range(2))
        self.skip = nn.Identity() if inputs == outputs else conv(2, inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "B Ci h w"], modulation: Modulation) -> Float[Tensor, "B Co H W"]:
        x = self.up(x)
        h = F.relu(self.spade1(self.conv1(x), modulation[0]))
        return F.relu(self.spade2(self.conv2(h), modulation[1]) + self.skip(x))


class Student(Network):
    """G_DT (3.3). Pictures in [0, 1]; with `paints_matte` they are over constant grey.

    Args:
        config: sizes.
        settled: how many avatars, the first ones, are not trained any more, and with them nothing but the others'
            tensors.
    """

    kind, sizes = "student", StudentConfig

    def __init__(self, config: StudentConfig, settled: int = 0):
        super().__init__()
        self.config = config
        self.encoder = ResNetTrunk(18, config.encoder_base)
        inputs = (self.encoder.out_channels, *config.widths)
        self.blocks = nn.ModuleList(
            StudentBlock(a, b, i > 0, config.avatars, min(config.identity_px, side), settled)
            for i, (a, b, side) in enumerate(zip(inputs, config.widths, config.sides_px, strict=False))
        )
        self.norm = nn.InstanceNorm2d(config.widths[-1])
        self.conv = conv(2, config.widths[-1], (3 + config.paints_matte) * config.shuffle**2, 3, bias=True)
        self.shuffle = nn.PixelShuffle(config.shuffle)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(settled == 0 or name.endswith(".identity"))

    def modulation(self, avatar: Int[Tensor, " B"]) -> Modulation:
        """What an avatar changes in each SPADE; with it, a frame costs the other convolutions only."""
        return [m.modulation(avatar) for m in self.modules() if isinstance(m, Spade)]

    def drive(self, driver: Float[Tensor, "B 3 S S"], modulation: Modulation) -> Prediction:
        """A driver's crop at `config.input_px`, in [0, 1] -> the avatar with the driver's motion."""
        x = self.encoder(driver)
        for i, block in enumerate(self.blocks):
            x = block(x, modulation[2 * i : 2 * i + 2])
        logits = self.shuffle(self.conv(F.relu(self.norm(x))))
        painted = torch.sigmoid(logits.to(geometry.working_type(logits)))
        return Prediction(painted[:, :3], painted[:, 3:] if self.config.paints_matte else None)

    def forward(self, driver: Float[Tensor, "B 3 S S"], avatar: Int[Tensor, " B"]) -> Prediction:
        """Driver crops and numbers of avatars -> pictures."""
        return self.drive(driver, self.modulation(avatar))

    def with_avatars(self, count: int, settled: int = 0) -> "Student":
        """A copy with `count` avatars, of which the first `settled` are not trained any more.

        New ones begin as the mean of those that are there; the pictures of these do not change.
        """
        copy = Student(replace(self.config, avatars=count), settled)
        state = copy.state_dict() | {k: v for k, v in self.state_dict().items() if k in dict(copy.named_parameters())}
        for name, spade in self.named_modules():
            if isinstance(spade, Spade):
                known = spade.identities().detach()
                new = known.mean(0, keepdim=True).expand(count - len(known), *known.shape[1:])
                everyone = torch.cat([known, new])
                state[f"{name}.identity"] = everyone[settled:]
                if settled:
                    state[f"{name}.settled"] = everyone[:settled]
        copy.load_state_dict(state)
        return copy.to(next(self.parameters()).device).train(self.training)

    def size_mb(self, avatars: int) -> float:
        """Megabytes (10^6 bytes) of its weights in fp16 with so many avatars."""
        own = sum(p.numel() for name, p in self.named_parameters() if name.endswith(".identity")) / self.config.avatars
        shared = sum(p.numel() for name, p in self.named_parameters() if not name.endswith(".identity"))
        return 2 * (shared + avatars * own) / 1e6
