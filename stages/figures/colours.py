"""Okabe and Ito's palette (2008): told apart by colour-blind readers and in grey print."""

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"


def bgr(colour: str) -> tuple[int, int, int]:
    """A colour as OpenCV takes it: blue, green and red, 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return blue, green, red
