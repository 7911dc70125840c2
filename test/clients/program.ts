/** Programs of the clients: started in a process group of their own, so that all of it can be ended. */

import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'

export type Program = {
  /** The first match in what it has written, or is still to write. @throws Error when it ends without. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  send(line: string): void
  /** As at a keyboard. */
  type(keys: string): void
  /** Closes its input, and waits for its end. @returns all that it wrote, without colours. */
  output(): Promise<string>
  stop(): void
}

export type StartOptions = {
  env?: Record<string, string>
  /** Lets it think that somebody sits there: it runs in a terminal of 10,000 columns. */
  terminal?: boolean
  /** Its output counts also where it ends with a failure. */
  mayFail?: boolean
}

type Place = { cwd: string; env: Record<string, string>; signal: AbortSignal }

/** @throws Error when its time is over before it begins. */
export function startProgram(
  command: string,
  args: readonly string[],
  { env = {}, terminal = false, mayFail = false }: StartOptions,
  place: Place,
): Program {
  place.signal.throwIfAborted()
  const [file, ...rest] = terminal ? inTerminal([command, ...args]) : [command, ...args]
  const child = spawn(file as string, rest, {
    cwd: place.cwd,
    env: { ...place.env, ...(terminal ? TERMINAL : {}), ...env },
    detached: true,
  })
  let said = ''
  let isOver = false
  const news = new EventEmitter().setMaxListeners(0)
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      news.emit('heard')
    })
  }
  const stop = () => endGroup(child.pid)
  place.signal.addEventListener('abort', stop)
  process.once('exit', stop)
  child.stdin.on('error', () => {})
  child.on('error', (error) => {
    said += error
  })
  const end = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      isOver = true
      news.emit('heard')
      place.signal.removeEventListener('abort', stop)
      process.off('exit', stop)
      resolve(code)
    })
  })
  const heard = () => readable(said)

  async function until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(heard())
      if (match) return match
      if (isOver) throw new Error(`${command} ended: ${heard()}`)
      await once(news, 'heard')
    }
  }

  return {
    until,
    send: (line) => void child.stdin.write(`${line}\n`),
    type: (keys) => void child.stdin.write(keys),
    stop,
    async output() {
      child.stdin.end()
      const code = await end
      if (code !== 0 && !mayFail) throw new Error(`${command} ended with ${code}: ${heard()}`)
      return heard()
    },
  }
}

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: this is what terminals are told.
/** Colours and links, which a person does not read. */
const DECORATION = /\x1b\[[\d;:]*m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r/g
/** What moves on to another place of the screen. */
const MOVEMENT = /\x1b\[[\d;?<>=]*[ -/]*[@-~]/g
const BLANKS = / {2,}/g
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: this is what terminals are told.

const readable = (text: string) =>
  text.replace(DECORATION, '').replace(MOVEMENT, ' ').replace(BLANKS, ' ')

const TERMINAL = { TERM: 'xterm-256color', COLORTERM: 'truecolor' }

/** What a client needs is not here: that says nothing of the client. */
export class NotHereError extends Error {}

/** With the terminal that util-linux' `script` makes. @throws NotHereError where that is another one. */
function inTerminal(words: string[]): string[] {
  if (process.platform !== 'linux') throw new NotHereError('it needs a terminal made by util-linux')
  const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  return ['script', '-qec', `stty cols 10000 rows 50; ${quoted}`, '/dev/null']
}

/**
 * Ends what a client's programs have left behind them in a group of its own, as daemons do. It is
 * known by its HOME, which is a folder of ours. Where there is no /proc it is left alone.
 */
export async function endDaemons(home: string): Promise<void> {
  const pids = await readdir('/proc').catch((): string[] => [])
  for (const pid of pids.filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment.split('\0').includes(`HOME=${home}`)) endProcess(Number(pid))
  }
}

function endGroup(pid: number | undefined): void {
  if (pid !== undefined) endProcess(-pid)
}

/** @param pid a negative one is that of a group. */
function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
