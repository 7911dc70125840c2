/** What README.md tells the users of a client. */

import { readFileSync } from 'node:fs'

export const README = new URL('../../README.md', import.meta.url)

/**
 * The first command in README.md that begins so, in words, with another address of the gateway.
 *
 * @throws Error when there is none.
 */
export function readmeCommand(beginning: string, mcpUrl: string): string[] {
  const lines = readFileSync(README, 'utf8').split('\n')
  const command = lines.find((line) => line.startsWith(`${beginning} `))
  if (command === undefined) throw new Error(`README.md has no command "${beginning}"`)
  return command.replace(/http:\S+\/mcp\b/, mcpUrl).split(' ')
}
