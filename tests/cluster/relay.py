"""A network that fails: a relay between a worker and its daemon, without any rights.

`up` forwards; `down` resets every connection and each new one at once; `silent` takes connections and bytes and passes
nothing on, as a cable that is pulled out; `forget()` leaves the connections that there are without an answer for ever,
while new ones work, as a firewall that was started anew. `cut` is a function that says after how many bytes each new
connection is reset; `hold` says how many bytes of answers a connection passes on before it is forgotten.
"""

import contextlib
import selectors
import socket
import struct
import threading

CHUNK = 65536


class Side:
    """One of a pair's two sockets, and what is to be written to it."""

    def __init__(self, sock):
        self.sock, self.waiting, self.ended = sock, bytearray(), False


class Relay:
    def __init__(self, port, cut=None, address="127.0.0.1", hold=None):
        self.target, self.cut, self.mode, self.hold = port, cut, "up", hold
        self.lock = threading.Lock()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server((address, 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://{address}:{self.port}"
        self.pairs = []  # {"sides": (Side, Side), "left": bytes or None, "forgotten": bool, "answered": bytes}
        self.taken = self.resets = self.held = self.most = 0  # `most`: connections at once
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def set(self, mode):
        with self.lock:
            self.mode = mode
            if mode == "down":
                for pair in list(self.pairs):
                    self._reset(pair)

    def forget(self):
        with self.lock:
            for pair in self.pairs:
                pair["forgotten"] = True

    def stop(self):
        self.stopping = True
        self.thread.join(10)
        with self.lock:
            for pair in list(self.pairs):
                self._reset(pair)
        self.listener.close()
        self.selector.close()

    # ---- in the thread, under the lock ----

    def _reset(self, pair):
        self.pairs.remove(pair)
        self.resets += 1
        for side in pair["sides"]:
            side.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.sock.close()

    def _accept(self):
        try:
            near, _ = self.listener.accept()
        except OSError:
            return
        self.taken += 1
        far = socket.socket()
        pair = {"sides": (Side(near), Side(far)), "left": self.cut() if self.cut else None}
        pair |= {"forgotten": False, "answered": 0}
        self.pairs.append(pair)
        self.most = max(self.most, len(self.pairs))
        try:
            far.connect(("127.0.0.1", self.target))
        except OSError:
            self._reset(pair)
            return
        near.setblocking(False)
        far.setblocking(False)
        if self.mode == "down":
            self._reset(pair)

    def _move(self, pair, at):
        """Reads what one side has and keeps it for the other; writes what it can."""
        source, sink = pair["sides"][at], pair["sides"][1 - at]
        if not source.ended and len(sink.waiting) < 4 * CHUNK:
            try:
                data = source.sock.recv(CHUNK)
                source.ended = not data
                if pair["left"] is not None:
                    data = data[: pair["left"]]
                    pair["left"] -= len(data)
                pair["answered"] += at * len(data)
                sink.waiting += data
            except BlockingIOError:
                pass
        if sink.waiting:
            with contextlib.suppress(BlockingIOError):
                del sink.waiting[: sink.sock.send(sink.waiting)]

    def _serve(self, pair):
        try:
            for at in (0, 1):
                self._move(pair, at)
            done = all(side.ended and not side.waiting for side in pair["sides"])
            half = any(side.ended for side in pair["sides"]) and not any(side.waiting for side in pair["sides"])
        except OSError:
            done = True
        if done or half or pair["left"] == 0:
            self._reset(pair)
        elif self.hold is not None and pair["answered"] > self.hold:
            pair["forgotten"] = True
            self.held += 1

    def _run(self):
        while not self.stopping:
            with self.lock:
                watched = [self.listener]
                for pair in self.pairs:
                    if self.mode == "up" and not pair["forgotten"]:
                        watched += [side.sock for side in pair["sides"]]
                for sock in watched:
                    self.selector.register(sock, selectors.EVENT_READ)
            self.selector.select(0.02)
            with self.lock:
                for key in list(self.selector.get_map().values()):
                    self.selector.unregister(key.fileobj)
                if self.mode != "silent":
                    self._accept()
                if self.mode == "up":
                    for pair in [pair for pair in self.pairs if not pair["forgotten"]]:
                        self._serve(pair)
