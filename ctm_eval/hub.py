"""Names on the Hub, told from paths; and a Hub out of reach, noticed before anything waits for it."""

import logging
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

OURS = ("runs", "models")  # where `ctm` writes: nobody's names on the Hub


def is_hub_name(name: str | os.PathLike[str]) -> bool:
    """Whether `name` can be NAME or USER/NAME on the Hub: it is no folder or file here, and does not look
    like a path, as `./a`, `a/b/c`, `runs/a` and `models/a` do."""
    text = str(name)
    looks_local = text.startswith((".", "/", "~")) or text.partition("/")[0] in OURS
    return not looks_local and text.count("/") <= 1 and not Path(text).exists()


def reachable() -> bool:
    """Whether the Hub has an address here. What a proxy can reach, only the proxy knows: then True."""
    from huggingface_hub import constants

    if {"http", "https", "all"} & getproxies().keys():
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


def notice_offline() -> None:
    """Takes the Hub's libraries offline for this process if the Hub has no address here.

    They then answer from their cache at once, instead of trying again for half a minute.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or reachable():
        return
    logging.getLogger("ctm").warning(
        "the Hub cannot be reached from here; only what is in its cache can be used"
    )
    os.environ["HF_HUB_OFFLINE"] = "1"  # for `datasets`, where it is not yet imported
    constants.HF_HUB_OFFLINE = True
    if "datasets" in sys.modules:
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True
