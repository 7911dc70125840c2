/**
 * No file begins in the last minutes of a day in UTC: what it books would be on two days, and on the
 * last of a month in two months. Costs a run at midnight these minutes.
 */

import { setTimeout as sleep } from 'node:timers/promises'

const DAY_MS = 86_400_000
const LONGEST_FILE_MS = 120_000

const untilMidnightMs = DAY_MS - (Date.now() % DAY_MS)
if (untilMidnightMs < LONGEST_FILE_MS) await sleep(untilMidnightMs)
