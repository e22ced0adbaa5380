"""The workers: killable, limited, shared by threads, private to a process, gone with it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ctm_eval.grading import equal, workers
from ctm_eval.grading.maths import symbolic
from ctm_eval.grading.maths.tree import Tree

MODULE = "misbehaving_worker"


@pytest.fixture(scope="module", autouse=True)
def misbehaving_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    (folder / f"{MODULE}.py").write_text(
        "import os, time\n"
        "from ctm_eval.grading.workers import answer_requests\n"
        "def handle(request):\n"
        "    if request == 'sleep': time.sleep(60)\n"
        "    if request == 'spin':\n"
        "        while True: pass\n"
        "    if request == 'die': os._exit(3)\n"
        "    if request == 'grow': return len(bytearray(2**30))\n"
        "    if isinstance(request, dict): open(request['write'], 'w').write('x' * 10)\n"
        "    if request == 'print': print('noise')\n"
        "    return request\n"
        "def serve():\n"
        "    answer_requests(handle, cpu_seconds=1, memory=64 * 2**20)\n"
    )
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture
def pool():
    pool = workers.WorkerPool(MODULE, 2)
    yield pool
    pool.close()


@pytest.mark.parametrize("request_", ["sleep", "spin", "die"])
def test_a_lost_worker_is_reported_and_replaced(pool, request_):
    start = time.monotonic()
    with pytest.raises(workers.WorkerLost):
        pool.ask(request_, 0.5)
    assert time.monotonic() - start < 10
    assert pool.ask("hello", 20) == "hello"


def test_a_request_has_its_time_on_a_processor_and_not_on_the_wall(pool):
    with pytest.raises(workers.WorkerLost, match="died"):  # of its own limit, long before ours
        pool.ask("spin", 60)


def test_a_worker_out_of_memory_answers_nothing_and_lives(pool):
    assert pool.ask("grow", 20) is None
    assert pool.ask("hello", 20) == "hello"


def test_a_worker_cannot_write_a_file(pool, tmp_path):
    pool.ask({"write": str(tmp_path / "file")}, 20)
    assert (tmp_path / "file").stat().st_size == 0


def test_what_a_worker_prints_is_no_reply(pool):
    assert pool.ask("print", 20) == "print"


def test_a_long_request_arrives_whole(pool):
    text = "a\ud800\n" * 300_000
    assert pool.ask(text, 30) == text


def test_a_pool_serves_many_threads(pool):
    replies: list[object] = []
    threads = [
        threading.Thread(target=lambda k=k: replies.append(pool.ask(k, 20))) for k in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == list(range(16))


def test_a_closed_pool_refuses(pool):
    pool.close()
    with pytest.raises(workers.WorkerLost):
        pool.ask("hello", 5)


def test_sympy_is_asked_from_a_thread():
    answers: list[object] = []
    thread = threading.Thread(
        target=lambda: answers.append(equal(r"\sqrt{-x^2-2}", r"\sqrt{-2-x^2}"))
    )
    thread.start()
    thread.join()
    assert answers[0].layer == "sympy" and answers[0].equal


def test_a_forked_child_has_workers_of_its_own():
    symbolic.warm_up()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        verdict = equal(r"\sqrt{-x^2-3}", r"\sqrt{-3-x^2}")
        os.write(write, b"1" if verdict else b"0")
        symbolic._pool().close()
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    assert equal(r"\sqrt{-x^2-4}", r"\sqrt{-4-x^2}")


def test_sympy_that_hangs_is_a_timeout_and_not_a_wrong_answer(monkeypatch):
    from ctm_eval.grading.grade import _ask_sympy

    monkeypatch.setattr(symbolic, "PATIENCE", 0.0)
    unseen = Tree("sym", (f"unseen {time.monotonic()}",))
    equality = _ask_sympy(((unseen, Tree("sym", ("y",))),))
    assert (equality.equal, equality.decided, equality.undecided) == (False, False, "timeout")


def _children_gone(pid_file, seconds=10) -> bool:
    pids = [int(line) for line in pid_file.read_text().split()]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(
    not os.path.exists("/proc/self/stat"), reason="needs /proc to look for processes"
)
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_workers_end_with_their_parent(end, tmp_path):
    pid_file = tmp_path / "pids"
    code = (
        "import sys, time, os, subprocess\n"
        "from ctm_eval.grading import equal\n"
        "from ctm_eval.grading.maths import symbolic\n"
        "symbolic.warm_up()\n"
        "pids = [str(w._process.pid) for w in symbolic._pool()._idle]\n"
        f"open({str(pid_file)!r}, 'w').write(' '.join(pids))\n"
        "print('ready', flush=True)\n"
        f"{'time.sleep(60)' if end == 'kill' else 'pass'}\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"ready\n"
    if end == "kill":
        parent.send_signal(signal.SIGKILL)
    assert parent.wait(20) == (-signal.SIGKILL if end == "kill" else 0)
    parent.stdout.close()
    assert _children_gone(pid_file)
