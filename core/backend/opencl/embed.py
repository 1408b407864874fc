#!/usr/bin/env python3
"""Writes texts for a device's compiler as C (opencl_text in cohort.h): .cl files, and headers that core shares with it.

usage: embed.py OUTPUT FILE...

A header's #include lines are left out: there is nothing to include on a device.
"""

import pathlib
import sys


def main(output, *files):
    parts = ['#include "core/backend/opencl/cohort.h"\n\n#include <string.h>\n\n']
    names = [pathlib.Path(file).stem for file in files]
    for name, file in zip(names, files, strict=True):
        lines = pathlib.Path(file).read_bytes().splitlines(keepends=True)
        data = b"".join(line for line in lines if not line.startswith(b"#include")) + b"\0"
        rows = [",".join(map(str, data[i : i + 32])) for i in range(0, len(data), 32)]
        parts.append(f"static const char text_{name}[] = {{\n" + ",\n".join(rows) + "};\n")
    rows = "".join(f'    {{"{name}", text_{name}}},\n' for name in names)
    parts.append(
        "\nstatic const struct {\n    const char *name, *text;\n} texts[] = {\n" + rows + "};\n\n"
        "const char *opencl_text(const char *name) {\n"
        "    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {\n"
        "        if (strcmp(texts[i].name, name) == 0) {\n            return texts[i].text;\n        }\n    }\n"
        '    return "";\n}\n'
    )
    pathlib.Path(output).write_text("".join(parts), encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
