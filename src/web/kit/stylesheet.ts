/** The stylesheet of the pages. Its URL changes with its content, so it is cached forever. */

import { createHash } from 'node:crypto'

export const STYLESHEET = `
:root {
  color-scheme: light dark;
  --ground: #f5f4f1; --card: #ffffff; --well: #f1efeb; --text: #1c2833; --soft: #55616d;
  --line: #dcd9d2; --edge: #82898f; --link: #1b5687; --strong: #17324d; --on-strong: #ffffff;
  --strong-hover: #234a70; --bad: #a3271b; --bad-ground: #fcefed; --good: #1c6140;
  --good-ground: #eaf4ee; --warn: #7a4b00; --warn-ground: #fdf3e3; --focus: #b3600c;
  --shadow: 0 1px 2px rgb(28 40 51 / 6%), 0 8px 24px rgb(28 40 51 / 5%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10161d; --card: #18212b; --well: #111920; --text: #e7ecf1; --soft: #a5b1bd;
    --line: #2a3642; --edge: #7b8896; --link: #8fc3f2; --strong: #f2a65a; --on-strong: #24160a;
    --strong-hover: #f7bb7f; --bad: #ff9d8f; --bad-ground: #331d1b; --good: #86d4a8;
    --good-ground: #16291f; --warn: #f5c987; --warn-ground: #2e2414; --focus: #f2a65a;
    --shadow: none;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; display: flex; flex-direction: column;
  background: var(--ground); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
h1, h2, h3 { line-height: 1.2; letter-spacing: -0.015em; text-wrap: balance; overflow-wrap: anywhere; margin: 0; }
h1 { font-size: clamp(1.55rem, 1.2rem + 1.6vw, 2rem); font-weight: 650; }
h2 { font-size: 1.1rem; font-weight: 620; }
p, ul, ol, dl { margin: 0; }
a { color: var(--link); text-underline-offset: 0.2em; }
a:hover { text-decoration-thickness: 2px; }
small, .soft { color: var(--soft); }
bdi { overflow-wrap: anywhere; }
small { font-size: 0.875rem; }
code, .mono { font: 0.92em/1.5 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
main:focus { outline: none; }
.hush { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: 1rem; top: -4rem; padding: 0.6rem 1rem; background: var(--card); border-radius: 8px; z-index: 2; }
.skip:focus { top: 0.75rem; }

.top { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0.5rem 1.25rem; padding: 0.9rem clamp(1rem, 4vw, 2.5rem); }
.brand { display: inline-flex; align-items: center; gap: 0.6rem; color: inherit; font-weight: 620; text-decoration: none; letter-spacing: -0.01em; }
.brand img { display: block; border-radius: 7px; }
.who { display: flex; align-items: center; gap: 0.9rem; min-width: 0; }
.who a { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 40vw; }
@media (max-width: 30rem) {
  .who a { display: none; }
  .top { padding-block: 0.75rem; }
}
.foot { margin-top: auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem); color: var(--soft); font-size: 0.875rem; text-align: center; }

main { width: 100%; max-width: 46rem; margin: 0 auto; padding: clamp(1rem, 3vw, 2.5rem) clamp(1rem, 4vw, 1.5rem) 3rem; display: grid; gap: 1.25rem; align-content: start; }
main > *, .card > *, form > *, fieldset > * { min-width: 0; }
.narrow main { max-width: 29rem; }
.lead { font-size: 1.08rem; color: var(--soft); text-wrap: pretty; }
.intro { display: grid; gap: 0.6rem; }
.hero { display: grid; gap: 1rem; padding-block: clamp(0.5rem, 4vw, 2rem) 0.5rem; }
.hero h1 { font-size: clamp(1.9rem, 1.3rem + 3vw, 2.75rem); letter-spacing: -0.03em; }

.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: clamp(1.1rem, 3.5vw, 1.6rem); display: grid; gap: 0.9rem; box-shadow: var(--shadow); }
.cards { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.cards .card { align-content: start; }
.figure { font-size: 1.5rem; font-weight: 620; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.danger { border-color: color-mix(in srgb, var(--bad) 45%, var(--line)); }

.account main { max-width: 62rem; grid-template-columns: minmax(0, 1fr); }
.menu ul, .filters ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.25rem; }
.menu a, .filters a { display: block; padding: 0.45rem 0.75rem; border-radius: 9px; color: var(--soft); text-decoration: none; }
.menu a:hover, .filters a:hover { background: var(--card); color: var(--text); }
.menu a[aria-current], .filters a[aria-current] { background: var(--card); color: var(--text); font-weight: 600; box-shadow: inset 0 0 0 1px var(--line); }
.part { display: grid; gap: 1.25rem; align-content: start; min-width: 0; }
@media (min-width: 56rem) {
  .account main { grid-template-columns: 12rem minmax(0, 1fr); gap: 2.5rem; }
  .menu ul { flex-direction: column; position: sticky; top: 1.5rem; }
}

form { display: grid; gap: 1.1rem; }
.inline { display: inline-grid; }
.field { display: grid; gap: 0.35rem; }
label, legend, .label { font-weight: 580; }
legend { padding: 0; margin-bottom: 0.6rem; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
input:not([type=checkbox]), select, textarea {
  width: 100%; min-height: 2.9rem; padding: 0.55rem 0.8rem; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
}
textarea { display: block; resize: vertical; }
input:focus-visible, select:focus-visible, textarea:focus-visible { outline-offset: 0; border-radius: 10px; }
input[aria-invalid=true] { border-color: var(--bad); box-shadow: 0 0 0 1px var(--bad); }
.hint { color: var(--soft); font-size: 0.9rem; }
.error { color: var(--bad); font-size: 0.92rem; font-weight: 560; }
.pair { display: grid; gap: 1.1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 12rem), 1fr)); align-items: start; }
.checks { display: grid; gap: 0.5rem; }
.check { display: grid; grid-template-columns: auto 1fr; gap: 0.7rem; align-items: start; padding: 0.65rem 0.8rem; border: 1px solid var(--line); border-radius: 10px; font-weight: 400; cursor: pointer; }
.check:hover { border-color: var(--edge); }
.check small { display: block; }
input[type=checkbox] { width: 1.2rem; height: 1.2rem; margin: 0.15rem 0 0; accent-color: var(--strong); }

button, .button {
  display: inline-flex; align-items: center; justify-content: center; min-height: 2.9rem; padding: 0.55rem 1.3rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  color: var(--on-strong); background: var(--strong); border: 1px solid transparent; border-radius: 10px;
}
button:hover, .button:hover { background: var(--strong-hover); }
.second { color: var(--text); background: transparent; border-color: var(--edge); }
.second:hover { background: var(--well); }
.harm { color: var(--bad); background: transparent; border-color: var(--bad); }
.harm:hover { background: var(--bad-ground); }
.small { min-height: 2.25rem; padding: 0.25rem 0.85rem; font-size: 0.92rem; }
.plain { min-height: 0; padding: 0.25rem 0; color: var(--link); background: none; border: 0; font-weight: 400; text-decoration: underline; text-underline-offset: 0.2em; }
.plain:hover { background: none; text-decoration-thickness: 2px; }
.actions { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; }
.actions.wide > * { flex: 1 1 9rem; }
.start { justify-self: start; }

.notice { padding: 0.8rem 1rem; border-radius: 10px; border: 1px solid var(--line); background: var(--card); display: grid; gap: 0.3rem; overflow-wrap: anywhere; }
.notice.bad { color: var(--bad); background: var(--bad-ground); border-color: currentColor; }
.notice.bad a { color: inherit; }
.notice.good { color: var(--good); background: var(--good-ground); border-color: currentColor; }
.notice.warn { color: var(--warn); background: var(--warn-ground); border-color: currentColor; }
.notice ul { padding-left: 1.2rem; }
.copy { display: block; padding: 0.75rem 0.9rem; background: var(--well); border: 1px solid var(--line); border-radius: 10px; word-break: break-all; user-select: all; -webkit-user-select: all; cursor: text; }
.steps { padding-left: 1.3rem; display: grid; gap: 0.5rem; }
.tag { display: inline-block; padding: 0.1rem 0.6rem; border-radius: 99px; border: 1px solid currentColor; font-size: 0.82rem; font-weight: 560; white-space: nowrap; }
.tag.good { color: var(--good); } .tag.warn { color: var(--warn); }
.target { padding: 1rem; border-radius: 12px; background: var(--well); border: 1px solid var(--line); display: grid; gap: 0.25rem; overflow-wrap: anywhere; }
.address { overflow-wrap: anywhere; font-weight: 560; }
.target strong { font-size: 1.2rem; letter-spacing: -0.01em; }

.rows { list-style: none; padding: 0; display: grid; }
.rows > li { display: flex; flex-wrap: wrap; gap: 0.6rem 1.5rem; justify-content: space-between; align-items: start; padding: 1rem 0; border-top: 1px solid var(--line); }
.rows > li:first-child { border-top: 0; padding-top: 0; }
.rows > li:last-child { padding-bottom: 0; }
.rows .what { flex: 1 1 16rem; min-width: 0; display: grid; gap: 0.3rem; }
.rows h2, .rows h3 { font-size: 1rem; font-weight: 600; display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; letter-spacing: 0; }
.facts { display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; color: var(--soft); font-size: 0.9rem; }
.facts > div { display: flex; gap: 0.35rem; }
.facts dt { white-space: nowrap; }
.facts dd { margin: 0; color: var(--text); overflow-wrap: anywhere; }

.message { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: clamp(1rem, 3vw, 1.4rem); display: grid; gap: 0.6rem; min-width: 0; scroll-margin-top: 1rem; }
.message > * { min-width: 0; }
.message.user { background: var(--well); }
.message > h2 { font-size: 0.95rem; letter-spacing: 0; display: flex; flex-wrap: wrap; gap: 0 0.6rem; }
.message > h2 .soft { font-weight: 400; font-size: 0.875rem; overflow-wrap: anywhere; }
.ending { display: flex; flex-wrap: wrap; gap: 0.4rem 0.8rem; align-items: center; }
.ending .tag, [role=status] > .tag { white-space: normal; border-radius: 10px; }
.snippet { color: var(--soft); overflow-wrap: anywhere; }
.message > h2 { scroll-margin-top: 1rem; }
.verbatim { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.prose { display: grid; gap: 0.8rem; overflow-wrap: anywhere; }
.prose > *, .prose li > *, .prose blockquote > * { min-width: 0; }
.prose :is(h3, h4, h5, h6) { font-size: 1.02rem; font-weight: 640; letter-spacing: 0; margin: 0.3rem 0 0; }
.prose h3 { font-size: 1.15rem; }
.prose :is(ul, ol) { padding-inline-start: 1.5rem; display: grid; gap: 0.25rem; }
.prose blockquote { margin: 0; padding-inline-start: 1rem; border-inline-start: 3px solid var(--edge); display: grid; gap: 0.6rem; }
.prose pre { margin: 0; padding: 0.75rem 0.9rem; background: var(--well); border: 1px solid var(--line); border-radius: 10px; white-space: pre-wrap; overflow-wrap: anywhere; }
.prose :not(pre) > code { padding: 0.1em 0.3em; background: var(--well); border-radius: 5px; }
.prose hr { width: 100%; border: 0; border-top: 1px solid var(--line); margin: 0.3rem 0; }
.prose :is(th, td) { white-space: normal; text-align: start; vertical-align: top; padding: 0.4rem 0.8rem 0.4rem 0; }

table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: 0.9rem; padding-bottom: 0.5rem; }
th, td { padding: 0.55rem 0 0.55rem clamp(0.75rem, 2vw, 1.25rem); text-align: right; border-top: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: 0.875rem; }
tbody th { font-weight: 500; }
tfoot th, tfoot td { font-weight: 620; }
tbody th { overflow-wrap: anywhere; white-space: normal; }
/* Equal columns: long words would take the room of all others. */
.words { table-layout: fixed; }
.words :is(th, td) { text-align: start; vertical-align: top; white-space: normal; overflow-wrap: anywhere; }
.words .tag { white-space: normal; border-radius: 10px; }
@media (max-width: 40rem) {
  .stacks thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stacks, .stacks tbody, .stacks tfoot, .stacks tr { display: grid; }
  .stacks tr { gap: 0.15rem; padding: 0.7rem 0; border-top: 1px solid var(--line); }
  .stacks tbody tr:first-child { border-top: 0; padding-top: 0; }
  .stacks th, .stacks td { display: flex; justify-content: space-between; gap: 1rem; padding: 0; border: 0; text-align: left; }
  .words td > span { min-width: 0; text-align: end; }
  .words td::before { flex: none; }
  .stacks td::before { content: attr(data-label); content: attr(data-label) / ""; color: var(--soft); font-weight: 400; }
}
.figures { margin: 0; display: grid; gap: 0.4rem; }
.figures figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0.2rem 1rem; color: var(--soft); font-size: 0.875rem; font-variant-numeric: tabular-nums; }
.chart { display: block; width: 100%; height: 9rem; border-bottom: 1px solid var(--edge); }
.row-bar { display: block; width: 100%; height: 0.3rem; min-width: 4rem; }
.with-bar { display: grid; gap: 0.3rem; width: 100%; }
.bar { fill: var(--strong); }
.bar:hover { fill: var(--focus); }
@media (forced-colors: active) { .bar { fill: CanvasText; } }
progress { width: 100%; height: 0.6rem; appearance: none; border: 0; border-radius: 99px; overflow: hidden; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--strong); }
progress::-moz-progress-bar { background: var(--strong); }
summary { cursor: pointer; color: var(--link); width: fit-content; }
details[open] summary { margin-bottom: 0.9rem; }
.ask > summary { padding: 0.45rem 0.9rem; color: var(--bad); border: 1px solid var(--bad); border-radius: 10px; font-weight: 600; }
.ask > summary:hover { background: var(--bad-ground); }
@media (forced-colors: active) { .button, button { border-color: ButtonText; } }
@media print { .top form, .menu, .skip { display: none; } }
`

const hash = createHash('sha256').update(STYLESHEET).digest('base64url').slice(0, 12)

export const STYLESHEET_PATH = `/assets/pages-${hash}.css`
