"""The ring on disk, without renderers: order, replacement, counts, the lock. And a store over it when clips vanish."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from megaportraits.config import AugmentConfig, OnlineConfig
from megaportraits.data.pairs import PairDataset
from megaportraits.errors import UserError
from megaportraits.synth.crew import Crew
from megaportraits.synth.online import OnlineStore
from megaportraits.synth.ring import GRACE_S, Progress, Ring, count_served, served


@pytest.fixture
def write(ring, drawn_clips) -> Callable[..., Path]:
    """Puts a drawn clip into the ring under a number."""

    def put(number: int, motion: int = 0) -> Path:
        folder = ring.folder / f"id{number:05d}_motion{motion:05d}"
        clip = Path(shutil.copytree(drawn_clips / f"clip{number % 4}", folder))
        os.utime(clip / "clip.json")  # written now, not when the original was
        return clip

    return put


def pass_grace(*clips) -> None:
    """Make clips look written long ago."""
    for clip in clips:
        os.utime(clip / "clip.json", (0, time.time() - 2 * GRACE_S))


@pytest.fixture
def ring(tmp_path) -> Ring:
    return Ring(tmp_path, 3)


@pytest.fixture
def store(ring) -> OnlineStore:
    """A store whose ring is filled by somebody else."""
    return OnlineStore(OnlineConfig(folder=str(ring.folder), clips=3, first_clips=1), 32, 0.1)


def test_the_newest_clips_are_alive_and_others_go_after_a_while(ring, write):
    clips = [write(number) for number in (0, 1, 2, 3, 10)]
    assert ring.live() == [clips[4], clips[3], clips[2]]
    ring.sweep()
    assert ring.all() == clips[::-1]
    pass_grace(clips[3])  # it pushed clip 0 out
    ring.sweep()
    assert ring.all() == clips[:0:-1]
    assert not clips[0].exists()


def test_a_place_is_free_once_its_clip_served_enough(ring, write):
    first, second, _ = (write(number) for number in range(3))
    assert ring.is_free(2, 5)
    assert not ring.is_free(3, 5)
    count_served(first, 3)
    count_served(first, 2)
    assert served(first) == 5
    assert ring.is_free(3, 5)
    assert not ring.is_free(4, 5)
    shutil.rmtree(second)
    count_served(second, 1)
    assert not second.exists()


def test_only_one_process_renders_into_a_ring(ring):
    lock = ring.take_lock()
    assert lock is not None
    assert ring.take_lock() is None
    ring.release(lock)
    ring.write_progress(Progress(clips=4, failure="no GPU driver"))
    assert ring.take_lock() is not None
    assert ring.progress() == Progress()  # the failure of earlier renderers is not read as one of these


def test_only_the_scratch_of_renderers_is_cleaned_away(ring, write):
    write(0)
    scratch = [ring.folder / name for name in (".id00001_motion00000.x_3a", ".rendering.json.b8", ".settings.json.c")]
    others = [ring.folder / name for name in (".git", ".id00001", ".rendering.json", "id00002_motion00001")]
    for folder in scratch + others:
        (folder / "inside").mkdir(parents=True)
    ring.clean()
    assert not any(folder.exists() for folder in scratch)
    assert all((folder / "inside").is_dir() for folder in others)
    assert len(ring.all()) == 1


def test_clips_that_stay_keep_their_index(store, write):
    for number in range(3):
        write(number)
    assert len(store) == 3
    before = list(store.clips)
    new = write(3)
    store.refresh()
    assert store.clips == [new if clip.name.startswith("id00000") else clip for clip in before]


def test_a_clip_that_vanishes_after_the_listing_is_replaced_or_kept_decoded(store, write):
    clips = [write(number, motion=number // 2) for number in range(3)]
    assert len(store) == 3
    pair = [store.clips.index(clip) for clip in clips[:2]]
    assert store.others(pair[0]) == [pair[1]]
    shutil.rmtree(clips[1])
    assert store.frame(pair[1], 5).rgb.shape == (1, 3, 32, 32)  # decoded by `others`
    unread = store.clips.index(clips[2])
    shutil.rmtree(clips[2])
    assert len(store[unread].rgb) == 6
    assert store.clips[unread] == clips[0]
    shutil.rmtree(clips[0])
    store.refresh()
    with pytest.raises(UserError, match="holds no clip"):
        len(store)


def test_others_leaves_out_clips_that_vanished(store, write):
    clips = [write(number) for number in range(3)]
    assert len(store) == 3
    shutil.rmtree(clips[1])
    found = store.others(store.clips.index(clips[0]))
    assert [store.clips[i] for i in found] == [clips[2]]


def test_a_damaged_clip_is_an_error_not_a_vanished_one(store, write):
    clip = write(0)
    (clip / "rgb.mp4").write_bytes(b"no video")
    assert len(store) == 1
    with pytest.raises(UserError, match=r"rgb\.mp4"):
        store[0]


def test_pairs_show_one_clip_and_are_counted(store, write):
    clips = [write(number, motion=number // 2) for number in range(3)]
    dataset = PairDataset(store, AugmentConfig(flip=0.0, mild_jitter=0.0, acted_by_another=1.0), 2, 0, 20)
    for index in range(20):
        pair = dataset[index]
        clip = next(i for i in range(len(store.clips)) if store.label(i) == int(pair.clip))
        frames = torch.cat([store.frame(clip, number).rgb for number in range(6)])
        for shown in (pair.source.rgb, *pair.driver.rgb.split(1)):
            assert (frames - shown).abs().amax((1, 2, 3)).min() < 1e-4
    store.refresh()
    assert sum(served(clip) for clip in clips) >= 20 * (3 + 6)
    assert store.report()["served_frames_per_clip"] >= 20 * 9 / 3


def test_the_budget_drops_decoded_clips_but_never_those_of_a_sample(ring, write):
    store = OnlineStore(OnlineConfig(folder=str(ring.folder), clips=8, first_clips=1), 32, 0.0)
    for number in range(5):
        write(number)
    for index in range(len(store)):
        store[index]
    assert len(store.footage) == 4  # the performers of a motion, and one more
    assert store.used == sum(footage.nbytes for footage in store.footage.values())


def test_a_failure_of_the_renderers_reaches_every_reader(store, write):
    write(0)
    assert len(store) == 1
    store.ring.write_progress(Progress(failure="no GPU driver"))
    with pytest.raises(UserError, match="no GPU driver"):
        store.refresh()


def test_a_forked_copy_of_the_store_hears_of_a_failure(store, write):
    write(0)
    store._crew = SimpleNamespace(owner=os.getpid() + 1, progress=Progress())
    assert len(store) == 1
    store.ring.write_progress(Progress(failure="no GPU driver"))
    with pytest.raises(UserError, match="no GPU driver"):
        store.refresh()


def test_the_process_of_the_renderers_hears_of_a_failure_that_could_not_be_written(store, write):
    write(0)
    assert store.report()["ring_clips"] == 1
    store._crew = SimpleNamespace(owner=os.getpid(), progress=Progress(failure="no space left"))
    with pytest.raises(UserError, match="no space left"):
        store.report()


def test_labels_are_the_numbers_of_people(store, write):
    for number in (7, 3, 5):
        write(number)
    assert len(store) == 3
    assert [store.label(i) for i in range(3)] == [int(clip.name[2:7]) for clip in store.clips]
    assert {store.label(i) for i in range(3)} == {3, 5, 7}


def test_a_ring_keeps_its_settings(ring, write):
    ring.settle({"seed": 1, "frames": 6})
    write(0)
    ring.settle({"seed": 1, "frames": 6})
    with pytest.raises(UserError, match=r"other settings \(seed 1\); choose another"):
        ring.settle({"seed": 2, "frames": 6})
    (ring.folder / "settings.json").unlink()
    with pytest.raises(UserError, match="seed unknown"):  # a dataset that no ring made; it would be swept away
        ring.settle({"seed": 1})


def test_a_ring_of_other_settings_is_left_free(ring, write, store):
    ring.settle({"seed": 1})
    write(0)
    with pytest.raises(UserError, match="other settings"):
        store.start()
    assert ring.take_lock() is not None


@pytest.mark.parametrize(("folder", "seed"), [("", 15), ("ring", 10)])
def test_processes_with_temporary_rings_render_other_people(tmp_path, monkeypatch, folder, seed):
    monkeypatch.setenv("SLURM_PROCID", "7")
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Crew, "_run", lambda crew: crew._give_up(str(crew.job.seed)))
    store = OnlineStore(OnlineConfig(folder=folder and str(tmp_path / folder), seed=10), 32, 0.1)
    with pytest.raises(UserError, match=f"given up: {seed}$"):
        store.start()
    store.close()


@pytest.mark.parametrize("error", [OSError("disk full"), UserError("disk full"), ZeroDivisionError("disk full")])
def test_renderers_end_where_nothing_can_be_written(ring, monkeypatch, error):
    process, jobs = Mock(), Mock()
    monkeypatch.setattr(Crew, "_hire", lambda crew: SimpleNamespace(process=process, jobs=jobs))
    monkeypatch.setattr(Crew, "_listen", Mock(side_effect=error))
    monkeypatch.setattr(ring, "write_progress", Mock(side_effect=OSError("no space left")))
    crew = Crew(OnlineConfig(folder=str(ring.folder), workers=2), ring)
    crew._thread.join(10)
    assert process.kill.call_count == 2
    assert "disk full" in crew.progress.failure
    crew.stop()


def test_impossible_rings_are_refused():
    with pytest.raises(UserError, match="fewer than the 4 people"):
        OnlineConfig(clips=3, first_clips=1, people_per_motion=4)
    with pytest.raises(UserError, match="first_clips is 9"):
        OnlineConfig(clips=8, first_clips=9)
