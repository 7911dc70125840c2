import express, { type Request, type RequestHandler } from 'express'
import { admitBody, admitFormOf, type BodyAdmission } from '../http/bodies/admit-body.ts'
import { callerOf, sendToSignIn } from './page-context.ts'
import { visitOf } from './session/browser-session.ts'
import { isSaidToBeOurs } from './session/csrf.ts'

/** What is shown again to a visitor whose session has ended. */
const KEPT_FORM_BYTES = 256 * 1024

/**
 * Reads a form with a message, for a visitor who is identified. Only a user may send a long one; who
 * it is, is asked again when all of it has come.
 */
export function messageArrival(admission: BodyAdmission, maxBodyBytes: number): RequestHandler[] {
  const ofUser = admitFormOf(admission, maxBodyBytes, (req) => callerOf(req).userId)
  const ofVisitor = admitBody(admission, KEPT_FORM_BYTES)
  return [
    (req, res, next) => (isSignedIn(req) || isKept(req) ? next() : sendToSignIn(req, res)),
    (req, res, next) => (isSignedIn(req) ? ofUser : ofVisitor)(req, res, next),
    express.urlencoded({ extended: false, limit: maxBodyBytes, parameterLimit: 50 }),
  ]
}

const isSignedIn = (req: Request) => visitOf(req).caller !== null

/** Whether it is worth reading without a session. */
const isKept = (req: Request) =>
  isSaidToBeOurs(req) &&
  req.headers['content-encoding'] === undefined &&
  Number(req.headers['content-length'] ?? Number.POSITIVE_INFINITY) <= KEPT_FORM_BYTES
