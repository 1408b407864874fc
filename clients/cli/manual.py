"""Writes the manual pages from what the programs say of themselves.

usage: manual.py modprop|modpropd PROGRAM OUTPUT

modprop(1) is made from `modprop help --json`, modpropd(8) from `modpropd --help`; only what a table of options cannot
say stands here.
Rejected: pages written by hand, which are wrong one release later, and help2man, one more package for the same.
"""

import json
import re
import subprocess
import sys


def escape(text):
    """Text for roff: backslashes, hyphens that must stay hyphens, and lines that must not begin a request."""
    text = (
        text.replace("\\", "\\e")
        .replace("-", "\\-")
        .replace("`", "\\(ga")
        .replace("'", "\\(aq")
        .replace("~", "\\(ti")
        .replace("^", "\\(ha")
    )
    return "\n".join("\\&" + line if line.startswith(".") else line for line in text.split("\n"))


def paragraphs(text):
    return "\n.PP\n".join(escape(part) for part in text.split("\n\n"))


def tagged(items):
    return "".join(f".TP\n{tag}\n{escape(text)}\n" for tag, text in items)


def option_tag(option):
    value = f" \\fI{escape(option['value'])}\\fR" if option["value"] else ""
    letter = f"\\fB\\-{option['letter']}\\fR, " if option["letter"] else ""
    return f"{letter}\\fB\\-\\-{escape(option['name'])}\\fR{value}"


def option_text(option):
    return option["description"] + ("; may be given more than once" if option["repeats"] else "") + "."


def examples(lines):
    return ".EX\n" + escape("\n".join(lines)) + "\n.EE\n"


def client_page(program):
    table = json.loads(
        subprocess.run([program, "help", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    commands = [command for command in table["commands"] if command["group"]]
    page = [
        f'.TH MODPROP 1 "" "modprop {table["version"]}" "User Commands"\n.SH NAME\n'
        "modprop \\- train recurrent networks with biologically plausible learning rules, on a modpropd daemon\n"
        ".SH SYNOPSIS\n\\fBmodprop\\fR \\fICOMMAND\\fR [\\fIOPERAND\\fR]... [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n"
        + paragraphs(
            "modprop submits training jobs to a modpropd daemon, follows them, and brings back curves, "
            "weights and gradients.\n\n"
            "A JOB is an id, the beginning of one, or latest, the newest job.\n\n"
            "Results go to standard output, everything else to standard error. Colours and redrawing "
            "appear on a terminal only."
        )
        + "\n.SH COMMANDS\n"
    ]
    for command in commands:
        operands = f" \\fI{escape(command['operands'])}\\fR" if command["operands"] else ""
        page.append(f".SS \\fBmodprop {escape(command['name'])}\\fR{operands}\n{paragraphs(command['description'])}\n")
        page.append(tagged((option_tag(option), option_text(option)) for option in command["options"]))
        if command["examples"]:
            page.append(".PP\n" + examples(command["examples"].splitlines()))
    page.append(
        ".SH OPTIONS OF EVERY COMMAND\n"
        + tagged((option_tag(option), option_text(option)) for option in table["options"])
    )
    page.append(
        ".SH EXIT STATUS\n"
        + tagged((f"\\fB{status['status']}\\fR", status["description"] + ".") for status in table["exit"])
    )
    page.append(
        ".SH ENVIRONMENT\n"
        + tagged((f"\\fB{variable['name']}\\fR", variable["description"] + ".") for variable in table["environment"])
    )
    page.append(
        ".SH FILES\n"
        + tagged(
            [
                (
                    "\\fI~/.config/modprop/config\\fR".replace("~", "\\(ti"),
                    "Lines key = value with the keys server, token, token_file, ca_file, and pool.NAME.KEY for pools "
                    "of workers; # begins a comment. A "
                    "token of this file goes to the server "
                    "that the file names and to no other. XDG_CONFIG_HOME moves the directory. Flags win over the "
                    "environment, the environment over "
                    "the file.",
                )
            ]
        )
    )
    page.append(
        ".SH EXAMPLES\n"
        + paragraphs(
            "The published delayed XOR, trained and watched; then the same with e\\-prop on five seeds, "
            "compared:".replace("\\-", "-")
        )
        + "\n.PP\n"
        + examples(
            [
                "modprop submit --task delayed_xor --follow",
                "modprop submit --from latest --rule eprop --seed 1-5",
                "modprop follow $(modprop list --quiet --limit 5)",
                "modprop compare $(modprop list --quiet --limit 6) --plot curves.svg",
                "modprop weights latest -o weights.safetensors",
            ]
        )
    )
    page.append(".SH SEE ALSO\n\\fBmodpropd\\fR(8)\n")
    return "".join(page)


def server_page(program):
    text = subprocess.run([program, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    version = subprocess.run([program, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1]
    flag = r"^  (--[\w-]+)(?: (\S+))?  +(.+?)(?: \[(\S+)\])?$"
    flags = re.findall(flag, text, re.M)
    worker = subprocess.run([program, "worker", "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    usages = re.findall(r"^(?:usage:| {6}) +modpropd (\S.*?)(?:  +.*)?$", text, re.M)
    if len(flags) < 10 or not usages:
        sys.exit(f"manual.py: {program} --help has another form than expected")

    def tags_of(found):
        return [
            (
                f"\\fB{escape(name)}\\fR" + (f" \\fI{escape(value)}\\fR" if value else ""),
                meaning + (f" (default {fallback})" if fallback else "") + ".",
            )
            for name, value, meaning, fallback in found
        ]

    return (
        f'.TH MODPROPD 8 "" "modprop {version}" "System Administration"\n.SH NAME\n'
        "modpropd \\- daemon that trains recurrent networks with biologically plausible learning rules, "
        "over HTTP\n.SH SYNOPSIS\n"
        + "\n.br\n".join(f"\\fBmodpropd\\fR {escape(usage)}" for usage in usages)
        + "\n.SH DESCRIPTION\n"
        + paragraphs(
            "modpropd accepts training jobs over HTTP, keeps them in a data directory, and trains them. "
            "What it has accepted survives a crash and a power cut; an "
            "interrupted job resumes from its last checkpoint and ends with the weights that it would have had.\n\n"
            "When ready it prints one line, modpropd listening on URL, to standard output. Its log goes to "
            "standard error. A data directory has one daemon at a time.\n\n"
            "It listens on loopback unless told otherwise, and beyond loopback only with tokens. The "
            "subcommand token makes one."
        )
        + "\n.SH OPTIONS\n"
        + tagged(tags_of(flags))
        + ".PP\n"
        + paragraphs(
            "Every option is also a variable of the environment, MODPROP_ and its name in capitals with _ "
            "for -, and a key of the file that --config names. Flags win over "
            "the environment, the environment over the file."
        )
        + "\n.SH OPTIONS OF MODPROPD WORKER\n"
        + tagged(tags_of(re.findall(flag, worker, re.M)))
        + ".SH SIGNALS\n"
        + tagged(
            [
                (
                    "\\fBSIGTERM\\fR, \\fBSIGINT\\fR",
                    "Take no more jobs, checkpoint those that run, and exit; they go on at the next start.",
                ),
                ("\\fBSIGHUP\\fR", "Read the token file again."),
            ]
        )
        + ".SH EXIT STATUS\n"
        + tagged(
            [
                ("\\fB0\\fR", "A clean end."),
                ("\\fB1\\fR", "A failure at run time."),
                ("\\fB2\\fR", "Bad usage or configuration."),
            ]
        )
        + ".SH FILES\n"
        + tagged(
            [
                ("\\fIDIR/token\\fR", "The token that --create-token made."),
                (
                    "\\fIDIR/datasets/mnist/\\fR",
                    "The four IDX files of MNIST, plain or gzip, for the tasks row_mnist and pixel_mnist.",
                ),
            ]
        )
        + ".SH SEE ALSO\n\\fBmodprop\\fR(1)\n"
    )


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("modprop", "modpropd"):
        sys.exit(__doc__.split("\n\n")[1])
    page = client_page(sys.argv[2]) if sys.argv[1] == "modprop" else server_page(sys.argv[2])
    with open(sys.argv[3], "w", encoding="utf-8") as output:
        output.write(page)


if __name__ == "__main__":
    main()
