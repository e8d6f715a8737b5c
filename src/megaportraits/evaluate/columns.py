"""What a score is called, how it is printed, and which way is better."""

from dataclasses import dataclass
from typing import Literal

REGIONS = ("raw", "head", "face", "mouth", "eyes")
Group = Literal["pictures", "edges", "judges"]
"""What a metric does: compare pictures, or their edges, with the right answer; or look at the result."""


@dataclass(frozen=True)
class Metric:
    """How a metric is printed."""

    title: str
    digits: int = 4
    better: Literal["higher", "lower"] | None = None
    group: Group = "judges"
    """The table in which it stands."""


METRICS = {
    "psnr_db": Metric("PSNR dB", 2, "higher", "pictures"),
    "ssim": Metric("SSIM", 4, "higher", "pictures"),
    "ms_ssim": Metric("MS-SSIM", 4, "higher", "pictures"),
    "l1": Metric("L1", 4, "lower", "pictures"),
    "lpips": Metric("LPIPS", 4, "lower", "pictures"),
    "squeezenet": Metric("SqueezeNet distance", 4, "lower", "pictures"),
    "gradient_error": Metric("gradient error", 4, "lower", "edges"),
    "sharpness": Metric("sharpness", 3, None, "edges"),
    "pose_deg": Metric("pose error °", 2, "lower"),
    "gaze_deg": Metric("gaze error °", 2, "lower"),
    "landmarks": Metric("landmark error", 4, "lower"),
    "expression": Metric("expression error", 4, "lower"),
    "csim": Metric("CSIM", 4, "higher"),
    "leak": Metric("identity leak", 4, "lower"),
    "opening": Metric("opening", 4),
    "opening_r": Metric("opening r", 3, "higher"),
    "opening_r_within": Metric("opening r within clips", 3, "higher"),
    "iqa": Metric("IQA", 2, "higher"),
    "fid": Metric("FID", 2, "lower"),
    "kid": Metric("KID", 4, "lower"),
    "flicker": Metric("flicker", 4),
    "warp_error": Metric("warp error", 4),
    "no_face": Metric("frames without a face", 0, "lower"),
}
"""By the score's name without its region. Sharpness is right at 1; a blurred or unmoving picture has little flicker and
little warp error, so less of them is not always better."""


@dataclass(frozen=True)
class Column:
    """One score."""

    key: str
    region: str
    """Empty where the score is of no region."""
    name: str
    """Of the metric."""
    metric: Metric

    @property
    def title(self) -> str:
        """Region and metric."""
        return f"{self.region} {self.metric.title}".strip()

    @property
    def arrow(self) -> str:
        """The better direction; empty where there is none."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.metric.better]

    def text(self, value: float | None, signed: bool = False) -> str:
        """A value with the metric's digits; empty for None."""
        return "" if value is None else f"{value:{'+' if signed else ''}.{self.metric.digits}f}"


def column(key: str) -> Column:
    """The column of a score "REGION_METRIC" or "METRIC"; unknown metrics keep their name and have no direction."""
    region, _, name = key.partition("_")
    if key in METRICS or not (region in REGIONS or name in METRICS):
        region, name = "", key
    return Column(key, region, name, METRICS.get(name, Metric(name)))
