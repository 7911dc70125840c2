import { z } from 'zod'

/** Claude did not exist before, and PostgreSQL rejects dates near the year 0. */
const FIRST_DAY = '2020-01-01'

/** A day in UTC. */
export const day = z.iso
  .date('must be a day, for example 2026-11-01')
  .refine((text) => text >= FIRST_DAY, `must be ${FIRST_DAY} or later`)
