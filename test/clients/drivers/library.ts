/** Libraries that programs are built on: each in a small program of its own, libraries/NAME.mjs. */

import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Driver } from '../driver.ts'
import type { Program } from '../program.ts'

const PROGRAMS = fileURLToPath(new URL('../libraries', import.meta.url))

export const library =
  (name: string): Driver =>
  ({ folder, site, start }) => {
    let program: Program
    let authorizationUrl = ''
    let calls = 0
    return {
      async connect() {
        await cp(PROGRAMS, join(folder, 'libraries'), { recursive: true })
        program = start('node', [join('libraries', 'host.mjs'), name, site.mcpUrl])
        const [, url = ''] = await program.until(/^authorize (.+)\n/m)
        authorizationUrl = url
        await program.until(/^refused /m)
      },
      async signIn() {
        const callback = await site.person.answer(new URL(authorizationUrl))
        program.send(callback.href)
        const [, tools] = await program.until(/^ready (\d+)\n/m)
        if (Number(tools) === 0) throw new Error('no tools')
      },
      async call(tool, args) {
        calls += 1
        const id = calls
        program.send(JSON.stringify({ id, tool, args }))
        const [, told = ''] = await program.until(new RegExp(`^told (\\{"id":${id},.*)\n`, 'm'))
        return JSON.parse(told).text
      },
    }
  }
