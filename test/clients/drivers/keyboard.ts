/** A person at the screen of an agent. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Program } from '../program.ts'

export const [ENTER, DOWN] = ['\r', '\x1b[B']

/** What follows at once is taken for text that was pasted. */
const BETWEEN_KEYS_MS = 1500

export async function press(program: Program, ...keys: string[]): Promise<void> {
  for (const key of keys) {
    await pause(BETWEEN_KEYS_MS)
    program.type(key)
  }
}
