/** The suite's checks of an authorization server, with a person who opens what it asks them to. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { createFlow } from '../support/oauth-flow.ts'
import type { Person } from '../support/oauth-person.ts'
import type { Tool } from './tool.ts'

export const AUTHORIZATION_SUITE = '@modelcontextprotocol/conformance@0.2.0-alpha.12'

type Check = { id: string; status: string; errorMessage?: string }

/** @returns what each scenario checked, by its name. */
export async function runAuthorization(
  tool: Tool,
  gatewayUrl: string,
  folder: string,
  person: Person,
): Promise<Map<string, Check[]>> {
  const port = await freePort()
  const redirectUri = `http://127.0.0.1:${port}/callback`
  const clientId = await createFlow(gatewayUrl).newClient({ redirect_uris: [redirectUri] })
  const output = join(folder, 'authorization')
  const target = ['--url', gatewayUrl, '--resource', `${gatewayUrl}/mcp`]
  const client = ['--client-id', clientId, '-p', String(port)]
  let answered: Promise<unknown> = Promise.resolve()
  let said = ''
  const listen = (text: string) => {
    const isNew = !said.includes('/oauth/authorize?')
    said += text
    const [url] = /http:\S+\/oauth\/authorize\?\S+(?=\s)/.exec(said) ?? []
    if (isNew && url !== undefined) answered = answer(person, new URL(url))
  }
  const run = await tool(['authorization', ...target, ...client, '-o', output], folder, listen)
  await answered
  const results = await readdir(output).catch(() => [])
  if (results.length === 0) throw new Error(`nothing was checked: ${run.stdout}${run.stderr}`)
  return new Map(await Promise.all(results.map((name) => readChecks(output, name))))
}

async function answer(person: Person, url: URL): Promise<void> {
  const callback = await person.answer(url)
  await fetch(callback)
}

async function readChecks(output: string, name: string): Promise<[string, Check[]]> {
  const text = await readFile(join(output, name, 'checks.json'), 'utf8')
  const scenario = name.replace(/^authorization-server-|-\d{4}-\d\d-.*$/g, '')
  return [scenario, JSON.parse(text)]
}
