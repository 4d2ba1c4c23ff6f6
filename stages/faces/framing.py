"""How much of a photo is cut out around a face: as much as FER2013's own pictures show, whatever found it."""

# Side of FER2013's picture of a face, in widths of the box that each of these draws around it. Detectors: the median
# over FER2013's validation pictures, put into larger ones and found again. Annotators: boxes from hairline to chin of
# drawn faces, brought to the same distance of the eyes. Up and down a median differs by 0.01 at most, which no accuracy
# shows. `python -m benchmarks.framing` measures all of it.
FER2013_SIDE = {"haar": 1.02, "yunet": 1.23, "annotators": 1.3}


def square_side(source: str, margin: float) -> float:
    """Side of the square to cut out, in widths of the box that `source`, a detector or the annotators, draws.

    The square shows what FER2013's pictures show, and `margin` x that more on each side.
    """
    return FER2013_SIDE[source] * (1 + 2 * margin)
