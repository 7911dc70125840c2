/**
 * What strangers and users can make the gateway hold, as a process of its own, with its memory looked
 * at by the system; and that others are served meanwhile.
 */

import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bearer, post, toolCall } from '../http/posting.ts'
import { type ClaudeStandIn, startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { register, type TestUser } from '../support/clients.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { isLinux } from '../support/left-out.ts'

/** By how much any of the attacks below may make the process grow. Each asks for several times that. */
const MAX_GROWTH_MB = 256
const BODY_BYTES = 4 * 1024 * 1024
const MEBIBYTE = 1024 * 1024
/** A process, and a few megabytes of messages, on a very busy machine. */
const START_TIMEOUT_MS = 240_000

describe.runIf(isLinux('memory'))('memory', () => {
  let folder: string
  let claude: ClaudeStandIn
  let gateway: GatewayProcess
  let user: TestUser
  let baselineMb: number
  const sockets: Socket[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-memory-'))
    claude = await startClaudeStandIn()
    gateway = await startGatewayProcess({
      DATA_DIR: join(folder, 'data'),
      ANTHROPIC_BASE_URL: claude.url,
      REQUESTS_PER_MINUTE: '100000',
      ANONYMOUS_REQUESTS_PER_MINUTE: '100000',
    })
    user = await register(`${gateway.url}/mcp`)
    await Promise.all(Array.from({ length: 8 }, (_, i) => sendLong(i)))
    baselineMb = residentMb()
  }, START_TIMEOUT_MS)
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
  })
  afterAll(async () => {
    await gateway.stop()
    await claude.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function sendLong(nth: number): Promise<void> {
    const args = { message: `${nth} ${'words '.repeat(350_000)}` }
    const body = toolCall('send_message', args)
    for (;;) {
      const { json } = await post(`${gateway.url}/mcp`, body, bearer(user.accessToken))
      const { success, error } = json.result.structuredContent
      if (success) return
      // On a machine that is busy with other tests.
      expect(error).toMatchObject({ retryable: true })
      await sleep((error.retry_after_seconds ?? 1) * 1000)
    }
  }

  function residentMb(): number {
    const status = readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
  }

  /** Others' calls while the attack goes on. @returns how long they took, and the highest figure. */
  async function serveOthers(isUnderAttack: () => boolean) {
    const took: number[] = []
    let mostMb = residentMb()
    for (let i = 0; i < 20; i++) {
      const startedAt = performance.now()
      const { json } = await post(`${gateway.url}/mcp/open`, toolCall('health_check'))
      expect(json.result.structuredContent).toMatchObject({ success: true })
      took.push(performance.now() - startedAt)
      mostMb = Math.max(mostMb, residentMb())
    }
    expect(isUnderAttack()).toBe(true)
    const slowest = Math.round(Math.max(...took))
    const growthMb = Math.round(mostMb - baselineMb)
    process.stdout.write(
      `memory: ${growthMb} MB more, health_check at most ${slowest} ms (aim: 100)\n`,
    )
    return growthMb
  }

  function open(head: readonly string[]): Socket {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    return socket
  }

  const isOpen = (socket: Socket) => !socket.destroyed && socket.readyState === 'open'

  test.each([
    ['without a token', undefined],
    ['with a made-up token', `${'a'.repeat(20)}.${'b'.repeat(20)}.${'c'.repeat(86)}`],
  ])('250 connections %s that hold back the last byte of 4 MiB', async (_how, token) => {
    const body = Buffer.alloc(BODY_BYTES - 1, ' ')
    const attackers = Array.from({ length: 250 }, () => {
      const socket = open([
        'POST /mcp/open HTTP/1.1',
        'Host: localhost',
        'Content-Type: application/json',
        `Content-Length: ${BODY_BYTES}`,
        ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
      ])
      const answered = new Promise<boolean>((resolve) => {
        socket.once('data', () => resolve(true)).once('close', () => resolve(true))
        socket.write(body, () => resolve(false))
      })
      return { socket, answered }
    })
    await Promise.all(attackers.map(({ answered }) => answered))
    const isUnderAttack = () => attackers.some(({ socket }) => isOpen(socket))
    expect(await serveOthers(isUnderAttack)).toBeLessThan(MAX_GROWTH_MB)
  })

  test('an id and a progress token of 3.9 MB, by clients that do not read', async () => {
    const name = 'claude-api-gateway_send_message'
    const long = 'x'.repeat(3_900_000)
    const params = { name, arguments: { message: 'hi' }, _meta: { progressToken: long } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
    const attackers = Array.from({ length: 20 }, () => {
      const socket = open([
        'POST /mcp/open HTTP/1.1',
        'Host: localhost',
        'Content-Type: application/json',
        'Accept: application/json, text/event-stream',
        `Content-Length: ${body.length}`,
        `Authorization: Bearer ${user.accessToken}`,
      ]).pause()
      socket.write(body)
      return socket
    })
    expect(await serveOthers(() => attackers.some(isOpen))).toBeLessThan(MAX_GROWTH_MB)
  })

  test('120 downloads that nobody reads', async () => {
    const attackers = Array.from({ length: 120 }, () =>
      open([
        'GET /account/export HTTP/1.1',
        'Host: localhost',
        `Authorization: Bearer ${user.accessToken}`,
      ]).pause(),
    )
    expect(await serveOthers(() => attackers.some(isOpen))).toBeLessThan(MAX_GROWTH_MB)
    for (const socket of attackers) socket.destroy()
    const whole = async () => {
      const answer = await fetch(`${gateway.url}/account/export`, {
        headers: bearer(user.accessToken),
      })
      return (await answer.text()).length
    }
    await expect.poll(whole).toBeGreaterThan(14 * MEBIBYTE)
  })
})
