import type { Request } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'

export const Id = z.uuid()

/** @throws AppError not_found for what is no id. */
export const conversationIdOf = (req: Request): string => idOf(req.params.id)

/** The same for the id of a message. */
export function idOf(text: unknown): string {
  const id = Id.safeParse(text)
  if (!id.success) throw noSuchConversation()
  return id.data
}

/** The same for one that does not exist and one that is another user's. */
export const noSuchConversation = () =>
  new AppError('not_found', 'You have no conversation with this address.')
