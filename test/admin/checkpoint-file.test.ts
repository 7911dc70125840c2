/** Files that `audit verify --checkpoint` is given, as an operator has kept them. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readCheckpoint, verifyAudit } from '../../src/admin/audit.ts'
import { scratchFolder } from '../support/scratch-folder.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

let app: TestApp
let folder: string
let made: string
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  folder = await mkdtemp(join(scratchFolder(), 'gateway-checkpoints-'))
  await app.register()
  made = await app.app.services.audit.checkpoints.make()
})
afterAll(async () => {
  await app.close()
  await rm(folder, { recursive: true })
})

const logged = (checkpoint: string) => JSON.stringify({ checkpoint, msg: 'audit checkpoint' })

test.each<[string, (checkpoint: string) => string]>([
  ['as it was printed', (text) => text],
  ['below what npm prints', (text) => `\n> npm run admin\n> node dist/admin.js\n\n${text}`],
  ['with the line breaks of Windows', (text) => text.replaceAll('\n', '\r\n')],
  ['copied without its last line break', (text) => text.trimEnd()],
  ['as a line of the log', logged],
  ['as the newest of many lines', (text) => `${logged('old')}\n{"msg":"x"}\n${logged(text)}\n`],
  ['as a line of Docker Compose', (text) => `gateway-1  | ${logged(text)}`],
])('a checkpoint %s is read', async (_how, kept) => {
  const path = join(folder, 'kept.txt')
  await writeFile(path, kept(made))
  const lines: string[] = []
  const options = { chain: undefined, checkpoint: readCheckpoint(path) }
  const isClean = await verifyAudit(app.app.services, options, (line) => lines.push(line))
  expect([isClean, lines]).toEqual([true, [expect.stringMatching(/^audit log verified/)]])
})

test('what is no checkpoint stays none', async () => {
  const path = join(folder, 'other.txt')
  await writeFile(path, '{"checkpoint": 5}\nhello\n')
  const options = { chain: undefined, checkpoint: readCheckpoint(path) }
  const lines: string[] = []
  expect(await verifyAudit(app.app.services, options, (line) => lines.push(line))).toBe(false)
  expect(lines.join()).toContain('it is not the whole text of a checkpoint')
})
