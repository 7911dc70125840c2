import { readFileSync } from 'node:fs'
import type { Repositories } from '../repositories/index.ts'
import { CHECKPOINT_ORIGIN } from '../services/audit/checkpoint-note.ts'
import type { Services } from '../services/index.ts'
import { csvField } from '../text/csv.ts'
import { UsageError } from './arguments.ts'

type Print = (line: string) => void

const ROWS_PER_PAGE = 1000

/** @throws UsageError when the file cannot be read. */
export function readCheckpoint(path: string): string {
  try {
    return checkpointIn(readFileSync(path, 'utf8'))
  } catch {
    throw new UsageError(`--checkpoint: ${path} cannot be read.`)
  }
}

/** The newest one in lines of the gateway's log; else the text, without what npm prints before it. */
function checkpointIn(text: string): string {
  const logged = text.split('\n').flatMap(loggedIn).at(-1)
  if (logged !== undefined) return logged
  const lines = text.replaceAll('\r\n', '\n')
  return `${lines.slice(Math.max(0, lines.indexOf(CHECKPOINT_ORIGIN))).trimEnd()}\n`
}

/** Docker Compose writes the name of the service before a line. */
function loggedIn(line: string): string[] {
  if (!line.includes('"checkpoint":')) return []
  try {
    const { checkpoint } = JSON.parse(line.slice(line.indexOf('{')))
    return typeof checkpoint === 'string' ? [checkpoint] : []
  } catch {
    return []
  }
}

/** Prints the first fault of each chain. @returns whether there is none. */
export async function verifyAudit(
  { audit }: Services,
  options: { chain: string | undefined; checkpoint: string | undefined },
  print: Print,
): Promise<boolean> {
  const { chains, events, faults, badCheckpoint } = await audit.verification.run(options)
  for (const { chain, seq, kind } of faults) print(`chain ${chain}, event ${seq}: ${kind}`)
  if (badCheckpoint !== undefined) print(`the checkpoint proves nothing: ${badCheckpoint}`)
  const isClean = faults.length === 0 && badCheckpoint === undefined
  if (isClean) print(`audit log verified: ${events} events in ${chains} chains`)
  return isClean
}

/** Prints a new signed checkpoint, for keeping outside of the database. */
export async function makeCheckpoint({ audit }: Services, print: Print): Promise<void> {
  print((await audit.checkpoints.make()).trimEnd())
}

/** Prints the events of one chain or of all, each chain from its beginning. */
export async function exportAudit(
  { auditEvents }: Repositories,
  chain: string | undefined,
  format: 'csv' | 'jsonl',
  print: Print,
): Promise<void> {
  if (format === 'csv') print(COLUMNS.join(','))
  for (const id of chain === undefined ? await auditEvents.listChains() : [chain]) {
    await exportChain(auditEvents, id, format, print)
  }
}

async function exportChain(
  events: Repositories['auditEvents'],
  chain: string,
  format: 'csv' | 'jsonl',
  print: Print,
): Promise<void> {
  for (let afterSeq = '0'; ; ) {
    const page = await events.list(chain, afterSeq, ROWS_PER_PAGE)
    for (const event of page) {
      const record = toRecord(event)
      print(
        format === 'csv'
          ? COLUMNS.map((column) => csvField(record[column])).join(',')
          : JSON.stringify(record),
      )
    }
    const last = page.at(-1)
    if (page.length < ROWS_PER_PAGE || !last) return
    afterSeq = last.seq
  }
}

type Event = Awaited<ReturnType<Repositories['auditEvents']['list']>>[number]

function toRecord(event: Event) {
  return {
    chain: event.chain,
    seq: event.seq,
    at: event.at,
    action: event.action,
    actor_kind: event.actorKind,
    actor_id: event.actorId,
    session_id: event.sessionId,
    address_prefix: event.addressPrefix,
    target_kind: event.targetKind,
    target_id: event.targetId,
    team_id: event.teamId,
    detail: event.detail,
    prev_hash: event.prevHash,
    hash: event.hash,
    mac: event.mac,
    key_id: event.keyId,
  }
}

const COLUMNS: readonly (keyof ReturnType<typeof toRecord>)[] = [
  'chain',
  'seq',
  'at',
  'action',
  'actor_kind',
  'actor_id',
  'session_id',
  'address_prefix',
  'target_kind',
  'target_id',
  'team_id',
  'detail',
  'prev_hash',
  'hash',
  'mac',
  'key_id',
]
