import json
import subprocess

from benchmarks.environment import describe, differences, source_commit


def test_describe_is_plain_json_and_repeatable():
    found = describe(3)
    assert found == describe(3)
    assert json.loads(json.dumps(found)) == found
    assert found["threads"] == 3
    assert found["versions"]["torch"]
    assert found["versions"]["clcore"]


def git(folder, *words):
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
    )


def test_commit_of_a_checkout_and_whether_it_is_dirty(tmp_path):
    (tmp_path / "__init__.py").write_text("")
    git(tmp_path, "init")
    git(tmp_path, "add", "__init__.py")
    git(tmp_path, "commit", "-m", "first")
    found = source_commit(tmp_path)
    assert found is not None
    assert len(found["commit"]) == 40
    assert found["dirty"] is False
    (tmp_path / "__init__.py").write_text("x = 1\n")
    assert source_commit(tmp_path)["dirty"] is True


def test_no_commit_outside_of_git_or_in_somebody_elses_repository(tmp_path):
    (tmp_path / "__init__.py").write_text("")
    assert source_commit(tmp_path) is None
    git(tmp_path, "init")
    assert source_commit(tmp_path) is None  # not tracked there


def test_no_git_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_commit() is None


def test_differences_name_what_can_change_bits():
    then = describe(1)
    now = {**then, "threads": 2, "versions": {**then["versions"], "torch": "9.9", "wandb": "9"}}
    assert differences(then, then) == []
    assert differences(then, now) == [
        f"torch {then['versions']['torch']} then, 9.9 now",
        "threads 1 then, 2 now",
    ]
