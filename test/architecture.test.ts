/** The house: who may import whom, and who may name which package. */

import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'

/** Imports point down this list, never up. Folders in one row may use each other, never in a circle. */
const LAYERS = [
  ['admin'],
  ['http', 'web'],
  ['mcp', 'oauth'],
  ['services'],
  ['repositories'],
  ['claude', 'crypto'],
  ['database'],
  ['network', 'process'],
  ['config'],
  ['concurrency', 'text'],
]
/** In `services/` a folder imports from those after it. */
const SERVICES = [
  'operations',
  'accounts',
  'turns',
  'conversations',
  'billing',
  'api-keys',
  'access',
  'keys',
]
/** What these may use of what lies below them; all others may use all of it. */
const ONLY: Record<string, string[]> = {
  admin: ['http', 'services', 'repositories', 'claude', 'database', 'network', 'config', 'text'],
  http: ['web', 'mcp', 'oauth', 'services', 'network', 'config', 'concurrency', 'text'],
  web: ['http', 'oauth', 'services', 'network', 'config', 'concurrency', 'text'],
  mcp: ['services', 'network', 'config', 'concurrency', 'text'],
  oauth: ['services', 'repositories', 'crypto', 'network', 'config', 'concurrency', 'text'],
  services: ['repositories', 'claude', 'crypto', 'config', 'concurrency', 'text'],
  repositories: ['database', 'concurrency', 'text'],
  claude: ['network', 'config', 'concurrency', 'text'],
  crypto: ['config', 'concurrency', 'text'],
  database: ['config', 'concurrency', 'text'],
}

const ANY_PACKAGE = ['zod']
const PACKAGES: Record<string, RegExp> = {
  http: /^(express|helmet|express-rate-limit|rate-limit-redis|redis)$/,
  web: /^express$/,
  mcp: /^@modelcontextprotocol\//,
  oauth: /^oidc-provider$/,
  repositories: /^kysely$/,
  claude: /^(@anthropic-ai\/sdk|undici)$/,
  crypto: /^(argon2|jose|@zxcvbn-ts\/(core|language-common))$/,
  database: /^(kysely|pg|@electric-sql\/pglite)$/,
  network: /^undici$/,
  'log.ts': /^pino$/,
  'telemetry.ts': /^prom-client$/,
}

/** At the root: what starts the gateway, from the top down, and what everybody may use. */
const START = ['main.ts', 'admin.ts', 'run-admin.ts', 'serve.ts', 'stop.ts', 'app.ts']
const FOR_ALL = ['errors.ts', 'log.ts', 'telemetry.ts', 'version.ts']

/** One idea a file, and not more of them than are seen at a glance. */
const MOST_FILES = 15
/** Of like leaves. */
const LISTS = ['mcp/tools']

const src = new URL('../src/', import.meta.url)
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

function importsOf(file: string): string[] {
  const text = readFileSync(new URL(file, src), 'utf8')
  const found = text.matchAll(/\b(?:from|import)\s*\(?\s*'([^'\n]+)'/g)
  return [...found].map(([, specifier = '']) => specifier)
}

const isOurs = (specifier: string) => specifier.startsWith('.')
const targetOf = (file: string, specifier: string) => posix.join(posix.dirname(file), specifier)
const targetsOf = (file: string) =>
  importsOf(file)
    .filter(isOurs)
    .map((specifier) => targetOf(file, specifier))
const folderOf = (path: string) => (path.includes('/') ? (path.split('/')[0] as string) : '')
const packageOf = (specifier: string) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
const packagesOf = (file: string) =>
  importsOf(file)
    .filter((specifier) => !isOurs(specifier) && !specifier.startsWith('node:'))
    .map(packageOf)

const layerOf = (folder: string) => LAYERS.findIndex((layer) => layer.includes(folder))

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(50)
  expect(files.flatMap(importsOf).length).toBeGreaterThan(200)
})

test('every folder has its place', () => {
  const folders = new Set(files.map(folderOf).filter((folder) => folder !== ''))
  expect([...folders].sort()).toEqual(LAYERS.flat().sort())
  const rooms = files.filter((file) => file.startsWith('services/') && file.split('/').length > 2)
  expect(new Set(rooms.map((file) => file.split('/')[1]))).toEqual(new Set(SERVICES))
})

describe.each(files.filter((file) => folderOf(file) !== ''))('%s', (file) => {
  const folder = folderOf(file)

  test('imports from below only', () => {
    for (const target of targetsOf(file)) {
      const to = folderOf(target)
      if (to === folder) continue
      if (to === '') expect(FOR_ALL, `${file} → ${target}`).toContain(target)
      else {
        expect(layerOf(to), `${file} → ${target}`).toBeGreaterThanOrEqual(layerOf(folder))
        if (ONLY[folder]) expect(ONLY[folder], `${file} → ${target}`).toContain(to)
      }
    }
  })

  test('names only packages of its folder', () => {
    const allowed = PACKAGES[folder] ?? /^$/
    for (const name of packagesOf(file).filter((name) => !ANY_PACKAGE.includes(name)))
      expect(name, `${file} names ${name}`).toMatch(allowed)
  })
})

test.each(files.filter((file) => file.startsWith('services/') && file !== 'services/index.ts'))(
  '%s imports from rooms after its own',
  (file) => {
    const room = file.split('/')[1] as string
    for (const target of targetsOf(file).filter((target) => folderOf(target) === 'services')) {
      const to = target.split('/')[1] as string
      expect(SERVICES.indexOf(to), `${file} → ${target}`).toBeGreaterThanOrEqual(
        SERVICES.indexOf(room),
      )
    }
  },
)

test.each(files.filter((file) => folderOf(file) === ''))('%s at the root has its place', (file) => {
  expect([...START, ...FOR_ALL]).toContain(file)
  const place = START.indexOf(file)
  for (const target of targetsOf(file)) {
    if (folderOf(target) !== '') expect(START, `${file} → ${target}`).toContain(file)
    else if (!FOR_ALL.includes(target))
      expect(START.slice(place + 1), `${file} → ${target}`).toContain(target)
  }
  for (const name of packagesOf(file)) {
    if (!ANY_PACKAGE.includes(name)) expect(name).toMatch(PACKAGES[file] ?? /^$/)
  }
})

test('no folder holds more files than are seen at a glance', () => {
  const sizes = new Map<string, number>()
  for (const file of files) {
    const folder = posix.dirname(file)
    sizes.set(folder, (sizes.get(folder) ?? 0) + 1)
  }
  for (const folder of LISTS) sizes.delete(folder)
  expect([...sizes].filter(([, size]) => size > MOST_FILES)).toEqual([])
})

test('no import goes in a circle, types included', () => {
  const open = new Set<string>()
  const done = new Set<string>()
  const follow = (file: string, way: string[]): void => {
    expect(open.has(file), [...way, file].join(' → ')).toBe(false)
    if (done.has(file)) return
    open.add(file)
    for (const target of targetsOf(file)) follow(target, [...way, file])
    open.delete(file)
    done.add(file)
  }
  for (const file of files) follow(file, [])
})

test('each tool is one file, named after it', async () => {
  const { tools } = await import('../src/mcp/tools/index.ts')
  const toolFiles = new Set(files.filter((file) => file.startsWith('mcp/tools/')))
  for (const { name } of tools)
    expect(toolFiles).toContain(`mcp/tools/${name.replaceAll('_', '-')}.ts`)
})
