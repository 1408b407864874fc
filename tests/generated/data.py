"""A dataset for requests that are made."""

import json
import struct


def dataset():
    """The smallest that trains: two steps, two trials, one input, two classes."""
    head = {"inputs": {"dtype": "F32", "shape": [2, 2, 1], "data_offsets": [0, 16]}}
    head |= {"targets": {"dtype": "U8", "shape": [2, 2], "data_offsets": [16, 20]}}
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<4f4B", 0, 1, 0, 1, 0, 1, 0, 1)


DATASET = dataset()
