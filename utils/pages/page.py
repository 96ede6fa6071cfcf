"""The frame of an HTML page: style, script, sections and tables. Every text is escaped here, or by its caller."""

import base64
import hashlib
from collections.abc import Iterable, Sequence

from utils.pages.plain_text import safe

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #f5f6f8; margin: 0 auto; padding: 16px;
  max-width: 1360px; }
h1 { font-size: 21px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 0 0 8px; }
h3 { font-size: 14px; margin: 10px 0 4px; }
p { margin: 4px 0; overflow-wrap: anywhere; max-width: 78em; }
ul { margin: 4px 0; padding-left: 22px; }
a { color: #0b5cad; }
section { background: #fff; border: 1px solid #dde; border-radius: 6px; padding: 12px 14px; margin-top: 12px; }
section.warnings { border-color: #d9a300; background: #fffbea; }
.charts, .curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr));
  gap: 6px 18px; }
.small { color: #595959; font-size: 13px; }
.wide { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 14px; }
th, td { text-align: right; padding: 3px 10px; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid #99a; vertical-align: bottom; background: #fff; }
th:first-child, td:first-child { text-align: left; }
tr.group th { border-bottom: 0; color: #595959; font-weight: normal; text-align: center; }
td.text, th.text { text-align: left; } td.name { overflow-wrap: anywhere; white-space: normal; min-width: 9em; }
td.long { white-space: normal; text-align: left; overflow-wrap: anywhere; }
tbody + tbody tr.case td { border-top: 1px solid #eef; }
tr.case:hover { background: #f3f7fd; }
tr.picture td { padding: 6px 0 12px; text-align: left; }
tr.picture a { display: block; position: sticky; left: 0; width: min(calc(100vw - 66px), 1320px); }
img { max-width: 100%; height: auto; display: block; }
button { font: inherit; color: #0b5cad; background: none; border: 0; padding: 0; cursor: pointer; text-align: inherit;
  overflow-wrap: anywhere; }
th button { color: inherit; font-weight: bold; }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
svg { width: 100%; height: auto; display: block; font-size: 12px; max-width: 620px; }
.curves section { border: 0; padding: 0; margin: 0; }
.key { display: inline-block; width: 14px; height: 3px; margin: 0 5px 4px 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 8px; }
figure { margin: 0; } figcaption { color: #595959; font-size: 13px; text-align: center; }
@media (max-width: 560px) { svg { font-size: 15px; } body { padding: 8px; } section { padding: 10px 8px; }
  tr.picture a { width: calc(100vw - 36px); } th, td { padding: 3px 6px; }
  th:first-child, td:first-child { white-space: normal; min-width: 7em; } }
svg text { fill: #444; } .grid { stroke: #e4e4ea; } .guide { stroke: #555; fill: none; }
polyline { fill: none; stroke-width: 1.8; } .box { fill: #dde3ec; } .median { stroke: #222; stroke-width: 2; }
.mark { stroke: #fff; stroke-width: 0.6; fill-opacity: 0.85; }
.legend span { margin-right: 14px; white-space: nowrap; }
@media print { button { color: inherit; } section { break-inside: avoid; } }
"""
_SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("th[data-column]")];
  for (const head of heads) head.firstChild.addEventListener("click", () => {
    const column = +head.dataset.column, rises = head.getAttribute("aria-sort") !== "ascending";
    const value = body => body.rows[0].cells[column].dataset.value;
    const compare = (one, other) => {
      if (one === "" || other === "") return (one === "") - (other === "");
      const isText = isNaN(one) || isNaN(other);
      const difference = isText ? one.localeCompare(other, undefined, {numeric: true}) : one - other;
      return rises ? difference : -difference;
    };
    const bodies = [...table.tBodies].sort((one, other) => compare(value(one), value(other)));
    for (const body of bodies) table.append(body);
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rises ? "ascending" : "descending");
  });
}
for (const button of document.querySelectorAll("tr.case button")) button.addEventListener("click", () => {
  const row = button.closest("tbody").rows[1];
  row.hidden = !row.hidden;
  button.setAttribute("aria-expanded", String(!row.hidden));
});
"""
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
# Nothing but the script above can run, even if a name were to slip through unescaped.
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_SCRIPT_HASH}'; img-src data: file: 'self'"
)


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page.

    Args:
        title: plain text.
        body: HTML.
    """
    content = "\n".join(part for part in body if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{safe(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{content}
<script>{_SCRIPT}</script>
</body>
</html>
"""


def section(title: str, *parts: str, kind: str = "") -> str:
    """Return a section with a title, plain text, and parts in HTML; empty without parts."""
    content = "\n".join(part for part in parts if part)
    return f'<section class="{kind}"><h2>{safe(title)}</h2>\n{content}\n</section>' if content else ""


def paragraph(text: str, kind: str = "") -> str:
    """Return plain text as a paragraph."""
    return f'<p class="{kind}">{safe(text)}</p>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[int] = ()) -> str:
    """Return a table of plain texts; `text_columns` are aligned to the left, as the first one always is."""

    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = (' class="text"' if number in text_columns else "" for number in range(len(row)))
        return "".join(f"<{tag}{kind}>{safe(cell)}</{tag}>" for cell, kind in zip(row, kinds))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table>\n<tr>{cells("th", head)}</tr>\n{body}\n</table></div>'


def legend(names: Iterable[tuple[str, str, str]]) -> str:
    """Return the keys of a chart: name, colour and mark, such as ●."""
    keys = (f'<span><b style="color: {colour}">{mark}</b> {safe(name)}</span> ' for name, colour, mark in names)
    return f'<p class="legend small">{"".join(keys)}</p>'


def embedded(content: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
