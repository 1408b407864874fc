#!/usr/bin/env python3
"""Turns the dashboard's files into a C table (static_files.h): each as it is and as gzip, with a strong entity tag.

usage: embed.py LIST OUTPUT DEPFILE

LIST has lines `URL PATH`: the path under which the daemon serves a file, and where it is, relative to LIST or absolute
(files of system packages). LIST may be missing: then the table is empty. The output depends on the files' bytes alone.
"""

import gzip
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


def read_list(path):
    """The (url, path) pairs of a list, with every fault named by its line."""
    if not os.path.exists(path):
        return []
    entries = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2 or not words[0].startswith("/"):
                sys.exit(f"{path}:{number}: must read `URL PATH` with a URL that begins with /")
            file = os.path.join(os.path.dirname(path), words[1])
            if os.path.splitext(file)[1] not in TYPES:
                sys.exit(f"{path}:{number}: the type of {words[1]} is unknown; known are {' '.join(sorted(TYPES))}")
            entries.append((words[0], file))
    return entries


def array(name, data):
    rows = [",".join(str(byte) for byte in data[i : i + 32]) for i in range(0, len(data), 32)]
    return f"static const unsigned char {name}[] = {{{','.join(rows) if rows else '0'}}};\n".replace("},", "},\n")


def main():
    source, output, depfile = sys.argv[1:4]
    entries = read_list(source)
    parts, rows = ['#include "server/routes/static_files.h"\n\n'], []
    for index, (url, path) in enumerate(entries):
        with open(path, "rb") as file:
            data = file.read()
        packed = gzip.compress(data, 9, mtime=0)
        tag = hashlib.sha256(data).hexdigest()[:32]
        parts.append(array(f"plain_{index}", data))
        if len(packed) < len(data):
            parts.append(array(f"packed_{index}", packed))
            gz = f"packed_{index}, sizeof packed_{index}"
        else:
            gz = "NULL, 0"
        kind = TYPES[os.path.splitext(path)[1]]
        rows.append(
            f'    {{"{url}", "{kind}", "\\"{tag}\\"", "\\"{tag}-gzip\\"", plain_{index}, {len(data)}, {gz}}},\n'
        )
    parts.append("\nconst struct static_file static_files[] = {\n" + "".join(rows) + "    {0},\n};\n")
    parts.append(f"const size_t static_file_count = {len(rows)};\n")
    with open(output, "w", encoding="ascii") as file:
        file.write("".join(parts))
    with open(depfile, "w", encoding="utf-8") as file:
        file.write(f"{output}: {source if os.path.exists(source) else ''} {' '.join(path for _, path in entries)}\n")


if __name__ == "__main__":
    main()
