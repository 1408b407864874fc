"""Where the server is and what to show it, found as the command line finds it: what the program says, else the
environment, else the configuration file, else the default.

The file (~/.config/modprop/config, under $XDG_CONFIG_HOME where that is set, or $MODPROP_CONFIG) has lines
`key = value` with the keys server, token, token_file and ca_file. It is read as the daemon and the command line read
theirs (core/base/options.h): blanks around key and value are no part of them, # begins a comment at the beginning of a
line and behind a blank, a value between double quotes is taken as it is, a byte order mark is skipped, and UTF-16 or
zero bytes are named. A token of the file goes only to the server that the file names: a program that names another one
must not hand it out.

Why it is read here once more, although core/base has a reader: the package is pure Python, installed by pip where there
may be no modprop program and no compiler, and so can neither link that reader nor ask a program for what it read. Tests
hold it to the command line's behaviour (tests/python/test_transport.py). The reader itself is four short
functions; there is no second list of the daemon's options.
"""

from __future__ import annotations

import os
import pathlib
import re
import ssl
import urllib.parse

DEFAULT_SERVER = "http://127.0.0.1:8080"
KEYS = ("server", "token", "token_file", "ca_file")


def find(
    server: str | None, token: str | None, verify: bool | str | ssl.SSLContext
) -> tuple[str, str | None, bool | str | ssl.SSLContext]:
    """The server's address, the token if there is one, and what to trust: True, or a file of certificates. Raises
    ValueError with the place of what is wrong, OSError where a file that was named cannot be read."""
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
        text = _text_read(path)
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise
        return {}
    settings = {}
    for number, line in enumerate(text.split("\n"), 1):
        bare = _without_comment(line).strip()
        if not bare:
            continue
        key, equals, value = (part.strip() for part in bare.partition("="))
        if not equals or not key:
            raise ValueError(f'{path}:{number} must read "key = value"; got {line.strip()!r}')
        key = key.replace("-", "_")
        if key not in KEYS:
            raise ValueError(f"{path}:{number}: there is no setting {key!r}; there are {', '.join(KEYS)}")
        value = _unquoted(value, f"{path}:{number}: {key}")
        settings[key] = os.path.expanduser(value) if key.endswith("_file") else value
    return settings


def _without_comment(line: str) -> str:
    """The line up to a # at its beginning or behind a blank, but not between double quotes."""
    quoted = False
    for at, character in enumerate(line):
        quoted ^= character == '"'
        if character == "#" and not quoted and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line


def _unquoted(value: str, place: str) -> str:
    if value.startswith('"'):
        if len(value) < 2 or value.find('"', 1) != len(value) - 1:
            raise ValueError(
                f"{place}: a value that begins with a double quote must end with the next one; got {value}"
            )
        value = value[1:-1]
    if not value:
        raise ValueError(f"{place} must not be empty")
    return value


def _text_read(path: pathlib.Path) -> str:
    """A file's text behind its byte order mark, if it has one."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} must be text in UTF-8; it begins as UTF-16 does")
    if b"\0" in content:
        raise ValueError(f"{path} must be text; it holds a zero byte")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8; byte {error.start} is not") from error


def _address(server: str) -> str:
    """ "HOST:PORT" is http://HOST:PORT; slashes at the end go."""
    address = (server if "://" in server else f"http://{server}").rstrip("/")
    if not re.match(r"https?://[^/:?#@\s][^?#@\s]*$", address, re.IGNORECASE) or not _port_is_valid(address):
        raise ValueError(
            f"server must be an address such as http://127.0.0.1:8080 or https://lab.example; got {server!r}"
        )
    return address


def _port_is_valid(address: str) -> bool:
    try:
        return urllib.parse.urlsplit(address).port != 0
    except ValueError:
        return False


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
    if given is not None and ":" in given:
        raise ValueError('token is "name:role:sha256", the daemon\'s list; a client needs the token itself')
    return given


def _token_read(path: str) -> str:
    token = _text_read(pathlib.Path(path)).strip()
    if not token:
        raise ValueError(f"the token file {path} is empty")
    return token
