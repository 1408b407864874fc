"""Where the server is and what to show it, found as the command line finds it: what the program says, else the environment, else the
configuration file, else the default.

The file (~/.config/modprop/config, under $XDG_CONFIG_HOME where that is set, or $MODPROP_CONFIG) has lines `key = value` with the keys
server, token, token_file and ca_file; # begins a comment. A token of the file goes only to the server that the file names: a program that
names another one must not hand it out.
"""

from __future__ import annotations

import os
import pathlib
import re
import ssl

DEFAULT_SERVER = "http://127.0.0.1:8080"
KEYS = ("server", "token", "token_file", "ca_file")


def find(
    server: str | None, token: str | None, verify: bool | str | ssl.SSLContext
) -> tuple[str, str | None, bool | str | ssl.SSLContext]:
    """The server's address, the token if there is one, and what to trust: True, or a file of certificates. Raises ValueError with the
    place of what is wrong, OSError where a file that was named cannot be read."""
    file = _file_read()
    address = _address(server or os.environ.get("MODPROP_SERVER") or file.get("server") or DEFAULT_SERVER)
    if verify is True:
        verify = os.environ.get("MODPROP_CA_FILE") or file.get("ca_file") or True
    return address, _token(token, file, address), verify


def _file_read() -> dict[str, str]:
    """What the configuration file says; nothing where there is none, unless one was named."""
    named, base = os.environ.get("MODPROP_CONFIG"), os.environ.get("XDG_CONFIG_HOME", "")
    if named:
        path = pathlib.Path(named)
    else:
        path = (
            (pathlib.Path(base) if base.startswith("/") else pathlib.Path("~/.config").expanduser())
            / "modprop"
            / "config"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise
        return {}
    settings = {}
    for number, line in enumerate(lines, 1):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key and not equals or key.startswith("#"):
            continue
        key = key.replace("-", "_")
        if not equals or not value:
            raise ValueError(f'{path}:{number} must read "key = value"; got {line.strip()!r}')
        if key not in KEYS:
            raise ValueError(f"{path}:{number}: there is no setting {key!r}; there are {', '.join(KEYS)}")
        settings[key] = os.path.expanduser(value) if key.endswith("_file") else value
    return settings


def _address(server: str) -> str:
    """ "HOST:PORT" is http://HOST:PORT; slashes at the end go."""
    address = (server if "://" in server else f"http://{server}").rstrip("/")
    if not re.match(r"https?://[^/:?#@\s][^?#@\s]*$", address, re.IGNORECASE):
        raise ValueError(
            f"server must be an address such as http://127.0.0.1:8080 or https://lab.example; got {server!r}"
        )
    return address


def _token(given: str | None, file: dict[str, str], address: str) -> str | None:
    environment, environment_file = os.environ.get("MODPROP_TOKEN"), os.environ.get("MODPROP_TOKEN_FILE")
    if given is None and environment:
        given = environment
    elif given is None and environment_file:
        given = _token_read(environment_file)
    elif given is None and address == _address(file.get("server", DEFAULT_SERVER)):
        given = file.get("token") or (_token_read(file["token_file"]) if "token_file" in file else None)
    if given is not None and (not given.isascii() or not given.isprintable() or " " in given):
        raise ValueError("token must be printable ASCII without spaces: was a line break read along with it?")
    return given


def _token_read(path: str) -> str:
    token = pathlib.Path(path).read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"the token file {path} is empty")
    if ":" in token:
        raise ValueError(
            f'{path} gives "name:role:sha256", which is the daemon\'s list; a client needs the token itself'
        )
    return token
