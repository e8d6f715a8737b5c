"""What each switch of domain randomisation does for real pictures, measured with the head pose net.

    python recipes/domain_effect.py --data CLIPS --held-out CLIPS --recorded CLIPS [--steps 500] [--variants on off ...]
        [--start-from CHECKPOINT] [--learning-rate 2e-3]

Trains the head pose net of `live` from the same start on rendered clips: with every effect on, with one of them off
each time, and with none. Prints, for each, the error on held-out rendered clips and the disagreement per axis with the
landmark fit of recorded clips (`megaportraits prepare videos`), the mean offset of each clip removed. The start is
random, or a checkpoint, which needs a smaller learning rate: then the differences are between nets that are good. One
run of 500 steps on one core takes a few minutes; differences below the spread of seeds (`--seed`) mean nothing.
"""

import argparse
import dataclasses

import torch
from torch import Tensor

from megaportraits.config import DOMAIN_ON, AugmentConfig, DomainConfig, LoopConfig, PoseTraining, preset
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import FrameStore
from megaportraits.evaluate.frames import spread
from megaportraits.geometry import angles_from_rotation, rotation_error_deg
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.training.pose import PoseStage

EFFECTS = (
    "blur", "motion_blur", "vignette", "rescale", "noise", "jpeg", "h264", "white_balance", "exposure", "gamma",
    "glasses", "occluders", "backdrop",
)  # fmt: skip
BATCH = FRAMES = 24


def settings(variant: str) -> DomainConfig:
    """ "on", "off", or the name of the one effect that is off."""
    if variant == "off":
        return DomainConfig()
    return DOMAIN_ON if variant == "on" else dataclasses.replace(DOMAIN_ON, **{variant: 0.0})


def train(config: PoseTraining, rate: float) -> HeadPoseNet:
    """A pose net after a short one-cycle run; no checkpoints, no moving average."""
    stage = PoseStage(config)
    samples, steps = stage.dataset(config.loop.steps * BATCH), config.loop.steps
    optimiser = torch.optim.AdamW(stage.generator.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for step in range(steps):
        batch = stage.collate([samples[step * BATCH + i] for i in range(BATCH)])
        loss = sum(weight * term for term, weight in stage.generator_terms(batch, step).values())
        assert isinstance(loss, Tensor)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(stage.generator.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return stage.generator.pose.eval()


@torch.no_grad()
def rotations(net: HeadPoseNet, store: FrameStore, clip: int) -> tuple[Tensor, Tensor]:
    """The net's and the known rotations of a clip, of at most 24 frames."""
    frames = [store.frame(clip, number) for number in spread(0, len(store[clip].rgb) - 1, FRAMES)]
    found = net(torch.cat([frame.rgb for frame in frames])).rotation
    return found, torch.cat([frame.pose.rotation for frame in frames])


def rendered_error_deg(net: HeadPoseNet, store: FrameStore) -> float:
    """Mean angle between found and true rotation."""
    return torch.cat([rotation_error_deg(*rotations(net, store, i)) for i in range(len(store))]).mean().item()


def real_disagreement_deg(net: HeadPoseNet, store: FrameStore) -> list[float]:
    """Mean absolute difference of (yaw, pitch, roll) to the landmark fit, the mean of each clip removed."""
    left = []
    for clip in range(len(store)):
        found, fitted = (angles_from_rotation(r) for r in rotations(net, store, clip))
        left.append((found - fitted - (found - fitted).mean(0)).abs())
    return torch.cat(left).mean(0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--held-out", "--recorded"):
        parser.add_argument(name, nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-from", default="")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--variants", nargs="+", default=["on", *EFFECTS, "off"], choices=["on", *EFFECTS, "off"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    size_px = preset("live").motion.input_px
    stores = [FrameStore(find_clips(folders), size_px, 4.0) for folders in (given.held_out, given.recorded)]
    print("| off | held-out rendered, degrees | real: yaw | pitch | roll |\n|---|---|---|---|---|")
    for variant in given.variants:
        config = PoseTraining(
            "", tuple(given.data), "live", given.start_from, BATCH, augment=AugmentConfig(domain=settings(variant)),
            loop=LoopConfig(steps=given.steps, seed=given.seed),
        )  # fmt: skip
        net = train(config, given.learning_rate)
        numbers = [rendered_error_deg(net, stores[0]), *real_disagreement_deg(net, stores[1])]
        name = {"on": "none", "off": "all"}.get(variant, variant)
        print(f"| {name} | {' | '.join(f'{n:.2f}' for n in numbers)} |", flush=True)


if __name__ == "__main__":
    main()
