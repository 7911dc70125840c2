import { parseArgs } from 'node:util'

export type Options = {
  names: string[]
  isQuick: boolean
  isList: boolean
  rounds: number | undefined
  isProfiled: boolean
  /** A built checkout to compare this one with; undefined: none. */
  beside: string | undefined
}

/** @throws Error that says what was wrong with the command line. */
export function readOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      profile: { type: 'boolean', default: false },
      beside: { type: 'string' },
    },
  })
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0 && rounds <= 100)) {
    throw new Error('--rounds takes a number from 1 to 100')
  }
  return {
    names: positionals,
    isQuick: values.quick,
    isList: values.list,
    rounds,
    isProfiled: values.profile,
    beside: values.beside,
  }
}
