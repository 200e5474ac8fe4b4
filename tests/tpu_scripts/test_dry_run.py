"""The pod scripts say what they would do, and do nothing under --dry-run."""

import os
import pathlib
import shutil
import subprocess

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "tpu_scripts"
SCRIPTS = sorted(p.name for p in FOLDER.glob("*.sh") if p.name != "env.sh")
# What each would run first.
COMMANDS = {
    "create.sh": "gcloud compute tpus tpu-vm create mine",
    "delete.sh": "gcloud compute tpus tpu-vm delete mine",
    "fetch.sh": "gcloud storage rsync --recursive",
    "logs.sh": "gcloud compute tpus tpu-vm ssh mine",
    "stop.sh": "gcloud compute tpus tpu-vm ssh mine",
    "sync.sh": "gcloud compute tpus tpu-vm scp --recurse",
    "train.sh": "gcloud compute tpus tpu-vm ssh mine",
    "xpk.sh": "xpk workload create --cluster jaxnvc --workload mine",
}


def _run(script, *arguments, **changes):
    environment = {"PATH": os.environ["PATH"], "TPU_NAME": "mine", "OUT": "gs://b/run"}
    return subprocess.run(
        ["bash", str(FOLDER / script), *arguments],
        env={k: v for k, v in (environment | changes).items() if v is not None},
        capture_output=True,
        text=True,
    )


def test_every_script_is_known_here():
    assert sorted(COMMANDS) == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_dry_run_prints_the_commands_and_succeeds(script):
    done = _run(script, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert COMMANDS[script] in done.stdout


@pytest.mark.parametrize("script", ["train.sh", "xpk.sh"])
def test_training_joins_the_cluster_and_writes_to_the_bucket(script):
    printed = _run(script, "--dry-run").stdout.replace("\\ ", " ")
    assert "train.main --distributed --config configs/avs_eem/lite.py" in printed
    assert "--out gs://b/run" in printed


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_argument_or_a_missing_run_folder_is_refused(script):
    assert _run(script, "--dryrun").returncode == 2
    done = _run(script, "--dry-run", OUT=None)
    assert done.returncode != 0
    assert "set OUT to a run folder" in done.stderr


@pytest.mark.parametrize("script", ["env.sh", *SCRIPTS])
def test_scripts_parse_and_pass_shellcheck_where_it_is_installed(script):
    path = str(FOLDER / script)
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-x", path], check=True, cwd=FOLDER.parent)
