/** A gateway that delivers webhooks, its first admin, and an https server that takes them. */

import { text } from 'node:stream/consumers'
import type { Caller } from '../../../src/services/access/caller.ts'
import type { DatabaseKind } from '../../support/databases.ts'
import { startDocumentHost } from '../../support/document-host.ts'
import { browserSession, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

export type Got = { path: string; headers: Record<string, string>; body: string }

export type Delivering = {
  app: TestApp
  admin: Caller
  /** Of the receiver, under which any path is taken. */
  receiverUrl: string
  /** What was taken, oldest first. */
  got: Got[]
  close(): Promise<void>
}

export async function startDelivering(
  kind: DatabaseKind,
  env: Record<string, string> = {},
): Promise<Delivering> {
  const got: Got[] = []
  const host = await startDocumentHost(async (req, res) => {
    const body = await text(req)
    got.push({ path: req.url ?? '', headers: req.headers as Record<string, string>, body })
    res.writeHead(204).end()
  })
  const webhooks = { TEAM_WEBHOOKS: 'on', WEBHOOK_ALLOW_HOSTS: 'localhost' }
  const app = await startApp({ kind, env: { ...webhooks, ...env } })
  const boss = await signUp(app)
  await app.app.services.userAdministration.setRole('operator', boss.username, 'admin')
  const admin = await browserSession(app, boss.userId)
  const close = async () => {
    await app.close()
    await host.close()
  }
  return { app, admin, receiverUrl: host.url, got, close }
}
