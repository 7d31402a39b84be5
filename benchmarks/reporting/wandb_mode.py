"""Online or offline: decided without asking anybody."""

from __future__ import annotations

import logging
import netrc
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import wandb

from clcore.errors import ArgumentError

logger = logging.getLogger(__name__)

Mode: TypeAlias = Literal["online", "offline", "disabled"]
"""What a wandb run can be."""

_NAMES: dict[str, Mode] = {
    "online": "online",
    "offline": "offline",
    "disabled": "disabled",
    # Older names that wandb still takes.
    "run": "online",
    "dryrun": "offline",
}

LATER = "the run is kept offline, send it later with `wandb sync`"


def decide_mode(requested: str = "auto", *, timeout: float = 4.0) -> Mode:
    """Decide how to run wandb.

    A definite request wins over the environment variable `WANDB_MODE`, and that over what is
    found out: online where there are credentials, offline otherwise. Online also needs the server
    to answer; where it doesn't, one logged sentence says so and the answer is offline.

    Args:
        requested: `"auto"`, `"online"`, `"offline"` or `"disabled"`.
        timeout: Seconds to wait for the server.

    Returns:
        `"online"`, `"offline"` or `"disabled"`.

    Raises:
        ArgumentError: `requested` or `WANDB_MODE` is none of the known modes.
    """
    wanted = requested
    if requested == "auto":
        wanted = os.environ.get("WANDB_MODE", "") or "auto"
    elif requested not in ("online", "offline", "disabled"):
        raise ArgumentError(
            f"wandb mode: {requested!r} is unknown, allowed are auto, online, offline, disabled"
        )
    if wanted != "auto":
        if wanted not in _NAMES:
            raise ArgumentError(
                f"WANDB_MODE: {wanted!r} is unknown, allowed are online, offline, disabled"
            )
        mode = _NAMES[wanted]
        if mode != "online":
            return mode
    if not has_credentials():
        if wanted != "auto":
            logger.warning("wandb: nobody is logged in (`wandb login`), %s", LATER)
        return "offline"
    problem = unreachable(base_url(), timeout)
    if problem is not None:
        logger.warning("wandb: no answer from %s (%s), %s", base_url(), problem, LATER)
        return "offline"
    return "online"


def base_url() -> str:
    """The server that wandb talks to."""
    return os.environ.get("WANDB_BASE_URL") or str(wandb.setup().settings.base_url)


def has_credentials() -> bool:
    """Whether wandb could log in without asking; asks no server where it can be avoided."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    if _in_netrc(urlsplit(base_url()).hostname or ""):
        return True
    # Keys in wandb's own settings files. With credentials this call would ask the server, and
    # wait for one that is not there; without, it answers in milliseconds.
    return bool(wandb.login(prompt=False, verify=False))


def _in_netrc(host: str) -> bool:
    named = os.environ.get("NETRC")
    files = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for file in files:
        if file.expanduser().is_file():
            try:
                return netrc.netrc(file.expanduser()).authenticators(host) is not None
            except (netrc.NetrcParseError, OSError) as error:
                logger.warning("wandb: %s can't be read for credentials (%s)", file, error)
    return False


def unreachable(url: str, timeout: float) -> str | None:
    """Why a server can't be reached.

    Args:
        url: Its address.
        timeout: Seconds to wait.

    Returns:
        The reason, or None where anything answered, be it an error page. Doubts about
        certificates count as an answer: wandb has its own settings for them.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout):
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)
