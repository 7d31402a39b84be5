"""The picture as a page of its own: dots that say which row they are, and the tables."""

from __future__ import annotations

import io
from html import escape

from benchmarks.commands.selecting.drawing import Drawing
from benchmarks.commands.selecting.summary import Summary

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2430; max-width: 62rem; margin: 1rem auto;
       padding: 0 1rem; }
svg { width: 100%; height: auto; }
svg .pick { fill: transparent; }
svg .pick:hover { fill: rgba(255, 255, 255, 0.6); }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.15rem 1.4rem 0.15rem 0; text-align: right; font-weight: normal; }
th:first-child, td:first-child { text-align: left; }
thead { border-bottom: 1px solid #b9bdc4; color: #4a4f5a; }
"""


def page(drawing: Drawing, summary: Summary) -> str:
    """Make a page that needs no other file.

    Args:
        drawing: The picture.
        summary: The figures.

    Returns:
        HTML.
    """
    title = escape(f"{summary.method}: {len(summary.coreset):,} of {summary.rows:,} rows")
    tables = [_table([], [list(fact) for fact in summary.facts()])]
    if summary.chosen is not None:
        head = [summary.distances_of(), summary.method, "random choice"]
        tables.append(_table(head, [list(row) for row in summary.distances()]))
    rows, note = summary.classes()
    if rows:
        cells = [[name, f"{pool:,}", f"{picked:,}"] for name, pool, picked in rows]
        tables.append(_table(["label", "rows", "chosen"], cells))
    if note:
        tables.append(f"<p>{escape(note)}</p>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{_svg(drawing, summary)}\n"
        + "\n".join(tables)
        + "\n</body></html>\n"
    )


def _svg(drawing: Drawing, summary: Summary) -> str:
    """Draw as SVG, with a dot over each pick that says which row it is."""
    stream = io.StringIO()
    drawing.figure.savefig(stream, format="svg", metadata={"Date": None})
    # matplotlib begins with a declaration and a document type, which don't belong inside a page.
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    height = drawing.figure.get_figheight() * 72
    # SVG figures are laid out at 72 dots an inch, whatever the figure's own resolution is.
    places = drawing.in_points()
    picks = summary.coreset
    circles = []
    for rank, (x, y) in enumerate(places.tolist()):
        row, weight = int(picks.indices[rank]), float(picks.weights[rank])
        label = ""
        if summary.labels is not None:
            label = f", label {summary.labels.names[int(summary.labels.codes[row])]}"
        words = escape(f"row {row}, rank {rank}, weight {weight:.4g}{label}")
        circles.append(
            f'<circle class="pick" cx="{x:.2f}" cy="{height - y:.2f}" '
            f'r="{float(drawing.radii[rank]):.2f}"><title>{words}</title></circle>'
        )
    return text.replace("</svg>", "\n".join(circles) + "\n</svg>")


def _table(head: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"
