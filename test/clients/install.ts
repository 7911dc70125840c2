/** Installs a client from npm, apart from everything else. */

import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const TIMEOUT_MS = 300_000

/** @returns the folder of a Node that all clients run on: many need a newer one than the gateway. */
export async function findNode(): Promise<string> {
  const [major] = process.versions.node.split('.')
  if (Number(major) >= 24) return dirname(process.execPath)
  const options = { timeout: TIMEOUT_MS }
  const found = await run('npx', ['-y', '-p', 'node@24', '-c', 'command -v node'], options)
  return dirname(found.stdout.trim())
}

/**
 * @param packages names with exact versions.
 * @throws Error with what npm said.
 */
export async function install(
  folder: string,
  packages: readonly string[],
  nodeFolder: string,
  signal: AbortSignal,
) {
  await mkdir(folder, { recursive: true })
  const names = packages.map((one) => one.slice(0, one.lastIndexOf('@')))
  // Newer npm runs the scripts of named packages only; some of these fetch their program in one.
  const allowScripts = Object.fromEntries(names.map((name) => [name, true]))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts }))
  const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--save-exact']
  await run('npm', ['install', ...flags, ...packages], {
    cwd: folder,
    timeout: TIMEOUT_MS,
    signal,
    env: { ...process.env, PATH: `${nodeFolder}:${process.env.PATH}` },
  })
}
