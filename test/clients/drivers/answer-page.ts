import { setTimeout as pause } from 'node:timers/promises'
import type { Program } from '../program.ts'
import type { Site } from '../site.ts'

/** People read first; some clients begin to listen for them after they have shown the address. */
const READING_MS = 2000

/** Lets the person answer the page whose address a client shows, and their browser go back to it. */
export async function answerPage(program: Program, { person }: Site): Promise<void> {
  const [url] = await program.until(/https?:\/\/[!-~]+\/oauth\/authorize\?[!-~]+(?=[^!-~])/)
  await pause(READING_MS)
  const callback = await person.answer(new URL(url))
  const answer = await fetch(callback)
  if (!answer.ok) throw new Error(`${answer.status} from the client: ${await answer.text()}`)
}
