"""The guide's commands (clients/cli/README.md), run as they stand, in their order, in one shell."""
import json
import re
import subprocess

from conftest import MODPROP, ROOT

GUIDE = ROOT / "clients" / "cli" / "README.md"


def test_every_command_of_the_guide_works(modprop, tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    assert len(blocks) >= 6
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "modprop").symlink_to(MODPROP)
    environment = modprop.environment | {"PATH": f"{tmp_path}/bin:{modprop.environment['PATH']}"}
    result = subprocess.run(
        ["bash", "-eu"],
        input="\n".join(blocks),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout
    assert "exit status 4" in result.stdout and 'did you mean "modprop"?' in result.stdout
    assert (tmp_path / "curve.csv").read_text().count("\n") == 12
    assert (tmp_path / "curves.svg").read_text().startswith("<svg ") and (tmp_path / "weights.safetensors").stat().st_size > 14400 * 4
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "succeeded"
    assert len(modprop.lines("list", "-q")) == 7


def test_the_guide_has_every_exit_status(offline):
    statuses = json.loads(offline.run("help", "--json").stdout)["exit"]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", GUIDE.read_text(), re.M)] == [status["status"] for status in statuses]
