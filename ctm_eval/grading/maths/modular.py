"""Identity testing modulo a large prime.

`image` maps the numbers that can be written with rationals, square roots of whole numbers, i, π
and e, and variables, to residues modulo PRIME, keeping sums and products: variables, π and e go to
fixed random-looking residues, a square root to a square root. Equal values have equal images;
different values have different ones but for a chance of about 2^-70 (Schwartz and Zippel).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache, reduce

from ctm_eval.grading.maths.rationals import bits, rational, rational_power
from ctm_eval.grading.maths.tree import Tree

PRIME = 1 + 75472 * 8 * math.prod((3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47))
"""Congruent to 1 modulo 8 and all these primes: -1 and every prime below 120 have square roots,
and PRIME - 1 is smooth, so that towers of exponents are reduced level by level."""


class NoImage(Exception):
    """An operation that has no meaning modulo a prime, or a division by zero."""


def image(tree: Tree) -> int:
    """Return the residue of an expression; raises NoImage."""
    op, args = tree
    if op == "num":
        value: Fraction = args[0]
        return value.numerator * _inverse(value.denominator) % PRIME
    if op == "sym":
        return point(args[0])
    if op == "add":
        return sum(map(image, args)) % PRIME
    if op == "mul":
        product = 1
        for arg in args:
            product = product * image(arg) % PRIME
        return product
    if op == "div":
        return image(args[0]) * _inverse(image(args[1])) % PRIME
    if op == "neg":
        return -image(args[0]) % PRIME
    if op == "pow":
        return _power(args[0], args[1])
    if op == "root":
        return _root(args[0], args[1])
    if op == "const":
        if args[0] == "inf":
            raise NoImage
        return square_root(PRIME - 1) if args[0] == "i" else point("constant " + args[0])
    if op == "percent":
        return image(args[0]) * _inverse(100) % PRIME
    if op == "degree":
        return image(args[0]) * image(Tree("const", ("pi",))) * _inverse(180) % PRIME
    if op == "fn" and args[0] in ("f", "g", "h"):
        return point(f"{args[0]}({image(args[1])})")
    exact = rational(tree)
    if exact is not None:
        return exact.numerator * _inverse(exact.denominator) % PRIME
    chosen = rational(args[1]) if op == "binom" else None
    if chosen is None or chosen.denominator != 1 or not 0 <= chosen <= 20:
        raise NoImage
    product, n = 1, image(args[0])
    for k in range(int(chosen)):
        product = product * (n - k) * _inverse(k + 1) % PRIME
    return product


def point(name: str) -> int:
    """Return the fixed residue that stands for a variable."""
    return _point(name)


@lru_cache(maxsize=1024)
def _point(name: str) -> int:
    from hashlib import blake2b  # loads OpenSSL

    digest = blake2b(name.encode("utf-8", "replace"), digest_size=16).digest()
    return int.from_bytes(digest, "big") % PRIME


@lru_cache(maxsize=4096)
def _inverse(residue: int) -> int:
    if residue % PRIME == 0:
        raise NoImage
    return pow(residue, -1, PRIME)


def _power(base: Tree, exponent: Tree) -> int:
    power = rational(exponent)
    if power is None:
        return pow(image(base), _tower(exponent, 1), PRIME)
    if power.denominator == 1:
        if power < 0:
            return pow(_inverse(image(base)), -int(power) % (PRIME - 1), PRIME)
        residue = image(base)
        return pow(residue, int(power) % (PRIME - 1), PRIME) if residue else 0 if power else 1
    if power.denominator == 2:
        return pow(_root(Tree("num", (Fraction(2),)), base), power.numerator % (PRIME - 1), PRIME)
    exact = rational(Tree("pow", (base, exponent)))
    if exact is None:
        raise NoImage
    return exact.numerator * _inverse(exact.denominator) % PRIME


def _root(degree: Tree, radicand: Tree) -> int:
    """Return the image of a root: exact, or the square root of a rational."""
    n = rational(degree)
    value = rational(radicand)
    if value is None or n is None or n < 2:
        raise NoImage
    exact = rational_power(value, 1 / n)
    if exact is not None:
        return exact.numerator * _inverse(exact.denominator) % PRIME
    if n != 2 or bits(value) > 256:
        raise NoImage
    return (
        _whole_square_root(value.numerator * value.denominator)
        * _inverse(value.denominator)
        % PRIME
    )


@lru_cache(maxsize=4096)
def _whole_square_root(n: int) -> int:
    """Return an image of √n that is multiplicative: √6 = √2·√3, and √-1 = i.

    A factor that is left after small primes is a prime only below 127²; for a larger one √ab would
    not be √a·√b, so it has no image.
    """
    result = square_root(PRIME - 1) if n < 0 else 1
    n = abs(n)
    for prime in _SMALL_PRIMES:
        while n % (prime * prime) == 0:
            n //= prime * prime
            result = result * prime % PRIME
        if n % prime == 0:
            n //= prime
            result = result * square_root(prime) % PRIME
    if n == 1:
        return result
    root = math.isqrt(n)
    if root * root == n:
        return result * root % PRIME
    if n >= 127**2:
        raise NoImage
    return result * square_root(n) % PRIME


@lru_cache(maxsize=1024)
def square_root(n: int) -> int:
    """Return a fixed square root of n modulo PRIME (Tonelli and Shanks); raises NoImage."""
    if pow(n, (PRIME - 1) // 2, PRIME) != 1:
        raise NoImage
    odd, twos = PRIME - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    z = next(k for k in range(2, 1000) if pow(k, (PRIME - 1) // 2, PRIME) == PRIME - 1)
    c, t, root = pow(z, odd, PRIME), pow(n, odd, PRIME), pow(n, (odd + 1) // 2, PRIME)
    while t != 1:
        i, square = 0, t
        while square != 1:
            square, i = square * square % PRIME, i + 1
        b = pow(c, 1 << (twos - i - 1), PRIME)
        twos, c = i, b * b % PRIME
        t, root = t * c % PRIME, root * b % PRIME
    return min(root, PRIME - root)


def _tower(tree: Tree, level: int) -> int:
    """Return a whole number that was too long to write, modulo the modulus of this level.

    The moduli are PRIME, then PRIME - 1, then Carmichael's function of the one before: a power is
    periodic in its exponent with that period once the exponent is large.
    """
    exact = rational(tree)
    modulus = _moduli()[level] if level < len(_moduli()) else 1
    if exact is not None:
        if exact.denominator != 1 or level > 1 and exact < 0:
            raise NoImage
        return int(exact) % modulus
    op, args = tree
    if op == "add":
        return sum(_tower(arg, level) for arg in args) % modulus
    if op == "mul":
        return (
            reduce(lambda x, y: x * y % modulus, (_tower(arg, level) for arg in args), 1) % modulus
        )
    if op == "neg" and level == 1:
        return -_tower(args[0], level) % modulus
    if op == "pow":
        exponent = rational(args[1])
        if exponent is not None:
            if exponent.denominator != 1 or exponent < 0:
                raise NoImage
            return pow(_tower(args[0], level), int(exponent), modulus)
        above = _moduli()[level + 1] if level + 1 < len(_moduli()) else 1
        return pow(_tower(args[0], level), _tower(args[1], level + 1) + 128 * above, modulus)
    raise NoImage


@lru_cache(maxsize=1)
def _moduli() -> tuple[int, ...]:
    chain = [PRIME, PRIME - 1]
    while chain[-1] > 1:
        chain.append(_carmichael(chain[-1]))
    return tuple(chain)


def _carmichael(n: int) -> int:
    parts: list[int] = []
    factor = 2
    while n > 1:
        power = 0
        while n % factor == 0:
            n, power = n // factor, power + 1
        if power:
            order = factor ** (power - 1) * (factor - 1)
            parts.append(order // 2 if factor == 2 and power > 2 else order)
        factor += 1
    return math.lcm(*parts)


_SMALL_PRIMES = tuple(n for n in range(2, 127) if all(n % k for k in range(2, n)))
