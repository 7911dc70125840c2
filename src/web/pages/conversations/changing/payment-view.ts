import type { ConversationHead } from '../../../../services/conversations/conversation-heads.ts'
import { select } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Purses } from '../../teams/purses.ts'
import { pathOf } from '../reading/address.ts'

type Payment = { head: ConversationHead; csrfField: Html; teams: Purses }

/** Nothing for an owner without a team, whose conversation no team pays for. */
export function paymentForms({ head, csrfField, teams }: Payment): Html | false {
  const { team = null, isTeamOnly = false, belongsTo = null } = head.payment ?? {}
  if (teams.length === 0 && team === null && belongsTo === null) return false
  const path = pathOf(head.id)
  return html`<form method="post" action="${path}/payment">${csrfField}
<div class="pair">
${select({ name: 'payer', label: 'Paid by', options: optionsOf(teams, team, 'each sender, with their own key') }, chosenOf(teams, team))}
${select({ name: 'payers', label: 'Keys that may be used', options: KEYS }, isTeamOnly ? 'team_only' : 'any')}
</div>
<p class="soft">A team pays for its members. Whose key is used, under their contract with Anthropic the whole conversation is processed.</p>
<button class="second small start">Save who pays</button></form>
<form method="post" action="${path}/team">${csrfField}
${select({ name: 'team', label: 'Belongs to', options: optionsOf(teams, belongsTo, 'no team') }, chosenOf(teams, belongsTo))}
<p class="soft">It then begins with what the team has set for who pays.</p>
<button class="second small start">Save the team</button></form>`
}

const KEYS = {
  any: "the payer's, and a sender's own where they say so",
  team_only: "that team's alone",
}

/** A team that the owner is not in any more. */
export const UNCHANGED = 'unchanged'

function optionsOf(teams: Purses, current: string | null, none: string): Record<string, string> {
  const isGone = current !== null && chosenOf(teams, current) === UNCHANGED
  return {
    '': none,
    ...(isGone && { [UNCHANGED]: `${current}, as now` }),
    ...Object.fromEntries(teams.map(({ id, name }) => [id, name])),
  }
}

function chosenOf(teams: Purses, current: string | null): string {
  if (current === null) return ''
  return teams.find(({ name }) => name === current)?.id ?? UNCHANGED
}
