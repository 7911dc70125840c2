import { z } from 'zod'
import type { PaidBy } from '../../services/billing/paid-by.ts'

export const paidBy = z
  .object({
    kind: z.enum(['own', 'team']),
    team: z.string().optional().describe('Its name.'),
    key_last_four: z.string().describe('The end of the key.'),
  })
  .nullable()

export const shownPayer = (payer: PaidBy | null) =>
  payer && {
    kind: payer.kind,
    ...(payer.team === undefined ? {} : { team: payer.team }),
    key_last_four: payer.keyLastFour,
  }
