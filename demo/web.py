"""The page: a server for the browser of this machine alone. Pictures stay in memory, and only until they are answered.

Uploads come as the plain body of a request: a form's parser would put large ones into files.
"""

import asyncio
import base64
import contextlib
import functools
import mimetypes
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from demo.models import Model
from demo.reading import Face, label, read_photo
from demo.tracking import Tracker
from stages.evaluation.saliency import occlusion
from stages.figures.colours import ORANGE, bgr
from stages.files.images import BadPictureError, encode_jpeg
from stages.runtime.errors import UserError
from stages.synthetic.camera import Shot, korean_photo

HOST = "127.0.0.1"
MAX_BYTES = 20_000_000  # of a picture
MAX_FRAME_BYTES = 2_000_000  # of a camera's frame, which the page makes small
# At once. Not uvicorn's limit_concurrency: it counts connections, and a few that ask nothing would lock the page.
MAX_UPLOADS, MAX_CAMERAS = 16, 4
PATIENCE = 30.0  # seconds in which an upload, or the next frame of a camera, must have come
# Sample pictures: invented people, of whom none is in the drawn data sets, as the seed is another than sample.seed.
SAMPLE_SEED, SAMPLE_MEGAPIXELS, SAMPLE_QUALITY = 2024, (0.3, 0.4), 92
# The word for the emotion, and the sizes of the faces.
SAMPLES = ("기쁨", [1.0]), ("슬픔", [1.0, 0.85]), ("분노", [1.0]), ("당황", [1.0])
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(choices: Sequence[Sequence[Model]], port: int) -> None:
    """Serve the page until Ctrl-C; a person chooses which models answer, at first those of `choices[0]`.

    Raises:
        UserError: the port is taken.
    """
    cv2.setNumThreads(1)
    # Windows may know it by another type, which browsers do not run.
    mimetypes.add_type("text/javascript", ".js")
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
        Server(choices).app,
        log_level="critical",
        access_log=False,
        server_header=False,
        headers=list(HEADERS.items()),
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # JPEG does not get smaller
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[place])


class Server:
    """The page's requests, answered one after the other."""

    def __init__(self, choices: Sequence[Sequence[Model]]) -> None:
        """Answer with the models that a request chooses by number."""
        self.choices = choices
        self.turn = anyio.CapacityLimiter(1)
        self.uploads = asyncio.Semaphore(MAX_UPLOADS)
        self.cameras = asyncio.Semaphore(MAX_CAMERAS)
        self.app = Starlette(
            routes=[
                Route("/about", self.about),
                Route("/samples/{number:int}.jpg", self.sample),
                Route("/{choice:int}/faces", self.faces, methods=["POST"], max_body_size=MAX_BYTES),
                Route("/{choice:int}/saliency/{face:int}", self.saliency, methods=["POST"], max_body_size=MAX_BYTES),
                WebSocketRoute("/{choice:int}/live", self.live),
                Mount("/", StaticFiles(directory=Path(__file__).parent / "page", html=True)),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(SameOrigin)],
            exception_handlers={HTTPException: _refuse, BadPictureError: _refuse, Exception: _refuse},
        )

    async def about(self, request: Request) -> Response:
        """What the page says of the models."""
        limits = {"megabytes": MAX_BYTES / 1e6, "samples": len(SAMPLES)}
        return JSONResponse(limits | {"choices": [[_about(model) for model in models] for models in self.choices]})

    async def sample(self, request: Request) -> Response:
        """A drawn picture."""
        number = request.path_params["number"]
        if number >= len(SAMPLES):
            raise HTTPException(404)
        return Response(await self.in_turn(_sample, number), media_type="image/jpeg")

    async def faces(self, request: Request) -> Response:
        """The faces in an uploaded picture."""
        models = self.chosen(request)
        async with self.uploaded(request) as data:
            picture = await self.in_turn(read_photo, data, models)
        size = {"width": picture.width, "height": picture.height, "frames": picture.frames}
        return JSONResponse(size | {"faces": [_described(face, models) for face in picture.faces]})

    async def saliency(self, request: Request) -> Response:
        """What each model's answer for one face of an uploaded picture rests on."""
        models = self.chosen(request)
        async with self.uploaded(request) as data:
            return JSONResponse(await self.in_turn(_explained, data, models, request.path_params["face"]))

    async def live(self, websocket: WebSocket) -> None:
        """The faces in the frames of a camera, followed from frame to frame until the connection ends."""
        models = self.chosen(websocket)
        await websocket.accept()
        if self.cameras.locked():
            await websocket.send_json({"error": "busy"})
            return
        tracker = Tracker(models[-1].card)
        # KeyError: a text instead of a picture.
        with contextlib.suppress(WebSocketDisconnect, KeyError, TimeoutError):
            async with self.cameras:
                while True:
                    async with asyncio.timeout(PATIENCE):
                        data = await websocket.receive_bytes()
                    await websocket.send_json(await self.followed(data, models, tracker))

    async def followed(self, data: bytes, models: Sequence[Model], tracker: Tracker) -> dict[str, Any]:
        """The answer to one frame."""
        try:
            picture = await self.in_turn(read_photo, data, models)
        except BadPictureError as error:
            return {"error": str(error)}
        seen = tracker.update(picture.faces, time.monotonic())
        faces = [_described(face, models) | {"number": number} for number, face in seen]
        return {"width": picture.width, "height": picture.height, "faces": faces}

    def chosen(self, connection: HTTPConnection) -> Sequence[Model]:
        """The models that a request chooses."""
        number = connection.path_params["choice"]
        if number >= len(self.choices):
            raise HTTPException(404)
        return self.choices[number]

    @contextlib.asynccontextmanager
    async def uploaded(self, request: Request) -> AsyncIterator[bytes]:
        """The bytes of an upload; one of too many, or one that does not come, is refused."""
        if self.uploads.locked():
            raise HTTPException(503, "busy")
        async with self.uploads:
            try:
                async with asyncio.timeout(PATIENCE):
                    data = await request.body()
            except TimeoutError:
                raise HTTPException(408, "slow", {"Connection": "close"}) from None
            yield data

    async def in_turn(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do some work in a thread, when all that came before is done."""
        return await anyio.to_thread.run_sync(functools.partial(work, *arguments), limiter=self.turn)


@functools.cache
def _sample(number: int) -> bytes:
    emotion, faces = SAMPLES[number]
    picture, _ = korean_photo(SAMPLE_SEED, Shot(number, number, number, emotion), faces, SAMPLE_MEGAPIXELS)
    return encode_jpeg(picture, SAMPLE_QUALITY)


def _about(model: Model) -> dict[str, Any]:
    card = model.shown
    return {
        "name": card.name,
        "drawn": card.drawn,
        "korean": "korean" in card.trained_on,
        "population": card.provenance.get("population", "Korean"),
        "emotions": card.emotions,
        "unsure": card.export.unsure,
        "recognised": card.recognised,
        "weights": card.provenance["weights"],
    }


def _described(face: Face, models: Sequence[Model]) -> dict[str, Any]:
    """A face as the page takes it; what each model says is in the order of the models."""
    answers = [
        {"label": label(probability, model.shown), "probability": [round(float(share), 4) for share in probability]}
        for model, probability in zip(models, face.probability, strict=True)
    ]
    return {"box": [round(side, 1) for side in face.box], "answers": answers}


def _explained(data: bytes, models: Sequence[Model], number: int) -> dict[str, Any]:
    """The face as the networks see it, and for each model what its likeliest emotion rests on, as PNG pictures."""
    faces = read_photo(data, models).faces
    if number >= len(faces):
        raise HTTPException(404)
    face = faces[number]
    maps = [
        occlusion(model.predict, face.picture, int(probability.argmax()))
        for model, probability in zip(models, face.probability, strict=True)
    ]
    return {"picture": _png(face.picture), "maps": [_png(_overlay(fall)) for fall in maps]}


async def _refuse(request: Request, error: Exception) -> Response:
    """The reason as the page knows it; of a fault of ours, no more than that there is one."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    if isinstance(error, BadPictureError):
        return JSONResponse({"error": str(error)}, 422)
    return JSONResponse({"error": "fault"}, 500)


def _png(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()


def _overlay(fall: np.ndarray) -> np.ndarray:
    """Orange that covers the more the more the answer rests on a pixel: BGRA, uint8 (size, size, 4)."""
    share = np.maximum(fall, 0) / max(float(fall.max()), 1e-9)
    alpha = (255 * 0.85 * share).round().astype(np.uint8)
    colour = np.broadcast_to(np.array(bgr(ORANGE), np.uint8), (*fall.shape, 3))
    return np.dstack([colour, alpha])


class SameOrigin:
    """Turns away requests that another site's page makes in the same browser."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        app = self.app
        if scope["type"] in ("http", "websocket"):
            headers = HTTPConnection(scope).headers
            if headers.get("origin") not in (None, f"http://{headers.get('host')}"):
                app = Response(status_code=403)
        await app(scope, receive, send)
