import type { Program } from '../program.ts'
import type { Site } from '../site.ts'

/** Lets the person answer the page whose address a client shows, and their browser go back to it. */
export async function answerPage(program: Program, { person }: Site): Promise<void> {
  const [url] = await program.until(/https?:\/\/\S+\/oauth\/authorize\?\S+(?=\s)/)
  const callback = await person.answer(new URL(url))
  const answer = await fetch(callback)
  if (!answer.ok) throw new Error(`${answer.status} from the client: ${await answer.text()}`)
}
