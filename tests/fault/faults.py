"""The hold on build/tests/fault/libfault.so (interpose.c): what fails, and how often, while a daemon runs under it."""

import errno
import mmap
import os
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = pathlib.Path(os.environ.get("MODPROP_FAULT_LIBRARY", ROOT / "build" / "tests" / "fault" / "libfault.so"))
KINDS = ("write", "sync", "memory", "thread")
FIELDS = [
    "seed",
    *(f"rate_{kind}" for kind in KINDS),
    *(f"error_{kind}" for kind in KINDS),
    "clock",
    "own",
    *(f"calls_{kind}" for kind in KINDS),
    *(f"failed_{kind}" for kind in KINDS),
]


class Faults:
    """Attributes are the fields that interpose.c names; setting one takes effect at the next call of the daemon."""

    def __init__(self, folder, data, journal=None):
        path = folder / "faults"
        path.write_bytes(bytes(8 * len(FIELDS)))
        with open(path, "r+b") as file:
            super().__setattr__("memory", mmap.mmap(file.fileno(), 0))
        self.error_write = self.error_sync = errno.EIO
        self.own = 1
        variables = {"LD_PRELOAD": str(LIBRARY), "MODPROP_FAULTS": str(path), "MODPROP_FAULTS_ROOT": f"{data}/"}
        super().__setattr__("environment", variables | ({"MODPROP_FAULTS_JOURNAL": str(journal)} if journal else {}))

    def __getattr__(self, name):
        return struct.unpack_from("<q", self.memory, 8 * FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("<q", self.memory, 8 * FIELDS.index(name), int(value))

    def none(self):
        """Nothing fails any more."""
        for kind in KINDS:
            setattr(self, f"rate_{kind}", 0)
