/**
 * Tells faults of the machine from a damaged database. After the former everything is still there,
 * so they are no reason to go back to a copy, which would lose what was written since.
 */

import { AppError } from '../../../errors.ts'

type Fault = { codes: readonly string[]; words: RegExp; advice: string }

const FAULTS: readonly Fault[] = [
  {
    codes: ['EACCES', 'EPERM'],
    words: /Permission denied|Operation not permitted/,
    advice:
      'Give DATA_DIR and all in it to the user of this process (chown -R), or start the gateway as the user who owns it.',
  },
  {
    codes: ['ENOSPC', 'EDQUOT'],
    words: /No space left|Disk quota exceeded/,
    advice: 'Make room on the disk of DATA_DIR, and start the gateway again.',
  },
  {
    codes: ['EROFS'],
    words: /Read-only file system/,
    advice: 'Make the disk of DATA_DIR writable, or name another folder.',
  },
  {
    codes: ['EMFILE', 'ENFILE'],
    words: /Too many open files/,
    advice: 'Let the process open more files (ulimit -n).',
  },
]

/** @returns the error that says what to do about a system error; any other error unchanged. */
export function explainMachineFault(error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException
  const fault = FAULTS.find(({ codes }) => codes.includes(code))
  return fault ? machineFault(`DATA_DIR: ${message}.`, fault, error) : error
}

/** For `catch`: throws what `explainMachineFault` returns. */
export function blameMachine(error: unknown): never {
  throw explainMachineFault(error)
}

/** @returns the error, where the last words of PostgreSQL blame the machine; otherwise undefined. */
export function machineFaultIn(lastWords: string, said: string, cause: unknown) {
  const fault = FAULTS.find(({ words }) => words.test(lastWords))
  return fault && machineFault(`${said}.`, fault, cause)
}

const machineFault = (said: string, { advice }: Fault, cause: unknown) =>
  new AppError('database_unavailable', `${said} ${advice}`, { cause, retryable: false })
