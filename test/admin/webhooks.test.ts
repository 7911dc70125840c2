/** What the operator does with webhooks. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { COMMANDS } from '../../src/admin/commands.ts'
import {
  actOnWebhook,
  addWebhook,
  deleteWebhook,
  listWebhooks,
  rotateWebhook,
} from '../../src/admin/webhooks/webhooks.ts'
import { startApp, type TestApp } from '../support/start-app.ts'
import { newTeam } from '../support/teams.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
})
afterAll(() => app.close())

const printed = async (work: (print: (line: string) => void) => Promise<void>) => {
  const lines: string[] = []
  await work((line) => lines.push(line))
  return lines
}

test('one of a team, although owners may have none, and one of the installation', async () => {
  const { services } = app.app
  const team = await newTeam(app, [await app.register()])
  const given = { url: 'https://hooks.invalid/canary', events: ['member.added'] }
  for (const name of [undefined, team.name]) {
    const made = await printed((print) => addWebhook(services, { ...given, team: name }, print))
    expect(made).toEqual([
      expect.stringMatching(/^added [0-9a-f-]{36}$/),
      expect.stringMatching(/^secret, shown only this once: whsec_/),
    ])
  }
  const listed = await printed((print) => listWebhooks(services, print))
  expect(listed.slice(1).map((line) => line.split('  ').slice(1, 4))).toEqual([
    ['hooks.invalid', 'installation', 'ok'],
    ['hooks.invalid', team.name, 'ok'],
  ])
  expect(listed.join()).not.toContain('canary')
  for (const line of listed.slice(1)) {
    const id = line.split('  ')[0] ?? ''
    const [secret] = await printed((print) => rotateWebhook(services, id, print))
    expect(secret).toContain('whsec_')
    for (const act of ['test', 'disable', 'enable'] as const) {
      expect(await printed((print) => actOnWebhook(services, act, id, act, print))).toEqual([act])
    }
    expect(await printed((print) => deleteWebhook(services, id, print))).toEqual(['deleted'])
  }
  await expect(printed((print) => deleteWebhook(services, 'nonsense', print))).rejects.toThrow(
    'no such webhook',
  )
})

test('says what is missing before anything is opened', () => {
  const prepare = (name: string, values: Record<string, string>) => () =>
    COMMANDS[name]?.prepare(values, 'x')
  expect(prepare('webhook add', {})).toThrow('--url is missing')
  expect(prepare('webhook add', { url: 'https://a.example' })).toThrow('--events is missing')
  expect(prepare('webhook delete', {})).toThrow('add --yes')
})
