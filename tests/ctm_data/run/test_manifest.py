"""The strict reader of manifests: what is not as it must be gets one line."""

import json

import pytest

from ctm_data.run.manifest import parse_manifest
from ctm_eval.errors import CtmError

SOUND = {"schema_version": 1, "recipe": {"model": "pocket"}, "versions": {"ctm": "0.1.0"},
         "shard": [0, 2], "parts": {"problems/part-00000.parquet": "0" * 64}}  # fmt: skip
FORGED = {
    "a part above the folder": {"parts": {"../evil.txt": "0" * 64}},
    "a part with digits of elsewhere": {"parts": {"problems/part-٠٠٠٠٠.parquet": "0" * 64}},
    "a part deeper down": {"parts": {"problems/a/part-00000.parquet": "0" * 64}},
    "a hash that is none": {"parts": {"problems/part-00000.parquet": "0"}},
    "parts in a list": {"parts": []},
    "no recipe": {"recipe": None},
    "a recipe of text": {"recipe": "pocket"},
    "a benchmark in a list": {"recipe": {"benchmark": ["pocket"]}},
    "an option that is an escape sequence": {"recipe": {"\x1b[2J": 1}},
    "a number of 77 bits": {"recipe": {"seed": 10**23}},
    "a shard of text": {"shard": ["0", "2"]},
    "a shard beyond the last": {"shard": [2, 2]},
    "a version that is a flag": {"schema_version": True},
    "a version of the future": {"schema_version": 99},
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_manifest_gets_one_printable_line(case):
    with pytest.raises(CtmError) as caught:
        parse_manifest(json.dumps({**SOUND, **FORGED[case]}).encode(), "here")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b'{"a": "\\ud800"}', b"1e999"],
)
def test_what_is_no_manifest_gets_one_line(content):
    with pytest.raises(CtmError):
        parse_manifest(content, "here")


def test_a_sound_manifest_is_read():
    assert parse_manifest(json.dumps(SOUND).encode(), "here", finished=True) == SOUND
