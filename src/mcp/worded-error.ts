import { type AppError, toErrorBody } from '../errors.ts'
import type { Toolset } from './toolset.ts'

/** An error as its client is told of it: with the names of tools that the client's list shows. */
export function wordedError(error: AppError, { worded }: Pick<Toolset, 'worded'>) {
  const { error: told } = toErrorBody(error)
  const { raise_with } = told.details ?? {}
  return {
    ...told,
    message: worded(told.message),
    ...(raise_with !== undefined && {
      details: { ...told.details, raise_with: worded(raise_with) },
    }),
  }
}
