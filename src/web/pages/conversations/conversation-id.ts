import type { Request } from 'express'
import { z } from 'zod'
import { conversationNotFound } from '../../../services/conversations/conversation-errors.ts'

export const Id = z.uuid()

/** @throws AppError not_found for what is no id. */
export const conversationIdOf = (req: Request): string => idOf(req.params.id)

/** The same for the id of a message. Looks like an id that does not exist, and another user's. */
export function idOf(text: unknown): string {
  const id = Id.safeParse(text)
  if (!id.success) throw conversationNotFound()
  return id.data
}
