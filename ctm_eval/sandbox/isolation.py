"""Namespaces: a process that has no network, sees no process but its own, and few files, read-only.

Works as root and as an ordinary user where user namespaces are permitted. Everything is done with the
system's own calls; nothing has to be installed. See user_namespaces(7), pivot_root(2), mount_setattr(2).
"""

import ctypes
import functools
import importlib.util
import os
import platform
import sys
import sysconfig

NEWNS, NEWUTS, NEWIPC = 0x00020000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
MNT_DETACH, AT_FDCWD, AT_RECURSIVE = 2, -100, 0x8000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
CAPABILITIES_V3 = 0x20080522
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
MOUNT_SETATTR = 442  # everywhere
NOBODY = 65534
NEW_ROOT = "/proc"  # any folder that is there on every machine and holds nothing that is bound
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
EXTRA = ("sympy", "mpmath")  # pure Python, for programs that compute with symbols
EXTRA_HOME = "/usr/local/lib/ctm"  # where these are, wherever they are installed; even below /tmp
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


class CannotIsolate(Exception):
    """This machine does not permit it; the message says which step failed."""


def libraries() -> list[str]:
    """The folders that hold the libraries which programs may import beside the standard one."""
    specs = filter(None, map(importlib.util.find_spec, EXTRA))
    places = [place for spec in specs for place in spec.submodule_search_locations or ()]
    return sorted({os.path.dirname(os.path.realpath(place)) for place in places})


def enter(folders: list[str]) -> None:
    """Returns in a new process that is process 1 of namespaces of its own; the caller waits for its end.

    Of `folders` it sees the libraries of `EXTRA`. Raises CannotIsolate, in the new process as in the
    old one.
    """
    if sys.platform != "linux" or platform.machine() not in PIVOT_ROOT:
        raise CannotIsolate(f"{sys.platform} on {platform.machine()}")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.close(ready[1])
        os.close(go[0])
        if os.read(ready[0], 1):
            try:
                _map_users(child)
                os.write(go[1], b"1")
            except OSError as error:
                os.write(go[1], os.strerror(error.errno or 0).encode())
        _wait_and_exit(child)
    os.close(ready[0])
    os.close(go[1])
    _call("unshare", NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS)
    die_with_parent()
    os.write(ready[1], b"1")
    if (answer := os.read(go[0], 100)) != b"1":
        raise CannotIsolate(f"mapping of users: {answer.decode() or 'no answer'}")
    for pipe in (ready[1], go[0]):
        os.close(pipe)
    child = os.fork()
    if child:
        _wait_and_exit(child)
    die_with_parent()
    _leave_the_files(folders)


def enter_place(file_bytes: int) -> None:
    """A working folder of its own: a file system in memory that ends with the last process that sees it."""
    _call("unshare", NEWNS)
    options = f"size={file_bytes},nr_inodes=1024,mode=0777".encode()
    _call("mount", b"work", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, options)
    os.chdir("/tmp")


def enter_alone() -> None:
    """The next child of this process is process 1 of a namespace, and sees nobody else."""
    _call("unshare", NEWPID)


def drop_rights(*, nobody: bool = True) -> None:
    """Gives up every capability and the way to any; a root becomes nobody."""
    if nobody and os.getuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def hide_memory() -> None:
    """No process of the same user may read or trace this one."""
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def no_new_privileges() -> None:
    """What the process starts has no more rights than it has."""
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def die_with_parent() -> None:
    """The system kills this process when its parent ends."""
    _call("prctl", PR_SET_PDEATHSIG, 9, 0, 0, 0)


def _map_users(child: int) -> None:
    """Users of the new namespace: the one that runs us, and nobody if that one is root."""
    user, group = os.geteuid(), os.getegid()
    root = user == 0
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1" + (f"\n{NOBODY} {NOBODY} 1" if root else "")),
        ("gid_map", f"{group} {group} 1" + (f"\n{NOBODY} {NOBODY} 1" if root else "")),
    ):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(text)


def _leave_the_files(folders: list[str]) -> None:
    """A root folder with the standard library, the system's libraries and three devices, read-only."""
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    home = {
        os.path.join(folder, name): f"{EXTRA_HOME}/{name}" for folder in folders for name in EXTRA
    }
    sources = [p for p in (*LIBRARIES, *_of_python(), *home, *DEVICES) if os.path.exists(p)]
    links = {path: os.readlink(path) for path in sources if os.path.islink(path)}
    _call("mount", b"root", NEW_ROOT.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, b"size=1m,mode=755")
    for path in sorted(set(sources) - set(links)):
        target = NEW_ROOT + home.get(path, path)
        if os.path.isdir(path):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT, 0o600))
        _call("mount", path.encode(), target.encode(), None, MS_BIND | MS_REC, None)
        device = 0 if path in DEVICES else ATTR_NODEV
        _set_attributes(target, ATTR_RDONLY | ATTR_NOSUID | device)
    for path, target in links.items():
        os.makedirs(os.path.dirname(NEW_ROOT + path), exist_ok=True)
        os.symlink(target, NEW_ROOT + path)
    os.makedirs(NEW_ROOT + "/tmp", exist_ok=True)
    os.chdir(NEW_ROOT)
    _call("syscall", PIVOT_ROOT[platform.machine()], b".", b".")
    _call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    _set_attributes("/", ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, recursive=False)


def _of_python() -> set[str]:
    """The folders of the running Python's standard library and of the libraries it links to."""
    folders = {sysconfig.get_path("stdlib"), os.path.join(sys.base_prefix, "lib")}
    folders |= {os.path.dirname(path) for path in sys.path if path.endswith("lib-dynload")}
    real = {os.path.realpath(folder) for folder in folders}
    return {
        path for path in real if not path.startswith(("/usr/lib/", "/lib/")) and path != "/usr/lib"
    }


def _set_attributes(path: str, attributes: int, *, recursive: bool = True) -> None:
    settings = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    size = ctypes.c_size_t(ctypes.sizeof(settings))
    _call("syscall", MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, settings, size)


def _wait_and_exit(child: int) -> None:
    os.closerange(0, 3)  # the pipes belong to the child
    os.waitpid(child, 0)
    os._exit(0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """A call into the C library; raises CannotIsolate where it fails."""
    libc = _libc()
    plain = [ctypes.c_ulong(a) if isinstance(a, int) and a >= 0 else a for a in arguments]
    if getattr(libc, name)(*plain) < 0:
        error = ctypes.get_errno()
        what = name if name != "syscall" else f"system call {arguments[0]}"
        raise CannotIsolate(f"{what}: {os.strerror(error)}")
