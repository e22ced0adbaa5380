"""What requests have in common before anything is drawn: the roots that the engine reads once."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

SPUR = 16  # given tokens beside a root that are walked one by one; where there are more, they get a root


@dataclass(frozen=True)
class Root:
    """A prompt and the tokens given after it; requests part from it at any of these."""

    tokens: tuple[int, ...]
    requests: tuple[int, ...]
    at: tuple[int, ...]  # for each request, how many of `tokens` it begins with
    rests: tuple[tuple[int, ...], ...]  # for each, what it was given instead of what follows there

    @property
    def first_read(self) -> int:
        """The least number of tokens after which a request draws on the root."""
        draws = [at for at, rest in zip(self.at, self.rests, strict=True) if not rest]
        return min(draws, default=len(self.tokens))


def roots_of(
    sequences: Iterable[tuple[int, tuple[int, ...], tuple[int, ...]]],
) -> list[Root]:
    """Roots for (request, prompt, given tokens), those of like length and of one prompt adjacent."""
    groups: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for request, prompt, given in sequences:
        groups[prompt].append((request, given))
    roots = []
    for prompt, members in groups.items():
        left = sorted(members, key=lambda member: (-len(member[1]), member[1], member[0]))
        while left:
            spine, others, own = left[0][1], [], []
            for request, given in left:
                common = _common(spine, given)
                if len(given) - common <= SPUR:
                    own.append((request, len(prompt) + common, given[common:]))
                else:
                    others.append((request, given))
            roots.append(Root((*prompt, *spine), *zip(*own, strict=True)))
            left = others
    return sorted(roots, key=lambda root: len(root.tokens))


def _common(spine: tuple[int, ...], given: tuple[int, ...]) -> int:
    """How many tokens both begin with."""
    for most in (
        len(given),
        len(given) - 1,
    ):  # nearly always: a prefix, or one with another last token
        if most >= 0 and spine[:most] == given[:most]:
            return most
    pairs = enumerate(zip(spine, given, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(spine), len(given)))
