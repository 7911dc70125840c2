import { defineResource, json } from '../definitions/resource.ts'
import { usageReport } from '../tools/get-usage.ts'

export const usage = defineResource({
  uri: 'mcp://claude-api-gateway/usage',
  name: 'usage',
  title: 'Usage and cost',
  description:
    "Tokens and cost of the last 30 days, by day and by model: your own, or everybody's for an admin or auditor.",
  mimeType: 'application/json',
  scope: 'usage:read',
  async read({ caller, services }) {
    const byDay = usageReport(await services.usage.report(caller, {}, 'day'))
    const byModel = usageReport(await services.usage.report(caller, {}, 'model'))
    const { scope, from, to, total } = byDay
    return json({ scope, from, to, total, by_day: byDay.rows, by_model: byModel.rows })
  },
})
