"""The page: a server for the browser of this machine alone. Pictures stay in memory, and only until they are answered.

Uploads come as the plain body of a request: a form's parser would put large ones into files.
"""

import asyncio
import base64
import functools
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import cv2
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from demo.models import Model
from demo.reading import Face, label, read_photo
from demo.samples import PICTURES, sample
from demo.tracking import Tracker
from stages.evaluation.saliency import occlusion
from stages.files.images import BadPictureError
from stages.runtime.errors import UserError

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
MAX_BYTES = 20_000_000  # of a picture
MAX_WAITING = 16  # requests that are being read or wait for their turn
MAX_STREAMS = 4  # cameras
RATE, BURST = 30.0, 60.0  # requests a second in the long run, and at once
PATIENCE = 30.0  # seconds in which a request's body must have come
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
ORANGE = (0, 159, 230)  # BGR


class Refusal(Exception):  # noqa: N818  not every refusal is an error of ours
    """A request that is not answered: status, and the reason in English and Korean."""

    def __init__(self, status: int, english: str, korean: str) -> None:
        """Keep what the page shows."""
        self.status = status
        self.text = {"en": english, "ko": korean}


BUSY = (503, "Too many pictures at once. Try again in a moment.", "요청이 너무 많습니다. 잠시 후 다시 시도하세요.")
TOO_LARGE = (
    413,
    f"The picture is larger than {MAX_BYTES / 1e6:.0f} MB. Choose a smaller one.",
    f"사진이 {MAX_BYTES / 1e6:.0f} MB보다 큽니다. 더 작은 사진을 고르세요.",
)
SLOW = (408, "The picture did not arrive in time. Try again.", "사진이 제때 도착하지 않았습니다. 다시 시도하세요.")
NO_SUCH_FACE = (400, "There is no such face in the picture.", "사진에 그런 얼굴이 없습니다.")
FAULT = (500, "Something went wrong here. Try another picture.", "문제가 생겼습니다. 다른 사진으로 시도하세요.")
UNUSABLE = {
    "empty file": ("The file is empty.", "빈 파일입니다."),
    "not a picture": ("This file is not a picture that can be read.", "읽을 수 있는 사진 파일이 아닙니다."),
    "too many pixels": ("The picture has too many pixels.", "사진의 픽셀 수가 너무 많습니다."),
    "cut off": ("The picture is cut off; its end is missing.", "사진 파일이 잘려 있습니다."),
    "HEIC is not read: convert it to JPEG": (
        "HEIC pictures cannot be read. Convert it to JPEG (iPhone: Settings, Camera, Formats, Most Compatible).",
        "HEIC 사진은 읽을 수 없습니다. JPEG로 변환하세요(아이폰: 설정 > 카메라 > 포맷 > 높은 호환성).",
    ),
    "orientation not understood": (
        "The picture says in an unknown way how it is turned. Turn it upright and save it again.",
        "사진의 방향 정보를 해석할 수 없습니다. 똑바로 돌려 다시 저장하세요.",
    ),
    "not of the size in its header": (
        "The picture is damaged: it has another size than it says.",
        "사진 파일이 손상되었습니다. 실제 크기가 파일에 적힌 크기와 다릅니다.",
    ),
}


def serve(models: Sequence[Model], port: int) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: the port is taken.
    """
    cv2.setNumThreads(1)
    place = socket.socket()
    # A server that has just ended does not block its port.
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((HOST, port))
        place.listen()
    except (OSError, OverflowError):
        raise UserError(f"Port {port} on {HOST} cannot be used; name another one with --port.") from None
    print(f"http://{HOST}:{place.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        Server(models).app,
        log_level="critical",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MAX_BYTES,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[place])


class Server:
    """The page's requests, answered one after the other."""

    def __init__(self, models: Sequence[Model]) -> None:
        """Answer with all models."""
        self.models = models
        self.turn = anyio.CapacityLimiter(1)
        self.waiting = 0
        self.streams = 0
        self.allowance, self.counted = BURST, time.monotonic()
        self.app = Starlette(
            routes=[
                *(Route(url, self.file, methods=["GET"]) for url in FILES),
                Route("/about", self.about, methods=["GET"]),
                Route("/samples/{number:int}.jpg", self.sample, methods=["GET"]),
                Route("/faces", self.faces, methods=["POST"]),
                Route("/saliency/{face:int}", self.saliency, methods=["POST"]),
                WebSocketRoute("/live", self.live),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(Guard)],
            exception_handlers={Refusal: _refuse, Exception: _fault},
        )

    async def file(self, request: Request) -> Response:
        """The page itself."""
        name, kind = FILES[request.url.path]
        return Response((PAGE / name).read_bytes(), media_type=kind)

    async def about(self, request: Request) -> Response:
        """What the page says of the models."""
        card = self.models[-1].card
        cards = [model.card for model in self.models]
        return JSONResponse(
            {
                "emotions": card.emotions,
                "unsure": card.export.unsure,
                "drawn": card.drawn,
                "samples": len(PICTURES),
                "megabytes": MAX_BYTES / 1e6,
                "megapixels": card.crop.max_megapixels,
                "models": [{"name": c.name, "recognised": c.recognised, "provenance": c.provenance} for c in cards],
            }
        )

    async def sample(self, request: Request) -> Response:
        """A drawn picture."""
        number = request.path_params["number"]
        if number >= len(PICTURES):
            return Response(status_code=404)
        return Response(await self.in_turn(sample, number), media_type="image/jpeg")

    async def faces(self, request: Request) -> Response:
        """The faces in an uploaded picture."""
        async with self.admitted():
            data = await _body(request)
            picture = await self.in_turn(read_photo, data, self.models)
        faces = [self.described(face) for face in picture.faces]
        size = {"width": picture.width, "height": picture.height, "frames": picture.frames}
        return JSONResponse(size | {"faces": faces})

    async def saliency(self, request: Request) -> Response:
        """What each model's answer for one face of an uploaded picture rests on."""
        async with self.admitted():
            data = await _body(request)
            return JSONResponse(await self.in_turn(self.explained, data, request.path_params["face"]))

    async def live(self, websocket: WebSocket) -> None:
        """The faces in the frames of a camera, followed from frame to frame until the connection ends."""
        await websocket.accept()
        if self.streams >= MAX_STREAMS:
            await websocket.send_json({"error": Refusal(*BUSY).text})
            await websocket.close(1013)
            return
        self.streams += 1
        try:
            tracker = Tracker(self.models[-1].card)
            while True:
                data = await websocket.receive_bytes()
                await websocket.send_json(await self.followed(tracker, data))
        except (WebSocketDisconnect, KeyError):  # KeyError: a text instead of a picture
            pass
        finally:
            self.streams -= 1

    async def followed(self, tracker: Tracker, data: bytes) -> dict[str, Any]:
        """The answer to one frame."""
        try:
            picture = await self.in_turn(read_photo, data, self.models)
        except BadPictureError as error:
            return {"error": _unusable(error).text}
        seen = tracker.update(picture.faces, time.monotonic())
        faces = [self.described(face) | {"number": number} for number, face in seen]
        return {"width": picture.width, "height": picture.height, "faces": faces}

    def described(self, face: Face) -> dict[str, Any]:
        """A face as the page takes it; what each model says is in the order of the models."""
        answers = [
            {"label": label(probability, model.card), "probability": [round(float(share), 4) for share in probability]}
            for model, probability in zip(self.models, face.probability, strict=True)
        ]
        return {"box": [round(side, 1) for side in face.box], "answers": answers}

    def explained(self, data: bytes, number: int) -> dict[str, Any]:
        """The face as the networks see it, and for each model what its likeliest emotion rests on, as PNG pictures."""
        faces = read_photo(data, self.models).faces
        if number >= len(faces):
            raise Refusal(*NO_SUCH_FACE)
        face = faces[number]
        maps = [
            occlusion(model.predict, face.picture, int(probability.argmax()))
            for model, probability in zip(self.models, face.probability, strict=True)
        ]
        return {"picture": _png(face.picture), "maps": [_png(_overlay(fall)) for fall in maps]}

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Let a request in, if there are not too many already."""
        now = time.monotonic()
        self.allowance = min(BURST, self.allowance + RATE * (now - self.counted))
        self.counted = now
        if self.waiting >= MAX_WAITING or self.allowance < 1:
            raise Refusal(*BUSY)
        self.allowance -= 1
        self.waiting += 1
        try:
            yield
        except BadPictureError as error:
            raise _unusable(error) from None
        finally:
            self.waiting -= 1

    async def in_turn(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do some work in a thread, when all that came before is done."""
        return await anyio.to_thread.run_sync(functools.partial(work, *arguments), limiter=self.turn)


async def _body(request: Request) -> bytes:
    """The bytes of an upload; too many are read, so that the browser hears the answer, but not kept."""
    parts, length = [], 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                length += len(part)
                if length <= MAX_BYTES:
                    parts.append(part)
                else:
                    parts.clear()
    except TimeoutError:
        raise Refusal(*SLOW) from None
    if length > MAX_BYTES:
        raise Refusal(*TOO_LARGE)
    return b"".join(parts)


def _unusable(error: BadPictureError) -> Refusal:
    return Refusal(422, *UNUSABLE[str(error)])


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": error.text}, error.status)


async def _fault(request: Request, error: Exception) -> Response:
    return await _refuse(request, Refusal(*FAULT))


def _png(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()


def _overlay(fall: np.ndarray) -> np.ndarray:
    """Orange that covers the more the more the answer rests on a pixel: BGRA, uint8 (size, size, 4)."""
    share = np.maximum(fall, 0) / max(float(fall.max()), 1e-9)
    alpha = (255 * 0.85 * share).round().astype(np.uint8)
    colour = np.broadcast_to(np.array(ORANGE, np.uint8), (*fall.shape, 3))
    return np.dstack([colour, alpha])


class Guard:
    """Turns away requests that another site's page makes in the same browser, and adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = HTTPConnection(scope).headers
        if "origin" in headers and urlsplit(headers["origin"]).netloc != headers.get("host"):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await Response(status_code=403)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self.app(scope, receive, send_with_headers)
