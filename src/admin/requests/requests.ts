import type { Decision } from '../../services/billing/requests/decisions.ts'
import type { Services } from '../../services/index.ts'
import { toUsd } from '../../text/usd-amount.ts'

type Print = (line: string) => void

export async function listRequests({ budgetRequests }: Services, print: Print): Promise<void> {
  const requests = await budgetRequests.listAll()
  if (requests.length === 0) print('no open requests')
  for (const request of requests) {
    const { id, username, teamName, book, period, wantedNanoUsd, reason } = request
    const whose = teamName === null ? 'own limit' : `${ABOUT[book]} ${teamName}`
    print(`${id}  ${username}  ${whose}  ${toUsd(wantedNanoUsd)} USD for this ${period}`)
    // A reason is the words of another user: no control characters for the terminal.
    print(`  ${reason.replace(/\p{C}/gu, ' ')}`)
  }
}

const ABOUT = { user: '', member: 'part of team', team: 'pool of team' }

export async function decideRequest(
  { requestDecisions }: Services,
  id: string,
  decision: Decision,
  print: Print,
): Promise<void> {
  await requestDecisions.decideAny(id, decision)
  print(decision.isApproved ? `granted ${id}` : `denied ${id}`)
}
