"""Helpers of a run end when it says so, not when a scheduler says it to all."""

import multiprocessing
import signal
import subprocess
from multiprocessing.connection import Connection

from megaportraits.signals import heed_the_parent_only


def help_on(pipe: Connection) -> None:
    heed_the_parent_only()
    while True:
        pipe.send(pipe.recv())


def test_only_the_parent_ends_a_helper():
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    helper = context.Process(target=help_on, args=(its,), daemon=True)
    helper.start()
    for word in ("one", "two"):
        mine.send(word)
        assert mine.recv() == word
        subprocess.run(["kill", "-TERM", str(helper.pid)], check=True)
    mine.send("three")
    assert mine.recv() == "three"
    for _ in range(20):  # signals that come together are one signal, the first
        helper.terminate()
        helper.join(1)
    assert helper.exitcode == 128 + signal.SIGTERM
