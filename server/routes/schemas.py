#!/usr/bin/env python3
"""Turns schemas (schemas/NAME.json) into a C table (schema_files.h). The output depends on the files' content alone.

usage: schemas.py OUTPUT FILE...
"""

import json
import pathlib
import sys


def main(output, *paths):
    lines = [
        '#include "server/routes/schema_files.h"',
        "",
        "#include <stddef.h>",
        "",
        "const struct schema_file schema_files[] = {",
    ]
    for path in sorted(map(pathlib.Path, paths), key=lambda path: path.stem):
        text = json.dumps(json.loads(path.read_text()), separators=(",", ":"), ensure_ascii=True)
        pieces = [json.dumps(text[at : at + 100]) for at in range(0, len(text), 100)]  # a C string is escaped alike
        lines += [f'    {{"{path.stem}",'] + [f"     {piece}" for piece in pieces] + ["    },"]
    lines += ["    {NULL, NULL},", "};", ""]
    pathlib.Path(output).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
