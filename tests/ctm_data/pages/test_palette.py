"""Colours that everyone can tell apart: simulated colour vision, and the contrast of the ink on them."""

from itertools import pairwise

import numpy as np
import pytest

from ctm_data.pages.palette import APART, INK, SERIES, STEPS, UNSEEN

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    """A hexadecimal colour as linear RGB."""
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour, vision="normal"):
    """A colour as such eyes see it, in CIELAB."""
    seen = np.clip(VISION[vision] @ linear(colour), 0, 1)
    t = TO_XYZ @ seen / np.array([0.95047, 1, 1.08883])
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(a, b, vision="normal"):
    return float(np.linalg.norm(lab(a, vision) - lab(b, vision)))


def test_the_measure_knows_white_from_black_and_red_from_green():
    assert difference("#ffffff", "#000000") == pytest.approx(100, abs=0.1)
    apart = [difference("#b03030", "#507030", vision) for vision in ("normal", "deuteranopia")]
    assert apart[0] > 60 and apart[1] < 25


@pytest.mark.parametrize("vision", VISION)
def test_any_two_steps_are_apart(vision):
    pairs = [(a, b) for i, a in enumerate(STEPS) for b in STEPS[i + 1 :]]
    assert min(difference(a, b, vision) for a, b in pairs) >= APART


@pytest.mark.parametrize("vision", VISION)
def test_what_nobody_looked_at_is_no_step(vision):
    assert min(difference(UNSEEN, step, vision) for step in STEPS) >= APART


@pytest.mark.parametrize("vision", VISION)
def test_neighbouring_series_are_apart(vision):
    assert min(difference(*pair, vision) for pair in pairwise(SERIES)) >= APART


def test_lightness_falls_from_the_middle_to_both_ends():
    light = [lab(step)[0] for step in STEPS]
    assert light[:6] == sorted(light[:6]) and light[5:] == sorted(light[5:], reverse=True)


@pytest.mark.parametrize("step", [*STEPS, UNSEEN])
def test_ink_is_readable_on_it(step):
    bright, dark = ((TO_XYZ @ linear(colour))[1] + 0.05 for colour in (step, INK))
    assert bright / dark >= 4.5  # WCAG 2.2, AA
