import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import PARAMS
from samples import changed, face_photo, noise

from stages.faces import detection
from stages.faces.box import Box, overlap
from stages.faces.cutting import choose_face, cut_square, reference_box, square_around
from stages.faces.detection import find_faces
from stages.faces.framing import FER2013_SIDE, square_side
from stages.runtime.errors import UserError
from stages.runtime.params import Crop

HAAR = Crop(**PARAMS["crop"])
YUNET = changed(HAAR, detector="yunet")
DETECTORS = pytest.mark.parametrize("search", [HAAR, YUNET], ids=["haar", "yunet"])
LEFT, RIGHT = Box(0.0, 0.0, 10.0, 10.0), Box(20.0, 0.0, 32.0, 12.0)


@DETECTORS
def test_finds_the_face(search: Crop) -> None:
    picture, box = face_photo(2)
    (found,) = find_faces(picture, search)
    assert overlap(found, box) > 0.4
    assert find_faces(picture, changed(search, smallest_face=0.9)) == []
    assert find_faces(np.zeros((1, 1), np.uint8), search) == []


@DETECTORS
def test_grey_and_colour_alike(search: Crop) -> None:
    picture, _ = face_photo(2)
    (grey,), (colour,) = find_faces(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), search), find_faces(picture, search)
    assert overlap(grey, colour) > 0.9


@DETECTORS
@pytest.mark.parametrize("factor", [1.7, 4, 9.3])
def test_same_face_whatever_the_size_of_the_picture(search: Crop, factor: float) -> None:
    picture, _ = face_photo(2)
    (face,) = find_faces(picture, changed(search, detect_side=200))
    large = cv2.resize(picture, None, fx=factor, fy=factor)
    (found,) = find_faces(large, changed(search, detect_side=200))
    assert overlap(found, face.scaled(factor)) > 0.85


def test_yunet_finds_turned_faces_that_the_cascade_misses() -> None:
    turned = []
    for number in range(4):
        picture, box = face_photo(number)
        centre = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        matrix = cv2.getRotationMatrix2D(centre, 30, 1)
        turned.append((cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), box))
    found = {
        search.detector: sum(max(map(overlap, find_faces(p, search), [box] * 9), default=0) > 0.5 for p, box in turned)
        for search in (HAAR, YUNET)
    }
    assert found["yunet"] == 4 > found["haar"]


def test_certainty_that_no_face_reaches() -> None:
    picture, _ = face_photo(2)
    assert len(find_faces(picture, changed(YUNET, confidence=0.01))) >= 1
    assert find_faces(picture, changed(YUNET, confidence=1)) == []


def test_the_network_is_the_one_of_the_opencv_zoo() -> None:
    digest = hashlib.sha256(detection.YUNET.read_bytes()).hexdigest()
    assert digest == "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    assert "MIT License" in (detection.YUNET.parent / "LICENSE").read_text()


def test_no_square_can_overlap_a_long_box_by_much() -> None:
    picture, _ = face_photo(2)
    assert find_faces(picture, changed(HAAR, min_overlap=0.9), Box(10, 200, 390, 240)) == []


@pytest.mark.parametrize("min_overlap", [0, 0.3, 0.6])
def test_search_near_a_box_finds_what_counts_there(min_overlap: float) -> None:
    two = np.hstack([face_photo(0)[0][:380], face_photo(2)[0][:380]])
    everywhere = find_faces(two, HAAR)
    assert len(everywhere) == 2
    for face in everywhere:
        found = find_faces(two, changed(HAAR, min_overlap=float(min_overlap)), face.scaled(1.02))
        assert max(overlap(other, face) for other in found) > 0.8


@pytest.mark.parametrize("least", [0.01, 0.3, 0.6, 0.95])
@pytest.mark.parametrize(("width", "height"), [(74, 100), (100, 100), (200, 60)])
def test_squares_that_overlap_a_box_lie_in_the_window(least: float, width: int, height: int) -> None:
    box = Box(500.0, 400.0, 500.0 + width, 400.0 + height)
    window, smallest, largest = detection.overlapping_squares(np.array(box), least)
    rng = np.random.default_rng(1)
    # Most squares lie close to the box, so that many overlap it by enough.
    sides = rng.uniform(0.9 * smallest, 1.1 * largest, 40_000)
    middles = np.array([500 + width / 2, 400 + height / 2]) + sides[:, None] * rng.uniform(-0.6, 0.6, (40_000, 2))
    squares = np.hstack([middles - sides[:, None] / 2, middles + sides[:, None] / 2])
    counting = squares[[overlap(Box(*square), box) >= least for square in squares.tolist()]]
    widths = counting[:, 2] - counting[:, 0]
    assert ((smallest <= widths) & (widths <= largest)).all()
    assert (counting[:, :2] >= window[:2]).all()
    assert (counting[:, 2:] <= window[2:]).all()
    if least == 0.3:  # and the window is no larger than it must be
        assert np.allclose(counting[:, :2].min(axis=0), window[:2], atol=0.12 * largest)


def test_second_look_at_twice_the_size() -> None:
    picture, box = face_photo(2)
    small_face = cv2.copyMakeBorder(picture, 0, 2000, 0, 2000, cv2.BORDER_CONSTANT, value=(90, 90, 90))
    search = changed(HAAR, detect_side=260, smallest_face=0.02)  # 17 pixels wide then, less than the cascade's 24
    (found,) = find_faces(small_face, search)
    assert overlap(found, box) > 0.4
    assert find_faces(small_face, changed(search, detect_side=130)) == []
    assert overlap(find_faces(small_face, search, box)[0], box) > 0.4
    # A face elsewhere does not end the search near a box.
    beside = small_face.copy()
    beside[-1600:, -1600:] = cv2.resize(face_photo(0)[0][:380, :380], (1600, 1600))
    assert max(overlap(face, box) for face in find_faces(beside, search, box)) > 0.4


def test_search_near_a_box_leaves_out_what_cannot_count() -> None:
    picture, box = face_photo(2)
    assert find_faces(picture, HAAR, Box(0, 0, 40, 40)) == []
    assert find_faces(picture, HAAR, box.scaled(1.02)) != []


def test_candidates_come_in_one_order() -> None:
    found = find_faces(face_photo(0)[0], changed(HAAR, scale_factor=1.05, min_neighbors=0, smallest_face=0.05))
    assert len(found) > 5
    assert found == sorted(found)


# The second is of a kind that OpenCV reads from a path only.
@pytest.mark.parametrize("name", ["face.xml", "haarcascade_license_plate_rus_16stages.xml"])
def test_unknown_cascade_is_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match=rf"crop\.cascade is '{name}', but OpenCV ships .*frontalface_default\.xml"):
        find_faces(np.zeros((9, 9), np.uint8), changed(HAAR, cascade=name))


def test_a_cascade_from_memory_finds_what_it_finds_from_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    loose = changed(HAAR, min_neighbors=0)
    pictures = [face_photo(number)[0] for number in range(3)]
    found = [find_faces(picture, loose) for picture in pictures]
    path = Path(cv2.__file__).parent / "data" / HAAR.cascade
    monkeypatch.setattr(detection, "_cascade", lambda name: cv2.CascadeClassifier(str(path)))
    assert [find_faces(picture, loose) for picture in pictures] == found
    assert all(found)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (Box(0, 0, 10, 10), 1.0),
        (Box(5, 0, 15, 10), 1 / 3),
        (Box(2, 2, 4, 4), 0.04),
        (Box(10, 0, 20, 10), 0.0),
        (Box(11, 11, 20, 20), 0.0),
        (Box(0, 0, 0, 0), 0.0),
    ],
)
def test_overlap(second: Box, expected: float) -> None:
    assert overlap(LEFT, second) == pytest.approx(expected)
    assert overlap(second, LEFT) == pytest.approx(expected)


def test_reference_is_the_median_of_usable_boxes() -> None:
    boxes = [Box(10, 20, 50, 60), Box(14, 18, 54, 58), Box(90, 90, 99, 99)]
    assert reference_box(boxes, 100, 100, 0.1) == Box(12, 19, 52, 59)  # the third is too small
    assert reference_box([*boxes[:2], Box(11, 19, 120, 130)], 100, 100, 0.1) == Box(11, 19, 54, 60)


@pytest.mark.parametrize(
    "box",
    [
        None,
        Box(10, 10, 10, 50),  # no area
        Box(50, 50, 10, 10),  # sides swapped
        Box(10, 10, 19, 50),  # less than a tenth of 100
        Box(200, 200, 300, 300),  # outside
        Box(-90, 0, 9, 50),  # less than a tenth inside
    ],
)
def test_boxes_that_can_be_no_face(box: Box | None) -> None:
    assert reference_box([box, None, None], 100, 200, 0.1) is None
    assert reference_box([box, Box(10, 10, 60, 60), None], 100, 200, 0.1) == Box(10, 10, 60, 60)


def test_reference_is_cut_to_the_picture() -> None:
    assert reference_box([Box(-52, -5, 60, 300)], 100, 200, 0.1) == Box(0, 0, 60, 200)


def test_choice_with_a_reference() -> None:
    near = Box(1.0, 1.0, 11.0, 11.0)
    assert choose_face([RIGHT, near], LEFT, 0.3) == (near, "verified")
    assert choose_face([RIGHT], LEFT, 0.3) == (LEFT, "annotators")
    assert choose_face([], LEFT, 0.3) == (LEFT, "annotators")
    assert choose_face([near], LEFT, overlap(near, LEFT)) == (near, "verified")
    assert choose_face([near], LEFT, 0.9) == (LEFT, "annotators")


def test_choice_without_a_reference() -> None:
    assert choose_face([LEFT, RIGHT], None, 0.3) == (RIGHT, "unverified")
    same = [Box(5.0, 9.0, 15.0, 19.0), Box(5.0, 1.0, 15.0, 11.0), Box(7.0, 0.0, 17.0, 10.0)]
    for found in (same, same[::-1]):
        assert choose_face(found, None, 0.3) == (same[1], "unverified")  # leftmost, then topmost
    assert choose_face([], None, 0.3) == (None, "")


def test_ties_with_a_reference_go_to_the_left() -> None:
    first, second = Box(-5.0, 0.0, 5.0, 10.0), Box(5.0, 0.0, 15.0, 10.0)
    assert choose_face([second, first], LEFT, 0.1)[0] == first


@pytest.mark.parametrize(
    ("widths", "expected"), [(1, (100, 105, 50)), (1.2, (95, 100, 60)), (0.2, (120, 125, 10)), (5, (0, 5, 250))]
)
def test_square_around(widths: float, expected: tuple[int, int, int]) -> None:
    assert square_around(Box(100, 90, 150, 170), widths) == expected


def test_one_framing_whatever_draws_the_box() -> None:
    sides, middles = [], []
    for number in range(12):
        picture, box = face_photo(number)
        boxes = {"annotators": box} | {search.detector: find_faces(picture, search)[0] for search in (HAAR, YUNET)}
        squares = np.array([square_around(box, square_side(source, 0)) for source, box in sorted(boxes.items())])
        sides.append(squares[:, 2] / squares[:, 2].mean())
        middles.append((squares[:, :2] + squares[:, 2:] / 2) / squares[:, 2].mean())
    # The mean of each source over some people: they draw single boxes differently.
    assert np.abs(np.mean(sides, axis=0) - 1).max() < 0.05
    assert np.ptp(np.mean(middles, axis=0), axis=0).max() < 0.05


def test_the_margin_lies_beyond_fer2013() -> None:
    for source, side in FER2013_SIDE.items():
        assert square_side(source, 0) == side
        assert square_side(source, 0.1) == pytest.approx(1.2 * side)


def test_square_is_never_empty() -> None:
    assert square_around(Box(5, 5, 5.2, 5.2), 0.2)[2] == 1


@pytest.mark.parametrize(("left", "top"), [(5, 5), (-3, -4), (14, 5), (5, 24), (-3, 24), (14, -4)])
def test_cut_is_square_and_repeats_the_border(left: int, top: int) -> None:
    picture = noise(1, 30, 20, 3)
    cut = cut_square(picture, left, top, 10)
    rows = np.clip(np.arange(top, top + 10), 0, 29)
    columns = np.clip(np.arange(left, left + 10), 0, 19)
    assert np.array_equal(cut, picture[np.ix_(rows, columns)])


def test_cut_larger_than_the_picture() -> None:
    picture = noise(1, 30, 20)
    cut = cut_square(picture, -10, -5, 40)
    assert cut.shape == (40, 40)
    assert np.array_equal(cut[5:35, 10:30], picture)
    assert (cut[:5, 10:30] == picture[0]).all()


@pytest.mark.parametrize("place", [(-10, 0), (20, 0), (0, -10), (0, 30)])
def test_cut_outside_is_a_fault(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        cut_square(noise(1, 30, 20), *place, 10)
