import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/config.ts'
import { readOrMakeKeyFile } from '../../src/crypto/key-file.ts'
import { createLogger } from '../../src/log.ts'
import { type FreshDatabase, freshDatabaseOptions } from '../support/databases.ts'

describe('a key file', () => {
  let folder: string
  let path: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-test-'))
    path = join(folder, 'encryption-key')
  })
  afterAll(() => rm(folder, { recursive: true }))

  const yes = async () => true
  const no = async () => false

  test('is not made where it may not be, and then nothing is left behind', async () => {
    expect(await readOrMakeKeyFile(path, no)).toBeUndefined()
    expect(await readdir(folder)).toEqual([])
  })

  test('is made once, for its owner alone, and read from then on, without being asked', async () => {
    const made = await readOrMakeKeyFile(path, yes)
    expect(Buffer.from(String(made), 'base64')).toHaveLength(32)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readOrMakeKeyFile(path, no)).toBe(made)
    expect(await readOrMakeKeyFile(path, yes)).toBe(made)
    expect(await readdir(folder)).toEqual(['encryption-key'])
  })

  test.each([
    ['empty', ''],
    ['of blanks', ' \n'],
  ])('that a power cut left %s is as good as none', async (_, content) => {
    await writeFile(path, content)
    expect(await readOrMakeKeyFile(path, no)).toBeUndefined()
    expect(await readFile(path, 'utf8')).toBe(content)
    const made = await readOrMakeKeyFile(path, yes)
    expect(await readOrMakeKeyFile(path, no)).toBe(made)
  })

  test('that a killed process left half-made is made again', async () => {
    await unlink(path)
    await writeFile(`${path}.new`, 'half')
    expect(await readOrMakeKeyFile(path, yes)).toHaveLength(44)
    expect(await readdir(folder)).toEqual(['encryption-key'])
  })
})

describe('a data folder whose key is gone', () => {
  let fresh: FreshDatabase
  let path: string
  const start = () =>
    createApp(loadConfig({ DATA_DIR: fresh.dataDir }), { log: createLogger('silent') })
  beforeAll(async () => {
    fresh = await freshDatabaseOptions('embedded')
    path = join(fresh.dataDir, 'encryption-key')
    await (await start()).close(0)
  })
  afterAll(() => fresh.drop())

  test('is refused, gets no other key, and opens again with its own', async () => {
    const key = await readFile(path)
    await unlink(path)
    const before = await readdir(fresh.dataDir)
    await expect(start()).rejects.toThrow(/key that sealed the data in .* is missing.*backup/)
    expect(existsSync(path)).toBe(false)
    expect(await readdir(fresh.dataDir)).toEqual(before)
    await writeFile(path, key)
    await (await start()).close(0)
  })

  test('is refused with the name of the file when that holds something else', async () => {
    const key = await readFile(path)
    await writeFile(path, 'no key\n')
    const error = await start().catch((thrown: Error) => thrown)
    expect(error).toMatchObject({
      message: expect.stringContaining(`${path} holds something else`),
    })
    expect(error).toMatchObject({ message: expect.not.stringContaining('openssl') })
    await writeFile(path, key)
    await (await start()).close(0)
  })
})
