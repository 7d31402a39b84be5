import io

from rich.console import Console

from strategies.offline import ProgressBar


def shown(kit, terminal):
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=160)
    kit.trainer(warmup_epochs=1, callbacks=[ProgressBar(console)]).fit(3)
    return written.getvalue()


def test_shows_epochs_loss_and_certificates(kit):
    text = shown(kit, terminal=True)
    assert "epochs" in text
    assert "3/3" in text
    assert "loss" in text
    assert "epoch 2: 12 of 120 rows" in text
    assert "error_bound" in text


def test_writes_lines_alone_where_there_is_no_terminal(kit):
    lines = shown(kit, terminal=False).strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 2", "epoch 3"]
