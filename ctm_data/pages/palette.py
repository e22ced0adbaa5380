"""The colours of values, in the terminal, on pages and in pictures.

From lost (orange) to safe (blue) over a pale middle: hue and lightness both tell, so that no kind of colour
vision loses the order. Neighbours are at least APART in CIELAB, for simulated deuteranopia, protanopia and
tritanopia too, and dark ink is readable on every one (a test measures both).
"""

STEPS = (
    "#d9600c #e57e40 #ee9b6a #f4b794 #f6d4bf #f4f1ec #d6dce7 #b8c7e1 #98b2dc #759ed6 #4a8bd0"
).split()
UNSEEN = "#b4b4b4"  # nobody looked
INK = "#16181b"
APART = 8.0  # CIE 1976 colour difference

# Of lines and marks, told apart by shape as well (Okabe and Ito, 2008, without black and yellow).
SERIES = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9".split()


def step(value: float) -> int:
    """The index in STEPS of a value from 0 to 1."""
    return round(value * (len(STEPS) - 1))
