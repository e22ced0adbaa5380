"""Seeds that depend on what is drawn, not on when: order, batches, shards and resumes do not matter."""

import hashlib


def seed_of(*parts: object) -> int:
    """A 63-bit seed for the thing that `parts` name, such as (run seed, problem id, sample index)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
