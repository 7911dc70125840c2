/** A form with a file, which is read while its conversations are stored, never as a whole. */

import { PassThrough, pipeline, type Readable } from 'node:stream'
import busboy from 'busboy'
import type { Request, RequestHandler } from 'express'
import { AppError } from '../../../errors.ts'
import { longBody } from '../../../http/bodies/long-body.ts'

const LIMITS = {
  files: 1,
  fields: 4,
  parts: 5,
  fieldSize: 1024,
  fieldNameSize: 64,
  headerPairs: 16,
}

const files = new WeakMap<Request, Readable>()

/**
 * Reads the fields before the file into `req.body`, as of any form, and goes on as soon as the file
 * begins. Its fields come first: the page writes them so.
 */
export const readUpload: RequestHandler = (req, res, next) => {
  if (!req.is('multipart/form-data')) return next()
  const fields: [string, string][] = []
  let hasGoneOn = false
  const goOn = (error?: unknown) => {
    if (hasGoneOn) return
    hasGoneOn = true
    req.body = Object.fromEntries(fields)
    next(error)
  }
  const parser = parserOf(req)
  if (parser === undefined) return goOn(unreadableForm())
  parser.on('field', (name, value) => fields.push([name, value]))
  parser.on('file', (_name, file) => {
    files.set(req, file)
    // Without a listener, an error before the file is read would end the process.
    file.on('error', () => {})
    goOn()
  })
  pipeline(longBody(req, res), parser, (error) => {
    const file = files.get(req)
    if (error) file?.destroy(error)
    goOn(error && unreadableForm(error))
  })
  // The answer is sent, so what still comes is not wanted.
  res.once('close', () => parser.destroy())
}

/** The file of the form; empty when it has none. */
export const uploadedFile = (req: Request): Readable => files.get(req) ?? new PassThrough().end()

function parserOf({ headers }: Request) {
  try {
    return busboy({ headers, limits: LIMITS })
  } catch {
    return undefined
  }
}

const unreadableForm = (cause?: unknown) =>
  cause instanceof AppError
    ? cause
    : new AppError('invalid_input', 'The form that was sent cannot be read.', { cause })
