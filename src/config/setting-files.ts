/** Checks the files and folders that settings name, before anything is opened. */

import { mkdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'

/** @throws Error that names the setting and the path when the file is not readable JSON. */
export function checkPricesFile(path: string | undefined): void {
  if (path === undefined) return
  const text = readSetting('PRICES_FILE', path)
  try {
    JSON.parse(text.toString('utf8'))
  } catch (error) {
    throw new Error(
      `PRICES_FILE: ${resolve(path)} is not JSON: ${(error as Error).message}. docs/OPERATIONS.md shows one, under Prices.`,
    )
  }
}

/** @throws Error that names the setting and the path when they cannot be read or do not fit. */
export function checkCertificate(tls: { certFile: string; keyFile: string } | undefined): void {
  if (!tls) return
  const cert = readSetting('TLS_CERT_FILE', tls.certFile)
  const key = readSetting('TLS_KEY_FILE', tls.keyFile)
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    throw new Error(
      `TLS_CERT_FILE and TLS_KEY_FILE: ${resolve(tls.certFile)} and ${resolve(tls.keyFile)} are not a certificate in PEM and its private key (${(error as Error).message}).`,
    )
  }
}

/**
 * Creates the folder if needed, with mode 0700.
 *
 * @throws Error that names the setting and the path when it cannot be created.
 */
export function checkDataDir({ url, dataDir }: { url: string | undefined; dataDir: string }): void {
  if (url !== undefined) return
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`DATA_DIR: ${resolve(dataDir)} ${folderProblem(code)}`)
  }
}

function folderProblem(code = 'unknown'): string {
  if (code === 'EEXIST' || code === 'ENOTDIR') {
    return 'is a file, or below one. Name a folder; it is made if there is none.'
  }
  if (code === 'ENOENT') {
    return 'leads over a link to a folder that is not there, perhaps on a disk that is not mounted. Mount it, or name another folder.'
  }
  return `cannot be made (${code}). Name a folder that the user of this process may write to.`
}

/**
 * The text of a file, without what editors and `echo` add: line breaks at its end, and a byte order
 * mark.
 *
 * @throws Error that names the path, but not the content, when it cannot be read or is empty.
 */
export function readSecretFile(path: string): string {
  const text = readPath(path)
    .toString('utf8')
    .replace(/^\ufeff|[\r\n]+$/g, '')
  if (text.trim() === '') throw new Error(`${resolve(path)} is empty.`)
  return text
}

function readSetting(name: string, path: string): Buffer {
  try {
    return readPath(path)
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`)
  }
}

function readPath(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    throw new Error(`${resolve(path)} ${PROBLEMS[code] ?? `cannot be read (${code}).`}`)
  }
}

const PROBLEMS: Partial<Record<string, string>> = {
  ENOENT: 'does not exist. Correct the path; in a container the file has to be mounted.',
  EACCES: 'may not be read by the user of this process. Change its owner or mode.',
  EISDIR: 'is a folder. Name the file in it.',
}
