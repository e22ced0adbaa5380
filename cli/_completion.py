"""What the shell offers at TAB: run folders, and the names of queries, presets and benchmarks."""

from collections.abc import Callable
from pathlib import Path


def run_folders(incomplete: str) -> list[str]:
    """Run folders below `runs`, and the folders that what is typed can lead to."""
    typed = Path(incomplete)
    parent = typed if incomplete.endswith("/") else typed.parent
    folders = [Path("runs"), parent] if incomplete in ("", "r", "ru", "run", "runs") else [parent]
    found = set()
    for folder in folders:
        for path in sorted(folder.glob("*/")) if folder.is_dir() else []:
            if not path.name.startswith("."):
                is_run = (path / "manifest.json").is_file()
                found.add(str(path) if is_run else f"{path}/")
    return sorted(name for name in found if name.startswith(incomplete))


def of(list_names: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    """A completion from a list of names, which is made when it is asked for."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in list_names() if name.startswith(incomplete)]

    return complete


def query_names() -> list[str]:
    """The names of the named queries."""
    from ctm_data.sql.named_queries import named_queries

    return list(named_queries())


def preset_names() -> list[str]:
    """The names of the presets of training."""
    from ctm_train.settings import names

    return names("presets")


def benchmark_names() -> list[str]:
    """The names of the benchmarks."""
    from ctm_eval.benchmarks import BENCHMARKS

    return list(BENCHMARKS)
