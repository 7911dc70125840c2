/** What the gateway is measured against, as bench/package-lock.json pins it. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('..', import.meta.url))
const MARK = `${FOLDER}node_modules/.installed`
const PEERS = ['@portkey-ai/gateway', '@modelcontextprotocol/server-everything', 'fastmcp']

/** Installs them on the first run, and again when the lock file changed. No script of theirs runs. */
export function installPeers(): void {
  const lock = createHash('sha256')
    .update(readFileSync(`${FOLDER}package-lock.json`))
    .digest('hex')
  if (existsSync(MARK) && readFileSync(MARK, 'utf8') === lock) return
  process.stderr.write('installing the peers\n')
  const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', flags, { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] })
  writeFileSync(MARK, lock)
}

export const peerVersions = () => PEERS.map((name) => `${name} ${versionOf(name)}`)

function versionOf(name: string): string {
  const json = readFileSync(`${FOLDER}node_modules/${name}/package.json`, 'utf8')
  return JSON.parse(json).version
}
