/** How the user of an agent tells the model which tool to call. */

export type Wish = { tool: string; args: Record<string, unknown> }

/** What the model says where it is not offered the tool. */
export const NO_SUCH_TOOL = 'I have no such tool.'

/** In base64, which no agent's quoting alters. */
export const promptFor = (wish: Wish) =>
  `Call ${Buffer.from(JSON.stringify(wish)).toString('base64url')} please.`

/** The last one in a text. */
export function wishIn(text: string): Wish | undefined {
  const found = [...text.matchAll(/Call (eyJ[\w-]+) please/g)].at(-1)?.[1]
  return found === undefined
    ? undefined
    : JSON.parse(Buffer.from(found, 'base64url').toString('utf8'))
}
