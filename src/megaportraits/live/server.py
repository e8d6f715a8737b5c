"""The web application of `megaportraits live`.

    GET /                    the page; its parts under /page/
    GET /facts.json          avatars with consent and licence, sizes, who computes, the statement for recordings
    GET /preview/N.png       picture of avatar N
    WS  /socket              where the server computes: pictures in, pictures out (below)
    GET /recordings/NAME     where the server computes: what was recorded
    GET /avatars.onnx        where the browser computes: the student
    GET /mark.bin            where the browser computes: the invisible mark, float32, levels of 255
    GET /runtime/NAME        where the browser computes: onnxruntime-web

A binary message of the page is 8 bytes (float64, little endian, the page's clock in milliseconds) and the camera's
picture as JPEG; the answer is the same 8 bytes and the avatar's picture, or nothing more where no face is seen. Only
the newest picture is computed; those that it overtook get no answer. Texts are JSON: wishes (`session.py`), and as
answers `{"recorded": NAME}` and `{"problem": SENTENCE}`. Pages of other origins are refused.
"""

import asyncio
import io
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from megaportraits.animate.outputs import MADE_BY
from megaportraits.bundle import Bundle
from megaportraits.config import LiveConfig
from megaportraits.data import watermark
from megaportraits.data.provenance import video_tags
from megaportraits.errors import UserError
from megaportraits.live.newest import Newest
from megaportraits.live.recording import NAME
from megaportraits.live.runtime import FILES
from megaportraits.live.session import Session
from megaportraits.player import Player

_STAMP = struct.Struct("<d")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FOREIGN = 1008
"""WebSocket's code for a breach of policy."""
_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'",
    "cache-control": "no-cache",
}
"""Threads of WebAssembly need the first two; the third lets the page talk to this program and nobody else."""


@dataclass(frozen=True)
class Local:
    """What a browser that computes needs."""

    graph: bytes
    """The student (ONNX)."""
    runtime: Path
    """Folder of onnxruntime-web."""


def make_app(bundle: Bundle, config: LiveConfig, engine: Player | Local) -> Starlette:
    """The application.

    Args:
        bundle: the avatars.
        config: options of the command.
        engine: the student here, or what a browser needs to compute itself.
    """
    routes: list[BaseRoute] = [
        Route("/", _file(Path(str(resources.files("megaportraits.live"))) / "web" / "index.html")),
        Route("/facts.json", _json(_facts(bundle, config))),
        Route("/preview/{number:int}.png", _previews(bundle)),
        Mount("/page", StaticFiles(packages=[("megaportraits.live", "web")])),
    ]
    if isinstance(engine, Player):
        routes += [
            WebSocketRoute("/socket", _socket(bundle, config, engine)),
            Route("/recordings/{name}", _recorded(config)),
        ]
    else:
        pattern = watermark.pattern(bundle.model.config.size_px, bundle.model.config.size_px)
        marks = (0 if config.no_watermark else 1) * pattern
        routes += [
            Route("/avatars.onnx", _bytes(engine.graph)),
            Route("/mark.bin", _bytes(marks.astype("<f4").tobytes())),
            *(Route(f"/runtime/{name}", _file(engine.runtime / name)) for name in FILES),
        ]
    hosts = [*LOOPBACK, "[::1]"] if config.host in LOOPBACK else ["*"]
    return Starlette(
        routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts), Middleware(_Headers)]
    )


class _Headers:
    """Adds `_HEADERS` to every answer."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, sent)


def _facts(bundle: Bundle, config: LiveConfig) -> dict[str, Any]:
    people = [{name: text for name, text in asdict(a).items() if name != "preview"} for a in bundle.avatars]
    sizes = bundle.model.config
    return {
        "where": config.where, "avatars": people, "key": bundle.key, "input_px": sizes.input_px,
        "size_px": sizes.size_px, "tags": video_tags(MADE_BY),
    }  # fmt: skip


def _previews(bundle: Bundle) -> Callable[[Request], Response]:
    files = []
    for avatar in bundle.avatars:
        file = io.BytesIO()
        Image.fromarray(avatar.preview.numpy()).save(file, "PNG")
        files.append(file.getvalue())

    def answer(request: Request) -> Response:
        number = request.path_params["number"]
        return Response(files[number], media_type="image/png") if number < len(files) else Response(status_code=404)

    return answer


def _recorded(config: LiveConfig) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        path = config.recordings / name
        if not NAME.fullmatch(name) or not path.is_file():
            return Response(status_code=404)
        return FileResponse(path, filename=name)

    return answer


def _file(path: Path) -> Callable[[Request], Response]:
    return lambda request: FileResponse(path)


def _bytes(content: bytes) -> Callable[[Request], Response]:
    return lambda request: Response(content, media_type="application/octet-stream")


def _json(content: dict[str, Any]) -> Callable[[Request], Response]:
    return lambda request: JSONResponse(content)


def _socket(bundle: Bundle, config: LiveConfig, player: Player) -> Callable[[WebSocket], Any]:
    async def serve(socket: WebSocket) -> None:
        if not _of_this_page(socket):
            await socket.close(_FOREIGN)
            return
        await socket.accept()
        with ThreadPoolExecutor(1) as worker:  # MediaPipe's nets stay in one thread
            loop = asyncio.get_running_loop()
            session = await loop.run_in_executor(
                worker, Session, player, len(bundle.avatars), config.recordings, not config.no_watermark
            )
            newest: Newest[bytes] = Newest()
            painting = asyncio.create_task(_paint(socket, session, newest, worker))
            try:
                await _listen(socket, session, newest)
            except WebSocketDisconnect:
                pass
            finally:
                painting.cancel()
                worker.submit(session.close)  # not awaited: the server may be ending, and the recording shall be whole

    return serve


def _of_this_page(socket: WebSocket) -> bool:
    """Whether it was opened by our own page: browsers let every page open sockets to this machine."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


async def _listen(socket: WebSocket, session: Session, newest: Newest[bytes]) -> None:
    """Take what the page sends, for ever."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        if message.get("bytes"):
            newest.put(message["bytes"])
        elif message.get("text"):
            try:
                answer = await asyncio.to_thread(session.wish, message["text"])
            except UserError as error:
                answer = {"problem": str(error)}
            if answer:
                await socket.send_json(answer)


async def _paint(socket: WebSocket, session: Session, newest: Newest[bytes], worker: ThreadPoolExecutor) -> None:
    """Answer the newest picture, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        message = await newest.get()
        stamp, jpeg = message[: _STAMP.size], message[_STAMP.size :]
        picture = None
        try:
            picture = await loop.run_in_executor(worker, session.frame, jpeg, _seconds(stamp))
        except UserError as error:
            await socket.send_json({"problem": str(error)})
        await socket.send_bytes(stamp + (picture or b""))


def _seconds(stamp: bytes) -> float:
    """The page's clock.

    Raises:
        UserError: no time.
    """
    time_ms = _STAMP.unpack(stamp)[0] if len(stamp) == _STAMP.size else np.nan
    if not np.isfinite(time_ms):
        raise UserError("the page sent a picture without a time; reload it")
    return float(time_ms) / 1000
