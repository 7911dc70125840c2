import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkCertificate, checkDataDir, checkPricesFile } from '../src/setting-files.ts'

let folder: string
let file: string
let gone: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-test-'))
  file = join(folder, 'a-file')
  gone = join(folder, 'gone')
  await writeFile(file, '[{"model": ')
})
afterAll(() => rm(folder, { recursive: true }))

test('a PRICES_FILE is one that can be read, and JSON', async () => {
  const prices = join(folder, 'prices.json')
  await writeFile(prices, '[]')
  checkPricesFile(undefined)
  checkPricesFile(prices)
  expect(() => checkPricesFile(gone)).toThrow(`PRICES_FILE: ${gone} does not exist. Correct`)
  expect(() => checkPricesFile(folder)).toThrow(`PRICES_FILE: ${folder} is a folder. Name`)
  expect(() => checkPricesFile(file)).toThrow(`PRICES_FILE: ${file} is not JSON: `)
  expect(() => checkPricesFile(join(file, 'x'))).toThrow(/^PRICES_FILE: .* \(ENOTDIR\)/)
})

test('of the two files of a certificate the wrong one is named', () => {
  checkCertificate(undefined)
  const check = (certFile: string, keyFile: string) => () => checkCertificate({ certFile, keyFile })
  expect(check(gone, file)).toThrow(`TLS_CERT_FILE: ${gone} does not exist.`)
  expect(check(file, gone)).toThrow(`TLS_KEY_FILE: ${gone} does not exist.`)
  expect(check(file, file)).toThrow(`${file} and ${file} are not a certificate in PEM and its`)
})

test('a DATA_DIR is a folder, or made one for its owner alone, unless there is DATABASE_URL', async () => {
  const dataDir = join(folder, 'new', 'data')
  checkDataDir({ url: undefined, dataDir })
  checkDataDir({ url: undefined, dataDir })
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
  for (const wrong of [file, join(file, 'data')]) {
    const says = `DATA_DIR: ${wrong} is a file, or below one. Name a folder`
    expect(() => checkDataDir({ url: undefined, dataDir: wrong })).toThrow(says)
    checkDataDir({ url: 'postgres://db/gateway', dataDir: wrong })
  }
})

test('a DATA_DIR that leads to a disk which is not there is told as that', async () => {
  const link = join(folder, 'link')
  await symlink(join(folder, 'unmounted', 'data'), link)
  for (const dataDir of [link, join(link, 'gateway')]) {
    const says = `DATA_DIR: ${dataDir} leads over a link to a folder that is not there`
    expect(() => checkDataDir({ url: undefined, dataDir })).toThrow(says)
  }
})
