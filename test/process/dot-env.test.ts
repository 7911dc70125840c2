/** `.env`, as npm start and npm run admin read it. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startGatewayProcess } from '../support/gateway-process.ts'

const PROCESS_TIMEOUT_MS = 120_000
const UNDER_NPM = { npm_lifecycle_event: 'start' }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-dot-env-'))
})
afterEach(() => rm(folder, { recursive: true }))

const start = async (settings: Record<string, string>) => {
  const gateway = await startGatewayProcess(settings, folder)
  await gateway.stop()
  return gateway.greeting
}

test('npm start reads it, says so, and the environment wins', {
  timeout: PROCESS_TIMEOUT_MS,
}, async () => {
  await writeFile(
    join(folder, '.env'),
    '# Ours\nDATA_DIR="./of the file" # here\nPUBLIC_URL=http://file.localhost\nPORT=1\n',
  )
  const greeting = await start(UNDER_NPM)
  expect(greeting).toContain(`Settings       ${join(folder, '.env')}\n`)
  expect(greeting).toContain(`Data           ${join(folder, 'of the file')}\n`)
  expect(greeting).toContain('Sign up        http://file.localhost/')
})

test('without npm it is not read', { timeout: PROCESS_TIMEOUT_MS }, async () => {
  await writeFile(join(folder, '.env'), 'DATA_DIR=./of-the-file\n')
  const greeting = await start({ DATA_DIR: './elsewhere' })
  expect(greeting).toContain(`Data           ${join(folder, 'elsewhere')}\n`)
  expect(greeting).not.toContain('Settings')
})

test('what is wrong in it, or with it, is told', { timeout: PROCESS_TIMEOUT_MS }, async () => {
  await writeFile(join(folder, '.env'), 'REGISTRATON=closed\n')
  await expect(start(UNDER_NPM)).rejects.toThrow(/REGISTRATON: is no setting\. Write REGISTRATION/)
  await rm(join(folder, '.env'))
  await mkdir(join(folder, '.env'))
  await expect(start(UNDER_NPM)).rejects.toThrow(
    `could not start. ${join(folder, '.env')} cannot be read (`,
  )
})

test('a byte order mark is no part of it, and UTF-16 is told', {
  timeout: PROCESS_TIMEOUT_MS,
}, async () => {
  const file = join(folder, '.env')
  await writeFile(file, '\ufeffDATA_DIR=./of-the-file\r\n')
  expect(await start(UNDER_NPM)).toContain(`Data           ${join(folder, 'of-the-file')}\n`)
  await writeFile(file, '\ufeffDATA_DIR=./of-the-file\r\n', 'utf16le')
  await expect(start(UNDER_NPM)).rejects.toThrow(`${file} is in UTF-16`)
})

test('npm run admin reads it too', async () => {
  await writeFile(join(folder, '.env'), 'DATA_DIR=./of-the-file\n')
  const { PATH, HOME } = process.env
  const admin = fileURLToPath(new URL('../../dist/admin.js', import.meta.url))
  const child = spawn(process.execPath, [admin, 'user', 'list'], {
    cwd: folder,
    env: { PATH, HOME, npm_lifecycle_event: 'admin' },
  })
  const [words, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
  expect(words).toContain(`There is no gateway data in ${join(folder, 'of-the-file')}`)
  expect(code).toBe(2)
})
