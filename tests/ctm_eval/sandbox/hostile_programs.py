"""Programs that mean harm, each with what the sandbox must say of it.

They are run in isolation only: some would end every process of their user outside it.
"""

HOSTILE = {
    "fork bomb": ("import os\nwhile True:\n    os.fork()", "refused"),
    "thread bomb": (
        "import threading, time\n"
        "for _ in range(10000):\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        "refused",
    ),
    "memory bomb": ("x = 'a'\nwhile True:\n    x = x + x", "refused"),
    "memory bomb at once": ("x = bytearray(1 << 40)", "refused"),
    "endless loop": ("while True:\n    pass", "timeout"),
    "endless loop that catches everything": (
        "while True:\n    try:\n        while True:\n            pass\n"
        "    except BaseException:\n        pass",
        "timeout",
    ),
    "sleeping for ever": ("import time\ntime.sleep(10000)", "timeout"),
    "ignoring every signal": (
        "import signal\n"
        "for n in range(1, 65):\n"
        "    try:\n        signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n        pass\n"
        "while True:\n    pass",
        "timeout",
    ),
    "reading the home folder": (
        "import os\nprint(os.listdir(os.path.expanduser('~root')))\nprint(open('/etc/passwd').read())",
        "failed",
    ),
    "reading the environment": ("import os\nassert os.environ['CTM_PLANTED_SECRET']", "failed"),
    "opening a socket": (
        "import socket\nsocket.create_connection(('127.0.0.1', 80), timeout=2)",
        "refused",
    ),
    "asking for a name": ("import socket\nsocket.gethostbyname('example.com')", "failed"),
    "killing its parent": ("import os\nos.kill(os.getppid(), 9)", "refused"),
    "killing everybody": ("import os\nos.kill(-1, 9)", "refused"),
    "filling the disk": (
        "i = 0\nwhile True:\n    open(str(i), 'wb').write(b'x' * (1 << 20))\n    i += 1",
        "refused",
    ),
    "one large file": (
        "with open('big', 'wb') as file:\n    while True:\n        file.write(b'x' * (1 << 20))",
        "refused",
    ),
    "a million files": (
        "i = 0\nwhile True:\n    open(str(i), 'w').close()\n    i += 1",
        "refused",
    ),
    "printing for ever": ("while True:\n    print('x' * 1000)", "refused"),
    "writing to the standard library": (
        "import os\nopen(os.__file__, 'a').write('#')",
        "refused",
    ),
    "starting another program": ("import subprocess\nsubprocess.run(['/bin/sh'])", "refused"),
    "another user namespace": (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.unshare(0x10000000) != 0:\n    raise OSError(ctypes.get_errno(), 'unshare')",
        "refused",
    ),
    "tracing the server": (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.ptrace(16, 1, 0, 0) != 0:\n    raise OSError(ctypes.get_errno(), 'ptrace')",
        "refused",
    ),
    "crashing the interpreter": ("import ctypes\nctypes.string_at(0)", "failed"),
    "a deep recursion": ("def f():\n    return f()\nf()", "failed"),
    "leaving early without an error": ("import os\nos._exit(0)", "failed"),
    "exiting early": ("import sys\nsys.exit(0)", "failed"),
    "a forged report": (
        'import os\nos.write(3, b\'{"word": "", "status": "passed", "detail": ""}\')\nos._exit(0)',
        "failed",
    ),
    "closing the server's pipes": (
        "import os\nfor n in range(256):\n    try:\n        os.close(n)\n    except OSError:\n        pass",
        "failed",
    ),
    "an exception that cannot be printed": (
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E",
        "failed",
    ),
}
