"""Settings of training data: augmentation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of training frames (4.1, B.1; strengths: docs/paper.md)."""

    flip: float = 0.5
    """Probability that a pair is mirrored (one draw for the pair)."""
    mild_jitter: float = 0.1
    """Colour jitter shared by source and target."""
    shape_sigma: float = 0.1
    """Thin-plate spline of the motion encoder's input: deviation of the control points, in cells."""
    shape_cells: int = 8
    """Cells of the spline's control grid along a side."""
    severe_jitter: float = 0.4
    """Colour jitter of the motion encoder's input, drawn separately for source and driver."""
    grey: float = 0.05
    """Probability that the motion encoder's input loses its colour."""
    acted_by_another: float = 0.0
    """Probability that the expression net sees the driver's frame as another person performs it, where rendered clips
    of the same motion are at hand (true cross pairs, ours); 0 is the paper's self-driving."""
