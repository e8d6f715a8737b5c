"""Building blocks shared by the networks: weight standardisation, norms, residual blocks, resampling.

Paper: A.1, B.1, Fig. 10c. Choices (docs/paper.md): weight standardisation on the first convolution of a block,
spectral normalisation on the others; 1x1 skip only where channels change; convolutions before a norm have no bias.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

Network = TypeVar("Network", bound=nn.Module)

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}


class WeightStandardisation(nn.Module):
    """Zero mean and unit variance (over the fan-in) of each output filter, scaled by 1 / sqrt(fan-in)."""

    def forward(self, weight: Float[Tensor, "out in *kernel"]) -> Float[Tensor, "out in *kernel"]:
        flat = weight.flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        scale = torch.rsqrt(centred.square().sum(1, keepdim=True) + 1e-5)
        return (centred * scale).view_as(weight)


def conv(
    dimensions: int, inputs: int, outputs: int, kernel: int, *, bias: bool = False, norm: str = "plain"
) -> nn.Module:
    """A same-size convolution; `norm` is "plain", "standardised" or "spectral"."""
    layer = _CONV[dimensions](inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    if norm == "standardised":
        parametrize.register_parametrization(layer, "weight", WeightStandardisation())
    elif norm == "spectral":
        parametrizations.spectral_norm(layer)
    return layer


def fold_weights(module: Network) -> Network:
    """Replace every standardised or spectrally normalised weight by its present value, in place (for use and export).

    Only for a module that was built, not copied: a deep copy shares its parametrised classes with the original.
    """
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return module


def folded_state(module: nn.Module) -> dict[str, Tensor]:
    """What `state_dict` would be after `fold_weights`; the module, which must be in evaluation mode, stays as it is."""
    state = {k: v for k, v in module.state_dict().items() if ".parametrizations." not in f".{k}"}
    for name, layer in module.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            state[f"{name}.weight"] = cast(Tensor, layer.weight).detach()
    return state


def unfolded_state(module: nn.Module, folded: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of `folded_state`: what `module.state_dict` must be for its weights to have the folded values.

    Standardised weights are standardised again to themselves; estimates of spectral norms are those of `module`.
    """
    own = module.state_dict()
    state = {name: tensor for name, tensor in own.items() if ".parametrizations.weight.0." in name}
    for name, tensor in folded.items():
        raw = f"{name.removesuffix('.weight')}.parametrizations.weight.original"
        state[raw if raw in own else name] = tensor
    return state


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with the largest number of groups that divides the channels and is at most 32."""
    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    return next(g for g in range(min(32, channels), 0, -1) if channels % g == 0)


class AdaptiveGroupNorm(nn.Module):
    """GroupNorm whose gain and bias follow the embedding E of z + e_s.

    (dgamma, dbeta) = U E V, U: C x E_channels, V: 16 x 2; gamma = w + dgamma (w starts at 1), beta = b + dbeta.
    Paper: A.1 ("a learned matrix for each pair of parameters"), Fig. 9b.
    """

    def __init__(self, channels: int, embedding_channels: int):
        super().__init__()
        self.groups = _groups(channels)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.u = nn.Parameter(torch.randn(channels, embedding_channels) / embedding_channels**0.5)
        self.v = nn.Parameter(torch.randn(16, 2) / 4)

    def forward(self, x: Float[Tensor, "B C *size"], embedding: Float[Tensor, "B E 16"]) -> Float[Tensor, "B C *size"]:
        shift = self.u @ embedding @ self.v
        shape = (*x.shape[:2], *(1,) * (x.dim() - 2))
        gamma = (self.weight + shift[..., 0]).view(shape)
        beta = (self.bias + shift[..., 1]).view(shape)
        return F.group_norm(x, self.groups) * gamma + beta


class Recomputed(nn.Module):
    """A module that can drop its activations and compute them again in the backward pass."""

    recompute = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        if not (self.recompute and torch.is_grad_enabled()):
            return super().__call__(*inputs)
        return cast(Tensor, checkpoint(super().__call__, *inputs, use_reentrant=False, context_fn=self._contexts))

    def _contexts(self) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        """Of the forward pass and of its repetition, in which spectral norms take the estimates of the former."""
        norms = [m for m in self.modules() if type(m).__name__ == "_SpectralNorm" and m.training]
        buffers = [buffer for norm in norms for buffer in norm.buffers()]
        estimates: list[Tensor] = []

        @contextlib.contextmanager
        def forward() -> Iterator[None]:
            yield
            estimates.extend(buffer.clone() for buffer in buffers)

        @contextlib.contextmanager
        def again() -> Iterator[None]:
            present = [buffer.clone() for buffer in buffers]
            _set(norms, buffers, estimates, training=False)
            try:
                yield
            finally:
                _set(norms, buffers, present, training=True)

        return forward(), again()


def _set(norms: Sequence[nn.Module], buffers: Sequence[Tensor], values: Sequence[Tensor], training: bool) -> None:
    for norm in norms:
        norm.training = training
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)


class ResBlock(Recomputed):
    """Norm, ReLU, 3x3 conv (standardised); norm, ReLU, 3x3 conv; plus skip. Paper: Fig. 10c."""

    def __init__(self, dimensions: int, inputs: int, outputs: int, other: str):
        super().__init__()
        self.norm1, self.norm2 = group_norm(inputs), group_norm(outputs)
        self.conv1 = conv(dimensions, inputs, outputs, 3, norm="standardised")
        self.conv2 = conv(dimensions, outputs, outputs, 3, norm=other)
        self.skip = nn.Identity() if inputs == outputs else conv(dimensions, inputs, outputs, 1, norm=other)

    def forward(self, x: Float[Tensor, "B Ci *size"]) -> Float[Tensor, "B Co *size"]:
        h = self.conv1(F.relu(self.norm1(x)))
        return self.conv2(F.relu(self.norm2(h))) + self.skip(x)


class AdaptiveResBlock3d(Recomputed):
    """ResBlock3D* of Fig. 9b: a residual block with adaptive GroupNorm."""

    def __init__(self, inputs: int, outputs: int, embedding_channels: int, other: str):
        super().__init__()
        self.norm1 = AdaptiveGroupNorm(inputs, embedding_channels)
        self.norm2 = AdaptiveGroupNorm(outputs, embedding_channels)
        self.conv1 = conv(3, inputs, outputs, 3, norm="standardised")
        self.conv2 = conv(3, outputs, outputs, 3, norm=other)
        self.skip = nn.Identity() if inputs == outputs else conv(3, inputs, outputs, 1, norm=other)

    def forward(
        self, x: Float[Tensor, "B Ci D H W"], embedding: Float[Tensor, "B E 16"]
    ) -> Float[Tensor, "B Co D H W"]:
        h = self.conv1(F.relu(self.norm1(x, embedding)))
        return self.conv2(F.relu(self.norm2(h, embedding))) + self.skip(x)


def resample(x: Float[Tensor, "B C D H W"], factors: Sequence[int | float]) -> Float[Tensor, "B C d h w"]:
    """Scale depth, height, width: average pooling where a factor is 1/2, trilinear where it is 2 (Fig. 9b, 9c)."""
    pool = [2 if f < 1 else 1 for f in factors]
    if max(pool) > 1:
        x = F.avg_pool3d(x, pool)
    grow = [float(max(1, f)) for f in factors]
    if max(grow) > 1:
        x = F.interpolate(x, scale_factor=grow, mode="trilinear", align_corners=False)
    return x
