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
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import pytest
from conftest import PARAMS
from networks import card
from PIL import Image
from samples import changed, face_photo, jpeg, noise, wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from demo import web
from demo.models import find_models
from demo.reading import label, read_photo
from stages.deployment.model_card import learned, to_texts
from stages.files import images
from stages.runtime.errors import UserError

ROOT = Path(__file__).parent.parent
EMOTIONS = list(PARAMS["emotions"])
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser_needed = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium; on Debian: apt install chromium fonts-noto-cjk"
)
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


# Runs the demo, and writes down what it opens for writing and whom it asks: `python -c WATCH TRACE PATIENCE ARGUMENTS`.
WATCH = """
import os, runpy, signal, sys
trace = open(sys.argv.pop(1), "w", buffering=1)
def watch(event, values):
    if event == "open" and (set(values[1] or "") & set("wax+") or (values[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
        trace.write(f"writes {values[0]}\\n")
    elif event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir"):
        trace.write(f"{event} {values}\\n")
sys.addaudithook(watch)
import demo.web
demo.web.PATIENCE = float(sys.argv.pop(1))
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
runpy.run_module("demo", run_name="__main__", alter_sys=True)
"""


class Running(NamedTuple):
    """A server in a process of its own; its folders for data and temporary files are in `folder`."""

    port: int
    process: subprocess.Popen[str]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def live(self) -> str:
        return f"ws://127.0.0.1:{self.port}/0/live"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def read(self, data: Any) -> tuple[int, Any]:
        status, body = self.ask("POST", "/0/faces", data)
        return status, json.loads(body)

    def is_well(self) -> bool:
        status, answer = self.read(PHOTO)
        return self.process.poll() is None and status == 200 and len(answer["faces"]) == 1

    def figure(self, file: str, name: str) -> int:
        """A number that Linux counts of the process."""
        found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{self.process.pid}/{file}").read_text(), re.MULTILINE)
        assert found
        return int(found[1])


PHOTO = jpeg(face_photo(0)[0])
linux_needed = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads what Linux counts of a process")


@contextlib.contextmanager
def started(folder: Path, *arguments: str, patience: float = 30, status: int = -signal.SIGTERM) -> Iterator[Running]:
    """A server that runs in `folder`; at its end it has written no file and asked nobody."""
    folder.mkdir(exist_ok=True)
    trace, log = folder.with_name(f"{folder.name}.trace"), folder.with_name(f"{folder.name}.log")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP", "HOME"), str(folder))
    command = [sys.executable, "-c", WATCH, str(trace), str(patience), "--web", "--port", "0", *arguments]
    with (
        open(log, "w", encoding="utf-8") as errors,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        port = int(re.findall(r"http://127\.0\.0\.1:(\d+) ", process.stdout.readline())[0])
        try:
            yield Running(port, process, folder)
        finally:
            process.terminate()
            process.wait(20)
    assert process.returncode == status
    assert trace.read_text() == ""
    assert all(line.startswith("model: ") for line in log.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("server"), "--model", str(model_folder)) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_written(server: Running) -> Iterator[None]:
    """No test leaves a file of the server behind."""
    yield
    assert not list(server.folder.iterdir())


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


STRANGERS = ["http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}", "null"]


@pytest.mark.parametrize("path", ["/", "/page.js", "/about", "/samples/0.jpg", "/0/faces", "/0/saliency/0"])
def test_other_sites_are_turned_away(server: Running, path: str) -> None:
    method, body = ("POST", PHOTO) if path.startswith("/0") else ("GET", None)
    for origin in STRANGERS:
        assert server.ask(method, path, body, Origin=origin.format(port=server.port))[0] == 403
    # Another name for this machine, as DNS rebinding gives it.
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", ""):
        assert server.ask(method, path, body, Host=host)[0] == 400
        assert server.ask(method, path, body, Host=host, Origin=f"http://{host}")[0] == 400
    assert server.ask(method, path, body, Origin=server.url)[0] == 200
    local = f"localhost:{server.port}"
    assert server.ask(method, path, body, Host=local, Origin=f"http://{local}")[0] == 200


def test_live_pictures_of_other_sites_are_turned_away(server: Running) -> None:
    for origin in STRANGERS:
        with pytest.raises(InvalidStatus, match="403"), connect(server.live, origin=origin.format(port=server.port)):
            pass
    with (
        socket.create_connection(("127.0.0.1", server.port)) as place,
        pytest.raises(InvalidStatus, match="400"),
        connect(f"ws://evil.example:{server.port}/0/live", sock=place),
    ):
        pass
    with connect(server.live, origin=server.url) as live:
        live.send(PHOTO)
        assert json.loads(live.recv())["faces"]


def png_header(width: int, height: int) -> bytes:
    data = bytearray(cv2.imencode(".png", noise(1, 8, 8))[1].tobytes())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"GIF? no.", "not a picture"),
        (PHOTO[:-3000], "cut off"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), "HEIC is not read: convert it to JPEG"),
        (png_header(60_000, 60_000), "too many pixels"),
    ],
)
def test_what_is_refused(server: Running, data: bytes, reason: str) -> None:
    assert server.read(data) == (422, {"error": reason})
    assert server.is_well()


def test_every_reason_has_its_sentences() -> None:
    reasons = set(re.findall(r'BadPictureError\("([^"]+)"\)', inspect.getsource(images))) - {"not square"}  # of a face
    reasons |= set(re.findall(r'HTTPException\(\d+, "(\w+)"', inspect.getsource(web))) | {"fault"}
    page = (ROOT / "demo/page/page.js").read_text(encoding="utf-8")
    table = page.partition("const REASONS = {\n")[2].partition("\n};")[0]
    assert set(re.findall(r'^  "?([^":{}]+(?:: [^":{}]+)?)"?: \{', table, re.MULTILINE)) == reasons | {
        "offline",
        "too large",
    }
    assert table.count("en: ") == table.count("ko: ") == len(reasons) + 2


@linux_needed
def test_an_upload_of_200_megabytes_takes_no_memory(server: Running) -> None:
    before = server.figure("status", "VmHWM")
    for body in (
        b"\xff\xd8" + bytes(200_000_000),
        (bytes(1_000_000) for _ in range(200)),
    ):  # the second without a length
        assert server.ask("POST", "/0/faces", body)[0] == 413
    assert server.figure("status", "VmHWM") - before < 60_000  # kB
    assert server.is_well()


@linux_needed
def test_200_requests_at_once(server: Running) -> None:
    data = PHOTO + bytes(2_000_000)
    assert server.is_well()
    before = server.figure("status", "VmHWM")
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: server.read(data), range(200)))
    statuses = [status for status, _ in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= web.MAX_UPLOADS
    assert all("faces" in answer or answer == {"error": "busy"} for _, answer in answers)
    # Of 400 MB sent, no more than the admitted ones were kept, and copies of one.
    assert server.figure("status", "VmHWM") - before < 120_000  # kB
    assert server.is_well()


def test_only_some_cameras_at_once(server: Running) -> None:
    def first_answer(live: Any) -> Any:
        with contextlib.suppress(ConnectionClosed):
            live.send(PHOTO)
        return json.loads(live.recv())

    with contextlib.ExitStack() as stack:
        answers = [first_answer(stack.enter_context(connect(server.live))) for _ in range(50)]
        assert all("faces" in answer for answer in answers[: web.MAX_CAMERAS])
        assert answers[web.MAX_CAMERAS :] == [{"error": "busy"}] * (50 - web.MAX_CAMERAS)

    def works() -> bool:
        with connect(server.live) as live:
            return "faces" in first_answer(live)

    wait_for(works)


def test_slow_clients(model_folder: Path, tmp_path: Path) -> None:
    """They lock nobody out of the page, and only for a while out of the model."""
    with (
        contextlib.ExitStack() as stack,
        started(tmp_path / "slow", "--model", str(model_folder), patience=2) as server,
    ):
        begun = [
            b"POST /0/faces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc",
            b"GET / HTTP/1.1\r\nHost: 127",
        ]
        silent = stack.enter_context(connect(server.live))
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(200)]
        for number, client in enumerate(slow):
            client.sendall(begun[number % 2])
        assert server.ask("GET", "/")[0] == 200
        wait_for(server.is_well)
        answers = [client.makefile("rb").readline() for client in slow[::2]]
        assert {answer.split()[1] for answer in answers} == {b"408", b"503"}
        assert answers[: web.MAX_UPLOADS] == [b"HTTP/1.1 408 Request Timeout\r\n"] * web.MAX_UPLOADS
        with pytest.raises(ConnectionClosed):
            silent.recv(timeout=20)


@linux_needed
def test_pictures_never_touch_the_disk(server: Running) -> None:
    """Neither does C++ code write, which an audit hook does not see: the kernel counts not one byte."""
    before = server.figure("io", "wchar")
    assert server.is_well()
    assert server.ask("POST", "/0/saliency/0", PHOTO)[0] == 200
    assert server.read(PHOTO[:-3000])[0] == 422
    with connect(server.live) as live:
        live.send(PHOTO)
        assert json.loads(live.recv())["faces"]
    assert server.figure("io", "wchar") == before


@linux_needed
def test_memory_is_flat_over_a_long_camera_session(server: Running) -> None:
    picture = cv2.resize(face_photo(0)[0], (120, 160))
    frames = [jpeg(np.roll(picture, shift, axis=1)) for shift in range(0, 20, 2)]
    sizes = []
    with connect(server.live) as live:
        for number in range(200):
            live.send(frames[number % len(frames)])
            assert "faces" in json.loads(live.recv())
            if number % 50 == 49:
                sizes.append(server.figure("status", "VmRSS"))
    assert sizes[-1] - sizes[1] < 4_000  # kB


def test_ctrl_c_ends_it_while_a_camera_streams(model_folder: Path, tmp_path: Path) -> None:
    with started(tmp_path / "stopped", "--model", str(model_folder), status=130) as server:
        seen = threading.Event()

        def stream() -> None:
            with contextlib.suppress(ConnectionClosed), connect(server.live) as live:
                while True:
                    live.send(PHOTO)
                    live.recv()
                    seen.set()

        with ThreadPoolExecutor() as pool:
            pool.submit(stream)
            assert seen.wait(20)
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(10) == 130


def test_no_such_thing(server: Running) -> None:
    for method, path in (
        *(("GET", "/../params.yaml"), ("GET", "/..%2f__main__.py"), ("GET", "/samples/99.jpg"), ("GET", "/0/faces")),
        *(("POST", "/0/saliency/7"), ("POST", "/7/faces"), ("POST", "/7/saliency/0")),
    ):
        assert server.ask(method, path, PHOTO if method == "POST" else None)[0] in (404, 405), path


def test_a_fault_of_ours_is_one_word(model_folder: Path) -> None:
    response = asyncio.run(web._refuse(None, ValueError("secret")))  # type: ignore[arg-type]
    assert (response.status_code, response.body) == (500, b'{"error":"fault"}')


def test_live_pictures_are_followed_and_smoothed(server: Running) -> None:
    picture = cv2.resize(face_photo(0)[0], (360, 480))
    frames = [jpeg(picture), jpeg(np.ascontiguousarray(picture[:, ::-1]))]
    with connect(server.live) as live:
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
        assert json.loads(live.recv()) == {"error": "not a picture"}
        live.send(PHOTO)
        assert json.loads(live.recv())["faces"]


def test_a_text_instead_of_a_picture_ends_the_live_picture(server: Running) -> None:
    with connect(server.live) as live:
        live.send("text")
        with pytest.raises(ConnectionClosed):
            live.recv()
    assert server.is_well()


def test_a_taken_port_is_one_sentence(server: Running, model_folder: Path) -> None:
    with pytest.raises(UserError, match=f"Port {server.port} .* --port"):
        web.serve([find_models(model_folder)], server.port)


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
            url.startswith(("http://127.0.0.1:", f"ws://127.0.0.1:{server.port}/", "blob:", "data:", "about:"))
            for url in asked
        )
        assert not [error for error in errors if "422" not in error and "413" not in error]


def upload(page: Any, data: bytes, name: str = "사진.jpg") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})


def bars(page: Any) -> dict[tuple[str, str], str]:
    return {
        (figure.get_attribute("data-model"), figure.get_attribute("data-emotion")): figure.inner_text()
        for figure in page.query_selector_all(".bars .share")
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
    assert page.inner_text(".legend").startswith("Orange: the answer is based on this part.")


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
    assert page.inner_text(".bars th[scope=row] >> nth=1") == "기쁨"
    page.click("[data-language=en]")
    assert page.inner_text("h1") == "What does a face express?"
    assert page.inner_text("#status") == "2 faces"
    assert page.inner_text(".bars th[scope=row] >> nth=1") == "happy"
    page.click("a[href='#limits'] >> visible=true")
    assert page.is_visible("#errors")
    assert page.inner_text("#errors td >> nth=1") == "50%"


def with_about(page: Any, change: Callable[[Any], None]) -> None:
    """Open the page again, with something else said of the models."""

    def answer(route: Any) -> None:
        about = route.fetch().json()
        change(about)
        route.fulfill(json=about)

    page.route("**/about", answer)
    page.reload()
    page.wait_for_selector("[data-ready]")


@browser_needed
def test_says_that_a_model_knows_drawn_faces_alone(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert page.is_hidden("#drawn")
    with_about(page, lambda about: about["choices"][0][-1].update(drawn=True))
    assert "trained on drawn faces" in page.inner_text("#drawn")


@browser_needed
def test_a_model_that_is_called_as_a_data_set_is_keeps_its_name(open_page: Callable[..., Any]) -> None:
    page = open_page()
    with_about(page, lambda about: about["choices"][0][0].update(name="fer2013"))
    assert page.text_content("#errors th >> nth=0") == "FER2013 facesfer2013"


@browser_needed
def test_the_start_says_what_to_do_and_who_answers(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert page.inner_text("#invitation h2") == "Drop a picture here, or paste one"
    assert page.inner_text("#emotions").split() == EMOTIONS
    assert page.inner_text("#trained").splitlines() == [
        "before transfer: trained on photos of FER2013, mostly of Western people",
        "after transfer: trained on photos of FER2013, then of Korean people",
    ]
    assert page.is_hidden("#choices")
    with_about(page, lambda about: about["choices"][0][1].update(population="Taiwanese"))
    assert "then of Taiwanese people" in page.inner_text("#trained")
    assert page.text_content("#errors th >> nth=3") == "Taiwanese facesafter transfer"


@browser_needed
@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted(open_page: Callable[..., Any], event: str) -> None:
    page = open_page()
    page.evaluate(
        """([event, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "a.jpg", { type: "image/jpeg" }));
            document.body.dispatchEvent(event === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }""",
        [event, list(PHOTO)],
    )
    page.wait_for_selector(".face")
    assert page.is_hidden("#invitation")


@browser_needed
def test_one_picture_at_a_time_and_it_says_so(open_page: Callable[..., Any]) -> None:
    page = open_page()
    drop = """([files]) => {
        const data = new DataTransfer();
        files.forEach((bytes) => data.items.add(new File([new Uint8Array(bytes)], "a.jpg", { type: "image/jpeg" })));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [[list(PHOTO)] * 3])
    page.wait_for_selector(".face")
    assert page.inner_text("#status") == "1 face · 2 more left out: one picture at a time."
    page.evaluate(drop, [[]])
    assert page.inner_text("#status") == "There is no picture file in it."
    page.click("[data-language=ko]")
    assert page.inner_text("#status") == "사진 파일이 없습니다."


@browser_needed
def test_a_camera_too_many_is_told_so(open_page: Callable[..., Any], server: Running) -> None:
    page = open_page()
    with contextlib.ExitStack() as stack:
        for _ in range(web.MAX_CAMERAS):
            live = stack.enter_context(connect(server.live))
            live.send(PHOTO)
            live.recv()
        page.click("#camera")
        page.wait_for_selector("#status:has-text('Too many pictures at once')")
        page.wait_for_timeout(300)
        assert page.inner_text("#status") == "Too many pictures at once. Try again in a moment."
        assert page.query_selector("#camera:not(.live)")


@browser_needed
def test_a_sample_from_a_server_that_is_gone(browser: Any, model_folder: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(model_folder)) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector("[data-ready]")
        page.click("#samples button >> nth=0")
        page.wait_for_selector(".face")
    page.click("#samples button >> nth=1")
    page.wait_for_selector("#status:has-text('The server does not answer')")
    assert not page.query_selector(".face")
    page.close()


@browser_needed
def test_models_to_choose_and_what_they_call_surprise(
    open_page: Callable[..., Any], model_folder: Path, tmp_path: Path
) -> None:
    emotions = {"angry": "분노", "embarrassed": "당황", "sad": "슬픔"}
    for path, drawn in (("data/export/before", True), ("data/export/after", True), ("weights/fer2013", False)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        name = Path(path).name
        copy = onnx.load(model_folder / ("after.onnx" if name == "fer2013" else f"{name}.onnx"))
        recognised = {"fer2013": dict.fromkeys(emotions, 0.5)}
        taught = learned(emotions, {"angry": "angry", "surprise": "embarrassed", "sad": "sad"}, True, name == "after")
        values = {"emotions": emotions, "drawn": drawn, "recognised": recognised, "trained_on": taught}
        texts = to_texts(changed(card(name), **values))
        onnx.helper.set_model_props(copy, texts)
        onnx.save(copy, tmp_path / f"{path}.onnx")
    shutil.copy(tmp_path / "weights/fer2013.onnx", tmp_path / "weights/fer2013_small.onnx")
    with started(tmp_path) as server:
        page = open_page()
        page.goto(server.url)
        page.wait_for_selector("[data-ready]")
        assert page.inner_text("#choices").split("\n") == [
            *("fer2013", "Compare fer2013 and fer2013", "Compare before transfer and after transfer")
        ]
        assert page.inner_text("#emotions").split() == ["angry", "surprised", "sad"]
        assert not page.query_selector(".surprised[hidden]")
        upload(page, PHOTO)
        page.wait_for_selector(".face")
        assert not page.query_selector(".bars th[scope=col]")
        page.click("#choices button >> nth=2")
        page.wait_for_selector(".bars th[scope=col] >> nth=1")
        assert page.inner_text(".bars th[scope=row] >> nth=1") == "surprised\u00a0/ embarrassed"
        # However long the models' names are, a share is as long for one as for the other.
        page.eval_on_selector(".bars th[scope=col] >> nth=0", "heading => { heading.firstChild.data = 'a_long_name'; }")
        first, second = (track.bounding_box()["width"] for track in page.query_selector_all(".bars i")[:2])
        assert first == pytest.approx(second, abs=1)
        assert {key for key in bars(page) if key[1] not in ("angry", "sad")} == {
            *(("before", "surprised"), ("after", "embarrassed"))
        }
        # An answer that comes after others were chosen is of the former ones.
        late: list[Any] = []
        page.route("**/0/faces", lambda route: late.append(route))
        with page.expect_request("**/0/faces"):
            page.click("#choices button >> nth=0")
        page.click("#choices button >> nth=2")
        page.wait_for_selector(".bars th[scope=col] >> nth=1")
        with page.expect_response("**/0/faces"):
            late[0].continue_()
        page.wait_for_timeout(200)
        assert len(page.query_selector_all(".bars th[scope=col]")) == 2
        assert page.inner_text("#status") == "1 face"
        page.unroute("**/0/faces")
        page.click("[data-language=ko]")
        assert page.inner_text(".bars th[scope=row] >> nth=1") == "놀람\u00a0/ 당황"
        page.click("#choices button >> nth=0")
        page.wait_for_selector(".bars th[scope=row]:has-text('놀람')")
        page.goto("about:blank")


@browser_needed
def test_the_keyboard_is_enough(open_page: Callable[..., Any]) -> None:
    page = open_page()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    assert reached[:5] == ["English", "한국어", "how often", "choose", "camera"]
    # In place of the browser's dialog, which is not part of the page.
    page.eval_on_selector("#file", "file => file.onclick = () => { window.asked = true; return false }")
    page.focus("#choose")
    page.keyboard.press("Space")
    page.wait_for_function("window.asked")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".face")
    page.focus(".face button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".maps")
    assert page.evaluate("document.activeElement.innerText").startswith("Face 1")


@browser_needed
@pytest.mark.parametrize("language", ["en-GB", "ko-KR"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_fits_and_is_accessible(
    open_page: Callable[..., Any], language: str, scheme: str, size: dict[str, int], tmp_path: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(viewport=size, color_scheme=scheme, locale=language, reduced_motion="reduce")

    def violations() -> list[tuple[str, Any]]:
        found = Axe().run(page).response["violations"]
        return [(violation["id"], [node["target"] for node in violation["nodes"]]) for violation in found]

    assert violations() == []
    page.click("#samples button >> nth=1")
    page.wait_for_selector(".face >> nth=1")
    page.click(".face button")
    page.wait_for_selector(".maps")
    page.evaluate("document.getElementById('limits').open = true")
    assert violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert all(button.bounding_box()["height"] >= 35 for button in page.query_selector_all("button >> visible=true"))
    assert page.evaluate("document.getAnimations().length") == 0
    page.screenshot(path=tmp_path / "page.png", full_page=True)
