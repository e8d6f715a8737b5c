"""Processes that help another one, and the signal that ends a run."""

import os
import signal
import threading


def heed_the_parent_only() -> None:
    """From now on SIGTERM ends this process only where its parent sends it (on Linux; elsewhere nothing changes).

    Schedulers send SIGTERM to every process of a run. The first one then writes a checkpoint, and needs its helpers
    until then.
    """
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for, args=(os.getppid(),), daemon=True).start()


def _wait_for(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(128 + signal.SIGTERM)
