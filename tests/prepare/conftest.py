"""Videos for the data kit."""

from pathlib import Path

import pytest
from moving_faces import FPS, moving, wall

from megaportraits.data.video_writer import write_video


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that moves, one that does not, a file that is no video, a video without a face, two shots of a face."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "moving.mp4", moving(24), FPS)
    write_video(folder / "still.mp4", moving(24, 0), FPS)
    write_video(folder / "wall.mp4", wall(8), FPS)
    write_video(folder / "cut.mp4", [*moving(24, 1, turn_deg=9), *wall(6), *moving(24, 1, mirrored=True)], FPS)
    (folder / "broken.mov").write_bytes(b"not a video")
    return folder
