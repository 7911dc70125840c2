import { spawn } from 'node:child_process'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { claimDataDir } from '../../../src/database/embedded/folder-lock.ts'
import { thisProcess } from '../../../src/database/embedded/process-identity.ts'
import { type Child, nextLine, runChild } from '../../support/child-process.ts'
import { isLinux } from '../../support/left-out.ts'
import { PATIENCE } from '../../support/patience.ts'

let parent: string
let folder: string
const children: Child[] = []

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'gateway-claim-'))
  folder = join(parent, 'data')
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL')
    await child.exit
  }
  await rm(parent, { recursive: true })
})

function startClaimer(): Child {
  const child = runChild(new URL('../children/claim.ts', import.meta.url), folder)
  children.push(child)
  return child
}

/** As a process left it that is not there to let go. */
async function leaveClaim(name: string, claim: object): Promise<string> {
  const file = join(folder, 'gateway.lock', name)
  await mkdir(join(folder, 'gateway.lock'), { recursive: true })
  await writeFile(file, `${JSON.stringify(claim)}\n`)
  return file
}

const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

test('makes the folder for its owner alone, and takes back what others were given', async () => {
  const claim = await claimDataDir(folder)
  expect(await mode(folder)).toBe('700')
  await claim.release()
  await chmod(folder, 0o755)
  await (await claimDataDir(folder)).release()
  expect(await mode(folder)).toBe('700')
})

test('a second process is refused and told which one holds the folder', async () => {
  const holder = startClaimer()
  expect(await nextLine(holder)).toBe('held')
  const refused = claimDataDir(folder)
  await expect(refused).rejects.toMatchObject({ code: 'database_unavailable', retryable: false })
  await expect(refused).rejects.toThrow(folder)
  await expect(refused).rejects.toThrow(`process ${holder.process.pid}.`)
})

test('the same process cannot claim a folder twice', async () => {
  const claim = await claimDataDir(folder)
  await expect(claimDataDir(folder)).rejects.toThrow(`process ${process.pid}.`)
  await claim.release()
  await (await claimDataDir(folder)).release()
})

test('a folder that was let go, or whose holder was killed, is free', async () => {
  const first = startClaimer()
  expect(await nextLine(first)).toBe('held')
  first.process.stdin.end()
  expect(await first.exit).toBe(0)

  const second = startClaimer()
  expect(await nextLine(second)).toBe('held')
  second.process.kill('SIGKILL')
  await second.exit
  await (await claimDataDir(folder)).release()
})

test('of several that find a dead holder, exactly one succeeds it', async () => {
  await leaveClaim('41', { ...thisProcess(), pid: 4_194_304 })
  const contenders = Array.from({ length: 6 }, startClaimer)
  const answers = await Promise.all(contenders.map(nextLine))
  const winner = contenders[answers.indexOf('held')]?.process.pid
  expect(answers.filter((answer) => answer === 'held')).toHaveLength(1)
  for (const answer of answers.filter((text) => text !== 'held')) {
    expect(answer).toContain(`process ${winner}.`)
  }
  expect(await readdir(join(folder, 'gateway.lock'))).toEqual(['42'])
})

test('a holder that goes within a few seconds is waited for', async () => {
  const holder = startClaimer()
  expect(await nextLine(holder)).toBe('held')
  // The time that a start takes is no matter here: this one has all that it needs.
  const claiming = claimDataDir(folder, { goingMs: PATIENCE.timeout })
  holder.process.stdin.end()
  expect(await holder.exit).toBe(0)
  await (await claiming).release()
})

test.runIf(isLinux('a zombie'))('a zombie does not hold it', async () => {
  // The shell is replaced by a program that never asks how its child ended.
  const claim = fileURLToPath(new URL('../children/claim.ts', import.meta.url))
  const node = `"${process.execPath}" --import tsx "${claim}" "${folder}"`
  const command = `exec 3<&0; ${node} <&3 & echo $!; exec sleep 600`
  const parent = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(parent.stdout)[Symbol.asyncIterator]()
  const pid = Number((await lines.next()).value)
  try {
    expect((await lines.next()).value).toBe('held')
    process.kill(pid, 'SIGKILL')
    await (await claimDataDir(folder)).release()
    expect(await readFile(`/proc/${pid}/stat`, 'latin1')).toMatch(/\) Z /)
  } finally {
    parent.kill('SIGKILL')
  }
})

test.runIf(isLinux('a reused process id'))('a reused process id does not hold it', async () => {
  await leaveClaim('1', { ...thisProcess(), startedAtTicks: '1' })
  await (await claimDataDir(folder)).release()
})

test('a holder killed before it had written its name does not hold it', async () => {
  await leaveClaim('1', {})
  await writeFile(join(folder, 'gateway.lock', '1'), '')
  await (await claimDataDir(folder)).release()
})

test('a holder on another host counts while its heart beats', async () => {
  const file = await leaveClaim('1', { host: 'another', pid: 1, startedAtTicks: null })
  const beat = setInterval(() => void utimes(file, new Date(), new Date()), 200)
  await expect(claimDataDir(folder)).rejects.toThrow('process 1 on another.')
  clearInterval(beat)
  await (await claimDataDir(folder, { silenceMs: 1_000 })).release()
})
