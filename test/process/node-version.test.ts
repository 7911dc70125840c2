/** A Node.js that is too old gets one sentence, whatever it is asked to run. */

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { oldNodeProblem } from '../../src/process/node-version.ts'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

test('it is the one that package.json asks for', () => {
  const [, oldest = ''] = /^>=(\d+\.\d+)$/.exec(JSON.parse(read('package.json')).engines.node) ?? []
  const [major = 0, minor = 0] = oldest.split('.').map(Number)
  expect(oldNodeProblem(`${oldest}.0`)).toBeUndefined()
  expect(oldNodeProblem(`${major + 1}.0.0`)).toBeUndefined()
  expect(oldNodeProblem(`${major}.${minor - 1}.9`)).toContain(`needs ${oldest} or newer`)
  expect(oldNodeProblem('18.20.8')).toMatch(/^This is Node\.js 18\.20\.8, .*npm ci again\.$/)
})

/** As far as another Node.js cannot be had here: this one says that it is older. */
const PRETEND = `data:text/javascript,${encodeURIComponent(
  "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.8' } })",
)}`

test.each(['main.js', 'admin.js', 'process/node-version.js'])(
  '%s says it and ends with 1',
  async (file) => {
    const script = fileURLToPath(new URL(`../../dist/${file}`, import.meta.url))
    const args = ['--import', PRETEND, script, 'help']
    const { code, words } = await new Promise<{ code: unknown; words: string }>((resolve) => {
      execFile(process.execPath, args, { env: {} }, (error, stdout, stderr) =>
        resolve({ code: error?.code, words: stdout + stderr }),
      )
    })
    expect({ code, words: words.trim() }).toEqual({ code: 1, words: oldNodeProblem('18.20.8') })
  },
)

test.each(['main', 'admin', 'process/node-version'])(
  '%s.ts loads nothing of ours before it',
  (file) => {
    const imports = [...read(`src/${file}.ts`).matchAll(/^import .*'([^']+)'$/gm)].map(
      ([, name]) => name,
    )
    expect(imports.filter((name) => !name?.startsWith('node:'))).toEqual(
      file === 'process/node-version' ? [] : ['./process/node-version.ts'],
    )
  },
)
