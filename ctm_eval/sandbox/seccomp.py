"""A filter of system calls: no processes, no signals, no sockets, nothing that changes the system.

The second wall, behind the namespaces: what it denies is an ordinary error to the program. Source:
seccomp(2); the numbers are those of the kernel's tables for the two architectures.
"""

import ctypes
import errno
import functools
import os
import platform

# name: number on x86_64, on aarch64 (None where there is no such call)
DENIED = {
    "fork": (57, None),
    "vfork": (58, None),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "socket": (41, 198),
    "connect": (42, 203),  # asyncio needs pairs of sockets; these are not to be put to other use
    "bind": (49, 200),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # Memory that outlives its mapping is bounded by no limit.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "io_uring_setup": (425, 425),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
    "mknodat": (259, 33),
    "personality": (135, 92),
}
CLONE, CLONE3 = (56, 220), (435, 435)
SENDTO = (44, 206)  # without an address it is `send`
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH
CLONE_THREAD = 0x00010000
X32 = 0x40000000  # calls of the x32 ABI have this bit

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
PR_SET_SECCOMP, FILTER = 22, 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def is_known_here() -> bool:
    """Whether there is a filter for this machine."""
    return os.uname().sysname == "Linux" and platform.machine() in ARCHITECTURES


def install() -> None:
    """Filters this process and what it becomes, for good; wants `no_new_privileges`. Raises OSError."""
    libc, program, _ = prepare()
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(FILTER), ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the filter of system calls was not accepted")


@functools.cache
def prepare() -> tuple[ctypes.CDLL, _Program, object]:
    """The C library, the filter and the memory that it is in; made once, for all who fork from here."""
    instructions = _instructions(*ARCHITECTURES[platform.machine()])
    # struct sock_filter: u16 code, u8 jump if true, u8 jump if false, u32 k
    packed = b"".join(
        code.to_bytes(2, "little") + bytes((yes, no)) + k.to_bytes(4, "little")
        for code, yes, no, k in instructions
    )
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(instructions), ctypes.addressof(buffer))
    return ctypes.CDLL(None, use_errno=True), program, buffer


def _instructions(column: int, architecture: int) -> list[tuple[int, int, int, int]]:
    """(code, jump if true, jump if false, k): jumps count instructions to leave out."""
    denied = ERRNO | errno.EPERM
    lines = [
        (LOAD, 0, 0, 4),  # the architecture
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),  # the number of the call
        (JUMP_AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, denied),
        (JUMP_EQUAL, 0, 1, CLONE3[column]),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),  # the C library then takes `clone`
    ]
    for number in (numbers[column] for numbers in DENIED.values()):
        if number is not None:
            lines += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, denied)]
    return [
        *lines,
        (JUMP_EQUAL, 0, 4, CLONE[column]),
        (LOAD, 0, 0, 16),  # its flags: a thread may be made, a process not
        (JUMP_SET, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, denied),
        (RETURN, 0, 0, ALLOW),
        (JUMP_EQUAL, 0, 5, SENDTO[column]),
        (LOAD, 0, 0, 48),  # the two halves of its address
        (JUMP_EQUAL, 0, 2, 0),
        (LOAD, 0, 0, 52),
        (JUMP_EQUAL, 1, 0, 0),
        (RETURN, 0, 0, denied),
        (RETURN, 0, 0, ALLOW),
    ]
