/** What README.md tells the users of a client. */

import { readFileSync } from 'node:fs'

export const README = new URL('../../README.md', import.meta.url)

/**
 * The first command in README.md that begins so, in words, with another address of the gateway.
 *
 * @param beginning its first words, without characters that mean something in a RegExp.
 * @throws Error when there is none.
 */
export function readmeCommand(beginning: string, mcpUrl: string): string[] {
  const readme = readFileSync(README, 'utf8')
  const [, command] = new RegExp(`(?:^|\`)(${beginning} [^\`\n]*)`, 'm').exec(readme) ?? []
  if (command === undefined) throw new Error(`README.md has no command "${beginning}"`)
  return command.replace(/http:\S+\/mcp\b/, mcpUrl).split(' ')
}
