"""A file that a user named is there whole or not at all."""

import os

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file


def test_a_file_has_its_name_once_it_is_whole(tmp_path):
    with output_file(tmp_path / "out") as file:
        file.write(b"whole")
        assert not (tmp_path / "out").exists()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"out": b"whole"}


def test_a_failure_leaves_the_file_that_was_there(tmp_path):
    (tmp_path / "out").write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), output_file(tmp_path / "out") as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"out": b"before"}


def test_a_full_disk_is_said_in_one_line(tmp_path):
    (tmp_path / ".out.partial").symlink_to("/dev/full")
    with (
        pytest.raises(CtmError, match="No space left on device; free some space"),
        output_file(tmp_path / "out") as file,
    ):
        file.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with output_file(tmp_path / "pipe") as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with output_file(tmp_path / "link") as file:
        file.write(b"whole")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path):
    with (
        pytest.raises(CtmError, match="No such file or directory; give another file"),
        output_file(tmp_path / "none" / "out"),
    ):
        pass
