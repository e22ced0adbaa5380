"""Follows what pages say: types commands of `ctm` and blocks of Python into one process and one folder.

    python followed.py < steps.json        [["ctm", ["show", "runs/a"]], ["python", "print(1)"], …]

One process spares every command the seconds in which torch is imported. It stops at the first step that
fails, and prints as JSON what failed: the step, its exit code, what it said; or null.
"""

import contextlib
import io
import json
import sys
import traceback


def main() -> None:
    steps = json.load(sys.stdin)
    for kind, what in steps:
        out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = ctm(what) if kind == "ctm" else python(what)
        if code:
            print(json.dumps([what, code, err.getvalue()[-3000:]]))
            return
    print("null")


def ctm(words: list[str]) -> int:
    from ctm_cli.main import run

    sys.argv = ["ctm", *words]
    try:
        run()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def python(text: str) -> int:
    try:
        exec(compile(text, "<block>", "exec"), {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
