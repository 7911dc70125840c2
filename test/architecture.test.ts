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
  'composition',
  'operations',
  'accounts',
  'imports',
  'turns',
  'conversations',
  'pass-through',
  'billing',
  'api-keys',
  'webhooks',
  'teams',
  'access',
  'audit',
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
  database: ['process', 'config', 'concurrency', 'text'],
}

const ANY_PACKAGE = ['zod', 'lru-cache']
const PACKAGES: Record<string, RegExp> = {
  http: /^(express|helmet|express-rate-limit|rate-limit-redis|redis)$/,
  web: /^(express|busboy|markdown-it)$/,
  mcp: /^@modelcontextprotocol\//,
  oauth: /^oidc-provider$/,
  services: /^yauzl$/,
  repositories: /^kysely$/,
  claude: /^(@anthropic-ai\/sdk|eventsource-parser|undici)$/,
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
const MOST_FILES = 14
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

test('only repositories know the names of constraints', () => {
  const knowing = files.filter((file) => targetsOf(file).includes('repositories/constraints.ts'))
  expect(knowing.length).toBeGreaterThan(0)
  for (const file of knowing) expect(folderOf(file), file).toBe('repositories')
})

test('repositories have no words for callers', () => {
  const speaking = files.filter(
    (file) => folderOf(file) === 'repositories' && targetsOf(file).includes('errors.ts'),
  )
  expect(speaking).toEqual([])
})

test('a transaction is handed what some service names, and nothing else', () => {
  const textOf = (file: string) => readFileSync(new URL(file, src), 'utf8')
  const [, handed = ''] =
    /function createForTransaction.*?return \{(.*?)\n {2}\}/s.exec(
      textOf('repositories/index.ts'),
    ) ?? []
  const named = files
    .filter((file) => folderOf(file) !== 'repositories')
    .flatMap((file) => [...textOf(file).matchAll(/transact: Transact<([^>]*)>/g)])
    .flatMap(([, names = '']) => [...names.matchAll(/'(\w+)'/g)].map(([, name]) => name))
  expect(handed.match(/\w+(?=: new)/g)).toEqual([...new Set(named)].sort())
})

test('sessions begin in one place, which asks for the authority', () => {
  const filesWith = (text: RegExp) =>
    files.filter((file) => text.test(readFileSync(new URL(file, src), 'utf8')))
  const inserting = filesWith(/insertInto\('sessions'\)|insert into sessions\b/)
  expect(inserting).toEqual(['repositories/access/sessions.ts'])
  expect(filesWith(/\bsessions\.insert\(/)).toEqual(['services/access/begin-session.ts'])
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

/**
 * Statements about conversations that act for no user: they settle an answer by its id, keep counts,
 * move keys, clean up, or erase, tell whether one still exists, or write a new one for its owner. All
 * others go through repositories/access/conversation-access.ts.
 */
const ACT_FOR_NOBODY = [
  'repositories/accounts/departures.ts',
  'repositories/accounts/erasure.ts',
  'repositories/billing/ledger-audit.ts',
  'repositories/billing/ledger-holds.ts',
  'repositories/billing/ledger.ts',
  'repositories/conversations/conversation-writer.ts',
  'repositories/conversations/sharing/all-links.ts',
  'repositories/conversations/storage.ts',
  'repositories/keys/data-keys.ts',
  'repositories/operations/statistics.ts',
  'repositories/turns/finish-turns-statement.ts',
  'repositories/turns/forgotten-turns.ts',
  'repositories/turns/leases.ts',
]
const GUARDED = ['conversations', 'messages', 'conversation_grants', 'conversation_links']
const NAMES_GUARDED = new RegExp(
  `\\b(?:from|join|update|into)\\s+\\(?(?:only\\s+)?(?:${GUARDED.join('|')})\\b`,
)
const BUILDS_GUARDED = new RegExp(
  `(?:selectFrom|updateTable|insertInto|deleteFrom|[jJ]oin)\\(\\s*\\[?\\s*['"\`](?:${GUARDED.map(camelCase).join('|')})\\b`,
)
const ACCESS = 'repositories/access/conversation-access.ts'

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** The outermost template literals of a source, with what is interpolated. */
function templatesOf(text: string): string[] {
  const found: string[] = []
  const open: number[] = []
  let from = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '`') {
      if (open.at(-1) === 0) {
        open.pop()
        if (open.length === 0) found.push(text.slice(from, at))
      } else {
        if (open.length === 0) from = at
        open.push(0)
      }
    } else if (open.at(-1) === 0 && text.startsWith('${', at)) open.push(1)
    else if ((open.at(-1) ?? 0) > 0 && text[at] === '{') open.push(1)
    else if ((open.at(-1) ?? 0) > 0 && text[at] === '}') open.pop()
  }
  return found
}

/** Names of fragments, and of constants that hold one. */
function fragmentsOf(text: string): string[] {
  const imported = /import \{([^}]*)\} from '[^']*conversation-access\.ts'/.exec(text)?.[1] ?? ''
  const names = imported.split(',').map((name) => name.trim())
  const fragments = names.filter((name) => name !== '' && !name.startsWith('type '))
  const held = [...text.matchAll(/^const (\w+) =([\s\S]*?)\n(?=\n|const|\/\*|export|function)/gm)]
  const holds = (body: string) => fragments.some((name) => body.includes(`${name}(`))
  return [
    ...fragments.map((name) => `${name}(`),
    ...held.filter(([, , body = '']) => holds(body)).map(([, name = '']) => name),
  ]
}

test.each(files.filter((file) => file.startsWith('repositories/')))(
  '%s reads and changes conversations only for those who may',
  (file) => {
    if (file === ACCESS || ACT_FOR_NOBODY.includes(file)) return
    const text = readFileSync(new URL(file, src), 'utf8').replace(/^\s*(?:\/\*)?\*.*$/gm, '')
    expect(text, 'a query builder hides whether the access is checked').not.toMatch(BUILDS_GUARDED)
    const fragments = fragmentsOf(text)
    for (const statement of templatesOf(text).filter((sql) => NAMES_GUARDED.test(sql))) {
      expect(
        fragments.some((fragment) => statement.includes(fragment)),
        `${file} does not say for whom:\n${statement}`,
      ).toBe(true)
    }
  },
)

test('what opens a conversation comes from a row of the database', () => {
  const makers = files.filter((file) =>
    /\b(?:toConversationRef|as ConversationRef)\b/.test(readFileSync(new URL(file, src), 'utf8')),
  )
  expect(makers.length).toBeGreaterThan(4)
  for (const file of makers) expect(file).toMatch(/^repositories\//)
  const cast = makers.filter((file) =>
    readFileSync(new URL(file, src), 'utf8').includes('as ConversationRef'),
  )
  expect(cast).toEqual(['repositories/access/conversation-ref.ts'])
})
