"""`megaportraits train base`: stage one, the base model (3.1, 4.1, B.1).

L_base = L_per + L_GAN + 2 L_cos (8), raw terms from `losses/`, weights from `config.LossWeights`.
The cross pass drives each source with another clip's motion on the same canonical volume (Eq. 6, 7; docs/paper.md).
"""

import copy
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from megaportraits import geometry
from megaportraits.checkpoint import read_model
from megaportraits.config import DISCRIMINATOR_PRESETS, BaseTraining, preset
from megaportraits.data.keypoints import in_space
from megaportraits.errors import UserError
from megaportraits.losses import adversarial
from megaportraits.losses.contrastive import cycle_loss
from megaportraits.losses.correspondence import correspondence_loss
from megaportraits.losses.feature_matching import feature_matching_loss
from megaportraits.losses.parts import parts_loss
from megaportraits.models.base import BaseModel
from megaportraits.models.discriminator import Discriminator
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.models.network import checked_load
from megaportraits.tensors import Canonical, HeadPose, Motion, Pair, Prediction, View, over_grey, stack
from megaportraits.training.alarms import Alarms, check_folders
from megaportraits.training.critics import Critics
from megaportraits.training.log import grid
from megaportraits.training.loop import Terms, checkpoints, train
from megaportraits.training.sources import Sources
from megaportraits.training.warm_start import start_discriminator, start_generator


@dataclass(frozen=True)
class _Pass:
    """What the self-driving pass leaves for the other terms."""

    canonical: Canonical
    source_motion: Motion
    driver_motion: Motion
    offsets: Float[Tensor, "N 3 d h w"]
    """Of w_->d."""
    source_offsets: Float[Tensor, "B 3 d h w"] | None
    """Of w_s->."""
    prediction: Prediction
    painted: Float[Tensor, "N 3 H W"]
    wanted: Float[Tensor, "N 3 H W"]


@dataclass(frozen=True)
class _Cross:
    """Each source driven by the clip before it in its group: x_s*->d of Eq. 6."""

    motion: Motion
    prediction: Prediction


class BaseStage:
    """Networks, data and losses of stage one."""

    def __init__(self, config: BaseTraining):
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.batch, self.collate = config.batch, stack
        sizes = preset(config.preset)
        self.generator = BaseModel(
            dataclasses.replace(
                sizes, size_px=config.size_px or sizes.size_px, descriptor=config.descriptor,
                source_warp=config.source_warp, foreground=config.foreground,
            )
        )  # fmt: skip
        adversary = config.weights.adversarial > 0
        self.discriminator = Discriminator(DISCRIMINATOR_PRESETS[config.preset]) if adversary else None
        self._load_weights()
        self.generator.motion_encoder.pose.requires_grad_(False)
        self.generator.motion_encoder.expression.requires_grad_(not config.expression_frozen)
        self.critics = Critics(config.critics, config.weights)
        self.sources = Sources(config, self.generator.config.size_px)
        self.alarms: Alarms | None = None
        check_folders(config.alarms)

    def _load_weights(self) -> None:
        config = self.config
        if checkpoints(Path(config.output)):
            return  # the run goes on from its own weights
        if config.start_from:
            start_generator(self.generator, config.start_from, "base", config.anew)
            start_discriminator(self.discriminator, config.start_from)
        if config.pose:
            known = HeadPoseNet.load(config.pose).state_dict()
            checked_load(self.generator.motion_encoder.pose, known, config.pose)
        if config.expression:
            _, tensors = read_model(config.expression, "expression")
            checked_load(self.generator.motion_encoder.expression, tensors, config.expression)
        if not (config.start_from or config.pose):
            raise UserError("no head pose net came; give --pose (a checkpoint of `train pose`) or --start-from")

    def dataset(self, length: int) -> Dataset:
        return self.sources.dataset(length)

    def to_device(self, pair: Pair, device: torch.device) -> Pair:
        self.critics.to(device, pair.source.rgb.dtype)
        return pair.to(device)

    def generator_terms(self, pair: Pair, step: int) -> Terms:
        weights = self.config.weights
        done = self._self_driving(pair)
        self._last = done.painted.detach(), done.wanted
        terms: Terms = self.critics.terms(done.painted, done.wanted, done.driver_motion.pose, pair.driver.keypoints)
        if weights.reconstruction > 0:
            terms["reconstruction"] = (F.l1_loss(done.painted, done.wanted), weights.reconstruction)
        if weights.parts > 0:
            terms["parts"] = (parts_loss(done.painted, done.wanted, pair.driver.keypoints), weights.parts)
        if weights.offsets > 0:
            terms["offsets"] = (done.offsets.square().mean(), weights.offsets)
        if weights.correspondence > 0:
            terms["correspondence"] = (self._correspondence(done, pair), weights.correspondence)
        if done.prediction.matte is not None and weights.matte > 0:
            terms["matte"] = (F.l1_loss(done.prediction.matte, pair.driver.matte), weights.matte)
        if self.discriminator is not None:
            fake, real = self.discriminator(done.painted), self.discriminator(done.wanted)
            terms["adversarial"] = (adversarial.generator_loss([f[-1] for f in fake]), weights.adversarial)
            if weights.feature_matching > 0:
                terms["feature_matching"] = (feature_matching_loss(real, fake), weights.feature_matching)
        if weights.cycle + weights.identity > 0 and step >= self.config.cycle_start * self.config.loop.steps:
            terms |= self._cross_terms(done, pair)
        return terms

    def discriminator_terms(self, pair: Pair) -> Terms:
        assert self.discriminator is not None
        fake, real = (self.discriminator(picture) for picture in self._last)
        return {"discriminator": (adversarial.discriminator_loss([r[-1] for r in real], [f[-1] for f in fake]), 1.0)}

    def _motion(self, view: View) -> Motion:
        encoder = self.generator.motion_encoder
        with torch.no_grad(), geometry.full_precision(view.rgb.device):
            pose = encoder.pose(view.rgb)
        return Motion(pose, encoder.encode_expression(view.motion_input, pose))

    def _self_driving(self, pair: Pair) -> _Pass:
        source, driver, foreground = pair.source, pair.driver, self.config.foreground
        source_motion, driver_motion = self._motion(source), self._motion(driver)
        appearance = self.generator.appearance(source.rgb, source.matte)
        source_offsets = self.generator.source_offsets(appearance.descriptor, source_motion)
        canonical = self.generator.to_canonical(appearance, source_motion, source_offsets)
        several = canonical.repeat(self.config.drivers_per_source)
        offsets = self.generator.driver_offsets(several, driver_motion)
        prediction = self.generator.render(several, driver_motion, offsets)
        wanted = driver.rgb if foreground == "all" else over_grey(driver.rgb, driver.matte)
        painted = over_grey(prediction.rgb, driver.matte) if foreground == "masked" else prediction.rgb
        return _Pass(canonical, source_motion, driver_motion, offsets, source_offsets, prediction, painted, wanted)

    def _correspondence(self, done: _Pass, pair: Pair) -> Tensor:
        """The driver's landmarks, taken to the source by both warps, against the source's own."""
        driver, source = (in_space(view.keypoints, view.depth) for view in (pair.driver, pair.source))
        known = driver.isfinite().all(-1, keepdim=True)
        points = torch.where(known, driver, 0.0)
        found = geometry.driver_to_source(
            done.driver_motion.pose, done.offsets, done.source_motion.pose, done.source_offsets, points
        )
        wanted = source.repeat_interleave(self.config.drivers_per_source, 0)
        return correspondence_loss(found, torch.where(known, wanted, torch.nan))

    def _cross_terms(self, done: _Pass, pair: Pair) -> Terms:
        weights, motion = self.config.weights, self._cross_motion(done.driver_motion, pair.sample)
        cross = _Cross(motion, self.generator.render(done.canonical, motion))
        terms: Terms = {}
        if weights.cycle > 0:
            terms["cycle"] = (self._cycle(done, cross, pair), weights.cycle)
        if weights.identity > 0:
            source = over_grey(pair.source.rgb, pair.source.matte)
            raw = self.critics.identity(cross.prediction.rgb, motion.pose, source, done.source_motion.pose)
            terms["identity"] = (raw, weights.identity)
        return terms

    def _group(self, count: int) -> int:
        """Sources in a group, in a batch of `count`."""
        return min(self.config.cycle_group or count, count)

    def _before(self, count: int, steps: int, device: torch.device) -> Int[Tensor, " B"]:
        """For each source, the one that stands `steps` before it in its group, cyclically."""
        group = self._group(count)
        number = torch.arange(count, device=device)
        return number - number % group + (number - steps) % group

    def _cycle(self, done: _Pass, cross: _Cross, pair: Pair) -> Tensor:
        """L_cos of x_s->d plus that of x_s*->d: Eq. 7 sums over both."""
        number = torch.arange(len(pair.clip), device=pair.clip.device)
        before = self._before(len(number), 1, number.device)
        repeats, drivers = self.config.drivers_per_source, done.driver_motion
        firsts = drivers.expression[::repeats][before]
        owner = number.repeat_interleave(repeats)
        own = self._agreement(done.prediction, drivers.pose, drivers.expression, owner, done, pair)
        return own + self._agreement(cross.prediction, cross.motion.pose, firsts, before, done, pair)

    def _agreement(
        self, made: Prediction, pose: HeadPose, wanted: Float[Tensor, "P Z"], owner: Int[Tensor, " P"], done: _Pass,
        pair: Pair,
    ) -> Tensor:  # fmt: skip
        """L_cos of pictures, for sources `owner`; negatives are drivers of other clips of the group."""
        clip, group = pair.clip, self._group(len(pair.clip))
        candidate = torch.arange(len(clip), device=clip.device).repeat_interleave(self.config.drivers_per_source)
        other_clip = clip[owner][:, None] != clip[candidate][None]
        same_group = (owner // group)[:, None] == (candidate // group)[None]
        return cycle_loss(
            self.generator.motion_encoder.encode_expression(made.rgb, pose),
            wanted,
            done.driver_motion.expression,
            other_clip & same_group,
            done.source_motion.expression[owner] * pair.moving[owner][:, None],
        )

    def _cross_motion(self, driver: Motion, sample: Int[Tensor, " B"]) -> Motion:
        """Expressions of the clip before; for a random half of the samples the pose of the one before that, where a
        group has three."""
        firsts = slice(None, None, self.config.drivers_per_source)
        near, far = (self._before(len(sample), steps, sample.device) for steps in (1, 2))
        coin = (sample * 2654435761 + self.config.loop.seed) // 65536 % 2 == 0
        chosen = torch.where(coin, near, far) if self._group(len(sample)) > 2 else near
        pose = driver.pose
        mixed = HeadPose(*(part[firsts][chosen] for part in (pose.rotation, pose.scale, pose.translation)))
        return Motion(mixed, driver.expression[firsts][near].detach())

    @torch.no_grad()
    def pictures(self, average: nn.Module, pair: Pair):
        """Columns: source, driver, driver as E_mtn saw it, self-driven, driven by the clip before."""
        assert isinstance(average, BaseModel)
        firsts = slice(None, None, self.config.drivers_per_source)
        source, driver = pair.source, pair.driver
        canonical = average.canonical(source.rgb, source.matte, average.motion(source.rgb))
        motion = average.motion(driver.rgb[firsts])
        drawn = average.render(canonical, motion).rgb
        cross = average.render(canonical, Motion(motion.pose.roll_batch(), motion.expression.roll(1, 0))).rgb
        return grid([source.rgb, driver.rgb[firsts], driver.motion_input[firsts], drawn, cross], rows=6)

    def measure(self, average: nn.Module, step: int) -> dict[str, float]:
        """What renderers and alarms say, at the steps that ask for it; a sentence on the terminal where one rings."""
        assert isinstance(average, BaseModel)
        store = self.sources.probe
        rendered = self.sources.report() if step % self.config.loop.log_every == 0 else {}
        if store is None or not self.config.alarms.due(step):
            return rendered
        self.alarms = self.alarms or Alarms(self.config.alarms, store)
        single = copy.deepcopy(average).float() if self.config.loop.precision == "64-true" else average
        values = self.alarms.measure(single)
        for sentence in self.alarms.ringing(values, step):
            tqdm.write(f"step {step}: {sentence}", file=sys.stderr)
        return values | rendered

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, BaseModel)
        average.save(folder, **facts)


def train_base(config: BaseTraining) -> None:
    """Train the base model on clips."""
    stage = BaseStage(config)
    with stage.sources:
        train(stage, config)
