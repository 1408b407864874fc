#!/usr/bin/env python3
"""Writes the identity of this build as C (core/base/build.h).

usage: build.py VERSION OUTPUT DEPFILE OPTION...

The identity is VERSION, a plus sign and 16 hexadecimal digits: a hash of the sources beside this script, with their
relative names, and of the OPTIONs (compiler and flags). Folders, times and git do not enter, so that two builds of the
same sources by the same compiler have the same one.
"""

import hashlib
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
PATH_MAPS = re.compile(r"-f(file|debug|macro|profile|canon)-prefix-map=\S*")  # they name the folder of the build


def main(version, output, depfile, *options):
    digest = hashlib.sha256()

    def add(text):
        digest.update(len(text).to_bytes(8, "little") + text)

    sources = sorted(
        path
        for path in FOLDER.rglob("*")
        if path.suffix in (".c", ".h", ".cl") or path.name in ("meson.build", "build.py")
    )
    for path in sources:
        add(path.relative_to(FOLDER).as_posix().encode())
        add(path.read_bytes())
    for option in options:
        add(PATH_MAPS.sub("", option).encode())
    identity = f"{version}+{digest.hexdigest()[:16]}"
    pathlib.Path(output).write_text(
        f'#include "core/base/build.h"\n\nconst char build_identity[] = "{identity}";\n', encoding="utf-8"
    )
    depends = " ".join(str(path).replace(" ", "\\ ") for path in sources)
    pathlib.Path(depfile).write_text(f"{output}: {depends}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
