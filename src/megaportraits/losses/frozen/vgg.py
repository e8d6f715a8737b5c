"""VGG16 and VGG19 (Simonyan and Zisserman, 2015), without their linear layers.

Paper: Eq. 4: VGG19 (ImageNet) for L_IN, a VGG16 trained on faces (Parkhi et al., 2015) for L_face. Features relu1_1 ...
relu5_1 for losses (docs/paper.md D7); relu1_2, 2_2, 3_3, 4_3, 5_3 of VGG16 for LPIPS.
"""

from torch import nn

from megaportraits.losses.frozen.features import IMAGENET, FeatureNet, Preprocessing

WIDTHS = (64, 128, 256, 512, 512)
VGG16 = (2, 2, 3, 3, 3)
"""Convolutions in each block."""
VGG19 = (2, 2, 4, 4, 4)
FACES = Preprocessing((129.186279296875, 104.76238250732422, 93.59396362304688), scale=255.0)
"""VGGFace: RGB bytes minus the mean of its training set."""


def convolution_numbers(blocks: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """(block, convolution), both counted from 1 -> number of the layer; its ReLU is the next layer."""
    numbers, layer = {}, 0
    for block, count in enumerate(blocks, 1):
        for convolution in range(1, count + 1):
            numbers[block, convolution] = layer
            layer += 2
        layer += 1
    return numbers


def _layers(blocks: tuple[int, ...]) -> nn.Sequential:
    layers, channels = [], 3
    for width, count in zip(WIDTHS, blocks, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _first_relus(blocks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number + 1 for (_, i), number in convolution_numbers(blocks).items() if i == 1)


def vgg19() -> FeatureNet:
    """ImageNet, torchvision's numbers; relu1_1 ... relu5_1."""
    return FeatureNet(_layers(VGG19), _first_relus(VGG19), IMAGENET)


def vgg16() -> FeatureNet:
    """ImageNet, torchvision's numbers; the last ReLU of each block, as LPIPS uses them."""
    numbers = convolution_numbers(VGG16)
    return FeatureNet(_layers(VGG16), tuple(numbers[b, n] + 1 for b, n in enumerate(VGG16, 1)), IMAGENET)


def vggface() -> FeatureNet:
    """Faces of 2622 people; relu1_1 ... relu5_1. It works on bytes, so its features are large and relative."""
    return FeatureNet(_layers(VGG16), _first_relus(VGG16), FACES, relative_features=True)


def vggface_names() -> dict[str, str]:
    """Names of the VGGFace file (conv1_1 ... conv5_3) -> names of `vggface()`."""
    return {
        f"conv{block}_{convolution}.{kind}": f"features.{number}.{kind}"
        for (block, convolution), number in convolution_numbers(VGG16).items()
        for kind in ("weight", "bias")
    }
