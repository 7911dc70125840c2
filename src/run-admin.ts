/** Commands for the operator. Uses the gateway's own settings. */

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { UsageError, valuesOf, wordsOf } from './admin/arguments.ts'
import type { Command, Run } from './admin/command.ts'
import { COMMANDS } from './admin/commands.ts'
import type { Config } from './config/config.ts'
import { readDotEnv } from './process/dot-env.ts'

const PROGRAM = 'npm run admin --'

type Described = Pick<Command, 'usage' | 'note'>

/** Runs without opening the gateway. */
const CHECK: Described = {
  usage: 'check',
  note: 'opens the database, Anthropic, proxies, Redis and the public address once; exit code 1 when one is wrong',
}

const USAGE = `Usage: ${PROGRAM} <command>

${[CHECK, ...Object.values(COMMANDS)]
  .map(({ usage, note }) => `  ${usage}\n      ${note}`)
  .join('\n')}

It needs the gateway's own settings. On PostgreSQL it runs beside the gateway; the embedded database
is for one process, so stop the gateway first.
`

const usageOf = ({ usage }: Described) => `Usage: ${PROGRAM} ${usage}`

/** @returns whether all is well. */
async function main(args: string[]): Promise<boolean> {
  const { words, wantsHelp } = wordsOf(args)
  const isCheck = words.join(' ') === CHECK.usage
  const command = COMMANDS[words.slice(0, 2).join(' ')]
  if (args.length === 0 || wantsHelp || words[0] === 'help') {
    process.stdout.write(helpOn(isCheck ? CHECK : command))
    return true
  }
  if (isCheck) return checkSettings(args)
  if (!command) throw new Error(`There is no such command.\n\n${nearUsage(words[0])}`)
  return onGateway(prepare(command, args, words.slice(2)))
}

const helpOn = (command: Described | undefined) =>
  command ? `${usageOf(command)}\n    ${command.note}\n` : USAGE

/** When settings are invalid, reports all of them and opens nothing. */
async function checkSettings(args: string[]): Promise<boolean> {
  explained(CHECK, () => valuesOf(args, []))
  const { loadConfig } = await import('./config/config.ts')
  const { check } = await import('./admin/check.ts')
  return check(loadConfig(), (line) => void process.stdout.write(`${line}\n`))
}

function prepare(command: Command, args: string[], operands: string[]): Run {
  return explained(command, () => {
    const values = valuesOf(args, command.options)
    const name = /^\S+ \S+ (USERNAME|TEAM|REQUEST|WEBHOOK)\b/.exec(command.usage)?.[1]
    refuseOperands(operands, name)
    return command.prepare(values, operands[0] ?? '')
  })
}

/** @throws Error with the problem, and the usage of this command. */
function explained<T>(command: Described, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw new Error(`${error.message}\n\n${usageOf(command)}`)
  }
}

/** @param name what follows the two words, if anything does. */
function refuseOperands(operands: string[], name: string | undefined): void {
  const expected = name === undefined ? 0 : 1
  if (operands.length > expected) throw new UsageError(`Unexpected: ${operands[expected]}`)
  if (operands.length < expected || operands.includes('')) {
    throw new UsageError(`${name} is missing.`)
  }
}

/** The commands that begin with the same word, or how to list all. */
function nearUsage(area: string | undefined): string {
  const near = Object.entries<Described>({ check: CHECK, ...COMMANDS }).filter(
    ([words]) => words.split(' ')[0] === area,
  )
  if (near.length === 0) return `To see all: ${PROGRAM} help`
  return near.map(([, command]) => usageOf(command)).join('\n')
}

/** A mistyped DATA_DIR must not create a new, empty gateway in which every check passes. */
function refuseEmptyFolder({ url, dataDir }: Config['database']): void {
  if (url !== undefined || existsSync(join(dataDir, 'postgres'))) return
  throw new Error(`There is no gateway data in ${resolve(dataDir)}. Set DATA_DIR or DATABASE_URL.`)
}

/** Loads the gateway only now, so that usage errors are reported fast. */
async function onGateway(run: Run): Promise<boolean> {
  const { createApp } = await import('./app.ts')
  const { loadConfig } = await import('./config/config.ts')
  const { createLogger } = await import('./log.ts')
  const { checkPricesFile } = await import('./config/setting-files.ts')
  const config = loadConfig()
  refuseEmptyFolder(config.database)
  checkPricesFile(config.chat.pricesFile)
  const app = await createApp(config, { log: createLogger('silent') })
  try {
    return (await run(app)) ?? true
  } finally {
    await app.close(0)
  }
}

/** `head` and pagers may close the pipe before all is written, which is no failure. */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
  process.exit()
}

/** Exit code: 0 for success, 1 when a check failed, 2 when the command could not be run. */
export async function runAdmin(args: string[]): Promise<void> {
  process.stdout.on('error', endQuietly)
  try {
    readDotEnv()
    process.exitCode = (await main(args)) ? 0 : 1
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 2
  }
}
