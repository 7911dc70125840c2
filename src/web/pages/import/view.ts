import type { ImportReport } from '../../../services/imports/import-report.ts'
import type { SkipReason } from '../../../services/imports/sources/draft.ts'
import { type FormState, fileField, select, summary } from '../../kit/form.ts'
import { count } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type ImportPage = { csrfField: Html; maxMib: number; url: string; form: FormState }

export const importPage = ({ csrfField, maxMib, url, form }: ImportPage): Page => ({
  title: 'Import',
  layout: '/account/data',
  body: html`<div class="intro"><h1>Import</h1>
<p class="soft">Conversations from claude.ai, ChatGPT or another gateway. They are encrypted like those you begin here, and cost nothing until you continue them.</p></div>
${summary(form)}
<section class="card" aria-labelledby="file"><h2 id="file">Send a file</h2>
<form method="post" action="/account/import" enctype="multipart/form-data">${csrfField}
${select({ name: 'grown', label: 'A conversation that is here already, and has more messages in the file', options: GROWN }, form.values.grown || 'keep')}
${select({ name: 'branches', label: 'Of a conversation of ChatGPT with several branches', options: BRANCHES }, form.values.branches || 'current')}
${fileField(
  {
    name: 'file',
    label: 'Export',
    accept: '.json,.zip,application/json,application/zip',
    hint: `The zip as you got it, at most 64 MiB, or the conversations.json in it, at most ${maxMib} MiB.`,
  },
  form,
)}
<button class="start">Import</button></form>
<p class="soft">What is here already is not imported twice, so you can send a file again. Pictures and uses of tools become notes in the text.</p>
</section>
<section class="card" aria-labelledby="script"><h2 id="script">From a terminal</h2>
<p>With an <a href="/account/tokens">access token</a> that may change conversations:</p>
<code class="copy">curl -T conversations.json -H "Authorization: Bearer $TOKEN" ${url}</code>
<p class="soft">With <code>?grown=branch</code> or <code>?grown=replace</code> behind the address, grown conversations are taken too; with <code>?branches=all</code> all branches of ChatGPT’s.</p>
</section>`,
})

const GROWN = {
  keep: 'stays as it is',
  branch: 'is imported again beside it',
  replace: 'is replaced, and its shares and links end',
}

const BRANCHES = {
  current: 'the one shown last is imported',
  all: 'each is imported, as a conversation',
}

const REASONS: Record<SkipReason, string> = {
  continued_here: 'was continued here, and so is not replaced',
  empty: 'has no text',
  malformed: 'is not valid',
  message_too_large: 'has a message of more than 4 MiB',
  storage_full: 'does not fit: your storage is full',
  too_deep: 'is nested too deeply',
  too_large: 'is larger than 32 MiB',
  too_many_messages: 'has more than 10,000 messages',
  too_many_values: 'has too many values',
  unknown_format: 'is of a format that is not known',
  unknown_version: 'was exported by a later version',
}

/** What became of the file; also when that was nothing. */
export const importedPage = (report: ImportReport): Page => ({
  title: 'Imported',
  layout: '/account/data',
  body: html`<h1>Imported</h1>
<p class="notice good" role="status">${count(report.imported)} of ${count(report.found)} conversations imported.</p>
<section class="card" aria-labelledby="report"><h2 id="report">Report</h2>
<dl class="facts">
${fact('Found', report.found)}
${fact('Imported', report.imported)}
${report.branched > 0 && fact('Of them beside earlier ones', report.branched)}
${report.replaced > 0 && fact('Of them in place of earlier ones', report.replaced)}
${fact('Here already', report.already)}
${fact('Skipped', report.skippedInAll)}
${report.branchesLeftOut > 0 && fact('Other branches, left out', report.branchesLeftOut)}
</dl>
${skippedList(report)}
${blocksList(report)}
<p><a href="/account/import">Import another file</a></p>
</section>`,
})

const fact = (name: string, value: number) =>
  html`<div><dt>${name}</dt><dd>${count(value)}</dd></div>`

function skippedList({ skipped, skippedInAll }: ImportReport): Html {
  if (skipped.length === 0) return html``
  const rows = skipped.map(
    ({ ref, reason }) => html`<li><bdi class="mono">${ref}</bdi> ${REASONS[reason]}</li>`,
  )
  const more = skippedInAll - skipped.length
  return html`<h3>Skipped</h3><ul>${rows}</ul>${more > 0 && html`<p>And ${count(more)} more.</p>`}`
}

function blocksList({ blocksUnknown }: ImportReport): Html {
  const types = Object.entries(blocksUnknown)
  if (types.length === 0) return html``
  const rows = types.map(
    ([type, number]) => html`<li><bdi class="mono">${type}</bdi>: ${count(number)}</li>`,
  )
  return html`<h3>Parts that became notes in the text</h3><ul>${rows}</ul>`
}
