"""The style of all pages: light and dark, wide and narrow, on the screen and on paper.

One text, which the content-security policy of `page.py` allows by its hash.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --paper: #fff; --faint: #5f6b76; --line: #d5dbe1;
  --band: #f4f6f8; --mark: #14568c; --warn: #9a4300; --warned: #fdf1e4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181c; --faint: #9aa5b0;
  --line: #343c44; --band: #1b2126; --mark: #7cb7e8; --warn: #f0b27a; --warned: #2b2118; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 80rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, ul { max-width: 44rem; margin: .5rem 0; }
ul { padding-left: 1.2rem; }
.faint { color: var(--faint); }
.wide { overflow: auto; max-height: 85vh; border: 1px solid var(--line); margin: .75rem 0; }
:focus-visible { outline: 2px solid var(--mark); }
a { color: var(--mark); }
table { border-collapse: separate; border-spacing: 0; width: 100%;
  font-variant-numeric: tabular-nums; font-size: .875rem; overflow-wrap: normal; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; z-index: 1; background: var(--band); white-space: nowrap;
  vertical-align: bottom; }
td.number, th.number { text-align: right; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 15rem; overflow-wrap: anywhere; position: sticky; left: 0;
  background: var(--paper); }
td.long { min-width: 15rem; overflow-wrap: anywhere; }
tbody tr:hover > * { background: var(--band); }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--mark); }
th[aria-sort] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
caption { text-align: left; padding: .4rem .6rem; color: var(--faint); }
summary { cursor: pointer; }
figure { margin: .75rem 0; }
figcaption { color: var(--faint); font-size: .875rem; max-width: 44rem; }
.rows { display: grid; grid-template-columns: minmax(0, 18rem) minmax(0, 1fr); font-size: .8rem;
  line-height: 1.4rem; column-gap: .75rem; }
.rows > span { text-align: right; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
svg { display: block; width: 100%; height: 1.4rem; overflow: visible; font: .75rem system-ui,
  sans-serif; fill: var(--ink); }
svg .axis { stroke: var(--line); }
svg .interval { stroke: var(--mark); stroke-width: 2; }
svg .point { fill: var(--mark); }
nav { border-block: 1px solid var(--line); padding: .4rem 0; margin: 1rem 0; font-size: .9rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; list-style: none; padding: 0;
  margin: .15rem 0; max-width: none; }
.warnings { list-style: none; padding: 0; }
.warnings li { background: var(--warned); border-left: 4px solid var(--warn);
  padding: .35rem .7rem; margin: .35rem 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: 1rem 0; max-width: 66rem; }
.facts div { border: 1px solid var(--line); padding: .45rem .7rem; }
.facts dt { color: var(--faint); font-size: .8rem; }
.facts dd { margin: 0; font-size: 1.25rem; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.facts small { display: block; font-size: .8rem; color: var(--faint); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr));
  gap: 1rem 1.5rem; align-items: start; }
.pictures h3 { margin-top: .5rem; }
.pictures img { display: block; width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); }
@media (prefers-color-scheme: dark) { .pictures img { filter: brightness(.88); } }
.search { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center;
  margin: .75rem 0; }
.search input { font: inherit; color: inherit; background: var(--paper); padding: .3rem .5rem;
  border: 1px solid var(--faint); width: min(100%, 24rem); }
.search button { font: inherit; font-size: .875rem; color: inherit; background: var(--band);
  border: 1px solid var(--line); padding: .3rem .7rem; cursor: pointer; }
.items { container-type: inline-size; }
.items tbody th { min-width: 9rem; max-width: 16rem; }
.items tbody th button { font-weight: 600; overflow-wrap: anywhere; }
.items tbody th button::before { content: "\\25B8"; color: var(--mark); margin-right: .35rem; }
.items tbody th button[aria-expanded=true]::before { content: "\\25BE"; }
.items .opened:hover > * { background: none; }
.items .opened > td { padding: 0; }
.about { position: sticky; left: 0; width: 100cqw; padding: .6rem .9rem 1rem; display: grid;
  grid-template-columns: minmax(0, 1fr) minmax(0, 26rem); gap: .5rem 1.5rem;
  border-left: 4px solid var(--mark); }
.about p, .about ul { margin: .3rem 0; overflow-wrap: anywhere; }
.text { white-space: pre-wrap; max-height: 22rem; overflow: auto; background: var(--band);
  padding: .5rem .7rem; }
svg.curve { height: auto; font-size: 11px; aspect-ratio: 400 / 250; }
svg.curve polyline { fill: none; stroke: var(--mark); stroke-width: 2; }
svg.curve .line-1 { stroke: #d55e00; stroke-dasharray: 7 4; }
svg.curve .line-2 { stroke: #009e73; stroke-dasharray: 2 3; }
svg.curve .line-3 { stroke: #cc79a7; stroke-dasharray: 9 3 2 3; }
svg.curve .line-4 { stroke: #e69f00; stroke-dasharray: 12 4; }
svg.curve .line-5 { stroke: #56b4e9; stroke-dasharray: 4 2 1 2; }
svg.curve .line-6 { stroke: var(--ink); stroke-dasharray: 3 3; }
svg.curve .line-7 { stroke: #8c6d1f; stroke-dasharray: 14 3 3 3; }
svg.curve .seen { stroke: var(--ink); fill: var(--paper); stroke-width: 1.3; }
svg.curve .seen-1 { stroke: #d55e00; } svg.curve .seen-2 { stroke: #009e73; }
svg.curve .seen-3 { stroke: #cc79a7; } svg.curve .seen-4 { stroke: #e69f00; }
svg.curve .axis { stroke: var(--line); }
.methods { white-space: pre-wrap; font-family: inherit; background: var(--band);
  padding: .8rem 1rem; max-width: 50rem; margin: .5rem 0; user-select: all; }
code { font-size: .85em; overflow-wrap: anywhere; }
[hidden] { display: none; }
@media (scripting: none) { .search { display: none; } .items tr.opened[hidden] {
  display: table-row; } }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; } th, td { padding: .3rem .4rem; }
  tbody th { min-width: 8rem; } .rows { grid-template-columns: 9rem minmax(0, 1fr); }
  .items tbody th { min-width: 7rem; max-width: 9rem; } .about { grid-template-columns: 1fr; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); } }
@media print { :root { --ink: #000; --paper: #fff; --faint: #444; --line: #bbb; --band: #f4f6f8;
    --mark: #14568c; --warn: #9a4300; --warned: #fdf1e4; }
  body { font-size: 10pt; padding: 0; max-width: none; }
  .wide { overflow: visible; max-height: none; border: 0; }
  .items { container-type: normal; }
  .about { width: auto; position: static; }
  table { font-size: 7.5pt; } th, td { padding: .12rem .3rem; }
  tbody th, td.long, .items tbody th { min-width: 0; max-width: none; position: static; }
  thead th { position: static; white-space: normal; } tr, .facts div { break-inside: avoid; }
  h2, h3 { break-after: avoid; } figure, .about { break-inside: avoid; }
  .search, nav { display: none; } .text { max-height: none; overflow: visible; }
  .pictures { grid-template-columns: 1fr 1fr; } .pictures img { filter: none; } }
"""
