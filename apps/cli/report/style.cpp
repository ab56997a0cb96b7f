// The report's style sheet. Colors are variables, so that drawings follow light, dark and paper;
// blue and orange stay apart for color-blind eyes.
#include "apps/cli/report/page.hpp"

namespace gliograd::cli::report {

const char* style_sheet() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #f6f5f1; --card: #ffffff; --ink: #1b2330; --soft: #5d6877; --line: #e2e0d9;
  --grid: #eceae4; --axis: #b9b6ad; --accent: #1f5f9e; --good: #1d7a4f; --bad: #b3402e;
  --c0: #8b95a3; --c1: #1f5f9e; --c2: #c2571a; --c3: #2f8f6b; --c4: #8a4fae; --c5: #a8831a;
  --c6: #c14473; --outline: #ffc531; --wash: #eef3f9;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2028; --ink: #e7ebf1; --soft: #9ba7b6; --line: #2b333e;
    --grid: #262d37; --axis: #566170; --accent: #74b3f2; --good: #63c596; --bad: #f0907f;
    --c0: #7f8b9b; --c1: #74b3f2; --c2: #f09a5b; --c3: #6bcaa3; --c4: #c49be3; --c5: #dcbd5f;
    --c6: #ee8fb4; --outline: #ffc531; --wash: #1d2836;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 56px; }
h1, h2, .figure-number {
  font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif;
}
h1 { font-size: 2.15rem; line-height: 1.18; margin: 0 0 8px; font-weight: 600; letter-spacing: -0.01em; }
h2 { font-size: 1.38rem; line-height: 1.25; margin: 0 0 6px; font-weight: 600; }
h3 { font-size: 0.98rem; margin: 0 0 2px; font-weight: 650; }
p { margin: 0 0 10px; }
.over {
  font-size: 0.74rem; letter-spacing: 0.09em; text-transform: uppercase; color: var(--soft);
  margin: 0 0 10px; font-weight: 600;
}
.soft { color: var(--soft); }
.small { font-size: 0.875rem; line-height: 1.5; }
header { margin-bottom: 26px; }
header .facts { color: var(--soft); margin: 0; }
.research {
  margin: 18px 0 0; padding: 9px 14px; border-left: 3px solid var(--c2); background: var(--card);
  font-size: 0.9rem; border-radius: 0 8px 8px 0;
}
section { margin-top: 44px; }
.lead { color: var(--soft); max-width: 46rem; }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px;
}
.answers { display: grid; grid-template-columns: 5fr 7fr; gap: 18px; margin-top: 0; }
.hero { display: flex; flex-direction: column; justify-content: space-between; }
.figure-number {
  font-size: 6.2rem; line-height: 0.95; font-weight: 600; letter-spacing: -0.03em; color: var(--accent);
  font-variant-numeric: lining-nums;
}
.interval { font-size: 1.3rem; font-weight: 600; margin: 12px 0 8px; font-variant-numeric: tabular-nums; }
.interval span { color: var(--soft); font-weight: 500; margin-right: 4px; }
.hero .what { color: var(--soft); font-size: 0.9rem; margin: 6px 0 0; }
.questions { display: grid; gap: 18px; align-content: space-between; }
.questions .q { color: var(--soft); font-size: 0.9rem; margin: 0; }
.questions .a { font-size: 1.12rem; font-weight: 650; margin: 0 0 2px; }
.questions .why { font-size: 0.9rem; line-height: 1.5; margin: 0; }
.yes { color: var(--good); } .no { color: var(--bad); }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 18px; }
.top { align-items: start; }
figure { margin: 0; }
figcaption { font-size: 0.875rem; line-height: 1.5; color: var(--soft); margin-top: 4px; }
figure h3 { margin-bottom: 8px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-family: inherit; fill: var(--ink); }
.tick { font-size: 12px; fill: var(--soft) !important; font-variant-numeric: tabular-nums; }
.label { font-size: 12.5px; fill: var(--soft) !important; }
.strong { font-size: 13px; font-weight: 600; }
.big { font-size: 19px; font-weight: 650; }
.rule { stroke: var(--grid); stroke-width: 1; }
.axis { stroke: var(--axis); stroke-width: 1; }
.chance { stroke: var(--axis); stroke-width: 1.25; stroke-dasharray: 4 4; }
.curve { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }
.thin { fill: none; stroke-width: 1; opacity: 0.3; }
.band { stroke: none; opacity: 0.15; }
.bar { stroke: none; opacity: 0.75; }
.mark { stroke-width: 2.2; }
.median { stroke-width: 1.5; stroke-dasharray: 3 3; opacity: 0.8; }
.dot { opacity: 0.9; }
.outline {
  fill: none; stroke: var(--outline); stroke-width: 1.6; stroke-linejoin: round;
  vector-effect: non-scaling-stroke;
}
polyline.c0, line.c0 { stroke: var(--c0); } polyline.c1, line.c1 { stroke: var(--c1); }
polyline.c2, line.c2 { stroke: var(--c2); } polyline.c3, line.c3 { stroke: var(--c3); }
polyline.c4, line.c4 { stroke: var(--c4); } polyline.c5, line.c5 { stroke: var(--c5); }
polyline.c6, line.c6 { stroke: var(--c6); }
polygon.c1, circle.c1, rect.c1, text.c1 { fill: var(--c1); }
circle.c0, rect.c0 { fill: var(--c0); } text.c0 { fill: var(--soft); }
circle.c2, text.c2 { fill: var(--c2); } circle.c3, text.c3 { fill: var(--c3); }
circle.c4, text.c4 { fill: var(--c4); } circle.c5, text.c5 { fill: var(--c5); }
circle.c6, text.c6 { fill: var(--c6); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th {
  text-align: left; font-size: 0.76rem; letter-spacing: 0.03em; color: var(--soft); font-weight: 600;
  padding: 6px 10px; border-bottom: 1px solid var(--axis); vertical-align: bottom;
}
td { padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: middle; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; white-space: nowrap; }
tr.own td { background: var(--wash); font-weight: 650; }
tr.group td {
  padding-top: 16px; color: var(--soft); font-size: 0.8rem; border-bottom-color: var(--axis);
}
.arms td:first-child { min-width: 130px; }
td.range, th.range { min-width: 170px; width: 34%; padding-left: 20px; padding-right: 20px; }
.track { position: relative; height: 16px; }
.track i { position: absolute; display: block; }
.track .half { top: -7px; bottom: -7px; width: 0; border-left: 1px dashed var(--axis); }
.track .span { top: 6px; height: 4px; border-radius: 2px; background: var(--c0); opacity: 0.65; }
.track .at {
  top: 3px; width: 10px; height: 10px; margin-left: -5px; border-radius: 50%; background: var(--c0);
}
.own .span, .hero .span { background: var(--c1); opacity: 0.45; } .own .at, .hero .at { background: var(--c1); }
.hero .track { height: 26px; margin: 22px 0 0; border-bottom: 1px solid var(--axis); }
.hero .track .half { top: -4px; bottom: 0; }
.hero .track .span { top: 8px; height: 8px; border-radius: 4px; }
.hero .track .at { top: 5px; width: 14px; height: 14px; margin-left: -7px; border: 2px solid var(--card); }
.scale { position: relative; height: 20px; font-size: 0.78rem; color: var(--soft); }
.scale span { position: absolute; transform: translateX(-50%); top: 3px; white-space: nowrap; }
.slices { display: grid; grid-template-columns: 1fr 1fr; gap: 18px; }
.slices svg { border-radius: 6px; }
.slices p { margin: 8px 0 0; font-size: 0.875rem; display: flex; justify-content: space-between; gap: 12px; }
dl { columns: 3 230px; column-gap: 34px; margin: 0; font-size: 0.84rem; }
dl div {
  display: flex; justify-content: space-between; gap: 14px; padding: 3px 0; break-inside: avoid;
  border-bottom: 1px solid var(--line);
}
dt { color: var(--soft); white-space: nowrap; } dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
pre {
  margin: 0 0 16px; padding: 12px 14px; background: var(--wash); border-radius: 8px; overflow-x: auto;
  font: 0.84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
.two { columns: 2 320px; column-gap: 34px; }
.two p { break-inside: avoid; }
.absent { color: var(--soft); font-size: 0.9rem; margin: 0; }
footer { margin-top: 44px; padding-top: 16px; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.84rem; }
@media screen and (max-width: 760px) {
  main { padding: 26px 14px 40px; }
  h1 { font-size: 1.65rem; }
  section { margin-top: 34px; }
  .answers, .grid, .slices { grid-template-columns: 1fr; gap: 14px; }
  .card { padding: 16px 15px; border-radius: 10px; }
  .figure-number { font-size: 4.6rem; }
  .wide { display: none; }
  th, td { padding-left: 6px; padding-right: 6px; }
  table.arms .range { display: none; }
  td.range, th.range { min-width: 96px; padding-left: 16px; padding-right: 16px; }
  .tick, .label, .strong { font-size: 15px; }
}
@media print {
  :root { --page: #ffffff; --wash: #f2f5f9; }
  @page { margin: 14mm; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section { margin-top: 20px; }
  .card { break-inside: avoid; padding: 12px 14px; }
  h2, .lead { break-after: avoid; }
  tr { break-inside: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
)css";
}

}  // namespace gliograd::cli::report
