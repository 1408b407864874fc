"""Data made by rule, the same everywhere: two datasets and MNIST files of a few images.

No generator of a library that may change takes part.
"""

import hashlib
import json
import struct

MNIST = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 40),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 12),
}


def stream(name, count):
    """`count` bytes that follow from the name."""
    return hashlib.shake_256(name.encode()).digest(count)


def safetensors(arrays):
    """arrays: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (kind, shape, raw) in arrays.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def floats(name, count):
    """Numbers from -1 to 1 in steps of 1/128."""
    return struct.pack(f"<{count}f", *((byte - 128) / 128 for byte in stream(name, count)))


def dataset_classes(name="classes", steps=14, trials=20, inputs=3, classes=4):
    """A class a trial; the loss counts at the last three steps; with a test split."""

    def part(prefix, trials):
        labels = [byte % classes for byte in stream(f"{name} {prefix} labels", trials)]
        mask = [[float(t >= steps - 3)] * trials for t in range(steps)]
        return {
            f"{prefix}inputs": (
                "F32",
                [steps, trials, inputs],
                floats(f"{name} {prefix} inputs", steps * trials * inputs),
            ),
            f"{prefix}targets": ("I64", [steps, trials], struct.pack(f"<{steps * trials}q", *labels * steps)),
            f"{prefix}mask": ("F32", [steps, trials], struct.pack(f"<{steps * trials}f", *sum(mask, []))),
        }

    return safetensors(part("", trials) | part("test_", trials // 2))


def dataset_values(name="values", steps=17, trials=9, inputs=2, outputs=3):
    """Values to follow at every step."""
    shape = [steps, trials, outputs]
    return safetensors(
        {
            "inputs": ("F32", [steps, trials, inputs], floats(f"{name} inputs", steps * trials * inputs)),
            "targets": ("F32", shape, floats(f"{name} targets", steps * trials * outputs)),
        }
    )


DATASETS = {"classes": dataset_classes, "values": dataset_values}


def mnist_write(folder):
    """The four IDX files, with images that are noise, in `folder`/datasets/mnist."""
    folder = folder / "datasets" / "mnist"
    folder.mkdir(parents=True, exist_ok=True)
    for split, (images, labels, count) in MNIST.items():
        pixels = stream(f"mnist {split} images", count * 28 * 28)
        digits = bytes(byte % 10 for byte in stream(f"mnist {split} labels", count))
        (folder / images).write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels)
        (folder / labels).write_bytes(struct.pack(">2I", 0x801, count) + digits)


def datasets_put(daemon):
    for name, make in DATASETS.items():
        answer = daemon.request(
            "PUT", f"/v1/datasets/{name}", data=make(), headers={"Content-Type": "application/octet-stream"}
        )
        assert answer.status_code in (200, 201), answer.text


def initial_weights(units, inputs, outputs):
    """A weights document, of numbers in steps of 1/256."""

    def matrix(name, rows, columns):
        raw = stream(f"initial {name}", rows * columns)
        return [[(raw[row * columns + column] - 128) / 256 for column in range(columns)] for row in range(rows)]

    return {
        "W": matrix("W", units, units),
        "Win": matrix("Win", inputs, units),
        "b": matrix("b", 1, units)[0],
        "Wout": matrix("Wout", units, outputs),
        "bout": matrix("bout", 1, outputs)[0],
    }
