"""A small Hugging Face Hub on loopback, for the stock clients, with faults on order.

    with Hub() as hub:
        hub.fail(r"PUT /lfs", status=500)                   # the next such call fails, once
        subprocess.run([...], env={**os.environ, **hub.env(home)})

It keeps everything in memory. `hub.tokens` says whose a token is; those in `hub.expired` are refused, and
the files of the repositories in `hub.gated`.
The clients read HF_ENDPOINT when they are imported, so they need processes of their own; and
HF_HUB_DISABLE_XET=1, because no open server speaks the protocol of the xet store.

The calls it serves (REPO is user/name; KIND is datasets or models, and REPO alone is a model's page):

    GET  /api/whoami-v2                          who the token is
    POST /api/repos/create                       409 if it is there
    POST /api/validate-yaml                      the metadata of a card: 400 names what is wrong
    GET  /api/KIND/REPO[/revision/REV]           commit, files, private or not
    GET  /api/KIND/REPO/tree/REV[/PATH]          the files of a folder, or all with ?recursive=true
    POST /api/KIND/REPO/paths-info/REV           the files of a list (with `expand`: of what date)
    POST /api/KIND/REPO/branch/NAME              409 if it is there
    POST /api/KIND/REPO/preupload/REV            which files go to the large-file store
    POST /api/KIND/REPO/commit/REV               JSON lines; 412 if `parentCommit` is not the head
    POST /[datasets/]REPO.git/info/lfs/objects/batch      which large files are needed, and where to
    PUT  /lfs/SHA256, POST /lfs/SHA256           a large file; that it has arrived
    HEAD, GET  /[datasets/]REPO/resolve/REV/PATH          a file, or a range of it

Anything else is a 404, which the clients take for "this Hub cannot do that".
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LARGE = (".parquet", ".safetensors", ".bin")
LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "unknown", "other"}
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"}


@dataclass(frozen=True)
class File:
    """A file of a commit; `large` ones are in the large-file store, known by their SHA-256."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """What git calls it: the hash of the content, or of the pointer that stands for it."""
        data = self.content
        if self.large:
            spec = "version https://git-lfs.github.com/spec/v1"
            data = f"{spec}\noid sha256:{self.sha256}\nsize {len(data)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def described(self, path: str) -> dict:
        lfs = {"oid": self.sha256, "size": len(self.content), "pointerSize": 134}
        about = {"type": "file", "path": path, "size": len(self.content), "oid": self.oid}
        return {**about, "lfs": lfs} if self.large else about


@dataclass
class Repo:
    """Commits are whole trees; branches name the last of theirs."""

    private: bool
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, File]) -> str:
        named = sorted((path, file.oid) for path, file in files.items())
        sha = hashlib.sha1(f"{len(self.commits)} {named}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def find(self, revision: str) -> str:
        sha = self.branches.get(revision, revision)
        if sha not in self.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha


@dataclass
class Fault:
    """What goes wrong in the next `times` calls that `pattern` (of "METHOD /path") fits."""

    pattern: str
    times: int = 1
    status: int | None = None  # answer with this
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # close the connection after so many bytes of the body
    do: Callable[[], object] | None = None  # do this first, and then serve as if nothing had been


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str, code: str = "", **body: object) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


class Hub:
    """The server, in a thread of its own; `url` is where."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.tokens = {"hf_wonderland": "alice"}
        self.expired: set[str] = set()
        self.gated: set[str] = set()  # repositories whose files nobody has been let in to
        self.calls: list[str] = []
        self.lock = threading.RLock()
        handler = type("Bound", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def env(self, home: object, token: str = "hf_wonderland") -> dict[str, str]:
        """The environment that a client needs; `home` is where it caches."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }

    def fail(self, pattern: str, **what: object) -> None:
        """Orders a fault."""
        self.faults.append(Fault(pattern, **what))

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """What a repository of a dataset holds."""
        one = self.repos[f"datasets/{repo}"]
        return {path: file.content for path, file in one.commits[one.find(revision)].items()}

    def put(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Commits files to a dataset (None removes one), as someone else would."""
        one = self.repos.setdefault(f"datasets/{repo}", Repo(private=False))
        tree = dict(one.commits.get(one.branches.get(branch, ""), {}))
        for path, content in files.items():
            tree.pop(path, None)
            if content is not None:
                tree[path] = File(content, path.endswith(LARGE))
        return one.commit(branch, tree)


class Handler(BaseHTTPRequestHandler):
    """One connection. Every route is a method `_name`, found in `ROUTES`."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        call, self.unread = f"{self.command} {path}", int(self.headers.get("Content-Length") or 0)
        with self.hub.lock:
            self.hub.calls.append(call)
            fault = next(
                (f for f in self.hub.faults if f.times and re.search(f.pattern, call)), None
            )
            if fault:
                fault.times -= 1
        self.cut = fault.cut if fault else None
        try:
            if fault and fault.do:
                fault.do()
            if fault and fault.status:
                self.body()
                self.answer(fault.status, b"{}", fault.headers)
                return
            for pattern, name in ROUTES:
                if match := re.fullmatch(pattern, call):
                    getattr(self, name)(*match.groups())
                    return
            raise Refusal(404, f"no route {call}")
        except Refusal as no:
            self.body()
            headers = {"X-Error-Message": no.message} | (
                {"X-Error-Code": no.code} if no.code else {}
            )
            self.answer(no.status, json.dumps({"error": no.message, **no.body}).encode(), headers)
        except ConnectionError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def body(self) -> bytes:
        """What the client sends; a cut connection ends in the middle of it."""
        count, self.unread = self.unread, 0
        if self.cut is not None and self.command == "PUT":
            self.rfile.read(min(count, self.cut))
            self.connection.close()
            raise ConnectionError
        return self.rfile.read(count)

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.cut is not None and self.command == "GET":
            self.wfile.write(content[: self.cut])
            self.wfile.flush()
            self.connection.close()
            raise ConnectionError
        self.wfile.write(content)

    def say(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode())

    def user(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.hub.expired:
            raise Refusal(401, 'User Access Token "laptop" is expired')
        if token not in self.hub.tokens:
            raise Refusal(401, "Invalid username or password.")
        return self.hub.tokens[token]

    def repo(self, kind: str | None, name: str) -> Repo:
        found = self.hub.repos.get(f"{kind or 'models'}/{name}")
        owner = name.partition("/")[0]
        if self.headers.get("Authorization") and self.user() != owner and found and found.private:
            found = None
        if found is None or (found.private and not self.headers.get("Authorization")):
            raise Refusal(404, f"Repository not found: {name}", "RepoNotFound")
        return found

    def owned(self, kind: str | None, name: str) -> Repo:
        if self.user() != name.partition("/")[0]:
            raise Refusal(403, f"You don't have the rights to write to {name}")
        return self.repo(kind, name)

    def _whoami(self) -> None:
        name = self.user()
        self.say({"type": "user", "name": name, "orgs": [], "auth": {"type": "access_token"}})

    def _create(self) -> None:
        user, asked = self.user(), json.loads(self.body())
        kind, owner = asked.get("type") or "model", asked.get("organization") or user
        name, url = f"{owner}/{asked['name']}", f"{self.hub.url}/{owner}/{asked['name']}"
        url = url if kind == "model" else f"{self.hub.url}/{kind}s/{name}"
        if owner != user:
            raise Refusal(403, f"You don't have the rights to create a repository under {owner}")
        if f"{kind}s/{name}" in self.hub.repos:
            raise Refusal(409, "You already created this repo", url=url)
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.repos[f"{kind}s/{name}"] = one = Repo(private)
        one.commit("main", {".gitattributes": File(b"*.parquet filter=lfs\n", False)})
        self.say({"url": url, "name": name, "id": name})

    def _validate(self) -> None:
        errors = metadata_errors(json.loads(self.body())["content"])
        if errors:
            said = {"errors": [{"message": error} for error in errors], "warnings": []}
            raise Refusal(400, "Invalid metadata", **said)
        self.say({"errors": [], "warnings": []})

    def _info(self, kind: str, name: str, revision: str | None) -> None:
        one = self.repo(kind, name)
        sha = one.find(revision or "main")
        files = [
            {"rfilename": path, "size": len(file.content)}
            for path, file in sorted(one.commits[sha].items())
        ]
        about = {"_id": "0" * 24, "id": name, "sha": sha, "private": one.private, "tags": []}
        self.say({**about, "downloads": 0, "likes": 0, "gated": False, "siblings": files})

    def _tree(self, kind: str, name: str, revision: str, folder: str | None) -> None:
        one = self.repo(kind, name)
        files = one.commits[one.find(revision)]
        start = f"{folder.strip('/')}/" if folder and folder.strip("/") else ""
        if start and not any(path.startswith(start) for path in files):
            raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
        everything = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() == "true"
        said: dict[str, dict] = {}
        for path, file in files.items():
            if not path.startswith(start):
                continue
            names = path[len(start) :].split("/")
            for depth in range(1, len(names)):
                above = start + "/".join(names[:depth])
                if depth == 1 or everything:
                    said[above] = directory(above)
            if len(names) == 1 or everything:
                said[path] = file.described(path)
        expand = parse_qs(urlsplit(self.path).query).get("expand", [""])[0]
        self.say(dated([said[path] for path in sorted(said)], expand, one.find(revision)))

    def _paths(self, kind: str, name: str, revision: str) -> None:
        one = self.repo(kind, name)
        files, sent = one.commits[one.find(revision)], self.body().decode()
        json_sent = "json" in self.headers.get("Content-Type", "")
        asked, said = json.loads(sent) if json_sent else parse_qs(sent), []
        expand = asked.get("expand", [""])
        for path in asked["paths"]:
            if path in files:
                said.append(files[path].described(path))
            elif any(other.startswith(f"{path.rstrip('/')}/") for other in files):
                said.append(directory(path))
        expand = expand[0] if isinstance(expand, list) else expand
        self.say(dated(said, expand, one.find(revision)))

    def _branch(self, kind: str, name: str, branch: str) -> None:
        one, asked = self.owned(kind, name), json.loads(self.body() or b"{}")
        if branch in one.branches:
            raise Refusal(409, f"Reference already exists: {branch}")
        one.branches[branch] = one.find(asked.get("startingPoint") or "main")
        self.say({})

    def _preupload(self, kind: str, name: str, revision: str) -> None:
        one = self.owned(kind, name)
        files, said = one.commits[one.find(revision)], []
        for asked in json.loads(self.body())["files"]:
            path = asked["path"]
            known = files.get(path)
            oid = known and (known.sha256 if known.large else known.oid)
            mode = "lfs" if path.endswith(LARGE) else "regular"
            said.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.say({"files": said})

    def _commit(self, kind: str, name: str, branch: str) -> None:
        one = self.owned(kind, name)
        lines = [json.loads(line) for line in self.body().splitlines() if line.strip()]
        with self.hub.lock:
            head = one.find(branch)
            files = dict(one.commits[head])
            for line in lines:
                value = line["value"]
                match line["key"]:
                    case "header":
                        if value.get("parentCommit") not in (None, head):
                            raise Refusal(412, "A commit has happened since. Please refresh.")
                    case "file":
                        files[value["path"]] = File(base64.b64decode(value["content"]), False)
                    case "lfsFile":
                        if value["oid"] not in self.hub.large:
                            raise Refusal(400, f"large file {value['oid']} was not uploaded")
                        files[value["path"]] = File(self.hub.large[value["oid"]], True)
                    case "deletedFile":
                        del files[value["path"]]
            sha = one.commit(branch, files)
        url = f"{self.hub.url}/{kind}/{name}/commit/{sha}"
        self.say({"success": True, "commitUrl": url, "commitOid": sha, "hookOutput": ""})

    def _batch(self, kind: str | None, name: str) -> None:
        self.owned(kind, name)
        said = []
        for asked in json.loads(self.body())["objects"]:
            href = {"href": f"{self.hub.url}/lfs/{asked['oid']}"}
            new = asked["oid"] not in self.hub.large
            said.append({**asked, **({"actions": {"upload": href, "verify": href}} if new else {})})
        self.say({"transfer": "basic", "objects": said})

    def _store(self, sha: str) -> None:
        content = self.body()
        if hashlib.sha256(content).hexdigest() != sha:
            raise Refusal(400, "the content is not what was announced")
        self.hub.large[sha] = content
        self.say({})

    def _arrived(self, sha: str) -> None:
        self.body()
        if sha not in self.hub.large:
            raise Refusal(404, "no such object")
        self.say({})

    def _resolve(self, _: str, kind: str | None, name: str, revision: str, path: str) -> None:
        one = self.repo(kind, name)
        if name in self.hub.gated:
            raise Refusal(403, f"Access to {name} is restricted", "GatedRepo")
        sha = one.find(revision)
        file = one.commits[sha].get(path)
        headers = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if file is None:
            raise Refusal(404, f"Entry not found: {path}", "EntryNotFound")
        headers["ETag"] = f'"{file.sha256 if file.large else file.oid}"'
        if file.large:
            headers |= {"X-Linked-Size": str(len(file.content)), "X-Linked-Etag": headers["ETag"]}
        content, status = file.content, 200
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            size = len(content)
            first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
            last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
            if first > last:
                raise Refusal(416, "no such range")
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            content, status = content[first : last + 1], 206
        self.answer(status, content, {**headers, "Content-Type": "application/octet-stream"})


API, PAGE = r"/api/(datasets|models)/([^/]+/[^/]+)", r"/(?:(datasets)/)?([^/]+/[^/]+)"
ROUTES = (
    (r"GET /api/whoami-v2", "_whoami"),
    (r"POST /api/repos/create", "_create"),
    (r"POST /api/validate-yaml", "_validate"),
    (rf"GET {API}(?:/revision/(.+))?", "_info"),
    (rf"GET {API}/tree/([^/]+)(/.*)?", "_tree"),
    (rf"POST {API}/paths-info/([^/]+)", "_paths"),
    (rf"POST {API}/branch/(.+)", "_branch"),
    (rf"POST {API}/preupload/([^/]+)", "_preupload"),
    (rf"POST {API}/commit/([^/]+)", "_commit"),
    (rf"POST {PAGE}\.git/info/lfs/objects/batch", "_batch"),
    (r"PUT /lfs/([0-9a-f]{64})", "_store"),
    (r"POST /lfs/([0-9a-f]{64})", "_arrived"),
    (rf"(GET|HEAD) {PAGE}/resolve/([^/]+)/(.+)", "_resolve"),
)


def directory(path: str) -> dict:
    """A folder, as the tree describes it."""
    oid = hashlib.sha1(path.encode()).hexdigest()
    return {"type": "directory", "path": path, "size": 0, "oid": oid}


def dated(files: list[dict], expand: object, sha: str) -> list[dict]:
    """With `expand`, also which commit touched a file last (here: the one that is asked about)."""
    if str(expand).lower() != "true":
        return files
    commit = {"id": sha, "title": "a commit", "date": "2026-11-22T00:00:00.000Z"}
    return [{**file, "lastCommit": commit} for file in files]


def metadata_errors(card: str) -> list[str]:
    """What the Hub would not take in the metadata of a dataset card."""
    found = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    try:
        metadata = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError as error:
        return [str(error)]
    if not isinstance(metadata, dict):
        return ["the metadata are no mapping"]
    errors = []
    if metadata.get("license", "unknown") not in LICENSES:
        errors.append(f'"license" {metadata["license"]} is not known')
    errors += [f"size {s}" for s in metadata.get("size_categories", []) if s not in SIZES]
    for key in ("tags", "language", "task_categories", "source_datasets", "configs"):
        if not isinstance(metadata.get(key, []), list):
            errors.append(f'"{key}" must be an array')
    for config in metadata.get("configs", []):
        if not {"config_name", "data_files"} <= set(config):
            errors.append(f"a config without a name or files: {config}")
    return errors
