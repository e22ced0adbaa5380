"""What the page of a run costs: `ctm report` of 5,000 trajectories, `ctm view` over 1,000,000 solutions.

    python benchmarks/page.py [--quick] [--folder FOLDER]

The runs are made up, from pocket's problems and worked solutions. Of the report: its size, the seconds
until the first trajectory stands there, the longest task of the page while it opens and while one scrolls
through the whole list, and its memory. Of the view: the seconds from the command to the first
page, and of a page of the list, filtered and sorted. The browser tells its own figures, over its protocol.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from made_up import write_chunks

CHUNK = 500  # problems a part
CHROMIUM = "/usr/bin/chromium"
RECIPE = {"benchmark": "pocket", "model": "pocket", "n_rollouts": 64, "resolution": 0.01, "seed": 0,
          "trajectories": 1}  # fmt: skip


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of everything")
    parser.add_argument("--folder", type=Path, help="where the runs are made, and kept")
    parser.add_argument("--only", choices=["report", "view"])
    options = parser.parse_args()
    small = 50 if options.quick else 1
    with tempfile.TemporaryDirectory() as scratch:
        home = options.folder or Path(scratch)
        if options.only != "view":
            trajectories = 5000 // small
            run = made(home / f"report-{trajectories}", trajectories, 16)
            for name, value in report_figures(run, home / "page.html").items():
                print(f"report of {trajectories:,} trajectories: {name}: {value}", flush=True)
        if options.only != "report":
            solutions = 1_000_000 // small
            run = made(home / f"view-{solutions}", solutions // 16, 16)
            for name, value in view_figures(run).items():
                print(f"view over {solutions:,} solutions: {name}: {value}", flush=True)


def report_figures(run: Path, file: Path) -> dict[str, str]:
    """The figures of a report, opened in chromium."""
    from playwright.sync_api import sync_playwright

    from ctm_data.report import report

    began = time.monotonic()
    size = report(run, file)
    found = {"seconds to write": f"{time.monotonic() - began:.1f}", "MB": f"{size / 1e6:.2f}"}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, value in opened(browser, file.as_uri()).items():
            found[name] = f"{value:.0f}" if value >= 10 else f"{value:.2f}"
        browser.close()
    return found


def opened(browser: Any, address: str) -> dict[str, float]:
    """What a page costs in a browser: until it stands there, its longest tasks, and its memory after one
    has scrolled through the whole list.

    Tasks have two lengths: by the clock, and of the processor, which a busy machine does not stretch.
    """
    page = browser.new_page()
    browser.start_tracing(page=page, categories=["toplevel"])
    began = time.monotonic()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("#token p")
    shown = time.monotonic() - began
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)
    opening = longest_task(browser.stop_tracing())
    browser.start_tracing(page=page, categories=["toplevel"])
    listed = page.evaluate("""async () => {
        const nav = document.querySelector("nav"), more = () => !document.getElementById("more").hidden;
        for (let turns = 0; more() && turns < 1000; turns++) {
            nav.scrollTop = nav.scrollHeight;
            await new Promise((done) => setTimeout(done, 100));
        }
        return document.querySelectorAll("#list li").length;
    }""")
    scrolling = longest_task(browser.stop_tracing())
    page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    memory = max(resident(process["id"]) for process in told if process["type"] == "renderer")
    page.close()
    return {
        "seconds until it stands there": shown,
        "ms, longest task of the opening": opening[0],
        "ms of processor, the same": opening[1],
        "ms, longest task of scrolling": scrolling[0],
        "ms of processor, scrolling": scrolling[1],
        "entries scrolled through": listed,
        "MB of script's memory": heap / 1e6,
        "MB of the page's process": memory / 1e6,
    }


def longest_task(trace: bytes) -> tuple[float, float]:
    """The longest task of a page's main thread by the clock, and by the processor, in milliseconds."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        (event["dur"] / 1000, event.get("tdur", 0) / 1000)
        for event in events
        if event["name"] == "ThreadControllerImpl::RunTask"
        and event["ph"] == "X"
        and (event["pid"], event["tid"]) in main
    ]
    assert tasks, "the browser told of no task"
    return max(clock for clock, _ in tasks), max(processor for _, processor in tasks)


def resident(pid: int) -> int:
    """The bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def view_figures(run: Path) -> dict[str, str]:
    """The seconds of `ctm view`, from the command on, and of what a reader asks then."""
    command = [
        sys.executable,
        "-c",
        "from ctm_cli.main import run; run()",
        "view",
        str(run),
        "--json",
    ]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            found = {"s, command to address": time.monotonic() - began}

            def ask(path: str) -> Any:
                start = time.monotonic()
                with urllib.request.urlopen(url + path, timeout=600) as answer:
                    content = answer.read()
                return time.monotonic() - start, content

            page, _ = ask("")
            first, content = ask("list?of=trajectories&count=100")
            identity = json.loads(content)["entries"][0]["id"]
            entry, _ = ask(f"entry?of=trajectories&id={identity}")
            found["s, first page (page, list and trajectory)"] = page + first + entry
            found["s, command to first page"] = time.monotonic() - began
            found["s, a search"], _ = ask("list?of=trajectories&search=apples&count=100")
            found["s, filtered and sorted"], _ = ask(
                "list?of=answers&outcome=sometimes+right&order=id&count=100"
            )
            found["s, a page in the middle"], _ = ask(
                f"list?of=answers&from={len(content)}&count=100"
            )
            found["s, the figures of the run"], _ = ask("overview")
            found["MB of the server's process"] = resident(process.pid) / 1e6
        finally:
            process.terminate()
    return {name: f"{value:.2f}" for name, value in found.items()}


def made(folder: Path, problems: int, samples: int) -> Path:
    """A run of so many problems with `samples` solutions each, one of them rolled out."""
    from ctm_data.run.store import Store, is_run_folder

    if is_run_folder(folder):
        return folder
    size = min(CHUNK, problems)
    with Store.open(folder, RECIPE) as store:
        write_chunks(store, chunk_of_rows(size, samples), range(-(-problems // size)))
    return folder


def chunk_of_rows(problems: int, samples: int, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The rows of the tables of a chunk: solutions that part from the worked one at a random token."""
    from ctm_eval.benchmarks.pocket import _word_problems as word_problems
    from ctm_eval.models import load_tokenizer

    tokenizer, rng = load_tokenizer("pocket"), np.random.default_rng(seed)
    names = ("problems", "solutions", "rollouts", "contrast")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    vocabulary = tokenizer.vocab_size
    for number, asked in enumerate(word_problems("test", problems, seed)):
        name = f"chunk-{number:03d}"
        rows["problems"].append(
            {"problem_id": name, "benchmark": "pocket", "split": "test", "question": asked.question,
             "answer": asked.answer, "level": str(number % 5), "tests": []}
        )  # fmt: skip
        prompt_ids = tokenizer(asked.question)["input_ids"]
        worked = tokenizer(2 * f"{asked.question} So the answer is {asked.answer}. ")["input_ids"]
        for index in range(samples):
            at, ids = int(rng.integers(len(worked))), list(worked)
            ids[at:] = np.where(
                rng.random(len(ids) - at) < 0.2, rng.integers(vocabulary), ids[at:]
            ).tolist()
            right = index % 3 == 0
            rows["solutions"].append(
                {"solution_id": f"{name}-{index:03d}", "problem_id": name, "sample_index": index,
                 "model": "pocket", "prompt_ids": prompt_ids, "token_ids": ids,
                 "text": tokenizer.decode(ids), "answer": "7", "correct": right,
                 "verdict": "correct" if right else "wrong", "finish_reason": "stop", "temperature": 1.0,
                 "top_p": 0.95, "seed": index}
            )  # fmt: skip
        rows["rollouts"].append(rolled_out(rows["solutions"][-1], tokenizer, rng))
        n = len(rows["rollouts"][-1]["token_ids"])
        rows["contrast"].append(
            {"pair_id": f"{name}-pair", "problem_id": name, "chosen_id": None,
             "rejected_id": rows["rollouts"][-1]["solution_id"], "prompt": asked.question, "chosen": "",
             "rejected": "", "prompt_ids": prompt_ids, "chosen_ids": [],
             "rejected_ids": rows["rollouts"][-1]["token_ids"], "chosen_ce": [],
             "rejected_ce": rng.random(n).tolist(), "positive_model": "p", "negative_model": "n",
             "ce_beta": 1.0, "ce_plausibility": 0.0, "seed": 0}
        )  # fmt: skip
    return rows


def rolled_out(
    solution: dict[str, Any], tokenizer: Any, rng: np.random.Generator
) -> dict[str, Any]:
    """A row of `rollouts` whose value falls to 0 at a random token, with branches at half of the tokens."""
    ids, n = solution["token_ids"], len(solution["token_ids"])
    critical = int(rng.integers(1, n - 1))
    value = np.clip(0.6 + np.cumsum(rng.normal(0, 0.04, n)), 0.06, 1.0)
    value[critical:] = 0.0
    keep = np.where(rng.random(n) < 0.5, 1.0, rng.uniform(0.3, 1.0, n))
    drawn = np.ceil(64 * (1 - keep)).astype(int)
    pieces = [tokenizer.decode([token]) for token in ids]
    chance = np.zeros(n)
    chance[critical - 1 : critical + 1] = 0.3, 0.7
    return {
        **{k: solution[k] for k in ("solution_id", "problem_id", "model", "prompt_ids", "token_ids")},
        "pieces": pieces, "prompt_value": 0.6, "value": value.tolist(),
        "value_low": np.maximum(value - 0.1, 0).tolist(), "value_high": np.minimum(value + 0.1, 1).tolist(),
        "n_rollouts": drawn.tolist(), "n_correct": rng.binomial(drawn, value).tolist(),
        "keep_prob": keep.tolist(), "entropy": (2 * (1 - keep) * rng.random(n)).tolist(),
        "margin": keep.tolist(), "greedy_id": ids, "estimator": "branch", "rule": "critical",
        "marked": [critical], "critical_index": critical, "critical_piece": pieces[critical],
        "critical_prob": chance.tolist(), "critical_low": critical - 1, "critical_high": critical,
        "replacement_pass_at_k": [0.5, 0.75, 1.0],
        "replacements": [
            {"token_id": 5 + i, "piece": f" w{i}", "n_rollouts": 4, "n_correct": 2} for i in range(4)
        ],
        "generated_tokens": 1000, "replacement_tokens": 100, "temperature": 1.0, "top_p": 0.95, "seed": 0,
    }  # fmt: skip


if __name__ == "__main__":
    main()
