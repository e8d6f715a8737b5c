"""Renderer processes: they fill and renew the ring, report what breaks, and leave nothing behind."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from megaportraits.config import AugmentConfig, OnlineConfig
from megaportraits.data.pairs import PairDataset
from megaportraits.errors import UserError
from megaportraits.synth.online import OnlineStore
from megaportraits.synth.ring import motion_of
from megaportraits.tensors import stack

pytestmark = pytest.mark.usefixtures("egl")
PATIENCE_S = 120
"""Only reached where something is broken."""
RUN = """
import sys
from megaportraits.config import OnlineConfig
from megaportraits.synth.online import OnlineStore

if __name__ == "__main__":
    store = OnlineStore(OnlineConfig(sys.argv[1], workers=1, clips=2, first_clips=1, frames=2, size_px=32, skin_px=64,
                                     people_per_motion=2), 32, 0.1)
    store.start()
    print(store.ring.folder, *store.renderers(), flush=True)
    sys.stdin.readline()
    raise RuntimeError("training broke")
"""


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def config(mini_folder) -> OnlineConfig:
    return OnlineConfig(
        str(mini_folder), workers=1, clips=3, first_clips=2, frames=3, people_per_motion=2, frames_served=4, size_px=32,
        skin_px=64,
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(config) -> Iterator[OnlineStore]:
    store = OnlineStore(config, 32, 0.1)
    with store:
        yield store
        folder, pids = store.ring.folder, store.renderers()
    assert not folder.exists()
    assert not any(is_running(pid) for pid in pids)


def test_clips_that_served_enough_are_replaced(store):
    until(lambda: store.report()["renderers_waiting"] == 1)
    assert store.report()["rendered_clips"] == 3  # nothing was served yet
    first = {clip.name for clip in store.ring.live()}
    assert len({motion_of(clip) for clip in store.ring.live()}) == 2
    dataset = PairDataset(store, AugmentConfig(acted_by_another=0.5), 1, 0, 10_000)
    samples = iter(range(10_000))
    until(lambda: dataset[next(samples)] and not first & {clip.name for clip in store.clips})
    until(lambda: store.report()["rendered_clips"] >= 6)  # a place is free before the clip that takes it is whole
    report = store.report()
    assert report["rendered_frames_per_s"] > 0
    assert report["skipped_people"] == report["renderer_restarts"] == 0
    assert set(store.ring.progress().seconds) == {"identity", "motion", "shading", "encoding"}


def test_two_data_loading_processes_read_one_ring(store):
    dataset = PairDataset(store, AugmentConfig(), 1, 0, 8)
    batches = list(DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=stack))
    assert torch.cat([batch.sample for batch in batches]).tolist() == list(range(8))
    assert all(torch.isfinite(batch.driver.rgb).all() for batch in batches)


def test_a_second_process_reads_the_ring_of_the_first(store, config):
    guest = OnlineStore(dataclasses.replace(config, folder=str(store.ring.folder)), 32, 0.1)
    guest.start()
    assert guest.renderers() == []
    assert len(guest) >= 2
    guest.close()
    assert store.ring.folder.exists()


def test_a_renderer_that_dies_is_reported_and_replaced(store, capfd):
    (pid,) = store.renderers()
    os.kill(pid, signal.SIGKILL)
    until(lambda: store.report()["renderer_restarts"] == 1)
    until(lambda: store.renderers() != [pid])
    assert len(store) >= 2  # training goes on meanwhile
    assert "a renderer died" in capfd.readouterr().err


def test_people_who_cannot_be_rendered_are_skipped_until_all_fail(config, mini_folder, tmp_path, capfd):
    broken = Path(shutil.copytree(mini_folder, tmp_path / "assets"))
    for texture in broken.glob("hair/*/*.png"):
        texture.write_bytes(b"no picture")
    config = dataclasses.replace(config, assets=str(broken), clips=64, first_clips=64, folder=str(tmp_path / "ring"))
    store = OnlineStore(config, 32, 0.1)
    with pytest.raises(UserError, match="5 people in a row"):
        store.start()
    store.close()
    assert store.ring.progress().skipped >= 5
    assert "cannot be read as a picture" in capfd.readouterr().err
    assert (tmp_path / "ring").is_dir()  # a named ring is kept


def test_a_machine_that_cannot_render_says_why(config):
    store = OnlineStore(dataclasses.replace(config, assets="nowhere"), 32, 0.1)
    with pytest.raises(UserError, match="no folder nowhere"):
        store.start()
    store.close()


@pytest.mark.parametrize("end", ["exception", "kill"])
def test_no_renderer_outlives_its_run(mini_folder, tmp_path, end):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(mini_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        folder, pid = run.stdout.readline().decode().split()
        assert is_running(int(pid))
        if end == "kill":
            run.kill()
        run.stdin.close()
        run.wait(PATIENCE_S)
    until(lambda: not is_running(int(pid)))
    assert Path(folder).exists() == (end == "kill")
    shutil.rmtree(folder, ignore_errors=True)
