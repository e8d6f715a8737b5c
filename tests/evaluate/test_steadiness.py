"""Flicker and warp error of frames whose movement is known."""

from dataclasses import replace

import pytest
import torch

from megaportraits.config import EvaluateConfig
from megaportraits.evaluate.protocols import Sample, load_samples
from megaportraits.evaluate.steadiness import WarpJudge, answer, flicker


@pytest.fixture(scope="module")
def sample(crossed_clips) -> Sample:
    return load_samples(EvaluateConfig(str(crossed_clips), "out", count=1, frames=3), "truth", 64).samples[0]


def close(sample: Sample, numbers: tuple[int, ...] = (4, 5, 6)) -> Sample:
    """The sample with its first right answer three times, as these frames of a clip."""
    frames = replace(sample.target.pick([0, 0, 0]), numbers=numbers)
    return Sample(0, "close", sample.source, frames, frames)


def test_flicker_needs_neighbours(sample):
    still = sample.target.over_grey()[:1].expand(3, -1, -1, -1)
    jump = still.clone()
    jump[1] = (jump[1] + 0.25) % 1
    assert flicker(sample, still)["raw_flicker"].isnan().all()
    frames = replace(sample.target, numbers=(4, 5, 6))
    close = Sample(0, "close", sample.source, frames, frames)
    assert flicker(close, still)["raw_flicker"].tolist()[1] == 0
    assert flicker(close, jump)["raw_flicker"][1] > 0.2
    assert flicker(close, jump)["raw_flicker"].isnan().tolist() == [True, False, True]


def test_warp_error_is_in_the_head_and_of_frames_with_the_one_before(sample):
    judge, still = WarpJudge(), close(sample)
    inside = still.target.regions()["head"]
    jump = answer(still).clone()
    jump[1] += 0.25 * inside[1]
    found = judge(still, jump)["head_warp_error"]
    assert found.isnan().tolist() == [True, False, False]
    assert found[1:].tolist() == pytest.approx([0.25, 0.25], abs=1e-5)
    beside = answer(still) + torch.tensor([0.0, 0.25, 0.0])[:, None, None, None] * (1 - inside)
    assert judge(still, beside)["head_warp_error"][1:].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    gap = judge(close(sample, (4, 6, 7)), jump)["head_warp_error"]
    assert gap.isnan().tolist() == [True, True, False]
    assert judge(close(sample, (1, 3, 5)), jump)["head_warp_error"].isnan().all()


def test_warp_error_forgives_the_reference_its_movement(sample):
    """The picture goes one pixel to the right with each frame, which the reference says, or denies."""
    still = close(sample)
    moving = torch.cat([picture[None].roll(i, -1) for i, picture in enumerate(answer(still))])
    told = WarpJudge(lambda _: moving)(still, moving)["head_warp_error"][1:]
    untold = WarpJudge()(still, moving)["head_warp_error"][1:]
    assert told.max() < 0.3 * untold.min()


def test_the_flow_is_computed_once_for_all_methods(sample):
    asked = []

    def moving(one: Sample):
        asked.append(one.name)
        return answer(one)

    judge, still = WarpJudge(moving), close(sample)
    for brightness in (0.0, 0.1):
        judge(still, answer(still) + brightness)
    assert asked == ["close"]
    assert judge(Sample(0, "crossed", sample.source, sample.driver, None), answer(sample)) == {}
