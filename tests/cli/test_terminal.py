"""What appears on a terminal: modprop inside tmux, 80 columns wide, made narrower and wider."""

import itertools
import os
import re
import shutil
import subprocess

import pytest
from conftest import MODPROP, Program
from daemons import wait_until
from work import LONG, SHORT, submit

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
numbers = itertools.count()


class Screen:
    """A tmux server of its own with one window, in which the program runs; the window stays when it has ended."""

    def __init__(self, program, *words, columns=80, rows=24, environment=None, shell=None):
        self.socket = f"modprop-{os.getpid()}-{next(numbers)}"
        # No leak check: nobody reads what it says here, and the hang-up of a window that closes leaves it without its
        # tracer, spinning for ever.
        sanitizer = {"ASAN_OPTIONS": f"{program.environment.get('ASAN_OPTIONS', '')}:detect_leaks=0"}
        variables = sanitizer | (environment or {})
        command = ["env", *(f"{k}={v}" for k, v in variables.items()), *(shell or [MODPROP, *words])]
        self.tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            columns,
            "-y",
            rows,
            "--",
            "sh",
            "-c",
            r'trap : INT; "$@"; printf "\033]2;%s\007" "it has ended"; sleep 600',
            "sh",
            *command,
            environment=program.environment | {"LC_ALL": "C.UTF-8"},
        )

    def tmux(self, *words, environment=None):
        return subprocess.run(
            ["tmux", "-u", "-L", self.socket, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env=environment or os.environ | {"LC_ALL": "C.UTF-8"},
        ).stdout

    def lines(self, *options):
        text = self.tmux("capture-pane", "-p", *options)
        return [line for line in text.splitlines() if line.strip()]

    def ended(self):
        """Waits until the program has ended and the terminal has drawn all of it; returns the lines."""
        wait_until(lambda: self.tmux("display-message", "-p", "#{pane_title}").strip() == "it has ended")
        return self.lines()

    def resize(self, columns):
        self.tmux("resize-window", "-x", columns, "-y", 24)

    def cursor(self):
        """The column of the cursor."""
        return int(self.tmux("display-message", "-p", "#{cursor_x}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], stderr=subprocess.DEVNULL, timeout=120)


def shows(screen, pattern):
    """The screen's lines once they match, as one text."""
    try:
        return wait_until(lambda: (text := "\n".join(screen.lines())) and re.search(pattern, text) and text)
    except AssertionError:
        raise AssertionError(f"no {pattern!r} on the screen:\n" + "\n".join(screen.lines())) from None


def test_follow_draws_in_place_and_fits_any_width(modprop):
    [job] = submit(modprop, *LONG, "--name", "a long one", "--seed", "4")
    with Screen(modprop, "follow", job) as screen:
        shows(
            screen,
            rf"\Aa long one  {job[:13]}  delayed_xor  modprop cell  seed 4.*\n"
            r"running  [\u2588-\u258f\u2591]{30,40} +\d+ %  \d+/30000  .+ left\n"
            r"loss [\d.e-]+   accuracy [\d.]+ %   speed [\d.]+( k)? trials/s\n"
            r"loss [\d.]+ [\u2581-\u2588]{3,} [\d.]+\Z",
        )
        for columns in (50, 30, 80, 100):  # 100 has room for the last message
            screen.resize(columns)

            # Narrower, a terminal may keep a folded rest of what stood there; the display is whole at the bottom.
            def fits(columns=columns):
                lines = screen.lines()[-4:]
                return (
                    len(lines) == 4
                    and all(len(line) <= columns for line in lines)
                    and re.match("running .*% .* left", lines[1])
                    and ("/30000" in lines[1]) == (columns >= 50)
                    and lines[2].startswith("loss ")
                    and lines[3].startswith("loss ")
                )

            wait_until(fits)
        screen.tmux("send-keys", "C-c")
        shows(screen, f"the job keeps running; modprop follow {job}")


def test_redrawing_leaves_no_copies_behind(modprop):
    with Screen(modprop, "submit", *SHORT, "--follow") as screen:
        screen.ended()
        lines = screen.lines("-S", "-")
        assert (
            len(lines) == 5
            and "succeeded after 60 iterations" in lines[4]
            and lines[1].startswith("succeeded  ")
            and "100 %  60/60" in lines[1]
        )
        colours = screen.tmux("capture-pane", "-p", "-e")
        assert re.search("\x1b\\[32m(\x1b\\[49m)?succeeded", colours)


def test_a_terminal_that_cannot_redraw_has_lines(modprop):
    with Screen(modprop, "submit", *SHORT, "--follow", environment={"TERM": "dumb"}) as screen:
        text = shows(screen, "succeeded after 60 iterations")
        assert re.search("running\niteration 0/60 .*\niteration 20/60 .*\niteration 40/60 .*\niteration 60/60 ", text)


def test_no_colour(modprop):
    submit(modprop, *SHORT)
    for environment, words in (({"NO_COLOR": "1"}, []), ({}, ["--no-color"]), ({"TERM": "dumb"}, [])):
        with Screen(modprop, "list", *words, environment=environment) as screen:
            assert "STATUS" in screen.ended()[0]
            assert "\x1b" not in screen.tmux("capture-pane", "-p", "-e")


def test_list_and_compare_fit_80_columns(modprop):
    jobs = submit(
        modprop, *SHORT, "--name", "a name that is far too long for a line of eighty columns", "--seed", "1-2"
    ) + submit(modprop, *SHORT, "--rule", "eprop")
    modprop.run("follow", *jobs)
    with Screen(modprop, "list") as screen:
        lines = screen.ended()
        assert len(lines) == 4 and all(
            line.startswith("JOB") or any(job.startswith(line.split()[0]) for job in jobs) for line in lines
        )
        assert "\u2026" in lines[2]
    with Screen(modprop, "compare", *jobs, rows=50) as screen:
        text = "\n".join(screen.ended())
        assert re.search(r"[\u2801-\u28ff]{2}", text) and "loss (logarithmic)" in text and "\u2501\u2501 eprop" in text


def test_what_a_narrow_terminal_leaves_out(modprop):
    """Whole columns go, the least wanted first; no line is folded."""
    jobs = submit(modprop, *SHORT, "--name", "some name", "--seed", "1-2") + submit(modprop, *SHORT, "--rule", "eprop")
    modprop.run("follow", *jobs)
    for columns, wanted in ((60, "CONDITION SEED final_loss best_loss learned"), (200, "learned")):
        with Screen(modprop, "compare", "--no-plot", *jobs, columns=columns) as screen:
            lines = screen.ended()
            assert all(len(line) <= columns for line in lines)
            assert lines[0].split() == wanted.split() if columns < 100 else lines[0].endswith(wanted)
    with Screen(modprop, "list", columns=50) as screen:
        heading, *rows = screen.ended()
        assert (
            heading.split() == ["JOB", "RULE", "STATUS", "LOSS"]
            and len(rows) == 3
            and all(len(row.split()) >= 4 for row in rows)
        )


def test_several_jobs_are_a_live_table(start, tmp_path):
    """Places in the queue, the time left, and at the end how each one ended; narrower and wider on the way."""
    modprop = Program(tmp_path, start("--workers", "1").url)
    jobs = submit(modprop, *LONG, "--seed", "1-3")
    with Screen(modprop, "follow", *jobs) as screen:
        shows(screen, "queued, 1 ahead")
        text = shows(screen, r"running \d+ % +[\d.]+ ?\w*")
        assert (
            "0 of 3 jobs have ended" in text and len([line for line in text.splitlines() if jobs[0][:9] in line]) == 3
        )
        screen.resize(50)
        shows(screen, r"0 of 3 jobs")
        screen.resize(80)
        modprop.run("cancel", *jobs)
        text = "\n".join(screen.ended())
        assert "3 of 3 jobs have ended" in text and text.count("cancelled") >= 3


def test_metrics_on_a_terminal_are_rounded(modprop):
    [job] = submit(modprop, *SHORT)
    modprop.run("follow", job)
    with Screen(modprop, "metrics", job) as screen:
        text = "\n".join(screen.ended())
        assert re.search(r"\n +60 ", text)
        assert "," not in text and not re.search(r"\d{9}", text)
    assert re.search(r"0\.\d{9}", modprop.run("metrics", job).stdout), "a pipe gets every digit"
    with Screen(modprop, "spectrum", job) as screen:
        text = "\n".join(screen.ended())
        assert re.search(r"spectral radius \d\.\d+", text)
        assert re.search(r"iteration 60, \d+ units", text) and re.search(r"real +imaginary", text)
        assert not re.search(r"\d{9}", text)


def test_deleting_asks_on_a_terminal(modprop):
    [job] = submit(modprop, *SHORT, "--name", "mine")
    modprop.run("follow", job)
    for answer, said in (("n", "was not deleted"), ("", "was not deleted"), ("y", f"{job}  deleted")):
        with Screen(modprop, "delete", "latest", columns=200) as screen:
            shows(screen, rf'Delete job {job} "mine" \(delayed_xor, .*succeeded\).*\[y/N\]')
            screen.tmux("send-keys", *answer, "Enter")
            shows(screen, said)
    [job] = submit(modprop, *SHORT)
    modprop.run("follow", job)
    with Screen(modprop, "delete", "--yes", "latest", columns=200) as screen:
        shows(screen, f"{job}  deleted")


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(modprop completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -D; source <(modprop completion zsh)"),
    "fish": (["fish", "--no-config"], "modprop completion fish | source"),
}


@pytest.mark.parametrize("name", SHELLS)
def test_tab_completes_in_shells(modprop, tmp_path, name):
    """The key pressed in a real shell: a choice, a job's id from the server, a file."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    shell, setup = SHELLS[name]
    [job] = submit(modprop, *SHORT)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "modprop").symlink_to(MODPROP)
    (tmp_path / "recipe.json").write_text("{}")
    environment = {"PATH": f"{tmp_path}/bin:{modprop.environment['PATH']}", "PS1": "> ", "HOME": str(tmp_path)}
    for typed, expected in (
        ("modprop list --status que", "modprop list --status queued"),
        (f"modprop show {job[:9]}", f"modprop show {job}"),
        ("modprop submit reci", "modprop submit recipe.json"),
        ("modprop submit --set training.ite", "modprop submit --set training.iterations="),
        ("modprop submit --set rule.weights=ce", "modprop submit --set rule.weights=cell"),
    ):
        # A shell each: keys typed while one still handles Ctrl-C of the last case may be lost.
        with Screen(modprop, environment=environment, shell=shell) as screen:
            wait_until(screen.lines)
            screen.tmux("send-keys", "-l", f"cd {tmp_path}; {setup}; clear; echo READY=1 | tr = -")
            screen.tmux("send-keys", "Enter")
            shows(screen, "READY-1\n.+")
            screen.tmux("send-keys", "-l", typed)
            shows(screen, re.escape(typed))
            screen.tmux("send-keys", "Tab")
            text = shows(screen, re.escape(expected))
            if expected.endswith("="):  # the value comes at once, without a space
                end = len(next(line for line in text.splitlines() if expected in line))
                wait_until(lambda screen=screen, end=end: screen.cursor() == end)
