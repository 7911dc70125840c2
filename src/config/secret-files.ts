/** Reads settings from files, as container engines pass secrets: NAME_FILE for NAME. */

import { readSecretFile } from './setting-files.ts'

type Text = string | undefined
type Issue = { path: readonly string[]; message: string }

/**
 * The values in the files that `NAME_FILE` names, for each of these names.
 *
 * @returns with issues: a file that cannot be read or is empty, and a value given twice.
 */
export function readSecretFiles(names: readonly string[], env: Readonly<Record<string, Text>>) {
  const values: Record<string, string> = {}
  const issues: Issue[] = []
  for (const name of names) {
    const setting = `${name}_FILE`
    const file = env[setting]?.trim()
    if (file === undefined || file === '') continue
    try {
      if (isGiven(env[name])) throw new Error(`and ${name} are both set. Keep one of them.`)
      values[name] = readSecretFile(file)
    } catch (error) {
      issues.push({ path: [setting], message: (error as Error).message })
    }
  }
  return { values, issues }
}

const isGiven = (value: Text) => value !== undefined && value.trim() !== ''
