/**
 * `npm run api-clients`: real clients of the Messages API from npm, one after the other, against
 * the gateway and a stand-in for Claude. Needs the package registry; nothing else is asked.
 *
 * `npm run api-clients -- sdk langchain` tries only these; `-- libraries` all but Claude Code, as
 * CI does. Exits with 1 when anything was not as it should be, or could not be installed.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { install } from '../clients/install.ts'
import { claudeCode } from './claude-code.ts'
import { library } from './libraries.ts'
import { openSite, type Site } from './site.ts'

export type Trial = {
  /** Where it is installed, and which is its home. */
  folder: string
  site: Site
  /** Runs a step, and tells how it went; a failed one does not end the trial. */
  report(step: string, work: () => Promise<void>): Promise<void>
}

type Client = {
  name: string
  /** With exact versions. */
  packages: readonly string[]
  isLibrary: boolean
  trial(trial: Trial): Promise<void>
}

const CLIENTS: readonly Client[] = [
  {
    name: 'sdk',
    packages: ['@anthropic-ai/sdk@1.14.0'],
    isLibrary: true,
    trial: library('anthropic-sdk'),
  },
  {
    name: 'sdk-before-1',
    packages: ['@anthropic-ai/sdk@0.128.0'],
    isLibrary: true,
    trial: library('anthropic-sdk', { credential: 'authToken' }),
  },
  {
    name: 'ai-sdk',
    packages: ['@ai-sdk/anthropic@3.0.140', 'ai@6.0.325', 'zod@4.6.7'],
    isLibrary: true,
    trial: library('ai-sdk'),
  },
  {
    name: 'langchain',
    packages: ['@langchain/anthropic@1.5.11', '@langchain/core@1.4.0'],
    isLibrary: true,
    trial: library('langchain'),
  },
  {
    name: 'claude-code',
    packages: ['@anthropic-ai/claude-code@2.1.332'],
    isLibrary: false,
    trial: claudeCode,
  },
]

const MAX_PROBLEM_CHARS = 2000
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }

const names = process.argv.slice(2)
const folder = await mkdtemp(join(tmpdir(), 'gateway-api-clients-'))
const site = await openSite(folder)
let failures = 0
try {
  for (const client of wanted()) await tryClient(client)
} finally {
  await site.close()
  await rm(folder, REMOVAL)
}
console.log(failures === 0 ? 'all as it should be' : `${failures} steps failed`)
process.exit(failures === 0 ? 0 : 1)

function wanted(): readonly Client[] {
  if (names.length === 0) return CLIENTS
  const chosen = CLIENTS.filter(
    ({ name, isLibrary }) => names.includes(name) || (isLibrary && names.includes('libraries')),
  )
  if (chosen.length > 0) return chosen
  throw new Error(`There are ${CLIENTS.map(({ name }) => name).join(', ')}, and libraries`)
}

async function tryClient({ name, packages, trial }: Client): Promise<void> {
  console.log(`${name}: ${packages.join(', ')}`)
  const place = join(folder, name)
  const isInstalled = await report('installed', () =>
    install(place, packages, dirname(process.execPath), AbortSignal.timeout(120_000)),
  )
  if (isInstalled)
    await trial({ folder: place, site, report: async (...step) => void (await report(...step)) })
}

async function report(step: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    console.log(`  ok      ${step}`)
    return true
  } catch (error) {
    failures += 1
    const text = error instanceof Error ? error.message : String(error)
    console.log(
      `  FAILED  ${step}\n${text.slice(0, MAX_PROBLEM_CHARS).replace(/^/gm, '          ')}`,
    )
    return false
  }
}
