import { vi } from 'vitest'
import type { TestApp } from './start-app.ts'

/** Looks that follow each other, since a call may begin after its client has left: one proves nothing. */
const QUIET_LOOKS = 10
const BETWEEN_MS = 50

/** Waits until no answer runs, none streams, and nothing is reserved, of any user. */
export async function untilSettled({ app, claude }: TestApp): Promise<void> {
  const isSettled = async () => {
    if (app.services.running.ids.length > 0 || claude.openStreams() > 0) return false
    const reserved = await app.db
      .selectFrom('spending')
      .select('userId')
      .where((eb) => eb.or([eb('reservedNanoUsd', '<>', '0'), eb('reservedTokens', '<>', '0')]))
      .execute()
    return reserved.length === 0
  }
  let quiet = 0
  await vi.waitUntil(
    async () => {
      quiet = (await isSettled()) ? quiet + 1 : 0
      return quiet === QUIET_LOOKS
    },
    { timeout: 120_000, interval: BETWEEN_MS },
  )
}
