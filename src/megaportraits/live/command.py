"""`megaportraits live`."""

import socket
import webbrowser
from threading import Timer

from megaportraits.bundle import read_bundle, shipped_bundle
from megaportraits.config import LiveConfig
from megaportraits.errors import UserError
from megaportraits.live.runtime import runtime_folder
from megaportraits.player import Player, onnx_bytes

_MOST_BYTES = 8 * 2**20
"""Of one message of a page."""


def live(config: LiveConfig) -> None:
    """Show a web page on which avatars follow the webcam, until Ctrl-C.

    Raises:
        UserError: not a signed bundle, packages are missing, the port is taken, or onnxruntime-web cannot be had.
    """
    try:
        import uvicorn

        from megaportraits.live.server import LOOPBACK, Local, make_app
    except ImportError as error:
        raise UserError(f"live use needs more packages ({error}); install megaportraits[live]") from error
    bundle = read_bundle(config.bundle or shipped_bundle(), config.trust, config.allow_unsigned)
    with _listening(config) as listener:
        if config.where == "browser":
            runtime = runtime_folder(config.onnxruntime_web)
            engine = Local(onnx_bytes(bundle.model), runtime)
        else:
            engine = Player(bundle.model, config.device, exported=True)
        host = "localhost" if config.host in LOOPBACK else f"[{config.host}]" if ":" in config.host else config.host
        address = f"http://{host}:{listener.getsockname()[1]}/"
        print(f"avatars are at {address}; Ctrl-C ends", flush=True)
        if not config.no_open:
            Timer(1.0, webbrowser.open, (address,)).start()
        settings = uvicorn.Config(make_app(bundle, config, engine), log_level="warning", ws_max_size=_MOST_BYTES)
        uvicorn.Server(settings).run(sockets=[listener])


def _listening(config: LiveConfig) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        raise UserError(
            f"cannot listen at {config.host}:{config.port} ({error.strerror}); choose another --port or --host"
        ) from error
