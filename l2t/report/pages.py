"""Small self-contained HTML pages: one template, light and dark, readable on a phone, no request to anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f6f8fa; --ink: #1f2328; --quiet: #59636e; --line: #d9dee3; --grid: #d9dee3;
  --good: #1a7f37; --warn: #9a6700; --bad: #cf222e;
  --series-1: #0072b2; --series-2: #d55e00; --series-3: #009e73; --series-4: #b8578b;
  --series-5: #2b9fd9; --series-6: #c98700; --series-7: #7f5a3c; --series-8: #7a7f87;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1318; --card: #171c23; --ink: #e4e8ec; --quiet: #98a2ad; --line: #2b323b; --grid: #2b323b;
    --good: #4ac26b; --warn: #d4a72c; --bad: #ff7b72;
    --series-1: #4fb0e8; --series-2: #ff8a3d; --series-3: #2fcf9f; --series-4: #ea9ac6;
    --series-5: #8fd0f7; --series-6: #f5bd3d; --series-7: #c79a77; --series-8: #a3a9b1;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 38px 0 12px; padding-bottom: 6px; border-bottom: 1px solid var(--line); }
p { margin: 0 0 10px; }
.quiet { color: var(--quiet); }
.small { font-size: 13px; }
.status { font-weight: 600; }
.finished { color: var(--good); } .running, .unknown { color: var(--quiet); }
.interrupted { color: var(--warn); } .failed { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 20px 0 0; }
.tile { background: var(--card); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 22px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--quiet); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 18px 22px; }
.charts + .charts { margin-top: 18px; }
.charts + p, .charts + .scroll { margin-top: 14px; }
.charts.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
figcaption { color: var(--quiet); font-size: 13px; margin-top: 4px; }
video { display: block; width: 100%; max-height: 420px; background: #000; border-radius: 8px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; min-width: 50%; }
th, td { padding: 6px 14px 6px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--quiet); font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
td.text, th.text { text-align: left; white-space: normal; }
details { margin: 10px 0; }
summary { cursor: pointer; font-weight: 500; padding: 4px 0; }
pre {
  background: var(--card); border-radius: 8px; padding: 12px 14px; overflow-x: auto; margin: 8px 0;
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document."""
    body = "\n".join(part for part in parts if part)
    return _PAGE.substitute(title=escape(title), style=_STYLE.replace("$", "$$"), body=body)


def section(title: str, *parts: str) -> str:
    """A heading and what belongs under it; nothing when all of that is empty."""
    content = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def tiles(numbers: Mapping[str, str]) -> str:
    """The few numbers a reader came for, by caption."""
    cells = (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for name, value in numbers.items()
    )
    return f'<div class="tiles">{"".join(cells)}</div>' if numbers else ""


def charts(figures: Sequence[str], *, wide: bool = False) -> str:
    """Figures in as many columns as fit."""
    kind = "charts wide" if wide else "charts"
    return f'<div class="{kind}">\n' + "\n".join(figures) + "\n</div>" if figures else ""


def figure(content: str, caption: str = "") -> str:
    """An SVG or a video with its caption."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{below}</figure>"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: Sequence[int] = (0,)) -> str:
    """A table of numbers aligned right, and of text aligned left in `text_columns`. Scrolls sideways when too wide."""
    kinds = [' class="text"' if index in text_columns else "" for index in range(len(headers))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, headers, strict=True))
    lines = (
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    body = "\n".join(lines)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def folded(title: str, content: str) -> str:
    """Content behind a title that opens it."""
    return f"<details><summary>{escape(title)}</summary>\n{content}\n</details>" if content else ""


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: `12,345`, `-0.512`, `1.2e-05`; a dash where there is none."""
    if value is None or value != value:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def count(value: float) -> str:
    """A count for people: `1.5M`, `64k`, `500`."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """`48 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
