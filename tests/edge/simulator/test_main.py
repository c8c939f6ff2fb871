import json

from typer.testing import CliRunner

from edge.simulator.__main__ import app

runner = CliRunner()


def test_a_run_prints_its_summary():
    arguments = ["run", "--facilities", "2", "--sensors", "9", "--seconds", "3", "--produce-only"]
    result = runner.invoke(app, [*arguments, "--fault", "stuck:sensors=pump-001.flow"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["batches"] == 6
    assert "readings/s" in result.stderr


def test_mistakes_are_told_with_exit_code_2():
    result = runner.invoke(app, ["run", "--seconds", "-3"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "seconds: Input should be greater than 0, not -3.0\n"


def test_help_has_an_example():
    assert "Example:" in runner.invoke(app, ["run", "--help"]).stdout
