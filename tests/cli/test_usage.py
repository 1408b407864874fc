"""The command line itself: usage, settings, help, and servers that are not there or not ours; no daemon needed."""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import threading

import pytest
from conftest import MODPROP


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["lisst"], 'there is no command "lisst"; did you mean list?'),
        (["list", "--limt", "3"], "there is no option --limt; did you mean --limit?"),
        (["list", "--limit"], "--limit needs a value (N)"),
        (["list", "--limit", "many"], '--limit must be an integer from 1 to 1000000; got "many"'),
        (["list", "--limit=0"], '--limit must be an integer from 1 to 1000000; got "0"'),
        (["list", "--limit", " 5"], '--limit must be an integer from 1 to 1000000; got " 5"'),
        (["list", "--status", "done"], "--status must be one of queued, running"),
        (["list", "--all=yes"], "--all takes no value"),
        (["views", "extra"], '"extra" is one too many'),
        (["views", "--", "--all"], '"--all" is one too many'),
        (["show"], "modprop show needs JOB..."),
        (["submit"], "modprop submit needs a FILE"),
        (["submit", "--set", "rule"], "--set must be PATH=VALUE"),
        (["submit", "--set", "rule..mu=1"], "names divided by single dots"),
        (["submit", "--set", "rule=1", "--set", "rule.mu=2"], '"rule.mu" cannot be set: rule is no object'),
        (["submit", "--task", "pattern", "--seed", "3-1"], "--seed must be numbers from 0 to 2^53-1"),
        (["submit", "--task", "pattern", "--seed", "-1"], "--seed must be numbers from 0 to 2^53-1"),
        (["compare", "latest", "--plot", "curve.pdf"], "--plot must be a file named .svg or .png"),
        (["compare", "latest", "--under", "low"], "--under must be a number"),
        (
            ["submit", "--task", "pattern", "--key", "a\r\nX-Other: b"],
            "--key must be 1 to 200 printable ASCII characters",
        ),
        (
            ["submit", "--task", "pattern", "--key", 200 * "k", "--seed", "1-2"],
            "--key must be 1 to 183 printable ASCII characters",
        ),
        (["datasets", "putt", "x", "y"], 'there is no command "datasets putt"; did you mean modprop datasets put?'),
        (["experiment", "export", "x"], 'there is no command "experiment export"; did you mean modprop export?'),
        (["experiment", "weights", "x"], 'there is no command "experiment weights"; did you mean modprop weights?'),
        (["trials", "x"], 'there is no command "trials"; did you mean experiment trials?'),
        (["weights", "latest", "-o", "w.npz"], "--output must end in .json or .safetensors, or --format says"),
        (["completion", "tcsh"], "SHELL must be bash, zsh or fish"),
        (["--server", "ftp://x", "list"], "--server must be an address"),
        (["--server", "http://user:secret@host", "list"], "--server must be an address"),
        (["--server", "http://127.0.0.1:65536", "list"], "--server must be an address"),
        (["--server", "http://127.0.0.1:80x/lab", "list"], "--server must be an address"),
        (["--server", "http://[::1]:", "list"], "--server must be an address"),
    ],
)
def test_bad_usage_is_one_clear_sentence(offline, words, sentence):
    result = offline.run(*words, status=2)
    assert sentence in result.stderr
    assert result.stderr.startswith("modprop: ") and result.stderr.count("\n") == 1


def test_bad_files_name_the_place(offline, tmp_path):
    job = tmp_path / "job.json"
    job.write_text('{"task":\n  {"type" "x"}}')
    assert f"{job} is not JSON: line 2, column" in offline.run("submit", job, status=2).stderr
    job.write_text('{"a": 1, "a": 2}')
    assert "duplicate" in offline.run("submit", job, status=2).stderr
    job.write_text("[1]")
    assert "must hold a JSON object" in offline.run("submit", job, status=2).stderr
    assert "cannot read" in offline.run("submit", tmp_path / "none.json", status=5).stderr
    assert "standard input is not JSON" in offline.run("submit", "-", status=2, input="{").stderr


def test_errors_are_documents_with_json(offline):
    problem = json.loads(offline.run("list", "--limit", "x", "--json", status=2).stderr)
    assert problem["exit"] == 2 and "--limit" in problem["detail"]


def test_json_and_bytes_exclude_each_other(offline):
    assert (
        "exclude each other" in offline.run("weights", "latest", "--json", "--format", "safetensors", status=2).stderr
    )


def test_without_a_command_there_is_help(offline):
    result = offline.run(status=2)
    assert "Usage: modprop COMMAND" in result.stdout and "a command is needed" in result.stderr


def test_every_command_explains_itself(offline):
    table = json.loads(offline.run("help", "--json").stdout)
    names = [command["name"] for command in table["commands"]]
    assert len(names) == len(set(names)) >= 25
    overview = offline.run("help").stdout
    flat = " ".join(overview.split())
    assert all(f"--{option['name']}" in overview and option["description"] in flat for option in table["options"])
    for command in table["commands"]:
        text = offline.run(*command["name"].split(), "--help").stdout
        assert text.startswith(f"Usage: modprop {command['name']}")
        for option in command["options"] + table["options"]:
            assert f"--{option['name']}" in text and not option["description"].endswith(".")
        examples = set((command["examples"] or "").splitlines())
        assert all(
            len(line) <= 80 for line in text.splitlines()[1:] if line.strip() not in examples and "|" not in line
        ), text
        assert (f"  {command['name']} " in overview) == (command["group"] is not None)
    assert offline.run("help", "datasets", "put").stdout.startswith("Usage: modprop datasets put NAME FILE")


def test_version(offline):
    assert offline.run("--version").stdout == offline.run("version").stdout
    assert json.loads(offline.run("version", "--json").stdout)["name"] == "modprop"


def test_letters_combine(offline):
    assert "Connection refused" in offline.run("list", "-aqs127.0.0.1:1", status=3).stderr


# ---- settings --------------------------------------------------------------------------------------------------------


def settings(offline, *words, environment=None):
    """What doctor found out about the settings; no server is there."""
    found = json.loads(offline.run("doctor", "--json", *words, status=3, environment=environment).stdout)
    return {check["check"]: check["detail"] for check in found["checks"]}


def test_settings_come_from_flags_then_environment_then_file_then_defaults(offline, tmp_path):
    server = "http://127.0.0.1:1"
    assert "127.0.0.1:1 (from --server)" in settings(offline, "--server", "127.0.0.1:1/")["server"]
    config = tmp_path / ".config" / "modprop" / "config"
    config.parent.mkdir(parents=True)
    (tmp_path / "token").write_text("secret-of-file\n")
    (tmp_path / "token").chmod(0o600)
    config.write_text(f"# where\nserver = {server}\ntoken-file = ~/token\n")
    found = settings(offline)
    assert found["server"] == f"{server} (from {config})" and found["token"].endswith("/token")
    variables = {"MODPROP_SERVER": "127.0.0.1:2", "MODPROP_TOKEN": "x"}
    found = settings(offline, environment=variables)
    assert "127.0.0.1:2 (from MODPROP_SERVER)" in found["server"] and found["token"] == "from MODPROP_TOKEN"
    found = settings(offline, "--server", "127.0.0.1:3", "--token", "y", environment=variables)
    assert "127.0.0.1:3 (from --server)" in found["server"] and found["token"] == "from --token"


def test_a_token_of_the_file_goes_to_its_server_only(offline, tmp_path):
    config = tmp_path / "config"
    config.write_text("server = http://127.0.0.1:1\ntoken = secret\n")
    config.chmod(0o600)
    assert settings(offline, "--config", config)["token"] == f"from {config}"
    assert settings(offline, "--config", config, "--server", "127.0.0.1:2")["token"] == "none"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("server http://x\n", 'config:1 must read "key = value"'),
        ("\n\nsrever = http://x\n", 'config:3: there is no setting "srever"'),
        ("token =\n", "config:1: token must not be empty"),
        ("server = gopher://x\n", "must be an address such as"),
        ("token = two words\n", "must be one word of printable ASCII"),
    ],
)
def test_bad_configuration(offline, tmp_path, text, sentence):
    config = tmp_path / "config"
    config.write_text(text)
    config.chmod(0o600)
    assert sentence in offline.run("list", "--config", config, status=2).stderr
    assert offline.run("help", "--config", config).stdout  # help works whatever the settings are


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfserver = http://127.0.0.1:1  # the lab's\r\n",
        b'  server = "http://127.0.0.1:1"\t\n',
        b"SERVER=x # old\nserver = http://127.0.0.1:1\n".replace(b"SERVER=x", b"# SERVER=x"),
    ],
)
def test_a_configuration_file_is_read_as_most_programs_do(offline, tmp_path, text):
    (tmp_path / "config").write_bytes(text)
    assert settings(offline, "--config", tmp_path / "config")["server"].startswith("http://127.0.0.1:1 (from ")


@pytest.mark.parametrize(
    "text,words",
    [
        (b"token = a\x00b\n", "must be text; it holds a zero byte"),
        ("token = a\n".encode("utf-16"), "must be text in UTF-8; it begins as UTF-16 does"),
    ],
)
def test_files_that_are_no_text_are_named(offline, tmp_path, text, words):
    file = tmp_path / "file"
    file.write_bytes(text)
    file.chmod(0o600)
    for option in ("--config", "--token-file"):
        sentence = offline.run("list", option, file, status=2).stderr
        assert words in sentence and str(file) in sentence and sentence.count("\n") == 1
    file.write_bytes(b"\xef\xbb\xbfsecret \r\n")
    assert settings(offline, "--token-file", file)["token"] == f"from --token-file {file}"


def test_token_files(offline, tmp_path):
    token = tmp_path / "tokens"
    assert "cannot be read" in offline.run("list", "--token-file", token, status=5).stderr
    token.write_text("\n")
    assert "is empty" in offline.run("list", "--token-file", token, status=2).stderr
    token.write_text("ann:admin:" + 64 * "0")
    assert "the daemon's list" in offline.run("list", "--token-file", token, status=2).stderr
    token.write_text("good\n")
    token.chmod(0o644)
    assert "others may read it" in offline.run("list", "--token-file", token, "-s", "127.0.0.1:1", status=3).stderr


# ---- servers that are not there, or are something else ---------------------------------------------------------------


def complete(request):
    """Whether the body is there too: a connection that is closed before it was read is reset, and the answer lost."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.M)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


class Scripted:
    """A server that answers every connection with the same bytes, then closes it."""

    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.requests = []
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                data = b""
                while not complete(data):
                    chunk = connection.recv(65536)
                    if not chunk:
                        break
                    data += chunk
                self.requests.append(data)
                connection.sendall(self.answer)

    def close(self):
        self.socket.close()


@pytest.fixture
def scripted():
    servers = []

    def make(answer):
        servers.append(Scripted(answer))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def response(body, status="200 OK", type="application/json"):
    body = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def test_nobody_there(offline):
    assert (
        "cannot reach http://127.0.0.1:1: Connection refused"
        in offline.run("list", "-s", "127.0.0.1:1", status=3).stderr
    )
    said = offline.run("list", "-s", "127.0.0.1:1", status=3).stderr
    assert "is modpropd running there? (modpropd --data DIR starts one" in said
    assert "FAIL  reachable" in offline.run("doctor", "-s", "127.0.0.1:1", status=3).stdout


def test_a_server_that_never_answers_is_given_up(offline):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert "does not answer (waited 1 s)" in offline.run("list", "-s", address, "--timeout", "1", status=3).stderr


def test_something_else_answers(offline, scripted):
    page = scripted(response("<html>hello", type="text/html"))
    assert "is not JSON (is it a modpropd?)" in offline.run("list", "-s", page.url, status=5).stderr
    teapot = scripted(response("short and stout\nmore", "418 I'm a teapot", "text/plain"))
    assert "418: short and stout\n" in offline.run("list", "-s", teapot.url, status=4).stderr


def test_a_redirect_is_not_followed(offline, scripted):
    other = scripted(response("{}"))
    away = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {other.url}/v1/jobs\r\nContent-Length: 0\r\n"
    server = scripted((away + "Connection: close\r\n\r\n").encode())
    offline.run("list", "-s", server.url, "--token", "secret", status=4)
    assert not other.requests and b"Authorization: Bearer secret" in server.requests[0]


def test_problems_are_shown_as_fields_and_escape_sequences_are_not_obeyed(offline, scripted):
    problem = {
        "title": "Bad",
        "status": 422,
        "detail": "the job is \x1b[31mwrong",
        "errors": [{"pointer": "/rule/a~1b", "detail": "must be \x1b]0;x\x07so"}],
    }
    server = scripted(response(json.dumps(problem), "422 Unprocessable", "application/problem+json"))
    result = offline.run("submit", "--task", "x", "-s", server.url, status=4)
    assert "\x1b" not in result.stderr and "\x07" not in result.stderr
    assert "the job is ?[31mwrong (422)" in result.stderr and "  rule.a/b" in result.stderr
    assert json.loads(offline.run("submit", "--task", "x", "-s", server.url, "--json", status=4).stderr) == problem


EVIL = "a\x1b[31mb\x07c\u009b31md\u202ee"
ITEM = {
    "type": EVIL,
    "description": EVIL,
    "parameters": {EVIL: {"type": EVIL, "default": EVIL, "unit": EVIL, "description": EVIL}},
    "defaults": {EVIL: {EVIL: {"choices": [EVIL], "default": EVIL}}},
    "recommended": [None, {}, 3, {"settings": None}, {"for": EVIL, "evidence": EVIL, "settings": {EVIL: {EVIL: EVIL}}}],
}
JOB = {
    "id": EVIL,
    "name": EVIL,
    "status": EVIL,
    "task": {"type": EVIL, EVIL: EVIL},
    "rule": {"type": EVIL, "mu": EVIL},
    "network": {"units": EVIL},
    "metadata": {EVIL: EVIL},
    "error": {"code": EVIL, "detail": EVIL},
    "reason": EVIL,
}
HOSTILE = JOB | {
    "jobs": [JOB],
    "next": None,
    "tasks": [ITEM, ITEM | {"type": "x"}],
    "rules": [ITEM, ITEM | {"type": "x"}, {"rule": {"type": EVIL}, "cosine": {EVIL: 1}}],
    "datasets": [{"name": EVIL, "sha256": EVIL, EVIL: EVIL}],
    "checkpoints": [{"iteration": 1, "sha256": EVIL, EVIL: EVIL}],
    "estimate": {EVIL: EVIL, EVIL + "2": 5},
    "version": EVIL,
    "detail": EVIL,
    EVIL: EVIL,
    "list": [[1, 2]],
}
FULL = "01a20dc9-85ec-7000-9f95-22ae4c74f179"


@pytest.mark.parametrize("status", ["200 OK", "422 Unprocessable"])
@pytest.mark.parametrize(
    "words",
    [
        ["tasks"],
        ["tasks", EVIL],
        ["tasks", "x"],
        ["rules", EVIL],
        ["list"],
        ["list", "--quiet"],
        ["show", FULL],
        ["pause", FULL],
        ["checkpoints", FULL],
        ["datasets"],
        ["datasets", "show", "x"],
        ["submit", "--task", "x"],
        ["validate", "--task", "x"],
        ["simulate", FULL],
        ["doctor"],
        ["follow", FULL, "--patience", "1"],
        ["complete", "1", "tasks", ""],
    ],
    ids=lambda words: "-".join(words[:2]).replace(EVIL, "evil") if isinstance(words, list) else None,
)
def test_what_a_server_says_is_never_obeyed_by_a_terminal(offline, scripted, words, status):
    server = scripted(response(json.dumps(HOSTILE, ensure_ascii=False), status))
    process = offline.start(*words, "-s", server.url, stdin=subprocess.DEVNULL)
    output = b"".join(process.communicate(timeout=120)).decode()
    assert process.returncode in (0, 1, 2, 3, 4, 5), output
    for character in "\x1b\x07\u009b\u202e":
        assert character not in output, (words, output)


def test_json_on_a_terminal_is_not_obeyed_either(offline, scripted):
    """Escaped control characters are JSON's own; the others are valid in a string, and a pipe gets them as they
    came."""
    body = json.dumps(HOSTILE, ensure_ascii=False)
    server = scripted(response(body))
    assert offline.run("show", FULL, "--json", "-s", server.url).stdout == body + "\n"
    try:
        controller, terminal = pty.openpty()
    except OSError as reason:
        pytest.skip(f"SKIPPED: no terminal can be made: {reason}")
    process = offline.start("show", FULL, "--json", "-s", server.url, stdin=subprocess.DEVNULL, stdout=terminal)
    os.close(terminal)
    output = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(controller, 65536):
            output += chunk
    os.close(controller)
    assert process.wait(120) == 0 and json.loads(output)["status"].startswith("a\x1b")
    assert not {"\x1b", "\u009b", "\u202e"} & set(output.decode())


def metrics_answer():
    return response('{"iteration":[0,1],"loss":[0.5,0.25]}')


def test_a_link_is_written_through_and_stays_a_link(offline, scripted, tmp_path):
    server = scripted(metrics_answer())
    target, link, dangling = tmp_path / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_text("old, and longer than what comes: " + "x" * 500)
    target.chmod(0o640)
    link.symlink_to("target")
    dangling.symlink_to("new")
    for path in (link, dangling):
        offline.run("metrics", FULL, "-o", path, "-s", server.url)
        assert path.is_symlink() and path.read_text().startswith('{"iteration')
    assert target.read_text() == (tmp_path / "new").read_text() and target.stat().st_mode & 0o777 == 0o640
    assert not [path.name for path in tmp_path.iterdir() if "." in path.name], "no temporary file is left"
    inode = target.stat().st_ino
    offline.run("metrics", FULL, "-o", target, "-s", server.url)
    assert target.stat().st_ino != inode, "a regular file is replaced as a whole"


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_its_name_is_standard_output(offline, scripted, tmp_path, path):
    """Writers that rename would put a file in the place of the link, as root /dev/stdout itself."""
    server = scripted(metrics_answer())
    assert offline.run("metrics", FULL, "-o", path, "-s", server.url).stdout.startswith('{"iteration')
    log = tmp_path / "log"
    log.write_text("before\n")
    with open(log, "a") as file:
        assert offline.start("metrics", FULL, "-o", path, "-s", server.url, stdout=file).wait(30) == 0
    assert log.read_text().startswith('before\n{"iteration')
    assert os.path.islink(path)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_are_taken_by_nothing_else(offline, scripted, tmp_path, closed):
    server = scripted(metrics_answer())
    target = tmp_path / "curves"
    words = f'exec "$0" metrics {FULL} -o {target} -s {server.url} {closed}'
    process = subprocess.Popen(["sh", "-c", words, MODPROP], env=offline.environment)
    assert process.wait(120) == 0 and target.read_text().startswith('{"iteration')
    words = f'exec "$0" help {closed}'
    ended = subprocess.Popen(["sh", "-c", words, MODPROP], env=offline.environment, stdout=subprocess.DEVNULL).wait(30)
    assert ended == (5 if " >&-" in " " + closed else 0)


def test_a_cut_answer_leaves_no_file(offline, scripted, tmp_path):
    server = scripted(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"W":')
    target = tmp_path / "out" / "w.json"
    target.parent.mkdir()
    job = "01a20dc9-85ec-7000-9f95-22ae4c74f179"
    offline.run("weights", job, "-o", target, "-s", server.url, status=3)
    assert list(target.parent.iterdir()) == []
    target.write_text("old")
    offline.run("weights", job, "-o", target, "-s", server.url, status=3)
    assert target.read_text() == "old" and len(list(target.parent.iterdir())) == 1


def test_a_lost_answer_is_asked_for_again_under_one_key(offline, scripted):
    server = scripted(b"")
    offline.run("submit", "--task", "delayed_xor", "-s", server.url, status=3)
    keys = {
        line
        for request in server.requests
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"idempotency-key")
    }
    assert len(server.requests) == 4 and len(keys) == 1


def test_a_full_disk_is_told(offline):
    with open("/dev/full", "w") as full:
        process = offline.start("help", stdout=full, text=True)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 5 and "cannot write to standard output" in errors
