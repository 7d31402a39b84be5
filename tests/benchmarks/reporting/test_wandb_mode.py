"""Online or offline, decided without asking and without waiting."""

from __future__ import annotations

import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks.reporting.wandb_mode import decide_mode
from clcore.errors import ArgumentError

KEY = "a" * 40


@pytest.fixture
def server():
    """Something that answers on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_nobody_logged_in_is_offline_without_a_word(no_login, caplog):
    assert decide_mode("auto") == "offline"
    assert caplog.text == ""


def test_asking_for_online_without_credentials_says_why_not(no_login, caplog):
    with caplog.at_level(logging.WARNING):
        assert decide_mode("online") == "offline"
    assert caplog.messages == [
        "wandb: nobody is logged in (`wandb login`), the run is kept offline, send it later with "
        "`wandb sync`"
    ]


def test_logged_in_and_reachable_is_online(no_login, monkeypatch, server, tmp_path):
    monkeypatch.setenv("WANDB_BASE_URL", server)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert decide_mode("auto") == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "no-netrc").write_text(f"machine 127.0.0.1 login user password {KEY}\n")
    (tmp_path / "no-netrc").chmod(0o600)
    assert decide_mode("auto") == "online"


def test_an_unreachable_server_is_offline_in_one_sentence_and_at_once(
    no_login, monkeypatch, caplog
):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert decide_mode("auto") == "offline"
    assert time.monotonic() - begun < 6
    assert len(caplog.messages) == 1
    assert "no answer from http://127.0.0.1:9" in caplog.text


@pytest.mark.parametrize(
    ("requested", "environment", "expected"),
    [
        ("disabled", "online", "disabled"),
        ("offline", "disabled", "offline"),
        ("auto", "disabled", "disabled"),
        ("auto", "offline", "offline"),
        ("auto", "dryrun", "offline"),
    ],
)
def test_the_flag_wins_over_the_environment(
    no_login, monkeypatch, requested, environment, expected
):
    monkeypatch.setenv("WANDB_MODE", environment)
    assert decide_mode(requested) == expected


def test_unknown_modes_are_refused(no_login, monkeypatch):
    with pytest.raises(ArgumentError, match="'on' is unknown, allowed are auto, online"):
        decide_mode("on")
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(ArgumentError, match="WANDB_MODE: 'sometimes' is unknown"):
        decide_mode("auto")
