"""When an alarm rings, and what it says. Limits: docs/alarms.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Values = Mapping[str, float]


@dataclass(frozen=True)
class Rule:
    """One alarm."""

    needs: tuple[str, ...]
    """Names of the values that it looks at; the first one names the alarm."""
    rings: Callable[..., bool]
    """Of these values, in this order."""
    sentence: str
    """What it means and what to do; values by name in braces."""


RULES = (
    Rule(
        ("collapse_zero_db",),
        lambda zero: zero < 0.3,
        "Expression collapse: without z self-driving loses only {collapse_zero_db:.2f} dB (0.3 wanted), pose explains "
        "everything; stop the leg, then weigh eyes and mouth more or check that the motion encoder gets gradients.",
    ),
    Rule(
        ("collapse_shuffled_db",),
        lambda shuffled: shuffled < 0.3,
        "Expression collapse: another frame's z costs only {collapse_shuffled_db:.2f} dB (0.3 wanted), z holds little "
        "of the frame; stop the leg, then weigh eyes and mouth more or check that the motion encoder gets gradients.",
    ),
    Rule(
        ("offset_face_voxels",),
        lambda voxels: voxels < 0.02,
        "Rigid face: expressions move the driver warp inside the face by {offset_face_voxels:.4f} voxels only (0.02 "
        "wanted), so they reach the picture by ways around the warp; start the warps anew (--anew) or weigh their "
        "offsets (weights.offsets).",
    ),
    Rule(
        ("missed_percent", "missed_rigid_percent"),
        lambda bent, rigid: bent > rigid,
        "Warps mislead: they miss known landmarks by {missed_percent:.2f} % of the picture's side, without their "
        "offsets by {missed_rigid_percent:.2f} %; tell them where to read (weights.correspondence).",
    ),
    Rule(
        ("leak_ratio",),
        lambda ratio: ratio > 0.25,
        "Leakage: the driver's look changes the result {leak_ratio:.2f} times as much as its motion does (0.25 at "
        "most); add true cross pairs (augment.acted_by_another) or strengthen the motion encoder's augmentation.",
    ),
    Rule(
        ("leak_offsets_ratio",),
        lambda ratio: ratio > 0.8,
        "Leakage: the warp moves {leak_offsets_ratio:.2f} times as much with the driver's look as with its expression "
        "(0.8 at most); add true cross pairs (augment.acted_by_another) or strengthen the augmentation.",
    ),
    Rule(
        ("cross_driver_db", "cross_constant_db"),
        lambda driver, constant: driver < constant,
        "z hurts between persons: cross-driving reaches {cross_driver_db:.2f} dB with the driver's z and "
        "{cross_constant_db:.2f} dB with a constant one, so z still says who the driver is; add true cross pairs "
        "(augment.acted_by_another).",
    ),
    Rule(
        ("controls_r2",),
        lambda share: share < 0.2,
        "z says little about the face: a linear probe explains {controls_r2:.2f} of the controls' variance on other "
        "people (0.2 wanted); look at the collapse and leakage alarms, and train on more people and motions.",
    ),
    Rule(
        ("hidden_cos",),
        lambda cosine: cosine < 0.8,
        "Hidden code: z of a prediction changes under JPEG and blur (cos {hidden_cos:.2f}, 0.8 wanted), so L_cos may "
        "be met by a pattern that nobody sees; lower its weight, or degrade predictions before they are encoded.",
    ),
    Rule(
        ("seen_gap_db",),
        lambda gap: gap > 2,
        "Asset memorising: self-driving is {seen_gap_db:.2f} dB better on seen than on held-out assets (2 at most); "
        "render more people, or end the leg earlier.",
    ),
    Rule(
        ("appearance_gap_db",),
        lambda gap: gap > 4,
        "Appearance gap: rendered frames are reconstructed {appearance_gap_db:.2f} dB better than recorded ones (4 at "
        "most), so the decoder is the bottleneck and not the motion; mix in stills and recorded clips.",
    ),
    Rule(
        ("motion_mouth_recorded_r2",),
        lambda share: share < 0.3,
        "Motion gap: z explains {motion_mouth_recorded_r2:.2f} of the mouth's opening in recorded clips (0.3 wanted); "
        "mix in recorded clips and domain randomisation before any leg with a discriminator.",
    ),
    Rule(
        ("motion_eyes_recorded_r2",),
        lambda share: share < 0.3,
        "Motion gap: z explains {motion_eyes_recorded_r2:.2f} of the eyes' opening in recorded clips (0.3 wanted); "
        "mix in recorded clips and domain randomisation before any leg with a discriminator.",
    ),
)


def ringing_rules(values: Values) -> list[Rule]:
    """The alarms that ring; those whose values were not measured do not."""
    known = [rule for rule in RULES if all(name in values for name in rule.needs)]
    return [rule for rule in known if rule.rings(*(values[name] for name in rule.needs))]
