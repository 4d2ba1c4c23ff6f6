"""The page of the demo: its server, and what a user sees of it in a real browser (Chromium, where it is installed)."""

import asyncio
import contextlib
import http.client
import inspect
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from conftest import PARAMS
from PIL import Image
from samples import face_photo, jpeg, noise, wait_for
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from demo import web
from demo.models import find_models
from demo.reading import label, read_photo
from stages.files import images
from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent
EMOTIONS = list(PARAMS["emotions"])
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser_needed = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium; on Debian: apt install chromium fonts-noto-cjk"
)
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


class Running(NamedTuple):
    """A server in a process of its own; its folders for data and temporary files are in `folder`."""

    port: int
    process: subprocess.Popen[str]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def read(self, data: Any) -> tuple[int, Any]:
        status, body = self.ask("POST", "/faces", data)
        return status, json.loads(body)

    def is_well(self) -> bool:
        status, answer = self.read(PHOTO)
        return self.process.poll() is None and status == 200 and len(answer["faces"]) == 1


PHOTO = jpeg(face_photo(0)[0])


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP", "HOME"), str(folder))
    command = [sys.executable, "-m", "demo", "--web", "--port", "0", "--model", str(model_folder)]
    with (
        open(folder.parent / "server.log", "w+", encoding="utf-8") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        port = int(re.findall(r"http://127\.0\.0\.1:(\d+) ", process.stdout.readline())[0])
        yield Running(port, process, folder)
        process.terminate()
        process.wait(10)
        log.seek(0)
        assert log.read() == "".join(
            f"model: {model_folder / name}.onnx, tested on fer2013 and korean\n" for name in ("before", "after")
        )


@pytest.fixture(autouse=True)
def nothing_is_written(server: Running) -> Iterator[None]:
    """No test leaves a file of the server behind."""
    yield
    assert not list(server.folder.iterdir())


@pytest.fixture(autouse=True)
def rested(server: Running) -> None:
    """The rate limit of the test before is over."""
    wait_for(server.is_well)


def test_answers_are_those_of_the_models(server: Running, model_folder: Path) -> None:
    data = jpeg(np.hstack([face_photo(0)[0][:500], face_photo(3)[0][:500]]))
    models = find_models(model_folder)
    picture = read_photo(data, models)
    status, answer = server.read(data)
    assert status == 200
    assert (answer["width"], answer["height"], len(answer["faces"])) == (picture.width, picture.height, 2)
    for given, face in zip(answer["faces"], picture.faces, strict=True):
        assert given["box"] == pytest.approx(face.box, abs=0.1)
        assert len(given["answers"]) == 2
        for one, probability, model in zip(given["answers"], face.probability, models, strict=True):
            assert one["probability"] == pytest.approx(probability, abs=1e-4)
            assert one["label"] == label(probability, model.card)


def test_only_this_machine_can_reach_it(server: Running) -> None:
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
    places = [line.split()[3] for line in listening.splitlines() if line.split()[3].endswith(f":{server.port}")]
    assert places in ([], [f"127.0.0.1:{server.port}"])
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", server.port)) != 0


def test_other_sites_are_turned_away(server: Running) -> None:
    assert server.ask("GET", "/", Host="evil.example")[0] == 400
    assert server.ask("POST", "/faces", PHOTO, Origin="http://evil.example")[0] == 403
    assert server.ask("POST", "/faces", PHOTO, Origin=server.url)[0] == 200
    with pytest.raises(WebSocketException), connect(f"ws://127.0.0.1:{server.port}/live", origin="http://evil.example"):
        pass


def png_header(width: int, height: int) -> bytes:
    data = bytearray(cv2.imencode(".png", noise(1, 8, 8))[1].tobytes())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"", 422, "empty"),
        (b"GIF? no.", 422, "not a picture"),
        (PHOTO[:-3000], 422, "cut off"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), 422, "Convert it to JPEG"),
        (png_header(60_000, 60_000), 422, "too many pixels"),
        (b"\0" * (web.MAX_BYTES + 1), 413, "larger than 20 MB"),
    ],
)
def test_what_is_refused(server: Running, data: bytes, status: int, sentence: str) -> None:
    given, answer = server.read(data)
    assert given == status
    assert sentence in answer["error"]["en"]
    assert re.search("[가-힣]", answer["error"]["ko"])
    assert server.is_well()


def test_every_reason_for_a_bad_picture_has_its_sentences() -> None:
    reasons = set(re.findall(r'BadPictureError\("([^"]+)"\)', inspect.getsource(images)))
    assert reasons == {*web.UNUSABLE, "not square"}  # the last of a face, not of an upload


def memory(process: subprocess.Popen[str]) -> float:
    """Largest memory so far, megabytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_an_upload_of_200_megabytes_takes_no_memory(server: Running) -> None:
    before = memory(server.process)
    assert server.read(b"\xff\xd8" + bytes(200_000_000))[0] == 413
    assert memory(server.process) - before < 60
    # Without its length, in pieces.
    status, _ = server.ask("POST", "/faces", (bytes(1_000_000) for _ in range(200)))
    assert status == 413
    assert memory(server.process) - before < 60
    assert server.is_well()


def test_fifty_requests_at_once(server: Running) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: server.read(PHOTO), range(50)))
    statuses = [status for status, _ in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= web.MAX_WAITING
    assert all("faces" in answer or "Too many" in answer["error"]["en"] for _, answer in answers)
    wait_for(server.is_well)


def test_the_rate_is_limited(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(web.time, "monotonic", lambda: clock[0])
    page = web.Server(find_models(model_folder))

    async def ask() -> bool:
        try:
            async with page.admitted():
                return True
        except web.Refusal as refusal:
            assert refusal.status == 503
            return False

    asked = [asyncio.run(ask()) for _ in range(100)]
    assert asked == [True] * int(web.BURST) + [False] * (100 - int(web.BURST))
    clock[0] += 1
    assert [asyncio.run(ask()) for _ in range(100)].count(True) == int(web.RATE)


def test_a_body_that_does_not_come(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up nobody else."""
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /faces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc")
        assert server.is_well()
    assert server.is_well()


def test_no_such_thing(server: Running) -> None:
    assert server.ask("GET", "/../params.yaml")[0] == 404
    assert server.ask("GET", "/samples/99.jpg")[0] == 404
    assert server.ask("POST", "/saliency/7", PHOTO)[0] == 400
    assert server.ask("GET", "/faces")[0] == 405


def test_a_fault_of_ours_is_one_sentence(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    response = asyncio.run(web._fault(None, ValueError("secret")))  # type: ignore[arg-type]
    assert response.status_code == 500
    assert b"Something went wrong" in response.body
    assert b"secret" not in response.body


def test_live_pictures_are_followed_and_smoothed(server: Running) -> None:
    picture = cv2.resize(face_photo(0)[0], (360, 480))
    frames = [jpeg(picture), jpeg(np.ascontiguousarray(picture[:, ::-1]))]
    with connect(f"ws://127.0.0.1:{server.port}/live") as live:
        answers = []
        for frame in frames:
            live.send(frame)
            answers.append(json.loads(live.recv()))
        assert [face["number"] for face in answers[0]["faces"]] == [1]
        first, single = answers[0]["faces"][0], server.read(frames[1])[1]
        follower, alone = answers[1]["faces"][0], single["faces"][0]
        assert follower["number"] == 1
        for now, before, unsmoothed in zip(follower["answers"], first["answers"], alone["answers"], strict=True):
            low = np.minimum(before["probability"], unsmoothed["probability"])
            high = np.maximum(before["probability"], unsmoothed["probability"])
            assert (low - 1e-3 <= now["probability"]).all()
            assert (now["probability"] <= high + 1e-3).all()
            assert now["probability"] != unsmoothed["probability"]
        live.send(b"no picture")
        assert "not a picture" in json.loads(live.recv())["error"]["en"]
        live.send(PHOTO)
        assert json.loads(live.recv())["faces"]


def test_only_some_cameras_at_once(server: Running) -> None:
    with contextlib.ExitStack() as stack:
        url = f"ws://127.0.0.1:{server.port}/live"
        for _ in range(web.MAX_STREAMS):
            stack.enter_context(connect(url)).send(PHOTO)
        assert "Too many" in json.loads(stack.enter_context(connect(url)).recv())["error"]["en"]

    def works() -> bool:
        with contextlib.suppress(WebSocketException), connect(url) as live:
            live.send(PHOTO)
            return "faces" in json.loads(live.recv())
        return False

    wait_for(works)


def test_a_text_instead_of_a_picture_ends_the_live_picture(server: Running) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/live") as live:
        live.send("text")
        with pytest.raises(WebSocketException):
            live.recv()
    assert server.is_well()


def test_a_taken_port_is_one_sentence(server: Running, model_folder: Path) -> None:
    with pytest.raises(UserError, match=f"Port {server.port} .* --port"):
        web.serve(find_models(model_folder), server.port)


def test_the_map_of_an_answer_is_darkest_where_it_rests_on_most() -> None:
    fall = np.array([[0.5, 0.25], [0, -0.5]])
    assert web._overlay(fall)[..., 3].tolist() == [[217, 108], [0, 0]]
    assert not web._overlay(np.zeros((2, 2)))[..., 3].any()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium that reaches nothing but this machine, with a camera that shows a drawn face."""
    from playwright.sync_api import sync_playwright

    film = tmp_path_factory.mktemp("film") / "film.mjpeg"
    film.write_bytes(jpeg(cv2.resize(face_photo(0)[0], (480, 640))) * 30)
    flags = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=flags) as chromium:
        yield chromium


@pytest.fixture
def open_page(browser: Any, server: Running) -> Iterator[Callable[..., Any]]:
    """Open the page; afterwards it must have asked nobody else and reported no error."""
    with contextlib.ExitStack() as stack:
        asked, errors = [], []

        def new(**settings: Any) -> Any:
            context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB"} | settings)
            stack.callback(context.close)
            context.grant_permissions(["camera"], origin=server.url)
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.goto(server.url)
            page.wait_for_selector("[data-ready]")
            return page

        yield new
        assert all(
            url.startswith((f"{server.url}/", f"ws://127.0.0.1:{server.port}/", "blob:", "data:")) for url in asked
        )
        assert not [error for error in errors if "422" not in error and "413" not in error]


def upload(page: Any, data: bytes, name: str = "사진.jpg") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})


def bars(page: Any) -> dict[tuple[str, str], str]:
    return {
        (figure.get_attribute("data-model"), figure.get_attribute("data-emotion")): figure.inner_text()
        for figure in page.query_selector_all(".bars output")
    }


@browser_needed
def test_upload(open_page: Callable[..., Any], server: Running) -> None:
    page = open_page()
    upload(page, PHOTO)
    page.wait_for_selector(".face")
    answers = server.read(PHOTO)[1]["faces"][0]["answers"]
    assert page.inner_text(".face .label") == answers[-1]["label"]
    expected = {
        (model, emotion): f"{int(100 * share + 0.5)}%"
        for model, answer in zip(("before", "after"), answers, strict=True)
        for emotion, share in zip(EMOTIONS, answer["probability"], strict=True)
    }
    assert bars(page) == expected
    assert page.inner_text("#status") == "1 face"
    width = page.evaluate("document.querySelector('.bars b').getBoundingClientRect().width")
    track = page.evaluate("document.querySelector('.bars i').getBoundingClientRect().width")
    assert width / track == pytest.approx(answers[0]["probability"][0], abs=0.02)
    page.click(".face button")
    page.wait_for_selector(".maps .map >> nth=1")
    assert page.evaluate("[...document.querySelectorAll('.maps img')].every((image) => image.naturalWidth === 48)")


@browser_needed
def test_refusals_on_the_page(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page()
    for data, sentence in ((b"text", "not a picture"), (png_header(60_000, 60_000), "too many pixels")):
        upload(page, data)
        page.wait_for_selector(f"#status:has-text('{sentence}')")
        assert not page.query_selector(".face")
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\0" * (web.MAX_BYTES + 1))
    page.set_input_files("#file", large)
    page.wait_for_selector("#status:has-text('larger than 20 MB')")
    upload(page, jpeg(np.full((90, 90, 3), 80, np.uint8)))
    page.wait_for_selector("#status:has-text('No face found')")
    upload(page, PHOTO)
    page.wait_for_selector(".face")


@browser_needed
def test_of_an_animation_the_first_picture_is_read_and_it_says_so(open_page: Callable[..., Any]) -> None:
    frames = [Image.fromarray(np.roll(face_photo(0)[0][..., ::-1], 90 * n, axis=1)) for n in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    page = open_page()
    upload(page, file.getvalue())
    page.wait_for_selector(".face")
    assert page.inner_text("#status") == "1 face · Only the first of its 3 pictures was read."
    page.click("[data-language=ko]")
    assert page.inner_text("#status") == "얼굴 1개 · 사진 3장 중 첫 장만 읽었습니다."


@browser_needed
def test_a_turn_that_the_browser_does_not_understand(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate("createImageBitmap = async () => ({ width: 640, height: 480 })")
    upload(page, PHOTO)
    page.wait_for_selector(".face")
    assert page.inner_text("#status") == "1 face · This browser cannot show this kind of picture."
    assert not page.is_visible("#canvas")


@browser_needed
def test_camera(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click("#camera")
    page.wait_for_selector(".face .label")
    assert page.inner_text(".face h2").startswith("Face 1")
    assert page.is_visible("#canvas")
    seen = page.evaluate(
        "new Promise((done) => { let changes = 0; const faces = document.getElementById('faces');"
        "new MutationObserver(() => { if (++changes === 5) done(changes); }).observe(faces, { childList: true }); })"
    )
    assert seen == 5
    page.click("#camera")
    page.wait_for_selector("#camera:not(.live)")
    assert not page.query_selector(".face")


@browser_needed
def test_samples_and_languages(open_page: Callable[..., Any]) -> None:
    page = open_page(locale="ko-KR")
    assert page.inner_text("h1") == "얼굴은 무엇을 표현하나요?"
    page.click("#samples button >> nth=1")
    page.wait_for_selector(".face >> nth=1")
    assert page.inner_text("#status") == "얼굴 2개"
    assert page.inner_text(".bars span >> nth=2") == "기쁨"
    page.click("[data-language=en]")
    assert page.inner_text("h1") == "What does a face express?"
    assert page.inner_text("#status") == "2 faces"
    assert page.inner_text(".bars span >> nth=2") == "happy"
    page.click("a[href='#limits'] >> visible=true")
    assert page.is_visible("#errors")
    assert page.inner_text("#errors td >> nth=0") == "50%"


@browser_needed
def test_says_that_a_model_knows_drawn_faces_alone(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert page.is_hidden("#drawn")
    page.route("**/about", lambda route: route.fulfill(json=route.fetch().json() | {"drawn": True}))
    page.reload()
    page.wait_for_selector("[data-ready]")
    assert "trained on drawn faces" in page.inner_text("#drawn")


@browser_needed
def test_a_model_that_is_called_as_a_data_set_is_keeps_its_name(open_page: Callable[..., Any]) -> None:
    page = open_page()

    def rename(route: Any) -> None:
        about = route.fetch().json()
        about["models"][0]["name"] = "fer2013"
        route.fulfill(json=about)

    page.route("**/about", rename)
    page.reload()
    page.wait_for_selector("[data-ready]")
    assert page.text_content("#errors th >> nth=1") == "FER2013 facesfer2013"


@browser_needed
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_fits_and_can_be_read(open_page: Callable[..., Any], scheme: str, size: dict[str, int], tmp_path: Path) -> None:
    page = open_page(viewport=size, color_scheme=scheme, locale="ko-KR")
    page.click("#samples button >> nth=1")
    page.wait_for_selector(".face >> nth=1")
    page.evaluate("document.getElementById('limits').open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for selector in ("h1", ".face h2", ".bars h3", ".notice", "#camera"):
        assert contrast(page, selector) >= 4.5, selector
    assert all(button.bounding_box()["height"] >= 35 for button in page.query_selector_all("button >> visible=true"))
    page.screenshot(path=tmp_path / "page.png", full_page=True)


def contrast(page: Any, selector: str) -> float:
    """Contrast of text and ground (WCAG 2.2, 1.4.3)."""
    ink, ground = page.evaluate(
        """(selector) => {
            let node = document.querySelector(selector), ink = getComputedStyle(node).color, ground;
            do { ground = getComputedStyle(node).backgroundColor; node = node.parentElement; }
            while (node && ground === 'rgba(0, 0, 0, 0)');
            return [ink, ground].map((colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number));
        }""",
        selector,
    )
    light, dark = sorted((luminance(colour) for colour in (ink, ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
