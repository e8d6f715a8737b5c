"""Sound that tells the time: silence with clicks."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np


def write_clicks(path: Path, seconds: int, clicks: Iterable[float], rate: int = 8000) -> None:
    """A file of PCM sound (.wav, .mkv), silent but for clicks of 4 ms."""
    sound = np.zeros((1, seconds * rate), np.int16)
    for click in clicks:
        sound[:, round(click * rate) :][:, : rate // 250] = 20000
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for start in range(0, seconds * rate, rate):
            frame = av.AudioFrame.from_ndarray(sound[:, start : start + rate], format="s16", layout="mono")
            frame.rate, frame.pts = rate, start
            container.mux(stream.encode(frame))


def heard_clicks(path: Path) -> list[float]:
    """Seconds from the start of the file at which clicks begin."""
    found: list[float] = []
    with av.open(str(path)) as container:
        start = (container.start_time or 0) / av.time_base
        for frame in container.decode(audio=0):
            sound = np.abs(frame.to_ndarray().astype(np.float64)).max(0)
            scale = 2**15 if frame.format.name.startswith("s16") else 1
            loud = np.flatnonzero(sound / scale > 0.25)
            if len(loud) and frame.time is not None:
                found.append(frame.time - start + loud[0] / frame.rate)
    return [time for i, time in enumerate(found) if i == 0 or time - found[i - 1] > 0.2]
