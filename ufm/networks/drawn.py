"""Images made here: letters drawn with matplotlib's own fonts, and small images at random places of a larger one."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ufm.checks import whole
from ufm.networks.data import Data, centred, from_arrays

# Text faces that matplotlib ships, regular and not; its fonts of symbols have no letters.
FONTS = (
    *(f"DejaVuSans{face}" for face in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{face}" for face in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{face}" for face in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{face}" for face in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmr10", "cmss10", "cmtt10"),
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FINE = 32  # pixels of the side of the bitmap, whose 4 x 4 blocks are averaged: as UCI's digits were made


def glyphs(n: int = 75, letters: str = LETTERS, key: int = 0) -> Data:
    """Letters in 20 fonts under random affine maps, as 8 x 8 images [8, 8, 1] of the share of ink, less its mean.

    The pipeline is that of UCI's digits: a 32 x 32 bitmap, counted in blocks of 4 x 4.

    Args:
        n: training images of each letter; a third as many are there to test.
        letters: the classes. key: seed of fonts and maps.
    """
    n = whole(n, "n", "glyphs", 1, "images of a letter")
    if len(set(letters)) < 2 or len(set(letters)) != len(letters):
        raise ValueError(f"glyphs: letters={letters!r} are not two or more different ones. Pass e.g. 'ABC'.")
    rng = np.random.default_rng(whole(key, "key", "glyphs", 0, "a seed"))
    count = n + max(n // 3, 1)
    y = np.repeat(np.arange(len(letters)), count)
    x = np.stack([_glyph(rng, letters[k], FONTS[rng.integers(len(FONTS))]) for k in y])
    return centred(from_arrays(x[..., None], y, n=n, name="glyphs", key=key))


def canvas(data: Data, side: int = 12, key: int = 0) -> Data:
    """The images [h, w, c] of `data` at random places of a larger one [side, side, c] of their darkest value.

    Raw pixels then say little of the class, and a feature extractor has something to do.
    """
    if len(data.shape) != 3 or side < max(data.shape[:2]):
        raise ValueError(f"canvas: samples of shape {data.shape} do not fit on {side} x {side}. Pass images, or side.")
    rng = np.random.default_rng(whole(key, "key", "canvas", 0, "a seed"))
    ground = np.min(data.x)
    x, x_test = (_place(rng, part, side, ground) for part in (data.x, data.x_test))
    return replace(data, name=f"{data.name} on canvas", x=x, x_test=x_test)


def _place(rng: np.random.Generator, x: np.ndarray, side: int, ground: np.floating) -> np.ndarray:
    N, h, w, c = x.shape
    placed = np.full((N, side, side, c), ground, np.float32)
    rows, columns = rng.integers(side - h + 1, size=N), rng.integers(side - w + 1, size=N)
    for image, part, row, column in zip(placed, x, rows, columns, strict=True):
        image[row : row + h, column : column + w] = part
    return placed


def _glyph(rng: np.random.Generator, letter: str, font: str) -> np.ndarray:
    """[8, 8] share of ink of one letter, rotated, sheared, stretched and scaled to fill most of the bitmap."""
    ink = _ink(letter, font)
    angle, shear = rng.normal(0.0, 0.12), rng.normal(0.0, 0.15)
    stretch, fill = np.exp(rng.normal(0.0, 0.1)), rng.uniform(0.75, 1.0)
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = rotate @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([stretch, 1.0 / stretch])
    corners = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]]) * np.array([[ink.width], [ink.height]]) / 2
    extent = np.ptp(forward @ corners, axis=1)
    back = np.linalg.inv(forward) * np.max(extent) / (FINE * fill)  # from a pixel of the bitmap to one of the ink
    centre = np.array([ink.width, ink.height]) / 2 - back @ np.full(2, FINE / 2)
    coefficients = (*back[0], centre[0], *back[1], centre[1])
    bitmap = ink.transform((FINE, FINE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return (np.asarray(bitmap) > 127).reshape(8, FINE // 8, 8, FINE // 8).mean(axis=(1, 3)).astype(np.float32)


@cache
def _ink(letter: str, font: str) -> Image.Image:
    """A letter, white on black, cropped to its ink."""
    import matplotlib  # here: it takes most of a second, and nothing else in ufm.networks needs it

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    face = ImageFont.truetype(str(path), 64)
    image = Image.new("L", (192, 192))
    ImageDraw.Draw(image).text((64, 48), letter, fill=255, font=face)
    box = image.getbbox()
    if box is None:
        raise ValueError(f"glyphs: {font} has no ink for {letter!r}. Pass letters of the Latin alphabet.")
    return image.crop(box)
