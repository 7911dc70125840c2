/** The house: who may import whom, and who may name which package. */

import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { expect, test } from 'vitest'

type Rule = { folders: string[]; packages: RegExp }

const ANY_PACKAGE = ['zod']

/** Imports point down this list. Root files (errors, config, log, telemetry, ...) are open to all. */
const RULES: Record<string, Rule> = {
  admin: {
    folders: ['http', 'services', 'repositories', 'claude', 'database'],
    packages: /^$/,
  },
  http: {
    folders: ['mcp', 'oauth', 'services'],
    packages: /^(express|helmet|express-rate-limit|rate-limit-redis|redis)$/,
  },
  mcp: { folders: ['services'], packages: /^@modelcontextprotocol\// },
  oauth: { folders: ['services', 'repositories', 'crypto'], packages: /^oidc-provider$/ },
  services: { folders: ['repositories', 'claude', 'crypto'], packages: /^$/ },
  repositories: { folders: ['database'], packages: /^kysely$/ },
  claude: { folders: [], packages: /^(@anthropic-ai\/sdk|undici)$/ },
  crypto: { folders: [], packages: /^(argon2|jose|@zxcvbn-ts\/(core|language-common))$/ },
  database: { folders: [], packages: /^(kysely|pg|@electric-sql\/pglite)$/ },
}

/** Root files: what each may import of ours. Those not named import nothing of ours. */
const ROOT_MAY_IMPORT: Record<string, RegExp> = {
  'main.ts': /^(dot-env|node-version|serve)\.ts$/,
  'serve.ts':
    /^(tool-names|app|config|log|open-configured-database|setting-files|stop|stop-signals|under-npm|database\/open|http\/listen)\.ts$/,
  'stop.ts': /^(app|http\/listen)\.ts$/,
  'open-configured-database.ts': /^(config|errors|log|database\/open)\.ts$/,
  'app.ts': /./,
  'admin.ts': /^(node-version|run-admin)\.ts$/,
  'run-admin.ts': /^(app|config|dot-env|log|setting-files|admin\/[a-z-]+)\.ts$/,
  'dot-env.ts': /^under-npm\.ts$/,
  'misspelt-settings.ts': /^settings\.ts$/,
  'config.ts': /^(misspelt-settings|problems|settings|secret-files)\.ts$/,
  'secret-files.ts': /^setting-files\.ts$/,
  'settings.ts': /^(setting-(hosts|values)|tool-names)\.ts$/,
  'setting-hosts.ts': /^setting-values\.ts$/,
  'outgoing.ts': /^no-proxy\.ts$/,
  'setting-values.ts':
    /^(database-url|encryption-key|no-proxy|tool-names|username|usd-amount)\.ts$/,
}
const ROOT_PACKAGES: Record<string, string> = {
  'log.ts': 'pino',
  'outgoing.ts': 'undici',
  'telemetry.ts': 'prom-client',
}

const src = new URL('../src/', import.meta.url)
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

function importsOf(file: string): string[] {
  const text = readFileSync(new URL(file, src), 'utf8')
  const found = text.matchAll(/\b(?:from|import)\s*\(?\s*'([^'\n]+)'/g)
  return [...found].map(([, specifier = '']) => specifier)
}

const packageOf = (specifier: string) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

const isOurs = (specifier: string) => specifier.startsWith('.')
const targetOf = (file: string, specifier: string) => posix.join(posix.dirname(file), specifier)
const folderOf = (path: string) => (path.includes('/') ? (path.split('/')[0] as string) : '')

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(50)
  expect(files.flatMap(importsOf).length).toBeGreaterThan(200)
})

test('every folder has its rule', () => {
  const folders = new Set(files.map(folderOf).filter((folder) => folder !== ''))
  expect(Object.keys(RULES)).toEqual(expect.arrayContaining([...folders]))
})

test.each(files.filter((file) => folderOf(file) !== ''))(
  '%s imports only what its folder may',
  (file) => {
    const folder = folderOf(file)
    const rule = RULES[folder] as Rule
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith('node:')) continue
      if (isOurs(specifier)) {
        const to = folderOf(targetOf(file, specifier))
        if (to === folder) continue
        const root = targetOf(file, specifier)
        if (to === '')
          expect(['main.ts', 'serve.ts', 'app.ts'], `${file} → ${root}`).not.toContain(root)
        else expect(rule.folders, `${file} → ${to}`).toContain(to)
      } else if (!ANY_PACKAGE.includes(packageOf(specifier))) {
        expect(packageOf(specifier), `${file} names ${specifier}`).toMatch(rule.packages)
      }
    }
  },
)

test.each(files.filter((file) => folderOf(file) === ''))(
  '%s at the root imports only what it may',
  (file) => {
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith('node:')) continue
      if (isOurs(specifier)) {
        const target = targetOf(file, specifier)
        expect(target, `${file} → ${target}`).toMatch(ROOT_MAY_IMPORT[file] ?? /^$/)
      } else {
        expect([...ANY_PACKAGE, ROOT_PACKAGES[file]], `${file} names ${specifier}`).toContain(
          packageOf(specifier),
        )
      }
    }
  },
)

test('each tool is one file, named after it', async () => {
  const { tools } = await import('../src/mcp/tools/index.ts')
  const toolFiles = new Set(files.filter((file) => file.startsWith('mcp/tools/')))
  for (const { name } of tools)
    expect(toolFiles).toContain(`mcp/tools/${name.replaceAll('_', '-')}.ts`)
})
