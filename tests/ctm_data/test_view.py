"""The page on loopback: what it answers, to whom, and that nothing can be written."""

import http.client
import json
import socket

import pytest
from handmade import made_by_hand

from ctm_data.view import view
from ctm_eval.errors import CtmError


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with view(made_by_hand(tmp_path_factory.mktemp("view") / "run")) as server:
        yield server


def ask(server, path, method="GET", host=None):
    """(status, headers, content)"""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    if host is not False:
        connection.putheader("Host", f"127.0.0.1:{server.port}" if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_the_page_asks_its_own_server_and_nobody_else(server):
    status, headers, content = ask(server, "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert b"default-src 'none'; connect-src 'self'; script-src 'sha256-" in content
    assert headers["X-Frame-Options"] == "DENY" and headers["Cache-Control"] == "no-store"


def test_a_list_and_an_entry(server):
    found = json.loads(ask(server, "/list?of=trajectories&search=the&count=5")[2])
    assert (found["total"], found["entries"][0]["id"]) == (1, "b")
    entry = json.loads(ask(server, "/entry?of=trajectories&id=b")[2])
    assert entry["pieces"] == [" in", " the", "ft", " 4"]
    assert json.loads(ask(server, "/entry?of=trajectories&id=nobody")[2]) is None


def test_the_samples_of_a_problem_can_be_looked_at_too(server):
    entry = json.loads(ask(server, "/entry?of=answers&id=p")[2])
    assert [sample["solution_id"] for sample in entry["sides"][0]["samples"]] == ["a", "b"]


def test_the_figures_of_the_run(server):
    names = [one["name"] for one in json.loads(ask(server, "/overview")[2])["figures"]]
    assert names[0] == "critical-token-replaced"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", False])
def test_a_name_that_is_not_loopbacks_is_refused(server, host):
    """A page from elsewhere whose name was made to lead here (DNS rebinding) says its own name."""
    told = host.format(port=server.port) if host else host
    assert ask(server, "/list?of=trajectories", host=told)[0] == 421


def test_localhost_is_a_loopback_name(server):
    assert ask(server, "/", host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(server, method):
    assert ask(server, "/list?of=trajectories", method)[0] == 501


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/list", "/list?of=rollouts", "/entry?of=x&id=a", "/../manifest.json", "/manifest.json"],
)  # fmt: skip
def test_there_is_nothing_elsewhere(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize(
    "page", ["from=-1", "count=0", "count=100000", "from=x", "from=9" + "9" * 30]
)
def test_a_page_that_is_none_is_refused(server, page):
    assert ask(server, f"/list?of=trajectories&{page}")[0] == 400


def test_head_has_no_content(server):
    status, headers, content = ask(server, "/", "HEAD")
    assert (status, content) == (200, b"") and int(headers["Content-Length"]) > 10_000


def test_it_listens_on_loopback_only(server):
    assert server.url == f"http://127.0.0.1:{server.port}/"
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(2)
        other.connect((socket.gethostbyname(socket.gethostname()), server.port))
        if socket.gethostbyname(socket.gethostname()).startswith("127."):
            raise OSError("this machine has no other address")


def test_a_port_that_is_taken_is_said_in_one_line(server, tmp_path):
    run = made_by_hand(tmp_path / "run")
    with pytest.raises(CtmError, match="give another --port"), view(run, port=server.port):
        pass
