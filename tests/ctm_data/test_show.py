"""The heat map: what a reader sees."""

import pytest
from rich.console import Console

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.show import show
from ctm_eval.printable import printable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    small = {"limit": 4, "n_samples": 8, "n_rollouts": 8, "max_new_tokens": 120}
    return build_dataset(BuildConfig(tmp_path_factory.mktemp("show") / "run", **small)).folder


def printed(renderable, **options):
    console = Console(record=True, file=open("/dev/null", "w"), width=90, **options)  # noqa: SIM115
    console.print(renderable)
    return console.export_text(styles=bool(options))


def test_the_marks_stand_under_the_critical_token(folder):
    from ctm_data.run.store import Store

    for row in Store(folder).read("rollouts").to_pylist():
        if row["critical_index"] is None:
            continue
        lines = printed(show(folder, row["solution_id"], width=90, colour=False)).splitlines()
        marks = next(i for i, line in enumerate(lines) if "^" in line and "critical" not in line)
        start, end = lines[marks].index("^"), lines[marks].rindex("^") + 1
        assert lines[marks - 1][start:end] == row["critical_piece"].strip("\n").ljust(end - start)


def test_colour_says_it_without_a_second_row(folder):
    text = printed(
        show(folder, width=90, colour=True), force_terminal=True, color_system="truecolor"
    )
    assert "\x1b[" in text
    assert "^" not in text


def test_no_line_is_wider_than_asked(folder):
    from rich.cells import cell_len

    for line in show(folder, width=30, colour=False).renderables[3:8]:
        assert cell_len(str(line)) <= 30


def test_model_output_cannot_steer_the_terminal():
    assert printable("\x1b[2Jgone\x07") == "�[2Jgone�"
