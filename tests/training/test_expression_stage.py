"""The expression net's start: it learns what faces do, whoever does it, and hands its weights on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import FAST, LOOP, PLAIN, Repeated, logged, make_stage

from megaportraits.checkpoint import read_model
from megaportraits.config import AugmentConfig, ExpressionTraining, to_dict
from megaportraits.data.acting import ActingDataset, acting_of
from megaportraits.data.clips import find_clips, read_clip, write_clip
from megaportraits.data.keypoints import LEFT_BROW, NOSE, OUTER_LIPS, RIGHT_BROW, positions
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError
from megaportraits.training.expression import ExpressionStage
from megaportraits.training.loop import Trainer


@pytest.fixture
def config(drawn_clips: Path, tmp_path: Path) -> ExpressionTraining:
    return ExpressionTraining(
        str(tmp_path / "expression"), (str(drawn_clips),), "tiny", batch=4, optimiser=FAST, loop=LOOP, cache_gb=0.1
    )


def run(config: ExpressionTraining, stage: ExpressionStage | None = None) -> Path:
    stage = stage or ExpressionStage(config)
    return Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config)).run()


def test_the_net_learns_how_far_mouths_are_open(config, no_augmentation):
    """Overfits one batch."""
    config = replace(
        config, augment=no_augmentation, shift=0.0, zoom=0.0, roll_deg=0.0, loop=replace(config.loop, steps=60), batch=8
    )
    stage = ExpressionStage(config)
    dataset = stage.dataset
    stage.dataset = lambda length: Repeated(dataset(length), 8, length)  # type: ignore[method-assign]
    run(config, stage)
    mouth = [line["mouth"] for line in logged(config.output)]
    assert sum(mouth[-5:]) / 5 < 0.3 * mouth[0]


def test_each_term_reaches_the_whole_expression_net(config):
    stage = ExpressionStage(config)
    with torch.no_grad():
        for parameter in stage.generator.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)  # zero at the start, which rightly passes no gradient on
    terms = stage.generator_terms(stage.collate([stage.dataset(4)[i] for i in range(4)]), 0)
    assert set(terms) == {"mouth", "eyes", "brows", "gaze", "person", "spread"}
    for name in ("mouth", "gaze", "person", "spread"):
        parameters = list(stage.generator.expression.parameters())
        grads = torch.autograd.grad(terms[name][0], parameters, retain_graph=True)
        assert all(g.abs().max() > 0 for g in grads), name


def test_unknown_gaze_counts_nothing(config):
    stage = ExpressionStage(config)
    batch = stage.collate([stage.dataset(4)[i] for i in range(4)])
    batch.acting.gaze[:] = torch.nan
    raw = stage.generator_terms(batch, 0)["gaze"][0]
    raw.backward()
    assert raw.item() == 0


def test_stage_one_goes_on_from_it(config, base_config):
    done = run(config)
    _, tensors = read_model(done, "expression")
    base = replace(base_config, expression=str(done), weights=PLAIN)
    found = make_stage(base).generator.motion_encoder.expression.state_dict()
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor.float()) for name, tensor in tensors.items())


def test_stage_one_can_leave_it_as_it_is(config, base_config):
    done = str(run(config))
    for frozen in (False, True):
        stage = make_stage(replace(base_config, expression=done, expression_frozen=frozen))
        before = {k: v.clone() for k, v in stage.generator.motion_encoder.state_dict().items()}
        config = stage.config
        Trainer(stage, replace(config.loop, steps=3), config.optimiser, Path(config.output) / str(frozen), {}).run()
        after = stage.generator.motion_encoder.state_dict()
        changed = {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
        assert changed == (set() if frozen else {"expression"})
    with pytest.raises(UserError, match="learnt nothing yet"):
        replace(base_config, expression_frozen=True)


def test_acting_is_measured_from_the_persons_mean_without_the_head_pose(drawn_clips):
    """Drawn heads open their mouths (the lower lip falls by up to 0.1) while they turn by up to 30 degrees."""
    clips = find_clips([drawn_clips], "train")
    for clip, acting in zip(clips, acting_of(clips), strict=True):
        mouth = torch.from_numpy(read_clip(clip).truth.controls[:, 0])
        chin = acting.shift[:, positions([OUTER_LIPS[5]])[0]]
        torch.testing.assert_close(chin[:, 1], 0.1 * (mouth - mouth.mean()), atol=1e-4, rtol=0)
        assert chin[:, [0, 2]].abs().max() < 1e-4
        assert acting.shift[:, positions(NOSE)].abs().max() < 1e-4


def test_a_mirrored_face_acts_with_the_other_side(drawn_clips):
    acting = acting_of(find_clips([drawn_clips], "train"))[0]
    acting.shift[:, positions(LEFT_BROW)] = torch.tensor([0.01, 0.02, 0.03])
    acting.gaze[:] = torch.tensor([1.0, 2.0])
    flipped = acting.flipped()
    expected = torch.tensor([-0.01, 0.02, 0.03]).expand_as(flipped.shift[:, positions(RIGHT_BROW)])
    torch.testing.assert_close(flipped.shift[:, positions(RIGHT_BROW)], expected)
    assert flipped.gaze[0].tolist() == [-1.0, 2.0]
    torch.testing.assert_close(flipped.flipped().shift, acting.shift)


def test_samples_are_a_function_of_seed_and_number(config, drawn_clips):
    clips = find_clips([drawn_clips], "train")
    one, same = (ActingDataset(FrameStore(clips, 64, 0.1), config, 32, 9) for _ in range(2))
    assert torch.equal(one[5].first, same[5].first)
    assert torch.equal(one[5].acting.shift, same[5].acting.shift)
    assert not torch.equal(one[5].first, one[5].second)
    assert one[5].first.shape == (1, 3, 32, 32)


def test_the_second_picture_is_of_another_person_who_does_the_same(config, drawn_clips, tmp_path):
    """Two people with one motion: their pictures differ, but not in what is acted."""
    clip = read_clip(drawn_clips / "clip0")
    for person in ("anna", "bert"):
        rgb = clip.rgb if person == "anna" else 255 - clip.rgb
        info = replace(clip.info, identity=person, motion="one")
        write_clip(tmp_path / "data" / person, rgb, clip.matte, clip.truth, info)
    still = replace(config, augment=AugmentConfig(0.0, 0.0, 0.0, 8, 0.0, 0.0), shift=0.0, zoom=0.0, roll_deg=0.0)
    faces = ActingDataset(FrameStore(find_clips([tmp_path / "data"]), 64, 0.1), still, 32, 9)
    assert (faces[3].first - 1 + faces[3].second).abs().mean() < 0.02  # the clips are compressed


def test_clips_without_landmarks_in_space_are_refused(config, drawn_clips, tmp_path):
    clip = read_clip(drawn_clips / "clip0")
    bare = replace(clip.truth, landmarks_3d=None)
    write_clip(tmp_path / "data/bare", clip.rgb, clip.matte, bare, clip.info)
    with pytest.raises(UserError, match="no three-dimensional landmarks"):
        ExpressionStage(replace(config, data=(str(tmp_path / "data"),)))
