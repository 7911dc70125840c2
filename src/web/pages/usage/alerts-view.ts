import type { BudgetAlert } from '../../../services/billing/alerts/budget-alerts.ts'
import { count, minute, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'

/** Whose budget an alert is about, in words that begin a sentence. */
export type WhoseBudget = (alert: BudgetAlert) => string

/** Nothing without alerts. */
export const alertsCard = (alerts: readonly BudgetAlert[], whose: WhoseBudget = ofReader): Html =>
  alerts.length === 0
    ? html``
    : html`<section class="card" aria-labelledby="alerts"><h2 id="alerts">Alerts</h2><ul>
${alerts.map((alert) => html`<li>${sentence(alert, whose)} <span class="soft">${minute(alert.firedAt)}</span></li>`)}</ul></section>`

function sentence(alert: BudgetAlert, whose: WhoseBudget): Html {
  const { threshold, period } = alert
  const budget = `${whose(alert)} for this ${period}`
  if (threshold === 0) return html`${budget} stopped a call.`
  return html`${budget} was used up to ${threshold} %: ${amounts(alert)}.`
}

function amounts({ limit, spent }: BudgetAlert): string {
  const parts = [
    limit.nanoUsd !== null && `${usd(spent.nanoUsd)} of ${usd(limit.nanoUsd)}`,
    limit.tokens !== null && `${count(spent.tokens)} of ${count(limit.tokens)} tokens`,
  ]
  return parts.filter((part) => part !== false).join(', ')
}

const ofReader: WhoseBudget = ({ bookKind }) =>
  ({
    user: 'Your budget',
    team: "A team's budget",
    member: "Your part of a team's budget",
    connection: 'The limit of a connection or token',
  })[bookKind]
