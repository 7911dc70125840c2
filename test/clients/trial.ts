/** What every client is put through. */

import type { Driven } from './driver.ts'
import { NotHereError } from './program.ts'
import { LAST_WORDS, SLOWLY } from './site.ts'

/** The columns of the table, in the order in which they are tried. */
export const steps = ['connect', 'sign in', 'call', '70-second answer', 'error'] as const
export type Step = (typeof steps)[number]

/** Where a step ended: what the table says, and in a failure what happened. */
export type Outcome = { says: string; problem?: string }
export type Outcomes = ReadonlyMap<Step, Outcome>

/**
 * @param report hears of each step when it is over.
 * @returns an outcome for each step that was tried: none after a failed sign-in.
 * @throws NotHereError where something is missing that the client needs.
 */
export async function tryAll(
  client: Driven,
  report: (step: Step, outcome: Outcome) => void,
): Promise<Outcomes> {
  const outcomes = new Map<Step, Outcome>()
  const attempt = async (step: Step, work: () => Promise<string>) => {
    const outcome = await work().then(
      (says): Outcome => ({ says }),
      (error): Outcome => {
        if (error instanceof NotHereError) throw error
        return { says: 'no', problem: String(error) }
      },
    )
    outcomes.set(step, outcome)
    report(step, outcome)
    return outcome.problem === undefined
  }
  const isIn =
    (await attempt('connect', () => client.connect().then(() => 'yes'))) &&
    (await attempt('sign in', () => client.signIn().then(() => client.signsInBy ?? 'yes')))
  if (!isIn) return outcomes
  await attempt('call', () => callOnce(client))
  await attempt('70-second answer', () => waitLong(client))
  await attempt('error', () => failReadably(client))
  return outcomes
}

async function callOnce(client: Driven): Promise<string> {
  const words = 'Hello from a client'
  const told = await client.call('send_message', { message: words })
  if (!told.includes(words) || !told.includes('complete')) throw new Error(told)
  return 'yes'
}

/**
 * An answer that takes longer than `send_message` waits by itself has to be collected by
 * `get_message`, as the answer says. A client whose calls may last long gets it in one call, too.
 */
async function waitLong(client: Driven): Promise<string> {
  const [, patient] = await Promise.all([collect(client), waitInOneCall(client)])
  return patient ? 'in one call, or by get_message' : 'by get_message'
}

async function collect(client: Driven): Promise<void> {
  const told = await client.call('send_message', { message: `Tell it ${SLOWLY}` })
  const [, messageId] = /unfinished: call \S*get_message with message_id ([\w-]+)/.exec(told) ?? []
  if (messageId === undefined) throw new Error(told)
  const rest = await client.call('get_message', { message_id: messageId, wait_seconds: 50 })
  if (!rest.includes(LAST_WORDS)) throw new Error(rest)
}

const waitInOneCall = (client: Driven) =>
  client.call('send_message', { message: `Tell it ${SLOWLY}`, wait_seconds: 120 }).then(
    (told) => told.includes(LAST_WORDS),
    () => false,
  )

/** A mistake of the caller's, which says what to do instead. */
async function failReadably(client: Driven): Promise<string> {
  const conversation_id = '01a203b6-fb69-768d-9d3a-660a1b552ce5'
  const told = await client.call('send_message', { message: 'Go on', conversation_id })
  if (!told.includes('You have no conversation with this id')) throw new Error(told)
  return 'yes'
}
