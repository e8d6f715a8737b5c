"""AlexNet (Krizhevsky, 2014, "one weird trick"), ImageNet, without its classifier. Numbered as in torchvision."""

from torch import nn

from megaportraits.losses.frozen.features import IMAGENET, FeatureNet


def alexnet() -> FeatureNet:
    """Features after each of the five ReLUs, as LPIPS uses them."""
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
    )
    return FeatureNet(layers, (1, 4, 7, 9, 11), IMAGENET, relative_features=True)
