/** What teams may be called. */

import { z } from 'zod'
import type { TeamRef } from '../../repositories/teams/teams.ts'

const WORDS = /^[A-Za-z0-9]+(?:[ ._-][A-Za-z0-9]+)*$/

/** Like usernames, with spaces: names that look like others cannot be made of these characters. */
export const TeamName = z
  .string()
  .trim()
  .min(3, 'must have at least 3 characters')
  .max(64, 'must have at most 64 characters')
  .regex(WORDS, 'must be words of A-Z a-z 0-9 with one space or one of . _ - between them')

/** Names with the same key are the same name. */
export const teamNameKey = (name: string) =>
  name
    .trim()
    .toLowerCase()
    .replace(/[ ._-]/g, '-')

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** @param given an id, or an exact name but for case. */
export const teamRef = (given: string): TeamRef =>
  UUID.test(given.trim()) ? { id: given.trim() } : { nameKey: teamNameKey(given) }
