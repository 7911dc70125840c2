import type { Request } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'

/** The team that a page's address names. @throws AppError not_found for what is no id. */
export const idOf = (req: Request): string =>
  uuidOf(req.params.id, 'You are in no such team. It may have been left.')

/** @throws AppError not_found. */
export function uuidOf(text: unknown, otherwise: string): string {
  const id = z.uuid().safeParse(text)
  if (!id.success) throw new AppError('not_found', otherwise)
  return id.data
}
